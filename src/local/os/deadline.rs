//! How long a stage has left.

use std::time::{Duration, Instant};

use crate::local::fault::Fault;

/// Nothing on a target may take longer, whatever a request says.
const LONGEST: u64 = 30 * 24 * 3600;

/// When a stage has to be at its end.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    /// The whole time that the stage was given.
    pub seconds: u64,
}

impl Deadline {
    /// From now on.
    pub fn after(seconds: u64) -> Deadline {
        let seconds = seconds.clamp(1, LONGEST);
        Deadline { at: Instant::now() + Duration::from_secs(seconds), seconds }
    }

    /// The moment itself.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// The earlier of this and `time` from now.
    pub fn within(&self, time: Duration) -> Instant {
        self.at.min(Instant::now() + time.min(Duration::from_secs(LONGEST)))
    }

    /// A nearer one: half of what is left, and no more than `seconds`.
    pub fn half(&self, seconds: u64) -> Deadline {
        let left = self.at.saturating_duration_since(Instant::now()) / 2;
        let left = left.min(Duration::from_secs(seconds));
        Deadline { at: Instant::now() + left, seconds: left.as_secs() }
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub fn passed(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Fails once the time is up.
    pub fn check(&self) -> Result<(), Fault> {
        if self.passed() { Err(Fault::TimedOut { seconds: self.seconds }) } else { Ok(()) }
    }
}
