//! What the deployer asks of a target.

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Holder, Revision, RunId, Stage};

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Answer with [`super::Facts`], changing nothing, then stay as the *keeper*: read [`KeeperLine`]s until the end of
    /// input. The keeper holds the target's lock from [`KeeperLine::Hold`] until it ends, and it ends with its connection.
    Probe,
    /// Run a stage. `attempt` counts from 0 within the run, so that a deployer can ask for just this one.
    Run { stage: Stage, attempt: u32 },
    /// Answer with [`super::Recorded`].
    Ask { stage: Stage, attempt: u32 },
    /// End the processes that hold this target's locks, if they are those of run `held`, and forget the newest run.
    /// Answered by lines, and [`super::TargetEvent::Ended`].
    Unlock { held: Option<RunId> },
    /// Never sent by a deployer: `promote` has a process of its own watch the lease of its revision.
    Watch,
    /// Never sent by a deployer either: a stage has a process of its own render the configuration files.
    Render,
}

/// One line of a keeper's standard input, after the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeeperLine {
    /// Take the lock; answered by [`super::TargetEvent::Held`], or `Ended` with the reason.
    Hold,
    /// As [`KeeperLine::Hold`], by a deployer that closes this session in between: other runs are kept out until
    /// [`KeeperLine::Release`].
    Claim,
    /// The run is over here. Not answered.
    Release,
    /// The deployer is there: renew the lease of the run, if there is one. Not answered.
    Renew,
    /// The run has ended well: what the target kept for a rollback of it alone may go. Not answered; the keeper ends when
    /// that is done.
    Over,
    /// The operator aborts this stage of the run, on its so-manieth try: end it, and all that it runs. Not answered; the
    /// stage itself tells its end.
    Abort { stage: Stage, attempt: u32 },
}

/// Everything a target needs to know for one action. One line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The run, and who is behind it.
    pub holder: Holder,
    pub action: Action,
    /// The repository's name, which is a relative path below `deploy_dir`.
    pub repo: String,
    pub deploy_dir: PathBuf,
    /// The group's own name, never a subgroup's label.
    pub group: String,
    /// What is deployed.
    pub revision: Revision,
    /// What a rollback goes back to: what was live at the probe. `None`: nothing to go back to, or not known yet.
    pub restore: Option<Revision>,
    /// Nothing was live or finalized here at the probe, which is why there is nothing to go back to.
    #[serde(default)]
    pub found_nothing: bool,
    pub force: bool,
    /// The mask of permissions that new files do not get; `None`: that of the login.
    pub umask: Option<u32>,
    /// Old revisions to keep once the run is over, beside the live one.
    pub cache_revs: usize,
    /// Seconds this stage may take; the target keeps to it even when its deployer is gone.
    pub timeout: u64,
    /// Seconds that a promoted revision stays live when it is neither finalized, nor rolled back, nor its lease renewed;
    /// 0: for ever.
    #[serde(default)]
    pub confirm_timeout: u64,
    /// `hoist` or `scap`: the folder of the repository that holds scripts.
    pub control_dir: String,
    pub environment: Option<String>,
    /// What belongs into the revision's tree beside its own files.
    #[serde(default)]
    pub extras: ExternalContent,
    /// A probe asks which of these large files the target lacks; empty in all other requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_files: Vec<LargeFile>,
    pub fetch: Option<Fetch>,
    /// In the order of the file; those of every stage and group.
    pub checks: Vec<Check>,
    /// Where checks of type nrpe are defined on the target.
    pub nrpe_dir: PathBuf,
    pub service: Service,
    /// `None` when `config_deploy` is off.
    pub config_files: Option<Vec<ConfigFile>>,
    /// The texts of the repository's templates by name, so that one may include another. Empty without `config_files`.
    pub templates: IndexMap<String, String>,
    /// The template variables. They may be secret.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// The revision was deployed here before and is gone back to: promote links the configuration files that its tree
    /// holds already, whatever is configured now, and the checks that it was deployed with judge it.
    #[serde(default)]
    pub kept: bool,
    /// A new working tree may share files with one that stands.
    #[serde(default)]
    pub link_files: bool,
    /// A probe is to look whether the live tree has all its files.
    #[serde(default)]
    pub verify: bool,
    /// What Scap would have to know beside that; `None` where it does not deploy the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scap: Option<Box<ForScap>>,
}

