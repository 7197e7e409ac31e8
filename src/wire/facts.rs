//! What a target says of itself.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Confirmation, Drained, Holder, LargeFile, Lease, Level, Origin, Outcome, Revision, RunId, RunningService, Stage,
};

/// What the links of a target's layout name, read from its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The live revision; `None` when there is none, or the link leads nowhere sensible.
    pub current: Option<Revision>,
    /// The last revision that was finalized.
    pub done: Option<Revision>,
    /// The revision that a deployment has fetched and not yet finalized or rolled back.
    pub in_progress: Option<Revision>,
    /// Linked configuration files (absolute paths) that do not lead into the live revision; empty when all is well.
    #[serde(default)]
    pub stray_links: Vec<String>,
    /// The target was drained, and is not back in service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Box<Drained>>,
    /// What stands at the path that the service uses, if neither Hoist nor Scap has put it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupant: Option<Box<Occupant>>,
}

/// What somebody else has put where the link to the live revision belongs. Promote moves it aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupant {
    pub path: PathBuf,
    /// `a directory`, `a link to /srv/releases/1`.
    pub what: String,
}

/// A process of Scap's on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScapProcess {
    pub pid: u32,
    /// Its arguments.
    pub command: String,
}

impl fmt::Display for ScapProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scap is running there (process {}: {})", self.pid, self.command)
    }
}

/// A target's answer to the probe. Taking it changes nothing on the target, but for a confirmation that the probe asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Hoist's version on the target.
    pub version: String,
    /// The lock holder takes [`super::LockHolderLine::Start`].
    #[serde(default)]
    pub takes_requests: bool,
    pub state: State,
    /// Revisions with a complete working tree, with all the extras that the request asks for.
    pub revisions: Vec<Revision>,
    /// Commits whose objects are all in the git cache.
    pub cached: Vec<Revision>,
    /// Of the large files that the probe asked for, those that the target lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<LargeFile>,
    /// Who holds the target's lock now.
    pub locked: Option<Holder>,
    /// No process of that run holds it: the run has [claimed](super::LockHolderLine::Claim) the target. Builds that say so
    /// take [`super::LockHolderLine::Ended`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_claim: bool,
    /// A process that is not Hoist's holds one of the target's locks: one fragment that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranger: Option<String>,
    /// Where the deployment's files are: which folder, of which boot of which machine. Targets with one place are one
    /// target under several names. `None` where the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Scap's `deploy-local` that is at work on this repository, though its `scap deploy` may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scap: Option<Box<ScapProcess>>,
    /// Bytes free to the remote user on the file system of the deploy directory.
    pub free_bytes: u64,
    /// Inodes free there; `None` where the file system has no such limit.
    pub free_inodes: Option<u64>,
    /// The newest run that this target has taken a request of; it refuses older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Box<Holder>>,
    /// A revision that is live on a lease, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Box<Lease>>,
    /// What the live revision's tree lacks; `None` unless the probe was to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking: Option<Lacking>,
    /// The stages that were begun here in the run of the request, each with the number of the try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<(Stage, u32)>,
    /// How this target was before the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<State>>,
    /// Why a stage of the run cannot do its work: one before it, which is not in the run, was not run here. One fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_stage: Option<String>,
    /// What later stages of the run would fail at here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What the services run; empty unless the probe was to look, and for services whose manager does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunningService>,
    /// How the live revision was made; `None` of a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    /// Whether the live revision was confirmed since the host was started.
    #[serde(default, skip_serializing_if = "Confirmation::is_never")]
    pub confirmation: Confirmation,
    /// Why the live revision should not be served, whatever the links say: one fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

/// Something on a target that a later stage of the run would fail at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// [`Level::Error`] for what is sure, [`Level::Warning`] for what may be in order by then, or is not known.
    pub level: Level,
    /// The group whose targets alone it matters to; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// One fragment that names what is missing, and what to do.
    pub message: String,
}

/// Files that a working tree lacks: missing, emptied, or of another type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// How many.
    pub count: usize,
    /// The first of them, by their paths in the tree; configuration files as they are configured.
    pub files: Vec<String>,
}

/// How far a stage got, as the target recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Recorded {
    /// The target never saw the request.
    Nothing,
    /// It is still at work.
    Running,
    /// It ended so.
    Ended {
        #[serde(with = "super::outcome")]
        outcome: Outcome,
        state: State,
    },
    /// It began, and the process that did the work is gone.
    Died { state: State },
}

/// A stage's record on the target's disk: written when it starts, and again when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub run: RunId,
    pub stage: Stage,
    /// Which try of this stage this was in its run, from 0.
    pub attempt: u32,
    pub revision: Option<Revision>,
    /// The state before the stage began.
    pub before: State,
    /// `None` while it runs, and for ever when it was killed.
    #[serde(default, with = "super::outcome::if_any")]
    pub outcome: Option<Outcome>,
}
