//! Plan files: what `hoist plan -o` writes, and `hoist deploy --plan` does.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::{Config, Options};
use crate::deploy::{Choice, HostChoice, Prepared};
use crate::files::{no_links, output};
use crate::operation::Refused;
use crate::operation::status::View;
use crate::repo::operator;
use crate::targets::{Group, Target};
use crate::text::quoted;
use crate::url::is_masked;
use crate::wire::{Revision, StartedBy};

use super::steps::Steps;

/// The form of the files that this build writes and reads.
pub const FORMAT: u64 = 1;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// Keys that a plan does not fix. They say how the operator logs in and how the run ends, or whether a deployment may begin
/// at all, which is decided when it begins; the revision is fixed as such.
const NOT_FIXED: [&str; 10] = [
    "git_rev",
    "strict",
    "timings",
    "ssh_auth_sock",
    "block_deployments",
    "deploy_windows",
    "freeze",
    "required_signatures",
    "allowed_signers",
    "revoked_signers",
];

/// Digits of the digest of a value that may be secret: too few to guess the value from.
const CONCEALED: usize = 4;

/// A plan that was written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// The format.
    hoist_plan: u64,
    #[serde(flatten)]
    pub origin: Origin,
    pub revision: Revision,
    /// The first line of the commit's message.
    pub subject: Option<String>,
    pub flags: Flags,
    pub stages: Value,
    pub groups: Value,
    pub gates: Value,
    /// In plans with run-once steps.
    #[serde(default = "no_steps", skip_serializing_if = "is_empty")]
    pub steps: Value,
    /// How the hosts are reached that an inventory or a command says it of. Empty in plans without such hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reached: BTreeMap<String, Reached>,
    /// Every key with the value that counts. Of one that may hold a password, what is shown, and a short digest.
    pub settings: BTreeMap<String, String>,
    /// A digest of each file that decides what happens, but for files of keys and of targets.
    pub files: BTreeMap<String, String>,
    /// It is part of all digests.
    salt: String,
    /// Whether the targets were asked what they run.
    pub asked: bool,
    /// What each target ran; null: nothing. Targets that nothing is known of are missing.
    pub live: BTreeMap<String, Option<Revision>>,
    /// Of everything else.
    digest: String,
}

/// What an inventory or a command says of a host, as far as a deployment depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The label that `max_unavailable_by` of its group names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Reached {
    /// Those of the hosts of some groups that anything is said of.
    fn of(groups: &[Group]) -> BTreeMap<String, Reached> {
        let of_target = |(group, target): (&Group, &Target)| {
            let details = target.details.as_deref()?.clone();
            let mut labels = details.labels;
            labels.retain(|name, _| group.max_unavailable_by.as_ref() == Some(name));
            let reached = Reached { address: details.address, user: details.user, port: details.port, labels };
            (reached != Reached::default()).then(|| (target.to_string(), reached))
        };
        groups.iter().flat_map(|group| group.targets.iter().map(move |it| (group, it))).filter_map(of_target).collect()
    }
}

/// Where a plan file comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Hoist's version.
    pub hoist: String,
    /// RFC 3339, in UTC.
    pub made_at: String,
    pub made_by: StartedBy,
    pub repo: String,
    pub environment: Option<String>,
}

/// The flags of `hoist plan` that say what is deployed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub define: Vec<String>,
    #[serde(flatten)]
    pub selection: Selection,
}

/// Which part of the deployment is planned, and whether past what would hold it up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub stages: Option<String>,
    pub limit: Option<String>,
    pub break_glass: Option<String>,
}

