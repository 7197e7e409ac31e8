//! R16: what became of the run-once steps of a run.

use crate::fleet::HostId;
use crate::once::OnceEnd;

/// What became of the steps of a run, in the order in which they were run.
#[derive(Debug, Default)]
pub struct Steps(pub(super) Vec<Ran>);

/// A step that was run.
#[derive(Debug)]
pub struct Ran {
    /// In the plan.
    pub index: usize,
    pub host: Option<HostId>,
    pub end: OnceEnd,
    /// The operator was asked whether it ran.
    pub asked: bool,
    /// That it is done is the operator's word: a process of it may still be at work.
    pub by_word: bool,
    /// How undoing it ended, if that was tried.
    pub undone: Option<OnceEnd>,
}

impl Ran {
    /// Whether it ran, and was not undone.
    pub fn is_done(&self) -> bool {
        self.end == OnceEnd::Done && self.undone != Some(OnceEnd::Done)
    }

    /// Whether nobody knows if it ran.
    pub fn is_unknown(&self) -> bool {
        matches!(self.end, OnceEnd::Unknown { .. })
    }
}
