//! What one step came to on one host.

use serde::{Deserialize, Serialize};

use crate::wire::{Facts, Fault, Line, Outcome, State, outcome};

/// The one result of a step on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostResult {
    #[serde(flatten, with = "outcome")]
    pub outcome: Outcome,
    /// What the probe found; only for [`super::Step::Probe`], and only when it is ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// What the target looked like after the step, read back from its disk by the target; `None` when it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The last lines that the host said, at most [`super::TAIL_LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<Line>,
}

impl HostResult {
    /// A step that ended well and that there is nothing more to say of.
    pub fn ok() -> HostResult {
        HostResult::from(Ok(()))
    }

    /// Whether nobody was there to say how the step ended.
    pub fn is_out_of_reach(&self) -> bool {
        self.outcome.as_ref().is_err_and(Fault::is_out_of_reach)
    }

    /// Whether no session could be had, so that the step was not even begun.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.outcome, Err(Fault::Unreachable { .. }))
    }
}

impl From<Outcome> for HostResult {
    fn from(outcome: Outcome) -> Self {
        HostResult { outcome, facts: None, state: None, tail: Vec::new() }
    }
}

impl From<Fault> for HostResult {
    fn from(fault: Fault) -> Self {
        HostResult::from(Err(fault))
    }
}
