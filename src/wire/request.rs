//! What the deployer asks of a target: one type for each action, all under one [`Header`].

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::url::without_password;

use super::{
    Drain, ExternalContent, Fetch, Holder, LargeFile, LfsSource, Revision, RunId, Stage, SubmoduleSource, VerifyService,
};

/// One line of JSON: what a target is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Answer with [`super::Facts`], changing nothing, then stay as the *lock holder*: read [`LockHolderLine`]s until the end of
    /// input. The lock holder holds the target's lock from [`LockHolderLine::Hold`] until it ends, and it ends with its connection.
    Probe(Probe),
    /// Run a stage; answered by lines, and [`super::TargetEvent::Ended`].
    Run(Box<Run>),
    /// Answer with [`super::Recorded`].
    Ask(Ask),
    /// End what holds the target's locks; answered by lines, and [`super::TargetEvent::Ended`].
    Unlock(Unlock),
    /// Never sent by a deployer: `promote` has a process of its own watch the lease of its revision.
    Watch(Box<StageRequest>),
    /// Never sent by a deployer either: a stage has a process of its own render the configuration files.
    Render(Box<Render>),
}

impl Request {
    /// What it has in common with all others.
    pub fn header(&self) -> &Header {
        match self {
            Request::Probe(probe) => &probe.header,
            Request::Run(run) => &run.request.header,
            Request::Ask(ask) => &ask.header,
            Request::Unlock(unlock) => &unlock.header,
            Request::Watch(request) => &request.header,
            Request::Render(render) => &render.header,
        }
    }

    /// The same, to be changed.
    pub fn header_mut(&mut self) -> &mut Header {
        match self {
            Request::Probe(probe) => &mut probe.header,
            Request::Run(run) => &mut run.request.header,
            Request::Ask(ask) => &mut ask.header,
            Request::Unlock(unlock) => &mut unlock.header,
            Request::Watch(request) => &mut request.header,
            Request::Render(render) => &mut render.header,
        }
    }
}

/// What every request begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The run, and who is behind it.
    pub holder: Holder,
    /// The repository's name, which is a relative path below `deploy_dir`.
    pub repo: String,
    pub deploy_dir: PathBuf,
    /// `hoist` or `scap`: the folder of the repository that holds scripts.
    pub control_dir: String,
    /// The mask of permissions that new files do not get; `None`: that of the login.
    pub umask: Option<u32>,
    /// Seconds this may take; the target keeps to it even when its deployer is gone.
    pub timeout: u64,
}

/// What a probe is to find out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    #[serde(flatten)]
    pub header: Header,
    /// The deployment that it is made for; `None`: somebody only looks.
    pub deployment: Option<ProbedDeployment>,
    /// Look whether the live tree has all its files.
    pub verify: bool,
    /// Look what these services run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Box<Service>>,
}

/// What the first command of a session has to know of a deployment: it also keeps the lock, and removes what the run
/// kept until its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbedDeployment {
    pub revision: Revision,
    /// As of [`StageRequest::restore`].
    pub restore: Option<Revision>,
    pub cache_revs: usize,
    pub kept: bool,
    pub extras: ExternalContent,
    /// Which of these does the target lack?
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_files: Vec<LargeFile>,
    /// What the stages will need here; `None`: that was looked at before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Box<Preflight>>,
}

/// What the stages of a run will need on a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// The stages themselves; where there is a promote, its restart and a rollback too.
    pub stages: Vec<Stage>,
    pub service: Service,
    /// The checks of these stages, of all groups.
    pub checks: Vec<Check>,
    /// How the scripts of checks begin: what runs them.
    pub scripts: Vec<ScriptHead>,
    /// Where checks of type nrpe are defined on the target.
    pub nrpe_dir: PathBuf,
    /// The configuration files, which config_deploy renders and promote links.
    pub config_files: Vec<ConfigFile>,
}

/// The first line of a script of the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptHead {
    /// The check that runs it.
    pub check: String,
    /// `#!/bin/sh`
    pub line: String,
}

/// A stage to run. `attempt` counts from 0 within the run, so that a deployer can ask for just this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub stage: Stage,
    pub attempt: u32,
    #[serde(flatten)]
    pub request: StageRequest,
}

/// How did that stage of the run end?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    #[serde(flatten)]
    pub header: Header,
    pub stage: Stage,
    pub attempt: u32,
}

/// End the processes that hold this target's locks, if they are those of run `held`, and forget the newest run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlock {
    #[serde(flatten)]
    pub header: Header,
    pub held: Option<RunId>,
}

