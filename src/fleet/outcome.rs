//! How a step ended on one host.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wire::{Facts, Holder, Line, Revision, State};

/// How one step ended on one host. Every host that a step was meant for gets exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// The host did the work and it failed. `status` is the remote exit status (255 is one like any other).
    Failed {
        reason: String,
        status: i32,
    },
    /// A rollback brought the old revision back, and checks of that revision's own fail there.
    ChecksFailed {
        reason: String,
    },
    /// Somebody else has deployed another revision there since the run began: nothing was done.
    MovedOn {
        to: Revision,
    },
    /// The remote process died by a signal, `KILL` say.
    Killed {
        signal: String,
    },
    /// The step passed its time limit, in seconds.
    TimedOut {
        seconds: u64,
    },
    /// Another run holds the target.
    Locked {
        by: Holder,
    },
    /// No session could be had, so nothing was done: connection, host key or authentication; `reason` says which.
    Unreachable {
        reason: String,
    },
    /// The session was lost in the middle of the step and could not be had again: what the host did is not known.
    Lost {
        reason: String,
    },
}

impl Outcome {
    pub fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok)
    }

    /// The outcome in words beside one that says already that the host is unreachable.
    pub fn beside_unreachable(&self) -> String {
        match self {
            Outcome::Unreachable { reason } => reason.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ok => f.write_str("ok"),
            Outcome::Failed { reason, status: 0 | 1 } => write!(f, "{reason}"),
            Outcome::Failed { reason, status } => write!(f, "{reason} (exit status {status})"),
            Outcome::ChecksFailed { reason } => write!(f, "the old revision is live again, but {reason}"),
            Outcome::MovedOn { to } => write!(f, "has moved on to {} since: left as it is", to.short()),
            Outcome::Killed { signal } => write!(f, "killed by signal {signal}"),
            Outcome::TimedOut { seconds } => write!(f, "timed out after {seconds} s"),
            Outcome::Locked { by } => write!(f, "locked by {by}"),
            Outcome::Unreachable { reason } => write!(f, "unreachable: {reason}"),
            Outcome::Lost { reason } => write!(f, "connection lost: {reason}"),
        }
    }
}

/// The one result of a step on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostResult {
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What the probe found; only for [`super::Step::Probe`], and only when it is ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// What the target looked like after the step, read back from its disk by the target; `None` when it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The last lines that the host said, at most [`super::TAIL_LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<Line>,
}

impl From<Outcome> for HostResult {
    fn from(outcome: Outcome) -> Self {
        HostResult { outcome, facts: None, state: None, tail: Vec::new() }
    }
}
