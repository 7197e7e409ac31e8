//! The story of a deployment: groups, subgroups, stages, limit, questions, then finalize or rollback.
//!
//! The story only makes decisions. It reaches hosts through a [`Fleet`], and people through an [`Operator`] and
//! [`Reporter`]s. The rules R1 to R16 that the comments name are in DESIGN.md.

use std::collections::HashMap;
use std::time::Duration;

use crate::fleet::{Call, Fleet, Flow, HostId, HostIds, HostResult, Step, Task};
use crate::once::When;
use crate::report::{Event, Reporter};
use crate::targets::{FailedTargets, Target};
use crate::text::counted;
use crate::wire::{Level, Stage};

use super::calls::{contact_call, stage_call};
use super::capacity;
use super::capacity::Capacity;
use super::health::{Gates, Moment, Unwell};
use super::interrupts::Interrupts;
use super::one_call::OneCall;
use super::operator::{Answer, Operator, Question, ask};
use super::plan::{GroupId, Kind, Pace, Plan, StagePlan};
use super::ran::Steps;
use super::relay::{Left, relay, relay_remarks};
use super::table::{HostState, Table};
use super::verdict::{End, Verdict};

/// Why a run was halted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    Limit {
        group: GroupId,
    },
    /// R13: so many hosts are out of service that no other may go out.
    Capacity {
        why: String,
    },
    Gate(Unwell),
    Declined,
    Interrupted,
    /// R16: a run-once step did not end well.
    Step {
        why: String,
    },
    /// R16: nobody says whether a step ran.
    Undecided,
}

/// Carries out a plan from the probe to the verdict.
pub fn deploy(
    plan: &Plan,
    fleet: &mut dyn Fleet,
    gates: &mut dyn Gates,
    operator: &mut dyn Operator,
    report: &mut dyn Reporter,
) -> Verdict {
    let table = Table::new(plan);
    let (go_on, why, failure, steps) = (false, None, None, Steps::default());
    let mut story = Deployment { plan, fleet, gates, operator, report, table, go_on, why, failure, steps };
    let end = story.tell();
    story.read_again();
    if !end.is_untouched() {
        story.undrain();
    }
    story.close();
    let verdict = Verdict::of(end, story.why.as_deref(), &story.table, plan).with_steps(end, &story.steps, plan);
    Verdict { rolled_back_for: story.failure, ..verdict }
}

pub(super) struct Deployment<'a> {
    pub(super) plan: &'a Plan,
    pub(super) fleet: &'a mut dyn Fleet,
    pub(super) gates: &'a mut dyn Gates,
    pub(super) operator: &'a mut dyn Operator,
    pub(super) report: &'a mut dyn Reporter,
    pub(super) table: Table,
    /// The operator said to continue with all groups.
    go_on: bool,
    /// Why the run was halted, if the failures of hosts do not explain it.
    pub(super) why: Option<String>,
    /// Why the run was rolled back, if nobody called for it.
    pub(super) failure: Option<String>,
    /// What became of the run-once steps.
    pub(super) steps: Steps,
}