impl PlanFile {
    /// Fixes a plan.
    ///
    /// # Errors
    /// A password on the command line, which a plan cannot hold; a file that cannot be read.
    pub(super) fn new(
        config: &Config,
        choice: &Choice,
        prepared: &Prepared,
        subject: Option<String>,
        (views, asked): (&[View], bool),
    ) -> Result<PlanFile, Refused> {
        let invocation = &config.invocation;
        if let Some(define) = invocation.defines.iter().find(|define| is_masked(define)) {
            let why = format!("a plan file cannot hold the password of -D {define}: write it in a configuration file");
            return Err(Refused::Usage(why));
        }
        let mut random = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let below = |path: &PathBuf| -> anyhow::Result<PathBuf> {
            let path = path.canonicalize()?;
            Ok(path.strip_prefix(&config.top).map(Path::to_owned).unwrap_or(path))
        };
        let limit = match &choice.hosts {
            HostChoice::Matching(limit) => Some(limit.clone()),
            HostChoice::All | HostChoice::Only(_) => None,
        };
        let fixed = Fixed::read(config, prepared, hex(&random))?;
        // The file is where the plan stands: how it is spelled does not matter.
        let mut file = PlanFile {
            hoist_plan: FORMAT,
            origin: Origin {
                hoist: env!("CARGO_PKG_VERSION").to_owned(),
                made_at: crate::clock::rfc3339_utc(),
                made_by: operator(),
                repo: config.settings.git_repo.clone(),
                environment: config.environment.clone(),
            },
            revision: prepared.plan.revision.clone(),
            subject,
            flags: Flags {
                config: invocation.config_file.as_ref().map(below).transpose()?,
                define: invocation.defines.clone(),
                selection: Selection { stages: choice.stages.clone(), limit, break_glass: choice.break_glass.clone() },
            },
            stages: serde_json::to_value(&fixed.steps.stages)?,
            groups: serde_json::to_value(&fixed.steps.groups)?,
            gates: serde_json::to_value(&fixed.steps.gates)?,
            steps: serde_json::to_value(&fixed.steps.steps)?,
            reached: fixed.reached,
            settings: fixed.settings,
            files: fixed.files,
            salt: fixed.salt,
            asked,
            live: views.iter().filter_map(live).collect(),
            digest: String::new(),
        };
        file.digest = digest(serde_json::to_value(&file)?);
        Ok(file)
    }

