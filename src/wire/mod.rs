//! What the deployer and a target say to each other.
//!
//! The deployer runs `hoist deploy-local` on the target, writes one [`Request`] as a line of JSON on its standard input
//! (behind [`FIRST_LINE`], and followed, for a fetch, by [`Fetch::large_files`] and exactly [`Fetch::pack_bytes`] bytes of a git pack), and reads
//! [`TargetEvent`]s, one line of JSON each, from its standard output. Nothing else travels: a target needs no copy of the
//! configuration.

mod artifact;
mod check;
mod config_file;
mod config_path;
mod confirmation;
mod content;
mod drain;
mod facts;
mod fault;
mod header;
mod lease;
pub mod limits;
mod names;
mod origin;
mod request;
mod running;
mod seconds;
mod secrets;
mod service;
mod shared_paths;
mod stage;
mod stage_request;

pub use artifact::{ArtifactRules, ArtifactSource};
pub use check::{CHECK_TIMEOUT, Check, CheckPoint, CheckType, Tries};
pub use config_file::{Access, ConfigFile, OutputFormat};
pub use config_path::{config_path_taken, config_paths_collide};
pub use confirmation::Confirmation;
pub use content::{
    CUT_OFF, DAMAGED, DescribingTag, DescribingTags, ExternalContent, Fetch, LARGE_FILE, LargeFile, LfsSource, Source,
    SubmoduleSource,
};
pub use drain::{Drain, DrainOn, DrainPart, DrainReply, Drained, NO_DEPLOYER};
pub use facts::{Facts, Finding, Lacking, Occupant, Record, Recorded, ScapProcess, State};
pub use fault::{Fault, Outcome, outcome};
pub use header::Header;
pub use lease::{Lease, LeaseStands, WENT_BACK};
pub use names::{Holder, Revision, RunId, StartedBy};
pub use origin::{ARTIFACT_AUTHOR, ARTIFACT_MESSAGE, Origin, OriginKind, artifact_commit, is_artifact_commit};
pub use request::{
    Ask, LONGEST_START, LockHolderLine, Preflight, Probe, ProbedDeployment, Render, Request, Run, ScriptHead, Unlock,
};
pub use running::{RunningService, VerifyService};
pub use secrets::Secrets;
pub use service::{Service, ServiceName};
pub use shared_paths::{SharedKind, SharedPath, SharedPaths};
pub use stage::Stage;
pub use stage_request::{CommandLine, ForScap, StageRequest};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timings::Parts;

/// The line ahead of every request. Where a start-up file of the login shell has put another shell in Hoist's place, it
/// ends that shell before it takes the request for commands, and its status tells what happened. A target passes over it.
pub const FIRST_LINE: &str = "exit 97";

/// What a shell exits with that has read [`FIRST_LINE`].
pub const TAKEN_BY_A_SHELL: i32 = 97;

/// A target that has nothing to say for so long says [`TargetEvent::Alive`]: sshd's `ChannelTimeout`, and proxies that
/// record sessions, close channels that are idle.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// Events of more bytes come in pieces of as many, so that no line of the protocol is ever cut.
pub const PIECE: usize = 64 << 10;

/// An event in pieces may have as many bytes.
pub const LONGEST_EVENT: usize = 32 << 20;

/// Where a git server says which revision new hosts should run, and what they are asked then.
pub const FLEET_REVISION: &str = "refs/hoist/fleet/revision";
pub const FLEET_REQUEST: &str = "refs/hoist/fleet/request";

/// The version of this exchange. A target that is asked in another version refuses, naming both.
pub const PROTOCOL: u32 = 2;

/// The oldest version whose stage requests, as targets and git servers keep them, are read still.
pub const OLDEST_KEPT: u32 = 1;

/// How much a line weighs with the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// One line that a target says while it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub level: Level,
    /// Text without its newline; what was not UTF-8 is replaced. Not yet safe for a terminal.
    pub message: String,
}

/// One line of `deploy-local`'s standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TargetEvent {
    /// The answer to a probe.
    Facts(Box<Facts>),
    /// The lock holder holds this target's lock for the run.
    Held,
    /// A line of the work's own or of something that it ran.
    Line(Line),
    /// A difference that a configuration file would make. It is for the operator's eyes alone: it never enters a log.
    Diff { file: String, diff: String },
    /// The answer to "how did that stage of that run end?"
    Recorded(Recorded),
    /// The work waits for something, `check answers` or `port 8080`, since so many seconds of so many that it may take.
    Waiting { what: String, seconds: u64, limit: u64 },
    /// The work waits for the deployer to do this on its own host; answered by a [`DrainReply`].
    Wanted { part: DrainPart },
    /// Where the time went since the process began; ahead of an answer, if the request asks for it. A lock holder says as
    /// well how long a request was on its way that it has carried out by a process of its own.
    Timings { parts: Parts },
    /// Nothing has happened for a while, and the work goes on.
    Alive,
    /// A piece of the JSON of an event that is too long for one line; the last one makes it whole.
    Piece { json: String, last: bool },
    /// The last line of a stage: how it ended, and what the target looks like now, read back from its disk. `None`: that
    /// was not read: nobody knew where, or it cannot be read, or not in time.
    Ended {
        #[serde(with = "outcome")]
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<State>,
    },
    /// The process of [`LockHolderLine::Start`] has ended, with this status or by this signal (its name without `SIG`), and
    /// says nothing more.
    Exited { number: u32, status: Option<i32>, signal: Option<String> },
}
