//! Outcomes for hosts that gave no answer.

use std::time::Instant;

use super::talk::Failure;
use crate::wire::Fault;

/// The end of a command that gave no answer.
#[derive(Clone)]
pub(super) struct Loss {
    pub why: String,
    /// The outcome according to its exit status alone; `None`: the session was lost, so there is none.
    pub told: Option<Fault>,
    /// When the session was lost, if it was this deployer's.
    pub at: Option<Instant>,
}

impl Loss {
    /// The command is that of an earlier deployer.
    pub fn of_deployer() -> Loss {
        Loss { why: "its deployer is gone".to_owned(), told: None, at: None }
    }

    pub fn of(failure: Failure) -> Loss {
        match failure {
            Failure::Lost(why) => Loss { why, told: None, at: Some(Instant::now()) },
            Failure::Unanswered(fault) | Failure::Ended(fault) => {
                Loss { why: fault.to_string(), told: Some(fault), at: None }
            }
        }
    }

    /// The outcome if it happens twice and the target has seen neither command.
    pub fn again(self) -> Fault {
        let reason = format!("the session was lost again before the stage: {}", self.why);
        self.told.unwrap_or(Fault::Lost { reason })
    }
}

pub(super) fn why(failure: Failure) -> String {
    Loss::of(failure).why
}

/// The outcome of a failure before a step: nothing was done.
pub(super) fn unreachable(failure: Failure) -> Fault {
    match failure {
        Failure::Lost(reason) | Failure::Ended(Fault::Lost { reason }) => Fault::Unreachable { reason },
        Failure::Unanswered(fault) | Failure::Ended(fault) => fault,
    }
}

/// The outcome of a failure during a stage: it is unknown what the host did.
pub(super) fn lost(failure: Failure) -> Fault {
    match failure {
        Failure::Lost(reason) => Fault::Lost { reason },
        Failure::Ended(fault @ Fault::Lost { .. }) => fault,
        Failure::Unanswered(fault) | Failure::Ended(fault) => {
            Fault::Lost { reason: format!("failed again in a new session: {fault}") }
        }
    }
}
