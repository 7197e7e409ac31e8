//! A run without gates: it soaks, and nobody looks at the service meanwhile.

use std::time::{Duration, Instant};

use crate::deploy::health::{GateEvent, Gates, Health, Look};
use crate::fleet::Flow;

/// How often whoever looks on is told how much is left.
const TICK: Duration = Duration::from_millis(100);

/// No gates at all.
pub struct NoGates;

impl Gates for NoGates {
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        let end = Instant::now() + look.soak;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if on(vec![GateEvent::Left(left)]) != Flow::Continue || left.is_zero() {
                return Health::Pass;
            }
            std::thread::sleep(left.min(TICK));
        }
    }
}
