//! R10: the rollback, subgroup by subgroup in reverse order.

use indexmap::IndexMap;

use crate::fleet::{Call, Flow, HostId};
use crate::once::When;
use crate::report::{Event, Note};
use crate::targets::{Group, Target, fold};
use crate::wire::{Level, Revision, Stage};

use super::calls::stage_call;
use super::capacity::Capacity;
use super::operator::{Answer, Question};
use super::plan::{GroupId, Pace, Plan};
use super::story::{Deployment, Halt};
use super::table::{HostState, Row, Table};
use super::verdict::End;

impl Deployment<'_> {
    /// R10: attempted groups in reverse order, all hosts on which a stage was started. Nothing cuts it short.
    pub(super) fn roll_back(&mut self, halt: &Halt) -> End {
        let why = self.why(halt);
        if matches!(halt, Halt::Gate(_) | Halt::Capacity { .. } | Halt::Step { .. }) {
            self.why = Some(why.clone());
        }
        if !self.plan.kind.changes_revision() {
            return End::Halted;
        }
        if matches!(halt, Halt::Undecided) {
            return End::Undecided { goes_back: false };
        }
        if self.settle_steps().is_err() {
            return End::Undecided { goes_back: true };
        }
        let touched = self.table.rows().iter().filter(|row| needs_rollback(row)).count();
        let mut pace = self.plan.rollback_pace;
        if touched > 0 || !self.to_undo().is_empty() {
            match self.ask_for_rollback(&why, touched) {
                Answer::No => return End::RollbackDeclined,
                Answer::AtOnce => pace = Pace::AtOnce,
                _ => {}
            }
            self.failure = (!matches!(halt, Halt::Declined | Halt::Interrupted)).then_some(why);
        }
        match self.go_back(pace) {
            Ok(()) => End::Halted,
            Err(_) => End::Undecided { goes_back: true },
        }
    }

    /// R16: nobody is asked for a yes where a step bars the way back: that takes words.
    fn ask_for_rollback(&mut self, why: &str, hosts: usize) -> Answer {
        let (kind, why, steps) = (self.plan.kind, why.to_owned(), self.barring());
        if !steps.is_empty() {
            // The words mean a rollback as the plan has it: nothing else is offered, nor taken for them.
            return match self.ask(&Question::RollBackPast { why, hosts, steps }) {
                Answer::Yes => Answer::Yes,
                _ => Answer::No,
            };
        }
        let at_once = self.plan.rollback_pace == Pace::Budget && self.plan.groups.iter().any(takes_turns);
        let undoes = self.to_undo();
        self.ask(&Question::RollBack { kind, why, hosts, at_once, undoes })
    }

    /// What came last is taken back first: a step that ran after a group is undone before its hosts go back.
    fn go_back(&mut self, pace: Pace) -> Result<(), Halt> {
        self.undo_steps(When::After, None)?;
        for group in self.plan.group_ids().rev() {
            self.undo_steps(When::After, Some(group))?;
            let hosts = self.plan.hosts_of(group).filter(|host| needs_rollback(self.table.row(*host))).collect();
            self.roll_back_hosts(group, hosts, pace);
            self.undo_steps(When::Before, Some(group))?;
        }
        self.undo_steps(When::Before, None)
    }

    /// Names the hosts on which the stage went well, and which run what they ran before it all the same: they had nothing
    /// to go back to.
    fn report_left(&mut self, hosts: &[HostId]) {
        let mut live: IndexMap<Option<Revision>, Vec<Target>> = IndexMap::new();
        for host in hosts {
            let row = self.table.row(*host);
            if row.state() == HostState::Left && !row.as_it_was() {
                live.entry(row.current().cloned()).or_default().push(row.target.clone());
            }
        }
        for (current, hosts) in live {
            let stays = current.map_or_else(|| "left as it is".to_owned(), |it| format!("{} stays live", it.short()));
            let message = format!("nothing was live before on {}: {stays}", fold(&hosts));
            self.report.event(&Event::Note(Note { level: Level::Warning, message, host: None, step: None }));
        }
    }

    /// Why a run was halted, for the question about its rollback.
    fn why(&self, halt: &Halt) -> String {
        match halt {
            Halt::Limit { group } => format!("failure limit of {} exceeded", self.plan.group(*group).name),
            Halt::Capacity { why } => why.clone(),
            Halt::Gate(unwell) => unwell.to_string(),
            Halt::Step { why } => why.clone(),
            Halt::Undecided => "a step is undecided".to_owned(),
            Halt::Declined => "stopped by the operator".to_owned(),
            Halt::Interrupted => "interrupted".to_owned(),
        }
    }

    /// Rolls hosts of a group back, no more of them at once than in the deployment, since a rollback restarts services
    /// too (R13). Hosts that are already out of service go first, since they use no capacity.
    pub(super) fn roll_back_hosts(&mut self, group: GroupId, hosts: Vec<HostId>, pace: Pace) {
        let plan = self.plan;
        let call = rollback_call(plan, group, pace);
        let everyone = || vec![(plan.group(group).name.clone(), plan.hosts_of(group))];
        let subgroups = if pace == Pace::AtOnce { everyone() } else { plan.subgroups_of(group) };
        let (later, first): (Vec<_>, Vec<_>) = hosts
            .iter()
            .copied()
            .partition(|host| pace == Pace::Budget && self.table.row(*host).goes_out_for(Stage::Rollback));
        for turn in [first, later] {
            for (label, members) in subgroups.iter().rev() {
                let turn: Vec<HostId> = turn.iter().copied().filter(|host| members.contains(*host)).collect();
                self.roll_back_subgroup(group, &call, label, turn, pace);
            }
        }
        self.report_left(&hosts);
    }

    /// Neither a failure nor an interrupt stops it.
    fn roll_back_subgroup(&mut self, group: GroupId, call: &Call, label: &str, hosts: Vec<HostId>, pace: Pace) {
        let plan = self.plan;
        let ended = |table: &mut Table, host, result| {
            table.ended(host, Stage::Rollback, 0, result, plan);
            Flow::Continue
        };
        if pace == Pace::AtOnce {
            self.run_call(call, label, hosts, false, ended);
            return;
        }
        let capacity = Capacity::of(plan.group(group), hosts.len());
        let left = self.take_turns(call, group, (label, hosts), capacity, false, ended);
        if !left.is_empty() {
            let why = self.report_used_up(group);
            left.into_iter().for_each(|host| self.table.no_room(host, &why));
        }
    }
}

/// Whether the hosts of a group are rolled back in several turns.
fn takes_turns(group: &Group) -> bool {
    group.max_unavailable.is_some() || group.subgroups().len() > 1
}

/// Whether the host was touched and is not rolled back yet.
fn needs_rollback(row: &Row) -> bool {
    use HostState::*;
    row.touched && matches!(row.state(), Ready | Failed | Unknown | Unreachable | Finalized | FinalizeFailed)
}

/// The batch limit of promote applies to a rollback as well, since that also promotes a revision.
fn rollback_call(plan: &Plan, group: GroupId, pace: Pace) -> Call {
    let call = stage_call(plan, group, &plan.rollback, plan.force);
    if pace == Pace::AtOnce {
        return call;
    }
    let promote = plan.stages.iter().find(|it| it.stage == Stage::Promote);
    let batch = promote.map_or(call.batch, |promote| call.batch.min(promote.batch));
    Call { batch, ..call }
}
