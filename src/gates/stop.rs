//! A signal to threads that their result is not needed any more.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// The end that a thread holds: tells it when its result is not needed any more.
#[derive(Debug, Clone)]
pub struct Stop(Receiver<()>);

/// The other end. Threads continue until it is dropped.
#[derive(Debug)]
pub struct Going(#[expect(dead_code, reason = "it counts by being there")] Sender<()>);

impl Stop {
    /// Creates both ends.
    pub fn pair() -> (Going, Stop) {
        let (sender, receiver) = bounded(0);
        (Going(sender), Stop(receiver))
    }

    /// A signal that never comes.
    pub fn never() -> Stop {
        Stop(crossbeam_channel::never())
    }

    /// Whether the result is not needed any more.
    pub fn is_over(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits this long; returns true at once if the result is not needed any more.
    pub fn wait(&self, time: Duration) -> bool {
        matches!(self.0.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
    }
}
