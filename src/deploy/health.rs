//! R14: what the story asks about the health of the service, and whom.
//!
//! The story knows no clock, so whoever answers waits: a soak is over when the look is.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fleet::Flow;
use crate::gates::HostsByRevision;

pub use crate::gates::Earlier;
pub use crate::report::{Moment, Sample, SampleVerdict};

/// One look at the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub moment: Moment,
    /// The group's own name; empty where the look is about all of them.
    pub group: String,
    /// What people call it: the subgroup's label, or the group's name.
    pub label: String,
    /// How long to go on looking; zero but for a soak.
    pub soak: Duration,
    pub hosts: HostsByRevision,
    /// What the look came to before the run was resumed.
    pub earlier: Earlier,
}

/// How the service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", rename_all = "snake_case")]
pub enum Health {
    Pass,
    Fail {
        gate: String,
        reason: String,
    },
    /// Nobody can tell.
    Inconclusive {
        gate: String,
        reason: String,
    },
}

/// What a look halts a run for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwell {
    pub gate: String,
    pub reason: String,
    /// The gate could not tell, and nobody said to go on.
    pub inconclusive: bool,
}

/// `gate errors failed: 0.09 is not < 0.01`.
impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.inconclusive { "is inconclusive" } else { "failed" };
        write!(f, "gate {} {how}: {}", self.gate, self.reason)
    }
}

/// What is told during a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateEvent {
    Sample(Sample),
    /// So much of the soak is left.
    Left(Duration),
}

/// Whoever can tell how the service is.
pub trait Gates {
    /// Looks until the gates of the moment have said what they have to say and the soak is over. `on` is called from the
    /// calling thread at least every 200 ms, also with nothing; once it has not answered [`Flow::Continue`] the look ends
    /// at once, and what it comes to does not matter.
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health;
}

impl<G: Gates + ?Sized> Gates for &mut G {
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        (**self).look(look, on)
    }
}
