//! `hoist check-config`: everything that a deployment would read, read at once, with every mistake in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::jinja;
use crate::targets::{SYSTEM_FOLDER, Target, scan_target_file};
use crate::wire::{ConfigFile, Level};

use super::layers::this_host;
use super::problems::Problems;
use super::settings::{GroupSettings, HostKeyChecking, SshAgent, at};
use super::{Config, ConfigFiles, Note, Options};

/// Something that is wrong, or worth a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// From the top of the repository, or absolute; `None`: no file has it, the command line say.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u64>,
    /// The whole message, with file and line.
    pub message: String,
}

impl Mistake {
    /// A message that may begin with `file:line: `.
    fn of(message: String) -> Mistake {
        let place = message.match_indices(':').find_map(|(at, _)| {
            let rest = &message[at + 1..];
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let ends = rest[digits..].starts_with(':');
            let line = rest[..digits].parse().ok().filter(|_| ends)?;
            Some((message[..at].to_owned(), line)).filter(|(file, _)| !file.contains(char::is_whitespace))
        });
        let (file, line) = place.unzip();
        Mistake { file, line, message }
    }
}

/// What was read, and what came of it.
#[derive(Debug, Default)]
pub struct Checked {
    pub mistakes: Vec<Mistake>,
    /// Remarks, each with its weight.
    pub notes: Vec<Note>,
    /// The environments that were read, besides the repository as it stands.
    pub environments: Vec<String>,
    pub keys: usize,
    pub groups: usize,
    pub targets: usize,
    pub checks: usize,
    pub config_files: usize,
    pub templates: usize,
    pub variables: usize,
}

/// Reads the whole configuration of a repository: as it stands and for each of its environments, or for the one that
/// `options` names. Connects nowhere.
///
/// # Errors
/// When there is no repository, or no configuration in it.
pub fn check(options: &Options) -> Result<Checked> {
    let host = this_host();
    let mut checked = Checked::default();
    let mut problems = Problems::thorough();
    let mut targets = BTreeSet::new();
    let first = Config::load_into(options, &host, &mut problems)?;
    let mut environments = Vec::new();
    if options.environment.is_none() {
        environments = first.environments();
        environments.retain(|name| first.environment.as_ref() != Some(name));
    }
    checked.environments = first.environment.iter().chain(&environments).cloned().collect();
    checked.environments.sort();
    checked.keys = first.layers.entries.len();
    read(first, &mut problems, &mut checked, &mut targets);
    for name in environments {
        let options = Options { environment: Some(name), ..options.clone() };
        let config = Config::load_into(&options, &host, &mut problems);
        if let Some(config) = problems.keep(config) {
            checked.keys = checked.keys.max(config.layers.entries.len());
            read(config, &mut problems, &mut checked, &mut targets);
        }
    }
    checked.targets = targets.len();
    // What several environments share is told once, though each of them looked in its own folder too.
    let mut told = BTreeSet::new();
    for line in problems.lines() {
        if told.insert(line.split(": looked for ").next().unwrap_or_default().to_owned()) {
            checked.mistakes.push(Mistake::of(line));
        }
    }
    let mut noted = BTreeSet::new();
    checked.notes.retain(|(_, note)| noted.insert(note.clone()));
    Ok(checked)
}

/// Everything that hangs on one configuration.
fn read(mut config: Config, problems: &mut Problems, checked: &mut Checked, targets: &mut BTreeSet<String>) {
    checked.notes.append(&mut config.notes);
    let listed = config.targets_into(problems, &mut checked.notes);
    checked.groups = checked.groups.max(config.settings.groups.len());
    targets.extend(listed.iter().map(Target::to_string));
    config.files_of_keys_into(problems);
    checked.checks = checked.checks.max(config.checks_into(problems).len());
    let files = config.config_files_into(problems);
    checked.notes.append(&mut problems.notes);
    if let Some(files) = problems.keep(files).flatten() {
        checked.config_files = checked.config_files.max(files.files.len());
        checked.templates = checked.templates.max(files.templates.len());
        checked.variables = checked.variables.max(files.vars.len());
        for (name, line, why) in jinja::check(&files.templates, &files.files) {
            problems.keep::<()>(Err(anyhow!("{}:{line}: {why}", config.template_file(&name))));
        }
        if config.is_scaps() {
            checked.notes.extend(lent_variables(&files));
        }
        for (name, line, remark) in jinja::remarks(&files.templates, &files.files) {
            checked.notes.push((Level::Info, format!("{}:{line}: {remark}", config.template_file(&name))));
        }
    }
}

