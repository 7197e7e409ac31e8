//! What a target's services run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Revision;

/// What is done with what is found wrong with a service after its restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyService {
    /// It is a failure.
    Strict,
    /// It is a warning.
    Warn,
    /// Nobody looks.
    Off,
}

/// A service of a target, as its manager and `/proc` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningService {
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// The state in the words of its manager: `active (running)`.
    pub state: String,
    /// Its main process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The revisions that its processes have their working directories, programs or mapped files in. Empty where none is
    /// known.
    #[serde(default)]
    pub revisions: Vec<Revision>,
}

impl RunningService {
    /// What stands against the service running what is live: one fragment.
    pub fn differs_from(&self, live: Option<&Revision>) -> Option<String> {
        let RunningService { name, state, .. } = self;
        if !self.up {
            return Some(format!("service {name} is {state}"));
        }
        let others: Vec<&str> = self.revisions.iter().filter(|it| Some(*it) != live).map(Revision::short).collect();
        (!others.is_empty()).then(|| format!("{self} still uses {}", others.join(", ")))
    }
}

/// `service page (process 123)`.
impl fmt::Display for RunningService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "service {} (process {pid})", self.name),
            None => write!(f, "service {}", self.name),
        }
    }
}
