//! How those who ask learn that nobody waits for the answer any more.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// Tells whoever asks that nobody waits for the answer any more.
#[derive(Debug, Clone)]
pub struct Stop(Receiver<()>);

/// As long as this lives, those who hold the other end go on.
#[derive(Debug)]
pub struct Going(#[expect(dead_code, reason = "it counts by being there")] Sender<()>);

impl Stop {
    /// Both ends.
    pub fn pair() -> (Going, Stop) {
        let (sender, receiver) = bounded(0);
        (Going(sender), Stop(receiver))
    }

    /// For whoever always waits.
    pub fn never() -> Stop {
        Stop(crossbeam_channel::never())
    }

    /// Whether nobody waits any more.
    pub fn is_over(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits so long; gives true at once when nobody waits any more.
    pub fn wait(&self, time: Duration) -> bool {
        matches!(self.0.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
    }
}
