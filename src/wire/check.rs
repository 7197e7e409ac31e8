//! Checks: what is run on a target before or after a stage to judge it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Stage;

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
