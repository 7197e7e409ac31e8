//! Measuring where the time of the steps of a call goes.

use std::time::Instant;

use super::HostResult;
use crate::timings;

/// Measures the steps of one call, if that is wanted.
pub(super) struct Measured(Option<Instant>);

impl Measured {
    /// The call begins now; what a host waits for its turn is a part of its time.
    pub fn from_now(wanted: bool) -> Measured {
        Measured(wanted.then(Instant::now))
    }

    /// Does a step on a host, and adds to its result where the time went.
    pub fn step(&self, step: impl FnOnce() -> HostResult) -> HostResult {
        let Some(began) = self.0 else { return step() };
        timings::start(began.elapsed());
        let result = step();
        HostResult { timings: timings::stop().map(Box::new), ..result }
    }
}