    /// Writes it.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub fn write(&self, path: &Path) -> Result<(), Refused> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        output::write(path, &text).map_err(|error| Refused::new(format!("cannot write {}: {error}", path.display())))
    }

    /// Reads one; and its bytes, which signatures are of.
    ///
    /// # Errors
    /// What is no plan, or not as Hoist wrote it.
    pub fn read(path: &Path) -> Result<(PlanFile, Vec<u8>), Refused> {
        let shown = path.display();
        let wrong = |why: String| Refused::new(format!("{shown} {why}"));
        let cannot = |error: std::io::Error| Refused::new(format!("cannot read the plan {shown}: {error}"));
        let file = no_links::open_at_once(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(wrong("is not a regular file: name a file that `hoist plan -o FILE` has written".into()));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > LONGEST {
            return Err(wrong(format!("is longer than {} MiB, so it is no plan of Hoist's", LONGEST >> 20)));
        }
        let again = "make a new plan with `hoist plan -o FILE`";
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| match bytes.starts_with(b"{\n  \"hoist_plan\"") {
                true => wrong(format!("is damaged ({error}): {again}")),
                false => wrong(format!("is no plan of Hoist's ({error}): {again}")),
            })?;
        match value.get("hoist_plan").and_then(Value::as_u64) {
            None => return Err(wrong(format!("is no plan of Hoist's: it has no number \"hoist_plan\": {again}"))),
            Some(format) if format > FORMAT => {
                let by = value.get("hoist").and_then(Value::as_str).unwrap_or("an unknown version");
                return Err(wrong(format!(
                    "was written by a newer Hoist ({by}, format {format}; this is {}, which knows {FORMAT}): {again}, or \
                     deploy it with that version",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            Some(_) => {}
        }
        let own = value.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        if digest(value.clone()) != own {
            return Err(wrong(format!("was edited: its digest is not that of its contents; {again}")));
        }
        let damaged = |why: String| wrong(format!("is damaged ({why}): {again}"));
        let file: PlanFile = serde_json::from_value(value.clone()).map_err(|error| damaged(error.to_string()))?;
        match unknown_key(&value, &serde_json::to_value(&file)?) {
            Some(key) => Err(damaged(format!("unknown field `{key}`"))),
            None => Ok((file, bytes)),
        }
    }

    /// What the command line of `hoist plan` was, as the command line of this deployment. `choice` adds nothing to it
    /// but keys that a plan does not fix.
    ///
    /// # Errors
    /// There is no repository here.
    pub fn apply(&self, options: &Options, choice: Choice) -> Result<(Options, Choice), Refused> {
        let Flags { config, define, selection } = self.flags.clone();
        let Selection { stages, limit, break_glass } = selection;
        let mut options = options.clone();
        let top = crate::config::working_tree(&options.start)?;
        options.invocation.config_file = config.map(|path| top.join(path));
        options.invocation.environment = self.origin.environment.clone();
        options.invocation.defines = [define, std::mem::take(&mut options.invocation.defines)].concat();
        let hosts = HostChoice::matching(limit);
        Ok((options, Choice { rev: Some(self.revision.to_string()), stages, hosts, break_glass, ..choice }))
    }

    /// Refuses a plan of another repository.
    pub fn refuse_other_repo(&self, path: &Path, repo: &str) -> Result<(), Refused> {
        if self.origin.repo == repo {
            return Ok(());
        }
        Err(Refused::new(format!(
            "{} is a plan of {}, and this repository is {repo}",
            path.display(),
            self.origin.repo
        )))
    }

    /// The command that makes a plan like this one again.
    pub fn again(&self, config: &Config, path: &Path) -> String {
        let Selection { stages, limit, break_glass } = &self.flags.selection;
        let mut words = format!("plan -r {} -o {}", self.revision.short(), quoted(&path.to_string_lossy()));
        words += if self.asked { " --ask" } else { "" };
        for (flag, value) in [("-s", stages), ("-l", limit), ("--break-glass", break_glass)] {
            words += &value.as_ref().map(|value| format!(" {flag} {}", quoted(value))).unwrap_or_default();
        }
        config.invocation.command(&words)
    }

    /// The same things as they are now.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn now(&self, config: &Config, prepared: &Prepared) -> Result<Fixed, Refused> {
        Fixed::read(config, prepared, self.salt.clone())
    }
}

/// What a plan file fixes of the configuration.
pub(super) struct Fixed {
    pub steps: Steps,
    pub reached: BTreeMap<String, Reached>,
    pub settings: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
    salt: String,
}

impl Fixed {
    fn read(config: &Config, prepared: &Prepared, salt: String) -> Result<Fixed, Refused> {
        let conceal = |value: &str| salted(&salt, value.as_bytes())[..CONCEALED].to_owned();
        let mut settings = config.known_settings(conceal);
        settings.retain(|key, _| !NOT_FIXED.contains(&key.as_str()));
        let mut files = BTreeMap::new();
        for file in config.control_files().into_iter().filter(|file| file.decides) {
            let bytes = std::fs::read(&file.path)
                .map_err(|error| Refused::new(format!("cannot read {}: {error}", file.name)))?;
            files.insert(file.name, salted(&salt, &bytes));
        }
        let reached = Reached::of(&prepared.plan.groups);
        Ok(Fixed { steps: Steps::of(&prepared.plan), reached, settings, files, salt })
    }
}

/// A key that was read and means nothing: nobody may believe that it is obeyed.
fn unknown_key<'a>(read: &'a Value, known: &Value) -> Option<&'a str> {
    read.as_object()?.iter().find_map(|(key, value)| match known.get(key) {
        Some(known) => unknown_key(value, known),
        None => Some(key.as_str()),
    })
}

/// What a target runs, if it is known.
pub(super) fn live(view: &View) -> Option<(String, Option<Revision>)> {
    view.known.state.as_ref().map(|state| (view.target.to_string(), state.current.clone()))
}

fn salted(salt: &str, bytes: &[u8]) -> String {
    hex(&Sha256::new().chain_update(salt).chain_update(bytes).finalize())
}

/// The digest of a plan without its own digest.
fn digest(mut value: Value) -> String {
    if let Value::Object(map) = &mut value {
        map.shift_remove("digest");
    }
    format!("sha256:{}", hex(&Sha256::digest(value.to_string())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn no_steps() -> Value {
    Value::Array(Vec::new())
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}