/// Settings that only Scap's own `deploy-local` needs, for what is left to it where it is at home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForScap {
    pub git_server: Option<String>,
    pub git_scheme: String,
    pub git_submodules: bool,
    pub git_upstream_submodules: bool,
    /// `git-lfs` and `git-fat`, as far as they are asked for.
    pub git_binary_manager: Vec<String>,
    /// The deploy host's own upstream, without a password.
    pub origin: Option<String>,
}

/// A tag that describes a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribingTag {
    /// Below `refs/tags/`.
    pub name: String,
    /// What the ref names: a tag's own object, or the commit.
    pub object: Revision,
    pub commit: Revision,
}

impl DescribingTag {
    /// Whether it is an object of its own.
    pub fn is_annotated(&self) -> bool {
        self.object != self.commit
    }
}

/// The tags that describe a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribingTags {
    pub tags: Vec<DescribingTag>,
    /// A git pack of the annotated tags' own objects, in hexadecimal digits; empty: there are none.
    pub pack: String,
}

/// What belongs into a revision's tree beside its own files, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalContent {
    /// Submodules, nested ones too; `None`: their folders stay empty.
    pub submodules: Option<SubmoduleSource>,
    /// What git-lfs keeps out of git; `None`: its pointers stay.
    pub lfs: Option<LfsSource>,
    /// What git-fat keeps out of git, which it gets by itself.
    pub fat: bool,
}

/// Where a target gets the commits of submodules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmoduleSource {
    /// In the superproject's pack.
    Session,
    /// The git server's repository: `URL/modules/NAME`, as git keeps them in a checkout; through a proxy as of
    /// [`Source::proxy`].
    Server {
        url: String,
        #[serde(default)]
        proxy: Option<String>,
    },
    /// What `.gitmodules` says. Addresses that begin with `./` or `../` lead on from `base`, the deploy host's own
    /// upstream, if it has one.
    Upstream { base: Option<String> },
}

/// Where a target gets what git-lfs keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LfsSource {
    /// Ahead of the superproject's pack.
    Session,
    /// git-lfs asks the server that belongs to this repository, or the one that `.lfsconfig` names.
    Server { url: String },
}

/// A file that git-lfs keeps, as its pointer names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(String, u64)", into = "(String, u64)")]
pub struct LargeFile {
    oid: String,
    bytes: u64,
}

impl LargeFile {
    /// `oid`: the SHA-256 of the content, 64 lower-case hexadecimal digits, which is safe as a file name.
    pub fn new(oid: &str, bytes: u64) -> Result<LargeFile, String> {
        let hex = oid.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex || oid.len() != 64 {
            return Err(format!("{oid:?} is not the SHA-256 of a large file"));
        }
        Ok(LargeFile { oid: oid.to_owned(), bytes })
    }

    pub fn oid(&self) -> &str {
        &self.oid
    }

    /// The content's length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where git-lfs keeps it, below its folder `objects`.
    pub fn path(&self) -> PathBuf {
        [&self.oid[..2], &self.oid[2..4], &self.oid].iter().collect()
    }
}

impl TryFrom<(String, u64)> for LargeFile {
    type Error = String;

    fn try_from((oid, bytes): (String, u64)) -> Result<Self, String> {
        LargeFile::new(&oid, bytes)
    }
}

impl From<LargeFile> for (String, u64) {
    fn from(file: LargeFile) -> (String, u64) {
        (file.oid, file.bytes)
    }
}

