//! `hoist check-config`: everything that a deployment would read, read at once, with every mistake in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::jinja;
use crate::problem::Problem;
use crate::targets::Target;
use crate::wire::Level;

use super::gates::doubts as gate_doubts;
use super::layers::this_host;
use super::problems::Problems;
use super::settings::{HostKeyChecking, SshAgent};
use super::{Config, Options, values};

/// What was read, and what came of it.
#[derive(Debug, Default)]
pub struct Checked {
    pub counts: Counts,
    pub mistakes: Vec<Problem>,
    pub remarks: Vec<Problem>,
    /// The environments that were read, besides the repository as it stands.
    pub environments: Vec<String>,
}

/// How much was read: in the largest environment, where several were.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Counts {
    pub keys: usize,
    pub groups: usize,
    /// Of all environments.
    pub targets: usize,
    pub checks: usize,
    pub gates: usize,
    pub hooks: usize,
    pub steps: usize,
    pub config_files: usize,
    pub templates: usize,
    pub variables: usize,
}

/// Reads the whole configuration of a repository: as it stands and for each of its environments, or for the one that
/// `options` names. Connects nowhere. `more` tells what else there is to say of each.
///
/// # Errors
/// When there is no repository, or no configuration in it.
pub fn check(options: &Options, more: &dyn Fn(&Config) -> Vec<Problem>) -> anyhow::Result<Checked> {
    let host = this_host();
    let options = &Options { offline: true, ..options.clone() };
    let mut checked = Checked::default();
    let mut problems = Problems::thorough();
    let mut targets = BTreeSet::new();
    let first = Config::load_into(options, &host, &mut problems)?;
    problems.extend(first.unusable_environments());
    let mut environments = Vec::new();
    if options.invocation.environment.is_none() {
        environments = first.environments();
        environments.retain(|name| first.environment.as_ref() != Some(name));
    }
    checked.environments = first.environment.iter().chain(&environments).cloned().collect();
    checked.environments.sort();
    checked.counts.keys = first.layers.entries.len();
    read(&first, &mut problems, &mut checked.counts, &mut targets);
    problems.extend(more(&first));
    for name in environments {
        problems.in_environment(&name);
        let options = Options { invocation: options.invocation.in_environment(Some(name)), ..options.clone() };
        let config = Config::load_into(&options, &host, &mut problems);
        if let Some(config) = problems.keep(config) {
            checked.counts.keys = checked.counts.keys.max(config.layers.entries.len());
            read(&config, &mut problems, &mut checked.counts, &mut targets);
            problems.extend(more(&config));
        }
    }
    checked.counts.targets = targets.len();
    (checked.mistakes, checked.remarks) = problems.into_parts();
    Ok(checked)
}

/// Everything that hangs on one configuration.
fn read(config: &Config, problems: &mut Problems, counts: &mut Counts, targets: &mut BTreeSet<String>) {
    let groups = config.groups_into(problems);
    counts.groups = counts.groups.max(config.settings.groups.len());
    targets.extend(groups.iter().flat_map(|group| &group.targets).map(Target::to_string));
    config.files_of_keys_into(problems);
    counts.checks = counts.checks.max(config.checks_into(problems).len());
    let gates = config.gates_into(problems);
    counts.gates = counts.gates.max(gates.len());
    let doubts = gate_doubts(&gates, &groups).into_iter();
    problems.extend(doubts.map(|why| Problem::of_file("gates.yaml", why).remark(Level::Warning)));
    problems.extend(config.signed_builds());
    counts.hooks = counts.hooks.max(config.hooks_into(problems).len());
    counts.steps = counts.steps.max(config.steps_into(&groups, problems).len());
    if let Some(files) = config.config_files_into(problems) {
        counts.config_files = counts.config_files.max(files.files.len());
        counts.templates = counts.templates.max(files.templates.len());
        counts.variables = counts.variables.max(files.vars.len());
        let place = |(name, line, why): jinja::Finding| Problem::at(&config.template_file(&name), line, why);
        problems.extend(jinja::check(&files.templates, &files.files).into_iter().map(place));
        let remark = |finding| place(finding).remark(Level::Info);
        problems.extend(jinja::remarks(&files.templates, &files.files).into_iter().map(remark));
    }
}

impl Config {
    /// The environments of the repository around `options.start`; none where that cannot be read.
    pub fn environments_at(options: &Options) -> Vec<String> {
        // The one that is chosen may be the one that is misspelt.
        let options = Options { invocation: options.invocation.in_environment(None), ..options.clone() };
        Config::load(&options).map(|config| config.environments()).unwrap_or_default()
    }

    /// The environments that the repository has, sorted.
    pub fn environments(&self) -> Vec<String> {
        self.environment_folders().into_iter().filter(|name| values::name(name).is_ok()).collect()
    }

    /// The names of the folders of environments, sorted, those that cannot be chosen as well.
    fn environment_folders(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.control.join("environments")).into_iter().flatten().flatten();
        let folders = found.filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Remarks on environments that cannot be chosen.
    fn unusable_environments(&self) -> Vec<Problem> {
        let remark = |name: String| {
            let why = values::name(&name).err()?;
            let folder = self.shown(&self.control.join("environments").join(name));
            Some(Problem::of_file(&folder, format!("{folder} is ignored: {why}")).remark(Level::Warning))
        };
        self.environment_folders().into_iter().filter_map(remark).collect()
    }

    /// A warning if every deployment is of something that nobody can sign, and has to be signed.
    fn signed_builds(&self) -> Option<Problem> {
        let is_refused = self.settings.require_signed_revision && self.settings.build.is_some();
        let entry = self.layers.get("require_signed_revision").filter(|_| is_refused)?;
        let why =
            "require_signed_revision refuses every deployment here: nobody can have signed what build_command makes";
        Some(entry.remark(Level::Warning, "require_signed_revision", why))
    }

    /// Files on this host that keys name.
    fn files_of_keys_into(&self, problems: &mut Problems) {
        let settings = &self.settings;
        let mut named: Vec<(&str, PathBuf)> = Vec::new();
        named.extend(settings.identity_file.iter().flatten().map(|path| ("identity_file", path.clone())));
        // With accept-new, a file of host keys is made when it is first needed.
        let strict = settings.host_key_checking == HostKeyChecking::Strict;
        named
            .extend(settings.known_hosts.iter().flatten().filter(|_| strict).map(|path| ("known_hosts", path.clone())));
        named.extend(
            settings
                .keyholder_key
                .iter()
                .filter(|_| settings.ssh_auth_sock != SshAgent::Own)
                .map(|name| ("keyholder_key", keyholder_file(name))),
        );
        for (key, path) in named {
            if let (false, Some(entry)) = (path.is_file(), self.layers.get(key)) {
                let why = format!("the file {} does not exist: correct the key, or create the file", path.display());
                problems.push(entry.mistake(key, &why));
            }
        }
    }
}

/// The public half of a keyholder's key; see `fleet::ssh::keyholder`, which finds it in the same two places.
fn keyholder_file(name: &str) -> PathBuf {
    let file = |name: &str| PathBuf::from(format!("/etc/keyholder.d/{name}.pub"));
    Some(file(&crate::text::word_characters(name))).filter(|of_words| of_words.is_file()).unwrap_or(file(name))
}
