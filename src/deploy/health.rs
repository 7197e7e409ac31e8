//! R14: the interface through which the story asks about the health of the service.
//!
//! The story does not use the clock, so the implementation waits: when a look returns, its soak is over.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fleet::Flow;
use crate::gates::HostsByRevision;

pub use crate::gates::{Earlier, Scope};
pub use crate::report::{Moment, Sample, SampleVerdict};

/// One look: a period in which the service is observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub moment: Moment,
    /// The group's own name; empty for all groups.
    pub group: String,
    /// The name for people: the subgroup's label, or the group's name.
    pub label: String,
    /// The soak time; zero if the look is not a soak.
    pub soak: Duration,
    pub hosts: HostsByRevision,
    /// The part of the look that was recorded before the run was resumed.
    pub earlier: Earlier,
}

/// The health of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", rename_all = "snake_case")]
pub enum Health {
    Pass,
    Fail {
        gate: String,
        reason: String,
    },
    /// It cannot be determined.
    Inconclusive {
        gate: String,
        reason: String,
    },
}

/// The result of a look that halts a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwell {
    pub gate: String,
    pub reason: String,
    /// The gate was inconclusive, and the operator did not decide to continue.
    pub inconclusive: bool,
}

/// `gate errors failed: 0.09 is not < 0.01`.
impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.inconclusive { "is inconclusive" } else { "failed" };
        write!(f, "gate {} {how}: {}", self.gate, self.reason)
    }
}

/// Progress of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateEvent {
    Sample(Sample),
    /// The rest of the soak.
    Left(Duration),
}

/// Observes the health of the service.
pub trait Gates {
    /// Looks until the gates of the moment have their verdicts and the soak is over. `on` is called from the calling
    /// thread at least every 200 ms, with an empty list if there is no news. If it returns anything but
    /// [`Flow::Continue`], the look ends at once, and its result does not matter.
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health;
}

impl<G: Gates + ?Sized> Gates for &mut G {
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        (**self).look(look, on)
    }
}