/// Scap reads the `remote_vars` of one file into the variables of all that come after it. Remarks on files whose templates
/// may live on that: they use what no `vars.yaml` sets, and have no `remote_vars` of their own.
fn lent_variables(files: &ConfigFiles) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut lender: Option<&ConfigFile> = None;
    for file in &files.files {
        let Some(lender) = lender.filter(|_| file.remote_vars.is_none()) else {
            lender = Some(file).filter(|file| file.remote_vars.is_some()).or(lender);
            continue;
        };
        let mut unset = jinja::variables(&files.templates, file);
        unset.retain(|name| !files.vars.contains_key(name));
        if !unset.is_empty() {
            let names: Vec<String> = unset.into_iter().collect();
            notes.push((
                Level::Warning,
                format!(
                    "{} uses {}, which no vars.yaml sets: Scap may take it from the remote_vars of {}, and hoist does not; \
                     give {} its own remote_vars",
                    file.path,
                    names.join(", "),
                    lender.path,
                    file.path
                ),
            ));
        }
    }
    notes
}

impl Config {
    /// The environments that the repository has, sorted.
    fn environments(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.control.join("environments")).into_iter().flatten().flatten();
        let mut names: Vec<String> = found
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| super::values::name(name).is_ok())
            .collect();
        names.sort();
        names
    }

    /// The targets of all groups.
    fn targets_into(&self, problems: &mut Problems, notes: &mut Vec<Note>) -> Vec<Target> {
        let before = problems.count();
        let mut folders = self.folders();
        folders.push(PathBuf::from(SYSTEM_FOLDER));
        let shown = |path: &Path| super::shown_below(&self.top, path);
        let mut targets: Vec<Target> = Vec::new();
        for group in &self.settings.groups {
            let key = GroupSettings::targets_key(&group.name);
            let entry = self.layers.get(&key);
            if group.dsh_targets.is_none() && entry.is_some() {
                notes.push((Level::Warning, self.without_targets(&group.name)));
                continue;
            }
            let (Some(file), Some(entry)) = (&group.dsh_targets, entry) else {
                let why = format!("group {} has no target file: set {key}", group.name);
                problems.keep::<()>(Err(match self.layers.get("server_groups") {
                    Some(entry) => at(entry, "server_groups", &why),
                    None => anyhow!("{}:1: {why}", shown(self.file.as_deref().unwrap_or(&self.top))),
                }));
                continue;
            };
            let check = |path: &Path| self.check_target_file(file, path);
            let scanned = scan_target_file(file, &folders, &shown, &check);
            let Some((file, mistakes)) = problems.keep(scanned.map_err(|why| at(entry, &key, &format!("{why:#}"))))
            else {
                continue;
            };
            for mistake in mistakes {
                problems.keep::<()>(Err(mistake));
            }
            notes.extend(file.notes.iter().map(|note| (Level::Warning, note.clone())));
            if file.targets.is_empty() {
                notes.push((Level::Warning, format!("{}: group {} is empty", shown(&file.path), group.name)));
            }
            targets.extend(file.targets);
        }
        if targets.is_empty() && problems.count() == before {
            let groups = self.settings.server_groups.join(", ");
            let file = shown(self.file.as_deref().unwrap_or(&self.top));
            problems.keep::<()>(Err(anyhow!("{file}:1: no target at all: the target files of {groups} list no host")));
        }
        targets
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
                let why = format!("there is no file {}: correct the key, or put the file there", path.display());
                problems.keep::<()>(Err(at(entry, key, &why)));
            }
        }
    }
}

/// The public half of a keyholder's key; see `fleet::ssh::keyholder`, which finds it in the same two places.
fn keyholder_file(name: &str) -> PathBuf {
    let file = |name: &str| PathBuf::from(format!("/etc/keyholder.d/{name}.pub"));
    Some(file(&crate::text::word_characters(name))).filter(|of_words| of_words.is_file()).unwrap_or(file(name))
}
