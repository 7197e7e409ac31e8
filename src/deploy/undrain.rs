//! R15: hosts that are still drained, because a stage died or failed, get another chance at the end of a run.

use crate::fleet::{Call, Flow, HostId, Step};
use crate::wire::Stage;

use super::calls::stage_call;
use super::plan::{GroupId, Kind, StagePlan};
use super::story::Deployment;
use super::table::{HostState, Row};

impl Deployment<'_> {
    /// Asks the drained hosts of each group to go back into service if they are healthy on their live revision. This
    /// does not affect the course of the run, and neither a failure nor an interrupt cuts it short.
    pub(super) fn undrain(&mut self) {
        let plan = self.plan;
        if plan.kind == Kind::DryRun {
            return;
        }
        for group in plan.group_ids().rev() {
            let hosts: Vec<HostId> =
                plan.hosts_of(group).filter(|host| is_left_drained(self.table.row(*host))).collect();
            let call = self.undrain_call(group);
            self.run_call(&call, &plan.group(group).name, hosts, false, |table, host, result| {
                table.undrained(host, result);
                Flow::Continue
            });
        }
    }

    fn undrain_call(&self, group: GroupId) -> Call {
        let stage = StagePlan { stage: Stage::Undrain, ..self.plan.rollback.clone() };
        let call = stage_call(self.plan, group, &stage, false);
        debug_assert_eq!(call.step, Step::Run(Stage::Undrain));
        call
    }
}

/// Whether a host can be reached and is drained, as last read from it.
fn is_left_drained(row: &Row) -> bool {
    use HostState::*;
    let can_be_asked = !matches!(row.state(), Waiting | Unreachable | Refused | Running(_) | MovedOn);
    can_be_asked && row.drained().is_some()
}
