//! The states of a host in a run, and the legal moves between them.

use crate::wire::Stage;

/// The state of a host in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// Not probed yet.
    Waiting,
    /// Not reachable, or not any more; the result of its last stage is known.
    Unreachable,
    /// Reachable, but cannot be deployed to: nothing was done there.
    Refused,
    /// Ready for its next stage.
    Ready,
    Running(Stage),
    /// A primary stage failed.
    Failed,
    /// Lost in the middle of a stage, or while it was on a lease, and not reached again: what it runs is not known.
    Unknown,
    Finalized,
    FinalizeFailed,
    /// Back on what it ran before, read back and verified.
    RolledBack,
    RollbackFailed,
    /// Back on what it ran before, read back, but a check of that revision fails there.
    Unwell,
    /// Had nothing to go back to.
    Left,
    /// Somebody else has deployed to it since the run began: left as it is.
    MovedOn,
}

impl HostState {
    /// The table of legal transitions.
    pub(super) fn may_become(self, next: HostState) -> bool {
        use HostState::*;
        match (self, next) {
            (Waiting, Unreachable | Refused | Ready) => true,
            // Between the probe and its first stage a host can still be locked by another run, or become unreachable.
            (Ready, Unreachable | Refused) => true,
            (Ready, Running(_)) => true,
            // A retry, or a rollback.
            (Failed, Running(stage)) => stage != Stage::Finalize,
            // A lost host may be reachable again at the time of the rollback. A finalized host is rolled back if the
            // run is interrupted before the last host was finalized.
            (Unknown | Unreachable | Finalized | FinalizeFailed, Running(stage)) => stage == Stage::Rollback,
            // Found in a stage, or when the host was read again at the end of a resumed run.
            (Waiting | Refused, MovedOn) => false,
            (_, MovedOn) => true,
            // At the end of a run it did not answer any more, and its lease may have run out since it did.
            (Ready | Failed | FinalizeFailed | RollbackFailed, Unknown) => true,
            // Its lease may have run out ahead of it: then it is to go live again.
            (Running(Stage::Finalize), next) => matches!(next, Finalized | FinalizeFailed | Ready | Unknown),
            (Running(Stage::Rollback), next) => {
                matches!(next, RolledBack | RollbackFailed | Unwell | Left | Unknown | Unreachable)
            }
            (Running(_), next) => matches!(next, Ready | Failed | Unknown | Unreachable),
            _ => false,
        }
    }
}
