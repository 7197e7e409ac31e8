//! Runs the command through groups and subgroups.

use std::time::Duration;

use crate::deploy::health::{Earlier, Gates, Look, Moment};
use crate::deploy::{Capacity, Interrupts, Left, Observer, Operator, in_turns, relay, used_up, watch};
use crate::fleet::{Call, Fleet, Flow, HostId, HostIds, HostResult, Step, Task};
use crate::gates::HostsByRevision;
use crate::report::{Event, Reporter};
use crate::targets::{Group, Target};
use crate::wire::Outcome;

use super::CommandRun;
use super::table::{Row, Table};
use super::verdict::End;

/// One run, with everything that it uses.
pub struct Story<'a, 's> {
    pub run: &'a CommandRun,
    pub fleet: &'s mut dyn Fleet,
    pub gates: &'s mut dyn Gates,
    pub operator: &'s mut dyn Operator,
    pub report: &'s mut dyn Reporter,
    pub table: Table<'a>,
}

impl<'a> Story<'a, '_> {
    /// Runs everything, from the first contact to the last.
    pub fn tell(&mut self) -> End {
        let mut end = self.contact();
        if end.is_ok() {
            end = self.visit();
            self.undrain();
        }
        self.close();
        match end {
            Err(end) => end,
            Ok(()) if self.table.interrupted => End::Interrupted,
            Ok(()) => End::Through,
        }
    }

    /// Runs group by group, subgroup by subgroup, until something halts the run or the operator stops it.
    fn visit(&mut self) -> Result<(), End> {
        let run = self.run;
        self.watch(Moment::Before, None, "", Duration::ZERO)?;
        let mut hosts = HostId::first(0);
        for (at, group) in run.groups.iter().enumerate() {
            hosts = hosts.next_after(group.targets.len());
            for (label, range) in group.subgroups() {
                let members = hosts.part(range);
                self.heed_interrupt()?;
                self.visit_subgroup(at, &label, members.clone());
                self.judge(at, hosts.clone())?;
                // If the command succeeded on no host, there is nothing to observe.
                if members.into_iter().any(|host| self.table.row(host).is_ok()) {
                    self.watch(Moment::Subgroup, Some(at), &label, Duration::ZERO)?;
                    // After the last subgroup, a soak is only useful for gates.
                    let is_last = !self.table.rows.iter().any(|row| row.waits());
                    if !is_last || self.has_gates(Moment::Soak, Some(at)) {
                        self.watch(Moment::Soak, Some(at), &label, group.soak_time)?;
                    }
                }
            }
            self.watch(Moment::Group, Some(at), &group.name, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Runs the command in a subgroup, with no more hosts out of service at once than allowed (R13).
    fn visit_subgroup(&mut self, at: usize, label: &str, members: HostIds) {
        let run = self.run;
        let group = &run.groups[at];
        let hosts: Vec<HostId> = members.clone().filter(|host| self.table.row(*host).waits()).collect();
        if hosts.is_empty() {
            return;
        }
        let targets = hosts.iter().map(|host| self.table.row(*host).target.clone()).collect();
        self.report.event(&Event::Subgroup { group: group.name.clone(), label: label.to_owned(), hosts: targets });
        let call =
            Call { group: group.name.clone(), ..Call::contact(Step::Command, run.stage.batch, run.stage.timeout) };
        let make = |story: &mut Self, call: &Call, hosts: Vec<HostId>| {
            story.call(call, label, hosts, true, |table, host, result| {
                let outcome = table.ended(host, result);
                (outcome, if exceeds(table, at, group) { Flow::Stop } else { Flow::Continue })
            })
        };
        if !run.room.is_taken {
            make(self, &call, hosts);
            return;
        }
        let capacity = Capacity::of(group, members.count());
        // Hosts that are already out of service go first: they use no capacity.
        let (free, waiting) = hosts.into_iter().partition(|host| self.table.row(*host).is_out());
        let admit = |story: &Self, waiting: &[HostId]| {
            capacity.admit(waiting, |host| story.table.row(host).target, &story.out_in(at))
        };
        in_turns(self, &call, (free, waiting), admit, make);
    }

    /// Whether the run may continue in a group: within its failure limit (R7), and with capacity for its other hosts
    /// (R13).
    fn judge(&mut self, at: usize, hosts: HostIds) -> Result<(), End> {
        let group = &self.run.groups[at];
        // If the operator stops waiting for hosts, these count as failed, but it is the operator's stop that ends the
        // run.
        if exceeds(&self.table, at, group) && !self.table.aborted {
            self.report_limit(at);
            return Err(End::Limit(at));
        }
        self.heed_interrupt()?;
        match self.is_used_up(at, hosts) {
            true => Err(End::UsedUp(self.report_used_up(at))),
            false => Ok(()),
        }
    }

    pub(super) fn heed_interrupt(&mut self) -> Result<(), End> {
        if !self.table.interrupted && self.operator.interrupted() {
            self.table.interrupted = true;
            self.report.event(&Event::Interrupted);
        }
        if self.table.interrupted { Err(End::Interrupted) } else { Ok(()) }
    }

    pub(super) fn report_limit(&mut self, at: usize) {
        let (group, failed) = (&self.run.groups[at], self.table.failed_in(at));
        let limit = group.limit.resolved(group.targets.len());
        self.report.event(&Event::LimitExceeded { group: group.name.clone(), failed, limit });
    }

    /// The hosts of a group that are out of service, including those that this run does not touch.
    fn out_in(&self, at: usize) -> Vec<&Target> {
        let rows = self.table.rows.iter().filter(|row| row.group == at);
        let own = rows.filter(|row| row.is_out()).map(|row| row.target);
        own.chain(&self.run.groups[at].out_elsewhere).collect()
    }

    /// Whether a host of a group is waiting, and there is no capacity for it.
    pub(super) fn is_used_up(&self, at: usize, mut hosts: HostIds) -> bool {
        let waits = |row: &Row| row.waits() && !row.is_out();
        let (capacity, out) = (Capacity::of(&self.run.groups[at], 1), self.out_in(at));
        let has_no_room = |row: &Row| waits(row) && capacity.room(row.target, &out) == 0;
        self.run.room.is_taken && hosts.any(|host| has_no_room(self.table.row(host)))
    }

    pub(super) fn report_used_up(&mut self, at: usize) -> String {
        let group = &self.run.groups[at];
        let out = self.out_in(at);
        let (said, hosts) = (used_up(group, &out), out.into_iter().cloned().collect());
        let max_unavailable = group.resolved_max_unavailable().unwrap_or_default();
        self.report.event(&Event::CapacityUsedUp { group: group.name.clone(), max_unavailable, hosts });
        said
    }

    fn has_gates(&self, moment: Moment, at: Option<usize>) -> bool {
        let name = at.map_or("", |at| &self.run.groups[at].name);
        self.run.gates.iter().any(|gate| gate.scope.has(moment, name))
    }

    /// Evaluates the gates if there are any, or only soaks (R14). `at` is `None` for all groups together.
    fn watch(&mut self, moment: Moment, at: Option<usize>, label: &str, soak: Duration) -> Result<(), End> {
        let is_due = if moment == Moment::Soak { !soak.is_zero() } else { self.has_gates(moment, at) };
        if !is_due {
            return Ok(());
        }
        self.heed_interrupt()?;
        let is_meant = |row: &Row| at.is_none_or(|at| row.group == at);
        let those = |which: &dyn Fn(&Row) -> bool| -> Vec<Target> {
            self.table.rows.iter().filter(|row| which(row)).map(|row| row.target.clone()).collect()
        };
        let look = Look {
            moment,
            group: at.map(|at| self.run.groups[at].name.clone()).unwrap_or_default(),
            label: label.to_owned(),
            soak,
            hosts: HostsByRevision {
                new: those(&|row| is_meant(row) && row.is_ok()),
                old: those(&|row| is_meant(row) && row.waits()),
                elsewhere: those(&|row| !is_meant(row) && row.waits()),
            },
            earlier: Earlier::default(),
        };
        let looked = watch(&look, self.gates, self.operator, self.report);
        self.heed_interrupt()?;
        looked.map_err(End::Unwell)
    }

    /// Makes one call on the fleet, and updates the table.
    pub(super) fn call(
        &mut self,
        call: &Call,
        label: &str,
        hosts: Vec<HostId>,
        stops: bool,
        ended: impl FnMut(&mut Table<'a>, HostId, HostResult) -> (Outcome, Flow),
    ) -> Left {
        if hosts.is_empty() {
            return Left { hosts, stopped: false };
        }
        let task = |host: &HostId| Task { restore: self.table.row(*host).live(), ..Task::first(*host) };
        let tasks: Vec<Task> = hosts.iter().map(task).collect();
        let interrupts = Interrupts::of(self.operator, call.step, stops);
        relay(self.fleet, call, label, &tasks, self.report, &mut OneCall { table: &mut self.table, interrupts, ended })
    }
}

/// R4, R5: whether more hosts of a group have failed than the limit allows.
pub(super) fn exceeds(table: &Table, at: usize, group: &Group) -> bool {
    group.limit.exceeded_by(table.failed_in(at), group.targets.len())
}

/// Updates the table during one call.
struct OneCall<'t, 'a, 'o, 'p, F> {
    table: &'t mut Table<'a>,
    interrupts: Interrupts<'o, 'p>,
    ended: F,
}

impl<'a, F: FnMut(&mut Table<'a>, HostId, HostResult) -> (Outcome, Flow)> Observer for OneCall<'_, 'a, '_, '_, F> {
    fn target(&self, host: HostId) -> &Target {
        self.table.row(host).target
    }

    fn ended(&mut self, host: HostId, result: HostResult) -> (Outcome, Flow) {
        (self.ended)(self.table, host, result)
    }

    fn interrupted(&mut self, report: &mut dyn Reporter) -> bool {
        let stops = self.interrupts.stop();
        if stops && !std::mem::replace(&mut self.table.interrupted, true) {
            report.event(&Event::Interrupted);
        }
        stops
    }

    fn advice(&mut self) -> Option<String> {
        self.interrupts.advice()
    }

    fn aborts(&mut self) -> bool {
        self.table.aborted |= self.interrupts.abort();
        self.table.aborted
    }
}
