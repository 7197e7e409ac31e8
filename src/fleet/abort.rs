//! Ending a stage on its target before its time, because the operator wants it so.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::wire::{LockHolderLine, Stage};

/// Between two requests to abort: the stage may not have begun when the first one came.
const PAUSE: Duration = Duration::from_secs(1);

/// The wish of an operator to end one stage on one host.
pub(super) struct Abort<'a> {
    wanted: &'a AtomicBool,
    stage: Stage,
    attempt: u32,
    /// When it was passed on last.
    told: Cell<Option<Instant>>,
}

impl Abort<'_> {
    /// For the so-manieth try of a stage; the flag says whether the operator wants it. `None`: a rollback is not aborted.
    pub fn of(wanted: &AtomicBool, stage: Stage, attempt: u32) -> Option<Abort<'_>> {
        (stage != Stage::Rollback).then(|| Abort { wanted, stage, attempt, told: Cell::new(None) })
    }

    /// Whether the target is to be told now.
    pub fn is_due(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) && self.told.get().is_none_or(|told| told.elapsed() >= PAUSE)
    }

    /// What the target's lock holder is told.
    pub fn line(&self) -> LockHolderLine {
        self.told.set(Some(Instant::now()));
        LockHolderLine::Abort { stage: self.stage, attempt: self.attempt }
    }
}