/// How the revision's objects reach the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Large files that follow the request on standard input, one behind the other, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_files: Vec<LargeFile>,
    /// Length of the (thin) pack that follows them; `None` when none follows.
    pub pack_bytes: Option<u64>,
    /// Commits whose parents the deploy host itself lacks (git's `shallow` file), submodules' included.
    pub shallow: Vec<Revision>,
    /// Fetch from a git server instead.
    pub source: Option<Source>,
    /// Throw the cache away first.
    pub rebuild: bool,
    /// `None`: the tree's tags are left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describing: Option<DescribingTags>,
}

/// A git server's repository, and the ref there that names the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub url: String,
    pub reference: String,
    /// A proxy to reach it through by http and https. It may hold a password, as `url` may.
    #[serde(default)]
    pub proxy: Option<String>,
}

/// When a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckPoint {
    Before(Stage),
    After(Stage),
}

impl CheckPoint {
    /// The stage that it belongs to.
    pub fn stage(self) -> Stage {
        match self {
            CheckPoint::Before(stage) | CheckPoint::After(stage) => stage,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckType {
    /// A command line.
    Command,
    /// A file of the repository's `scripts` folder, of the revision that is checked.
    Script,
    /// A command by its name in the target's `nrpe_dir`.
    Nrpe,
}

/// One check, as `checks.yaml` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub kind: CheckType,
    pub at: CheckPoint,
    /// Only for this group; `None`: for all.
    pub group: Option<String>,
    /// How long one try may take.
    #[serde(with = "super::seconds")]
    pub timeout: Duration,
    #[serde(default)]
    pub tries: Tries,
    pub command: String,
    pub shell: bool,
}

/// How often a check is tried before it has failed: once, if neither `retries` nor `within` is there; else until either
/// of them is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Further tries after the first one.
    pub retries: Option<u32>,
    /// From the beginning of the first try to the end of the last one.
    #[serde(with = "super::seconds::option")]
    pub within: Option<Duration>,
    /// From the end of a try to the beginning of the next one.
    #[serde(with = "super::seconds")]
    pub interval: Duration,
}

impl Default for Tries {
    fn default() -> Tries {
        Tries { retries: None, within: None, interval: Duration::from_secs(1) }
    }
}

impl Check {
    /// How long the check may take, all its tries together.
    pub fn longest(&self) -> Duration {
        let Tries { retries, within, interval } = self.tries;
        let by_number = retries.or_else(|| within.is_none().then_some(0)).map(|retries| {
            let tries = self.timeout.saturating_mul(retries.saturating_add(1));
            tries.saturating_add(interval.saturating_mul(retries))
        });
        match (by_number, within) {
            (Some(time), Some(within)) => time.min(within),
            (Some(time), None) | (None, Some(time)) => time,
            (None, None) => self.timeout,
        }
    }
}

/// What promote restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub names: Vec<ServiceName>,
    /// Where this file exists, a target is a secondary one.
    #[serde(default)]
    pub secondary_file: PathBuf,
    /// `systemctl {action} {service}` in form; words, never a shell line.
    pub command: String,
    /// Skip services that the target does not have.
    pub require_valid: bool,
    /// Wait until this TCP port of the target accepts a connection.
    pub port: Option<u16>,
    /// Seconds to wait for the port.
    pub timeout: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceName {
    pub name: String,
    /// `restart` or `reload`.
    pub action: String,
    /// On a secondary target it is stopped and disabled in place of that.
    #[serde(default)]
    pub disable_secondary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    Text,
    /// `None`, `True` and `False` print as YAML's `null`, `true` and `false`.
    Yaml,
}

/// A configuration file to render on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Absolute: rendered into the revision and linked from here at promote. Relative: written into the working tree.
    pub path: String,
    /// The template's name, a key of [`Request::templates`].
    pub template: String,
    /// A YAML file on the target whose keys win over the request's variables.
    pub remote_vars: Option<String>,
    pub erb_syntax: bool,
    pub format: OutputFormat,
}
