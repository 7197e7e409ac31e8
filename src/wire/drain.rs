//! Taking a target out of service before something takes its service down, and putting it back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::RunId;

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

/// `drained since TIME`, and why.
impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drained since {}", self.since)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
