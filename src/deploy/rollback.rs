//! R10: the way back, subgroup by subgroup in reverse.

use crate::fleet::{Call, Flow, HostId};
use crate::wire::Stage;

use super::calls::stage_call;
use super::operator::{Answer, Question};
use super::plan::{GroupId, Plan};
use super::story::{Deployment, Halt};
use super::table::{HostState, Row};
use super::verdict::End;

impl Deployment<'_> {
    /// R10: attempted groups in reverse order, all hosts on which a stage was started. Nothing cuts it short.
    pub(super) fn roll_back(&mut self, halt: &Halt) -> End {
        if !self.plan.kind.changes_revision() {
            return End::Halted;
        }
        let touched = self.table.rows().iter().filter(|row| needs_rollback(row)).count();
        if touched > 0 {
            let why = match halt {
                Halt::Limit { group } => {
                    let group = self.plan.group(*group);
                    format!("failure limit of {} exceeded", group.name)
                }
                Halt::Gate { gate, reason, inconclusive: false } => format!("gate {gate} failed: {reason}"),
                Halt::Gate { gate, reason, inconclusive: true } => format!("gate {gate} is inconclusive: {reason}"),
                Halt::Declined => "stopped by the operator".to_owned(),
                Halt::Interrupted => "interrupted".to_owned(),
            };
            if self.ask(&Question::RollBack { kind: self.plan.kind, why, hosts: touched }) == Answer::No {
                return End::RollbackDeclined;
            }
        }
        for group in self.plan.group_ids().rev() {
            let hosts = self.plan.hosts_of(group).filter(|host| needs_rollback(self.table.row(*host))).collect();
            self.roll_back_hosts(group, hosts);
        }
        End::Halted
    }

    /// Rolls hosts of a group back, no more of them at once than the deployment took: services are restarted on the way
    /// back too.
    pub(super) fn roll_back_hosts(&mut self, group: GroupId, hosts: Vec<HostId>) {
        let plan = self.plan;
        let call = rollback_call(plan, group);
        for (label, members) in plan.subgroups_of(group).into_iter().rev() {
            let hosts = hosts.iter().copied().filter(|host| members.contains(*host)).collect();
            // Neither a failure nor an interrupt cuts it short.
            self.run_call(&call, &label, hosts, false, |table, host, result| {
                table.ended(host, Stage::Rollback, 0, result, plan);
                Flow::Continue
            });
        }
    }
}

/// What was touched and is not back yet.
fn needs_rollback(row: &Row) -> bool {
    use HostState::*;
    row.touched && matches!(row.state(), Ready | Failed | Unknown | Unreachable | Finalized | FinalizeFailed)
}

/// The batch limit of a promote holds for a rollback as well, which promotes another revision.
fn rollback_call(plan: &Plan, group: GroupId) -> Call {
    let call = stage_call(plan, group, &plan.rollback, plan.force);
    let promote = plan.stages.iter().find(|it| it.stage == Stage::Promote);
    let batch = promote.map_or(call.batch, |promote| call.batch.min(promote.batch));
    Call { batch, ..call }
}
