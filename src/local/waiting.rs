//! Telling what a stage waits for while it waits.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::out::Out;
use crate::threads;
use crate::wire::{HEARTBEAT, TargetEvent};

/// Tells every few seconds what is waited for, until it is dropped.
pub struct Waiting {
    _ended: Sender<()>,
}

impl Waiting {
    /// `what` is a fragment, `check answers` or `port 8080`; `limit` is how long it may take.
    pub fn start(out: &Out, what: String, limit: Duration) -> Waiting {
        let (ended, end) = mpsc::channel::<()>();
        let (out, began, limit) = (out.clone(), Instant::now(), limit.as_secs_f64().ceil() as u64);
        // Where there is no thread for it, nothing is told.
        let _ = threads::start(move || {
            while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(HEARTBEAT) {
                out.event(&TargetEvent::Waiting { what: what.clone(), seconds: began.elapsed().as_secs(), limit });
            }
        });
        Waiting { _ended: ended }
    }
}
