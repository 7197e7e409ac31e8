//! The result of one step on one host.

use serde::{Deserialize, Serialize};

use crate::timings::Timings;
use crate::wire::{Facts, Fault, Line, Outcome, Stage, State, WENT_BACK, outcome};

/// The one result of a step on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostResult {
    #[serde(flatten, with = "outcome")]
    pub outcome: Outcome,
    /// The facts from the probe; only for a successful [`super::Step::Probe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// The state of the target after the step, as the target read it back from its disk; `None`: it sent none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The last lines of output of the host, at most [`super::TAIL_LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<Line>,
    /// Where the time went, if that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Box<Timings>>,
}

impl HostResult {
    /// A step that succeeded, without further data.
    pub fn ok() -> HostResult {
        HostResult::from(Ok(()))
    }

    /// Whether the host could not be reached to ask how the step ended.
    pub fn is_out_of_reach(&self) -> bool {
        self.outcome.as_ref().is_err_and(Fault::is_out_of_reach)
    }

    /// Whether no session could be opened, so that the step did not begin.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.outcome, Err(Fault::Unreachable { .. }))
    }

    /// Whether a stage may have changed the links of the target, which does not say what they name now.
    pub fn leaves_links_unknown(&self, stage: Stage) -> bool {
        let moves = matches!(stage, Stage::Promote | Stage::Rollback) && !self.is_unreachable();
        // Only the drain of a target changes with it.
        let is_lost = matches!(self.outcome, Err(Fault::Lost { .. })) && stage != Stage::Undrain;
        self.state.is_none() && (moves || is_lost)
    }

    /// Whether a finalize found that the host has rolled itself back.
    pub fn went_back(&self) -> bool {
        matches!(&self.outcome, Err(Fault::Failed { reason, .. }) if reason == WENT_BACK)
    }
}

impl From<Outcome> for HostResult {
    fn from(outcome: Outcome) -> Self {
        HostResult { outcome, facts: None, state: None, tail: Vec::new(), timings: None }
    }
}

impl From<Fault> for HostResult {
    fn from(fault: Fault) -> Self {
        HostResult::from(Err(fault))
    }
}
