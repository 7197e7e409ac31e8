//! A host's row of the final table.

use super::row::{Failure, Row};
use super::state::HostState;
use crate::deploy::plan::Plan;
use crate::report::{HostRow, RowState};
use crate::wire::{Fault, Stage};

impl Row {
    /// The row of the host in the final table.
    pub(super) fn summary(&self, plan: &Plan) -> HostRow {
        let passed = self.passed.checked_sub(1).and_then(|index| plan.stages.get(index)).map(|it| it.stage);
        let (state, stage) = self.row_state(passed);
        HostRow {
            host: self.target.clone(),
            group: plan.group(self.group).name.clone(),
            state,
            stage,
            ok: self.is_ok(plan),
            current: self.current().cloned(),
            reason: self.reason(plan),
            cause: self.trouble.as_ref().map(|trouble| self.beside_state(trouble)),
        }
    }

    /// The state's name, and the stage that it refers to. `passed` is the last stage that the host passed.
    fn row_state(&self, passed: Option<Stage>) -> (RowState, Option<Stage>) {
        use HostState::*;
        let failed = self.trouble.as_ref().and_then(|trouble| trouble.stage);
        match self.state {
            Waiting => (RowState::NotAttempted, None),
            Unreachable => (RowState::Unreachable, passed.filter(|_| self.touched)),
            Refused => (RowState::Refused, None),
            Ready => match passed {
                None => (RowState::NotAttempted, None),
                Some(Stage::ConfigDiff) => (RowState::Compared, passed),
                Some(_) => (RowState::Passed, passed),
            },
            Running(stage) => (RowState::Running, Some(stage)),
            Failed => (RowState::Failed, failed),
            Unknown => (RowState::Unknown, failed),
            Finalized => (RowState::Finalized, Some(Stage::Finalize)),
            FinalizeFailed => (RowState::NotFinalized, failed),
            RolledBack => (RowState::RolledBack, Some(Stage::Rollback)),
            RollbackFailed => (RowState::RollbackFailed, failed),
            Unwell => (RowState::ChecksFailed, failed),
            Left => (RowState::Left, Some(Stage::Rollback)),
            MovedOn => (RowState::MovedOn, failed),
        }
    }

    /// Whether nobody needs to look at the host.
    fn is_ok(&self, plan: &Plan) -> bool {
        use HostState::*;
        match self.state {
            _ if self.trouble.is_some() => false,
            _ if self.drained().is_some() => false,
            Ready if self.passed == plan.stages.len() && plan.finalize.is_none() => true,
            Finalized | RolledBack => !self.failed,
            Waiting | Ready => !self.touched,
            _ => false,
        }
    }

    /// Details about the host in addition to its state.
    fn reason(&self, plan: &Plan) -> Option<String> {
        let mut reasons = Vec::new();
        match (&self.trouble, self.state) {
            (Some(trouble), _) => reasons.push(self.beside_state(trouble)),
            (None, HostState::Left) => {
                reasons.push("nothing was live before, so there is nothing to roll back to".to_owned());
            }
            (None, HostState::RolledBack) if self.current().is_some() && self.nothing_was_live() => {
                reasons.push("nothing was live before; the finalized revision is live now".to_owned());
            }
            (None, HostState::RolledBack) if self.occupant_is_back() && self.nothing_was_live() => {
                let path = self.links.as_ref().and_then(|links| links.occupant.as_ref()).map(|it| it.path.display());
                reasons.extend(path.map(|path| format!("nothing was live before; {path} is again what it was")));
            }
            (None, _) => {}
        }
        reasons.extend(self.drained().map(|drained| match self.is_read() {
            true => drained.to_string(),
            false => drained.as_last_seen(),
        }));
        reasons.extend(self.not_read_again());
        if self.is_on_lease(plan) {
            let or = if self.links.is_none() { ", or already has" } else { "" };
            let seconds = plan.confirm_timeout.as_secs();
            reasons.push(format!("rolls itself back within {seconds} s unless reached{or}"));
            if self.was_lost_in_finalize() {
                reasons.push("it may have been finalized".to_owned());
            }
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Whether a finalize was sent to the host, and nobody heard how it ended.
    fn was_lost_in_finalize(&self) -> bool {
        let is_lost = |trouble: &Failure| matches!(trouble.fault, Fault::Lost { .. });
        self.links.is_none() && self.trouble.as_ref().is_some_and(|it| it.stage == Some(Stage::Finalize) && is_lost(it))
    }

    /// That what the row says was read before the end of the run, unless it says so already.
    fn not_read_again(&self) -> Option<String> {
        let unread = self.unread.as_ref().filter(|_| self.state != HostState::Unreachable)?;
        let is_told = self.trouble.as_ref().is_some_and(|trouble| trouble.fault == *unread);
        (!is_told).then(|| format!("could not be read again: {}", unread.beside_unreachable()))
    }

    fn beside_state(&self, trouble: &Failure) -> String {
        match (self.state, trouble.stage) {
            (HostState::Unreachable, None) => trouble.fault.beside_unreachable(),
            (HostState::Unreachable, Some(stage)) => format!("{stage}: {}", trouble.fault.beside_unreachable()),
            _ => trouble.to_string(),
        }
    }
}
