//! What the deployer asks of a target: one type for each action, all under one [`Header`].

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{
    Check, ConfigFile, ExternalContent, Header, LargeFile, Revision, RunId, Secrets, Service, Stage, StageRequest,
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
    /// Confirm this target, if this is the revision that it is finalized on: at once, or for a deployment, when it holds
    /// the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Revision>,
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
    /// For a stage that renders. It is no part of the request proper, which is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,
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
    /// They win over `vars`. A file that one of them is used in contains secrets.
    #[serde(default)]
    pub secrets: Secrets,
}

/// Requests of more bytes, with all that belongs to them, are no lock holder's to take: it has them in memory, and reads
/// nothing else meanwhile.
pub const LONGEST_START: u64 = 1 << 20;

/// One line of a lock holder's standard input, after the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockHolderLine {
    /// So many bytes follow, a [`Request`] with all that belongs to it: have a process of its own carry it out, which spares
    /// sshd a channel and the target a shell. Answered by what that process says and then by [`super::TargetEvent::Exited`]
    /// with this number. `private`: the request contains secrets.
    Start { number: u32, bytes: u64, private: bool },
    /// Take the lock; answered by [`super::TargetEvent::Held`], or `Ended` with the reason.
    Hold,
    /// As [`LockHolderLine::Hold`], by a deployer that closes this session in between: other runs are kept out until
    /// [`LockHolderLine::Release`].
    Claim,
    /// That run of the same deploy host has ended: a claim that it could not give up is void. Not answered.
    Ended { run: RunId },
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
