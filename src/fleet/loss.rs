//! What it means when a host gives no answer.

use super::Outcome;
use super::talk::Failure;

/// How a command ended that gave no answer.
#[derive(Clone)]
pub(super) struct Loss {
    pub why: String,
    /// What its end alone would mean; `None`: the session was lost, and its end was not seen.
    pub told: Option<Outcome>,
}

impl Loss {
    pub fn session(why: impl Into<String>) -> Loss {
        Loss { why: why.into(), told: None }
    }

    pub fn of(trouble: Failure) -> Loss {
        match trouble {
            Failure::Lost(why) => Loss::session(why),
            Failure::Unanswered(outcome) | Failure::Ended(outcome) => {
                Loss { why: outcome.to_string(), told: Some(outcome) }
            }
        }
    }

    /// What it means when it happens twice and the target has seen nothing of either.
    pub fn again(self) -> Outcome {
        let reason = format!("the session was lost again ahead of the stage: {}", self.why);
        self.told.unwrap_or(Outcome::Lost { reason })
    }
}

pub(super) fn why(trouble: Failure) -> String {
    Loss::of(trouble).why
}

/// Failure ahead of a step: nothing was done.
pub(super) fn unreachable(trouble: Failure) -> Outcome {
    match trouble {
        Failure::Lost(reason) | Failure::Ended(Outcome::Lost { reason }) => Outcome::Unreachable { reason },
        Failure::Unanswered(outcome) | Failure::Ended(outcome) => outcome,
    }
}

/// Failure in the middle of a stage: what the host did is not known.
pub(super) fn lost(trouble: Failure) -> Outcome {
    match trouble {
        Failure::Lost(reason) => Outcome::Lost { reason },
        Failure::Ended(outcome @ Outcome::Lost { .. }) => outcome,
        Failure::Unanswered(outcome) | Failure::Ended(outcome) => {
            Outcome::Lost { reason: format!("a new session did not help: {outcome}") }
        }
    }
}