/// Configuration files to render; answered by their contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Render {
    #[serde(flatten)]
    pub header: Header,
    pub files: Vec<ConfigFile>,
    pub templates: IndexMap<String, String>,
    pub vars: serde_json::Map<String, serde_json::Value>,
}

/// One line of a lock holder's standard input, after the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockHolderLine {
    /// Take the lock; answered by [`super::TargetEvent::Held`], or `Ended` with the reason.
    Hold,
    /// As [`LockHolderLine::Hold`], by a deployer that closes this session in between: other runs are kept out until
    /// [`LockHolderLine::Release`].
    Claim,
    /// The run is over here. Not answered.
    Release,
    /// The deployer is there: renew the lease of the run, if there is one. Not answered.
    Renew,
    /// The run has ended well: what the target kept for a rollback of it alone may go. Not answered; the lock holder ends when
    /// that is done.
    Over,
    /// The operator aborts this stage of the run, on its so-manieth try: end it, and all that it runs. Not answered; the
    /// stage itself tells its end.
    Abort { stage: Stage, attempt: u32 },
}

/// Everything that a target needs to know for any stage of a deployment. It keeps the last one, for stages that are run by
/// hand, and journals and git servers keep it too: a field that is added needs a default, so that older ones are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRequest {
    #[serde(flatten)]
    pub header: Header,
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
    /// Old revisions to keep once the run is over, beside the live one.
    pub cache_revs: usize,
    /// Seconds that a promoted revision stays live when it is neither finalized, nor rolled back, nor its lease renewed;
    /// 0: for ever.
    #[serde(default)]
    pub confirm_timeout: u64,
    /// Seconds after that until it is this host's turn to go back by itself, unless its promote failed.
    #[serde(default)]
    pub lease_slot: u64,
    pub environment: Option<String>,
    /// What belongs into the revision's tree beside its own files.
    #[serde(default)]
    pub extras: ExternalContent,
    pub fetch: Option<Fetch>,
    /// In the order of the file; those of every stage and group.
    pub checks: Vec<Check>,
    /// Without it no check runs, not even one that a revision which is gone back to has of its own.
    #[serde(default = "yes")]
    pub perform_checks: bool,
    /// Where checks of type nrpe are defined on the target.
    pub nrpe_dir: PathBuf,
    pub service: Service,
    /// How this target is drained around what takes the services down; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Box<Drain>>,
    /// The target as its target file names it, for the commands that drain it.
    #[serde(default)]
    pub host: String,
    /// What the stage `command` runs; `None`: the run has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Box<CommandLine>>,
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
    /// What Scap would have to know beside that; `None` where it does not deploy the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scap: Option<Box<ForScap>>,
}

impl StageRequest {
    /// The same without the passwords of the git server and the proxy.
    pub fn without_passwords(&self) -> StageRequest {
        let mut request = self.clone();
        if let Some(source) = request.fetch.as_mut().and_then(|fetch| fetch.source.as_mut()) {
            source.url = without_password(&source.url);
            source.proxy = source.proxy.as_deref().map(without_password);
        }
        if let Some(SubmoduleSource::Server { url, proxy }) = &mut request.extras.submodules {
            *url = without_password(url);
            *proxy = proxy.as_deref().map(without_password);
        }
        if let Some(LfsSource::Server { url }) = &mut request.extras.lfs {
            *url = without_password(url);
        }
        request
    }

    /// What the commands of a drain find in their environment.
    pub fn drain_environment(&self) -> [(&'static str, String); 5] {
        [
            ("HOIST_HOST", self.host.clone()),
            ("HOIST_GROUP", self.group.clone()),
            ("HOIST_REPO", self.header.repo.clone()),
            ("HOIST_RUN", self.header.holder.run.to_string()),
            ("HOIST_REVISION", self.revision.to_string()),
        ]
    }
}

/// A command of the operator's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// For the login shell of the account.
    pub line: String,
    /// Seconds that it may take by itself; the request's own limit is for all that stands around it, too.
    pub timeout: u64,
}

fn yes() -> bool {
    true
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

/// How long a check may take unless it says otherwise.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// `None`: what is found after a restart is a failure, old files in use after a reload are a warning, and a manager
    /// that is not known is not asked.
    #[serde(default)]
    pub verify: Option<VerifyService>,
    /// Seconds that a service has to stay up after its restart.
    #[serde(default)]
    pub min_healthy: u64,
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
    /// The template's name, a key of [`StageRequest::templates`].
    pub template: String,
    /// A YAML file on the target whose keys win over the request's variables.
    pub remote_vars: Option<String>,
    pub erb_syntax: bool,
    pub format: OutputFormat,
}
