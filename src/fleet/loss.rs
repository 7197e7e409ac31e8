//! What it means when a host gives no answer.

use super::talk::Failure;
use crate::wire::Fault;

/// How a command ended that gave no answer.
#[derive(Clone)]
pub(super) struct Loss {
    pub why: String,
    /// What its end alone would mean; `None`: the session was lost, and its end was not seen.
    pub told: Option<Fault>,
}

impl Loss {
    pub fn session(why: impl Into<String>) -> Loss {
        Loss { why: why.into(), told: None }
    }

    pub fn of(trouble: Failure) -> Loss {
        match trouble {
            Failure::Lost(why) => Loss::session(why),
            Failure::Unanswered(fault) | Failure::Ended(fault) => Loss { why: fault.to_string(), told: Some(fault) },
        }
    }

    /// What it means when it happens twice and the target has seen nothing of either.
    pub fn again(self) -> Fault {
        let reason = format!("the session was lost again before the stage: {}", self.why);
        self.told.unwrap_or(Fault::Lost { reason })
    }
}

pub(super) fn why(trouble: Failure) -> String {
    Loss::of(trouble).why
}

/// Failure ahead of a step: nothing was done.
pub(super) fn unreachable(trouble: Failure) -> Fault {
    match trouble {
        Failure::Lost(reason) | Failure::Ended(Fault::Lost { reason }) => Fault::Unreachable { reason },
        Failure::Unanswered(fault) | Failure::Ended(fault) => fault,
    }
}

/// Failure in the middle of a stage: what the host did is not known.
pub(super) fn lost(trouble: Failure) -> Fault {
    match trouble {
        Failure::Lost(reason) => Fault::Lost { reason },
        Failure::Ended(fault @ Fault::Lost { .. }) => fault,
        Failure::Unanswered(fault) | Failure::Ended(fault) => {
            Fault::Lost { reason: format!("failed again in a new session: {fault}") }
        }
    }
}