impl Deployment<'_> {
    fn tell(&mut self) -> End {
        if let Err(end) = self.contact() {
            return end;
        }
        match self.go_forward() {
            Ok(()) => End::Done,
            Err(halt) => self.roll_back(&halt),
        }
    }

    fn go_forward(&mut self) -> Result<(), Halt> {
        self.watch(Moment::Before, None, "", Duration::ZERO)?;
        self.steps_at(When::Before, None, None)?;
        self.deploy_groups()?;
        self.steps_at(When::After, None, None)?;
        self.finalize()
    }

    fn deploy_groups(&mut self) -> Result<(), Halt> {
        let mut groups = self.plan.group_ids().peekable();
        while let Some(group) = groups.next() {
            self.steps_at(When::Before, Some(group), None)?;
            self.deploy_group(group)?;
            self.watch_group(group)?;
            self.steps_at(When::After, Some(group), None)?;
            if groups.peek().is_some() {
                self.ask_to_continue(group)?;
            }
        }
        Ok(())
    }

    /// R8: after each group but the last, never between subgroups.
    fn ask_to_continue(&mut self, group: GroupId) -> Result<(), Halt> {
        if self.go_on || self.plan.kind == Kind::DryRun {
            return Ok(());
        }
        // After an interrupt the operator is not asked whether to continue.
        self.heed_interrupt()?;
        let (plan, hosts) = (self.plan, self.plan.hosts_of(group));
        let answer = self.ask(&Question::Continue {
            kind: plan.kind,
            group: plan.group(group).name.clone(),
            done: self.complete(hosts.clone()).len(),
            hosts: hosts.count(),
        });
        self.heed_interrupt()?;
        match answer {
            Answer::No => Err(Halt::Declined),
            Answer::All => {
                self.go_on = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Deploys one group: its subgroups, then its failed hosts again (R11), then the limit is judged finally.
    fn deploy_group(&mut self, group: GroupId) -> Result<(), Halt> {
        let mut rounds = self.plan.group(group).retry_failed;
        loop {
            self.sweep(group)?;
            let failed = self.retryable(group);
            if rounds == 0 || failed.is_empty() {
                break;
            }
            rounds -= 1;
            self.retry(group, failed)?;
        }
        self.judge(group)?;
        let goes_back = self.plan.kind.changes_revision() && self.barring().is_empty();
        if self.plan.group(group).failed_targets == FailedTargets::Rollback && goes_back {
            let failed = self.retryable(group);
            self.roll_back_hosts(group, failed, Pace::Budget);
        }
        Ok(())
    }

    /// Judges a group finally (R7, R13).
    fn judge(&mut self, group: GroupId) -> Result<(), Halt> {
        if self.exceeded(group) {
            self.report_limit(group);
            return Err(Halt::Limit { group });
        }
        if self.is_used_up(group) {
            return Err(Halt::Capacity { why: self.report_used_up(group) });
        }
        Ok(())
    }

    /// Takes each subgroup through the remaining stages of its hosts, until the group's limit is exceeded (R7) or there
    /// is no room for further hosts (R13).
    fn sweep(&mut self, group: GroupId) -> Result<(), Halt> {
        for (label, members) in self.plan.subgroups_of(group) {
            if self.exceeded(group) || self.is_used_up(group) {
                return Ok(());
            }
            if self.ready_for_more(members.clone()).is_empty() {
                continue;
            }
            self.heed_interrupt()?;
            let hosts = members.clone().map(|host| self.target(host)).collect();
            let name = self.plan.group(group).name.clone();
            self.report.event(&Event::Subgroup { group: name, label: label.clone(), hosts });
            for (index, stage) in self.plan.stages.iter().enumerate() {
                if self.exceeded(group) {
                    return Ok(());
                }
                // R7: only hosts that succeeded in the stage before.
                let mut hosts = self.ready_for_more(members.clone());
                hosts.retain(|host| self.table.row(*host).passed == index);
                if !hosts.is_empty() {
                    self.steps_at(When::Before, Some(group), Some(stage.stage))?;
                }
                self.run_stage(group, &label, stage, index, hosts, Try::First)?;
                self.steps_after(group, stage.stage, index)?;
            }
            // If no host of the subgroup succeeded, or it was not finished, there is nothing to observe.
            let is_over = !self.exceeded(group) && self.ready_for_more(members.clone()).is_empty();
            if is_over && !self.complete(members).is_empty() {
                self.watch_subgroup(group, &label)?;
            }
        }
        Ok(())
    }

    /// R11: tries the failed hosts again, from the first stage to the one that failed, with a forced checkout. As in
    /// the first attempt, no more of them at once than a subgroup has.
    fn retry(&mut self, group: GroupId, hosts: Vec<HostId>) -> Result<(), Halt> {
        let name = self.plan.group(group).name.clone();
        let failed = counted(hosts.len(), "failed host");
        self.report.event(&Event::note(Level::Info, format!("trying {failed} of {name} again")));
        let goal: HashMap<HostId, usize> = hosts.iter().map(|host| (*host, self.table.row(*host).passed)).collect();
        for (label, members) in self.plan.subgroups_of(group) {
            let mut hosts: Vec<HostId> = hosts.iter().copied().filter(|host| members.contains(*host)).collect();
            for (index, stage) in self.plan.stages.iter().enumerate() {
                hosts.retain(|host| goal[host] >= index);
                self.run_stage(group, &label, stage, index, hosts.clone(), Try::Again)?;
                hosts.retain(|host| self.table.row(*host).state() == HostState::Ready);
            }
        }
        Ok(())
    }

    /// Runs one primary stage on hosts of one group.
    fn run_stage(
        &mut self,
        group: GroupId,
        label: &str,
        stage: &StagePlan,
        index: usize,
        hosts: Vec<HostId>,
        which: Try,
    ) -> Result<(), Halt> {
        let plan = self.plan;
        // An announced step is also begun. Interrupts are checked before a subgroup, and after each step.
        if hosts.is_empty() {
            return Ok(());
        }
        let force = plan.force || which == Try::Again;
        let call = stage_call(plan, group, stage, force);
        let limit = plan.group(group).limit;
        let size = plan.group(group).targets.len();
        // A host that is tried again already counts as failed, so the limit must not stop the retry.
        let stops = which == Try::First && plan.kind != Kind::DryRun;
        let members = plan.subgroups_of(group).into_iter().find(|(name, _)| name == label);
        let capacity = Capacity::of(plan.group(group), members.map_or(size, |(_, members)| members.count()));
        // Hosts for which there is no room wait until the group is judged.
        self.take_turns(&call, group, (label, hosts), capacity, true, |table, host, result| {
            table.ended(host, stage.stage, index, result, plan);
            match stops && limit.exceeded_by(table.failed_in(group), size) {
                true => Flow::Stop,
                false => Flow::Continue,
            }
        });
        self.heed_interrupt()
    }

    pub(super) fn heed_interrupt(&mut self) -> Result<(), Halt> {
        if self.operator.interrupted() {
            self.report.event(&Event::Interrupted);
            return Err(Halt::Interrupted);
        }
        Ok(())
    }

    /// R9: finalizes, after all groups, group by group, the hosts that passed every primary stage. Until the last of
    /// them has begun, an interrupt leads to a rollback; if the run is to be undone, it does so at any time.
    fn finalize(&mut self) -> Result<(), Halt> {
        let plan = self.plan;
        let Some(finalize) = &plan.finalize else { return self.heed_late_interrupt() };
        self.watch(Moment::Finalize, None, "", Duration::ZERO)?;
        let goes_live = plan.stages.iter().position(|it| it.stage == Stage::Promote);
        for group in plan.group_ids() {
            loop {
                let hosts = self.complete(plan.hosts_of(group));
                let call = stage_call(plan, group, finalize, plan.force);
                let mut back = Vec::new();
                let interrupted = self.run_step(&call, &plan.group(group).name, hosts, |table, host, result| {
                    match goes_live.filter(|_| result.went_back()) {
                        Some(index) => {
                            back.push(host);
                            table.went_back(host, index, result);
                        }
                        None => table.ended(host, Stage::Finalize, 0, result, plan),
                    }
                    Flow::Continue
                });
                let is_over = back.is_empty() && self.complete(plan.hosts()).is_empty();
                if interrupted && (self.operator.undoes() || !is_over) {
                    self.report.event(&Event::Interrupted);
                    return Err(Halt::Interrupted);
                }
                if back.is_empty() {
                    break;
                }
                self.go_live_again(group, &back)?;
            }
        }
        self.heed_late_interrupt()
    }

    /// Hosts whose leases ran out before they were finalized, since their deployer was away, go live again: by turns (R13),
    /// and within the limit of their group (R7).
    fn go_live_again(&mut self, group: GroupId, hosts: &[HostId]) -> Result<(), Halt> {
        let plan = self.plan;
        let again = counted(hosts.len(), "host");
        let name = &plan.group(group).name;
        let note = format!(
            "{again} of {name} went back when the lease expired: making {} live there again",
            plan.revision.short()
        );
        self.report.event(&Event::note(Level::Warning, note));
        for (label, members) in plan.subgroups_of(group) {
            for (index, stage) in plan.stages.iter().enumerate() {
                let mut due: Vec<HostId> = members.clone().filter(|host| hosts.contains(host)).collect();
                due.retain(|host| self.table.row(*host).state() == HostState::Ready);
                due.retain(|host| self.table.row(*host).passed == index);
                self.run_stage(group, &label, stage, index, due, Try::First)?;
            }
            self.judge(group)?;
        }
        Ok(())
    }

    /// After all stages, only an interrupt of an operator who undoes the run still leads to a rollback.
    fn heed_late_interrupt(&mut self) -> Result<(), Halt> {
        if self.operator.undoes() { self.heed_interrupt() } else { Ok(()) }
    }

    /// The hosts that passed every primary stage and wait for finalize.
    fn complete(&self, range: HostIds) -> Vec<HostId> {
        let mut hosts = self.hosts_in(range, HostState::Ready);
        hosts.retain(|host| self.table.row(*host).is_complete(self.plan));
        hosts
    }

    /// Reads the state of hosts again that is only known from the journal of an earlier deployer, touched or not, of those on
    /// a lease, which may have run out unnoticed, and, where somebody else has deployed meanwhile, of those that this run did
    /// not come to: the verdict is about what they run now.
    fn read_again(&mut self) {
        let plan = self.plan;
        let has_moved_on = |host: HostId| self.table.row(host).state() == HostState::MovedOn;
        let was_met = plan.hosts().any(has_moved_on);
        let is_stale = |host: &HostId| {
            let row = self.table.row(*host);
            let was_left = was_met && !row.touched && row.state() == HostState::Ready;
            let was_lost = matches!(row.state(), HostState::Unknown | HostState::Unreachable);
            let is_on_lease = row.is_on_lease(plan) && !was_lost;
            row.facts.is_some() && (was_left || is_on_lease || self.fleet.recalls(*host))
        };
        let hosts: Vec<HostId> = plan.hosts().filter(is_stale).collect();
        let call = Call { recover: true, ..contact_call(plan, Step::Probe) };
        self.run_call(&call, "", hosts, false, |table, host, result| {
            table.read_again(host, result, plan);
            Flow::Continue
        });
    }

    /// Releases every lock and session.
    fn close(&mut self) {
        let reached = self.plan.hosts().filter(|host| self.table.row(*host).facts.is_some());
        let tasks: Vec<Task> = reached.map(Task::first).collect();
        if !tasks.is_empty() {
            let (call, report) = (contact_call(self.plan, Step::Release), &mut *self.report);
            self.fleet.run(&call, &tasks, &mut |events| relay_remarks(events, call.step, report));
        }
    }

    /// Runs a step that an interrupt can stop; returns whether one did.
    pub(super) fn run_step(
        &mut self,
        call: &Call,
        label: &str,
        hosts: Vec<HostId>,
        ended: impl FnMut(&mut Table, HostId, HostResult) -> Flow,
    ) -> bool {
        if hosts.is_empty() {
            return false;
        }
        self.run_call(call, label, hosts, true, ended);
        self.operator.interrupted()
    }

    /// Makes one call on the fleet, and updates the table.
    pub(super) fn run_call(
        &mut self,
        call: &Call,
        label: &str,
        hosts: Vec<HostId>,
        interruptible: bool,
        ended: impl FnMut(&mut Table, HostId, HostResult) -> Flow,
    ) -> Left {
        if hosts.is_empty() {
            return Left { hosts, stopped: false };
        }
        let stage = match call.step {
            Step::Run(stage) => Some(stage),
            _ => None,
        };
        let task = |host: &HostId| Task {
            host: *host,
            attempt: stage.map_or(0, |stage| self.table.attempt(*host, stage)),
            restore: self.table.row(*host).restore(),
            lease_slot: if stage == Some(Stage::Promote) { self.lease_slot(*host) } else { 0 },
        };
        let tasks: Vec<Task> = hosts.iter().map(task).collect();
        if stage.is_some() && self.plan.kind != Kind::DryRun {
            self.operator.touches();
        }
        let Deployment { fleet, operator, report, table, .. } = self;
        let interrupts = Interrupts::of(&mut **operator, call.step, interruptible);
        relay(*fleet, call, label, &tasks, *report, &mut OneCall { table, interrupts, stage, ended })
    }

    /// When a host rolls back by itself, in seconds after the end of its lease.
    fn lease_slot(&self, host: HostId) -> u64 {
        let group = self.table.row(host).group;
        let place = self.plan.hosts_of(group).position(|other| other == host).unwrap_or_default();
        match self.plan.confirm_timeout.is_zero() {
            true => 0,
            false => capacity::lease_delay(self.plan, group, place).as_secs(),
        }
    }

    pub(super) fn ask(&mut self, question: &Question) -> Answer {
        ask(self.operator, self.report, question)
    }

    pub(super) fn report_limit(&mut self, group: GroupId) {
        let head = &self.plan.group(group);
        self.report.event(&Event::LimitExceeded {
            group: head.name.clone(),
            failed: self.table.failed_in(group),
            limit: head.limit.resolved(head.targets.len()),
        });
    }

    /// R4, R5: whether more distinct hosts of the whole group have failed than its limit.
    pub(super) fn exceeded(&self, group: GroupId) -> bool {
        let head = &self.plan.group(group);
        self.plan.kind != Kind::DryRun && head.limit.exceeded_by(self.table.failed_in(group), head.targets.len())
    }

    fn target(&self, host: HostId) -> Target {
        self.table.row(host).target.clone()
    }

    pub(super) fn hosts_in(&self, range: HostIds, state: HostState) -> Vec<HostId> {
        range.filter(|host| self.table.row(*host).state() == state).collect()
    }

    pub(super) fn ready_for_more(&self, range: HostIds) -> Vec<HostId> {
        let mut hosts = self.hosts_in(range, HostState::Ready);
        hosts.retain(|host| self.table.row(*host).passed < self.plan.stages.len());
        hosts
    }

    fn retryable(&self, group: GroupId) -> Vec<HostId> {
        self.plan.hosts_of(group).filter(|host| self.table.row(*host).can_be_retried()).collect()
    }
}

/// Whether a stage runs on a host for the first time, or again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    First,
    Again,
}
