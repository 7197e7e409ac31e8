//! Taking a target out of service before something takes its service down, and putting it back.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock;

use super::{Outcome, RunId};

/// Where the commands of a drain run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainOn {
    /// On the target itself.
    #[default]
    Target,
    /// On the deploy host, by the deployer of the run.
    DeployHost,
}

/// How a target is drained and undrained. Commands are lines for `/bin/sh`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub on: DrainOn,
    /// Takes the target out of service.
    pub drain: Option<String>,
    /// Asked until it exits with 0: the target has been drained.
    pub drain_done: Option<String>,
    /// Puts the target back into service.
    pub undrain: Option<String>,
    /// Asked until it exits with 0: the target is in service again.
    pub undrain_done: Option<String>,
    /// Seconds for a drain, or an undrain, with its question.
    pub timeout: u64,
}

/// What a target asks the deployer to do on the deploy host, by [`super::TargetEvent::Wanted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainPart {
    Drain,
    Undrain,
}

impl DrainPart {
    /// The key of its command, and of the question whether it is done.
    pub fn keys(self) -> (&'static str, &'static str) {
        match self {
            DrainPart::Drain => ("drain", "drain_done"),
            DrainPart::Undrain => ("undrain", "undrain_done"),
        }
    }
}

impl Drain {
    /// The command of a part, and the question whether it is done.
    pub fn commands(&self, part: DrainPart) -> (Option<&str>, Option<&str>) {
        match part {
            DrainPart::Drain => (self.drain.as_deref(), self.drain_done.as_deref()),
            DrainPart::Undrain => (self.undrain.as_deref(), self.undrain_done.as_deref()),
        }
    }
}

/// How that went: a line on the standard input of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainReply {
    #[serde(flatten, with = "super::outcome")]
    pub outcome: Outcome,
}

/// How a target says that it cannot have something done on the deploy host.
pub const NO_DEPLOYER: &str = "no deployer is connected that could do it on the deploy host";

/// A target that was drained and not undrained, as it recorded that before the drain began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// RFC 3339, UTC.
    pub since: String,
    pub run: RunId,
    /// Where its commands run.
    pub on: DrainOn,
    /// Why it was not undrained yet, if that was tried.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Drained {
    /// `drained since 2026-11-23 14:45 CET`.
    pub fn time(&self) -> String {
        format!("drained since {}", clock::local_with_zone(&self.since))
    }

    /// The same with the reason, of a target that does not answer now: `last seen drained since 2026-11-23 14:45 CET`.
    pub fn as_last_seen(&self) -> String {
        format!("last seen {self}")
    }
}

/// `drained since TIME`, and why.
impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.time())?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
