//! Aborting a stage on its target at the operator's request.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::wire::{LockHolderLine, Stage};

/// The pause between two requests to abort: the stage may not have begun when the first one arrived.
const PAUSE: Duration = Duration::from_secs(1);

/// The operator's request to abort one stage on one host.
pub(super) struct Abort<'a> {
    wanted: &'a AtomicBool,
    stage: Stage,
    attempt: u32,
    /// When it was last sent.
    told: Cell<Option<Instant>>,
}

impl Abort<'_> {
    /// For one attempt of a stage; `wanted` is set once the operator aborts it. `None`: a rollback is not aborted.
    pub fn of(wanted: &AtomicBool, stage: Stage, attempt: u32) -> Option<Abort<'_>> {
        (stage != Stage::Rollback).then(|| Abort { wanted, stage, attempt, told: Cell::new(None) })
    }

    /// Whether to send a request now.
    pub fn is_due(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) && self.told.get().is_none_or(|told| told.elapsed() >= PAUSE)
    }

    /// The message to the target's lock holder.
    pub fn line(&self) -> LockHolderLine {
        self.told.set(Some(Instant::now()));
        LockHolderLine::Abort { stage: self.stage, attempt: self.attempt }
    }
}
