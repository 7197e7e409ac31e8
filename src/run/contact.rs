//! The steps around a command whose hosts are drained: every host is probed and locked before it, and released after it
//! (R15). Without drains, a host only runs the command.

use crate::deploy::{CONTACT_TIMEOUT, find_duplicate, relay_remarks};
use crate::fleet::{Call, Flow, HostId, Step, Task};
use crate::wire::{Fault, Stage};

use super::story::{Story, exceeds};
use super::table::Row;
use super::verdict::End;

impl Story<'_, '_> {
    /// Probes every host and takes its lock. Changes nothing on any host.
    pub(super) fn contact(&mut self) -> Result<(), End> {
        let run = self.run;
        let Some(drains) = &run.room.drains else { return self.judge_room() };
        let hosts = self.table.hosts().collect();
        let call = Call::contact(Step::Probe, run.stage.batch, CONTACT_TIMEOUT);
        self.call(&call, "", hosts, true, |table, host, result| {
            (table.probed(host, result, &drains.run), Flow::Continue)
        });
        self.judge_contact()?;
        let fit = self.table.hosts().filter(|host| self.table.row(*host).waits()).collect();
        let call = Call::contact(Step::Hold, run.stage.batch, CONTACT_TIMEOUT);
        self.call(&call, "", fit, true, |table, host, result| (table.admit(host, result.outcome), Flow::Continue));
        self.judge_contact()
    }

    /// Checks before anything is touched: interrupts, foreign locks, failure limits, capacity.
    fn judge_contact(&mut self) -> Result<(), End> {
        if self.heed_interrupt().is_err() {
            return Err(End::InterruptedUntouched);
        }
        let rows = &self.table.rows;
        if let Some((one, other)) = find_duplicate(rows.iter().map(|row| (row.target, row.facts.as_ref()))) {
            return Err(End::DuplicateHost(Box::new((one.clone(), other.clone()))));
        }
        if rows.iter().any(|row| matches!(row.outcome, Some(Err(Fault::Locked { .. })))) {
            return Err(End::Locked);
        }
        for (at, group) in self.run.groups.iter().enumerate() {
            if exceeds(&self.table, at, group) {
                self.report_limit(at);
                return Err(End::LimitUntouched(at));
            }
        }
        self.judge_room()
    }

    /// Checks before anything is touched that each group has capacity for a host (R13).
    fn judge_room(&mut self) -> Result<(), End> {
        let mut hosts = HostId::first(0);
        for (at, group) in self.run.groups.iter().enumerate() {
            hosts = hosts.next_after(group.targets.len());
            if self.is_used_up(at, hosts.clone()) {
                return Err(End::UsedUpUntouched(self.report_used_up(at)));
            }
        }
        Ok(())
    }

    /// Asks drained hosts to go back into service if they are healthy. This does not affect the verdict, and neither
    /// failures nor interrupts cut it short.
    pub(super) fn undrain(&mut self) {
        let run = self.run;
        let Some(drains) = &run.room.drains else { return };
        for (at, group) in run.groups.iter().enumerate() {
            let is_left = |row: &Row| (row.drained().is_some() && !row.refused) || row.may_be_drained();
            let left = self.table.hosts().filter(|host| {
                let row = self.table.row(*host);
                row.group == at && is_left(row)
            });
            let left = left.collect();
            let step = Step::Run(Stage::Undrain);
            let call = Call { group: group.name.clone(), ..Call::contact(step, run.stage.batch, drains.timeout) };
            self.call(&call, &group.name, left, false, |table, host, result| {
                (table.undrained(host, result), Flow::Continue)
            });
        }
    }

    /// Releases every lock and session.
    pub(super) fn close(&mut self) {
        let reached = self.table.hosts().filter(|host| self.table.row(*host).facts.is_some());
        let tasks: Vec<Task> = reached.map(Task::first).collect();
        if !tasks.is_empty() {
            let call = Call::contact(Step::Release, self.run.stage.batch, CONTACT_TIMEOUT);
            let report = &mut *self.report;
            self.fleet.run(&call, &tasks, &mut |events| relay_remarks(events, call.step, report));
        }
    }
}
