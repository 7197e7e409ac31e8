//! Where the time of a run's hosts went.

mod lines;
mod tally;

pub use lines::{OF_HOSTS, OF_PARTS};
#[cfg(test)]
pub(in crate::report) use tally::LISTED;
pub use tally::Tally;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::hosts;
use crate::targets::Target;
use crate::timings::{Part, Parts};

/// Where the time of a run's hosts went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunTimings {
    pub groups: Vec<GroupTimings>,
    /// The hosts that were at work longest, these first; at most ten.
    pub slowest: Vec<HostTimings>,
}

/// Of the hosts of one group, all their steps together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupTimings {
    pub group: String,
    pub hosts: usize,
    /// A host's time in its steps, in seconds.
    pub median: f64,
    pub p95: f64,
    /// Bytes of files that were sent to all of them.
    pub bytes: u64,
    /// The median of the hosts' round trips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_seconds: Option<f64>,
    /// The parts that took time, the one that took most first.
    pub parts: Vec<PartTimings>,
}

/// Of one part on the hosts of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartTimings {
    pub part: Part,
    pub median: f64,
    pub p95: f64,
    /// Of the time of all hosts of the group, from 0 to 1.
    pub share: f64,
}

/// Of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostTimings {
    pub host: Target,
    /// The time in its steps, which is the sum of the parts.
    pub seconds: f64,
    /// The rest of the run, in which the host had nothing to do.
    pub between_steps: f64,
    pub slowest_step: String,
    pub slowest_step_seconds: f64,
    pub parts: Parts,
}

impl fmt::Display for RunTimings {
    /// On one line: `canary: 5 hosts, median 1.24 s, mostly checks (68%)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self.groups.iter().map(GroupTimings::in_one_line).collect();
        write!(f, "where the time went: {}", groups.join("; "))
    }
}

impl GroupTimings {
    /// `canary: 5 hosts, median 1.240 s, mostly checks (68%)`.
    pub fn in_one_line(&self) -> String {
        let GroupTimings { group, median, .. } = self;
        let mostly = self.parts.first().map(|it| format!(", mostly {} ({})", it.part.phrase(), percent(it.share)));
        format!("{group}: {}, median {}{}", hosts(self.hosts), precise(*median), mostly.unwrap_or_default())
    }
}

/// A time with at least three digits: `0.012 s`, `12.3 s`.
fn precise(seconds: f64) -> String {
    match seconds {
        ..9.9995 => format!("{seconds:.3} s"),
        _ => format!("{seconds:.1} s"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}
