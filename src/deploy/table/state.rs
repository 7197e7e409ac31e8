//! The states of a host in a run, and the legal moves between them.

use crate::wire::Stage;

/// Where a host is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// Not probed yet.
    Waiting,
    /// Could not be reached, or not any more; what it did last is known.
    Unreachable,
    /// Reached, and not fit to be deployed to: nothing was done there.
    Refused,
    /// Fit for its next stage.
    Ready,
    Running(Stage),
    /// A primary stage failed.
    Failed,
    /// Lost in the middle of a stage and not found again: what it runs is not known.
    Unknown,
    Finalized,
    FinalizeFailed,
    /// Back on what it ran before, read back and verified.
    RolledBack,
    RollbackFailed,
    /// Back on what it ran before, read back; a check of that revision's own fails there.
    Unwell,
    /// Had nothing to go back to.
    Left,
    /// Runs what somebody else has deployed since the run began: left as it is.
    MovedOn,
}

impl HostState {
    /// The table of legal moves.
    pub(super) fn may_become(self, next: HostState) -> bool {
        use HostState::*;
        match (self, next) {
            (Waiting, Unreachable | Refused | Ready) => true,
            // Between the probe and its first stage a host can still be locked by another run, or go away.
            (Ready, Unreachable | Refused) => true,
            (Ready, Running(_)) => true,
            // A retry, or a rollback.
            (Failed, Running(stage)) => stage != Stage::Finalize,
            // What was lost may have come back by the time of the rollback; what was finalized is taken back when the run
            // is interrupted before the last host was.
            (Unknown | Unreachable | Finalized | FinalizeFailed, Running(stage)) => stage == Stage::Rollback,
            // Found at a stage, or when the host was read again at the end of a run that was resumed.
            (Waiting | Refused, MovedOn) => false,
            (_, MovedOn) => true,
            (Running(Stage::Finalize), next) => matches!(next, Finalized | FinalizeFailed),
            (Running(Stage::Rollback), next) => {
                matches!(next, RolledBack | RollbackFailed | Unwell | Left | Unknown | Unreachable)
            }
            (Running(_), next) => matches!(next, Ready | Failed | Unknown | Unreachable),
            _ => false,
        }
    }
}
