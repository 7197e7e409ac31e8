//! What stands around a command whose hosts are drained: every host is probed and held ahead of it, and let go of behind
//! it (R15). Without drains a host has no more than its one command.

use crate::deploy::{CONTACT_TIMEOUT, relay_remarks, twins};
use crate::fleet::{Call, Flow, HostId, Step, Task};
use crate::wire::{Fault, Stage};

use super::story::{Story, exceeds};
use super::table::Row;
use super::verdict::End;

impl Story<'_, '_> {
    /// Probes every host and takes its lock. Changes nothing on any host.
    pub(super) fn contact(&mut self) -> Result<(), End> {
        let run = self.run;
        let Some(drains) = &run.drains else { return self.judge_room() };
        let hosts = self.table.hosts().collect();
        let call = Call::contact(Step::Probe, run.batch, CONTACT_TIMEOUT);
        self.call(&call, "", hosts, true, |table, host, result| {
            (table.probed(host, result, &drains.run), Flow::Continue)
        });
        self.judge_contact()?;
        let fit = self.table.hosts().filter(|host| self.table.row(*host).waits()).collect();
        let call = Call::contact(Step::Hold, run.batch, CONTACT_TIMEOUT);
        self.call(&call, "", fit, true, |table, host, result| (table.let_in(host, result.outcome), Flow::Continue));
        self.judge_contact()
    }

    /// Before anything is touched: no interrupt, no foreign lock, no limit exceeded, room for somebody.
    fn judge_contact(&mut self) -> Result<(), End> {
        if self.heed_interrupt().is_err() {
            return Err(End::InterruptedUntouched);
        }
        let rows = &self.table.rows;
        if let Some((one, other)) = twins(rows.iter().map(|row| (row.target, row.facts.as_ref()))) {
            return Err(End::OneUnderTwoNames(one.clone(), other.clone()));
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

    /// Before anything is touched: room for a host of each group (R13).
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

    /// Asks the hosts that are drained to go back into service if they are healthy. It decides nothing, and nothing cuts
    /// it short.
    pub(super) fn undrain(&mut self) {
        let run = self.run;
        let Some(drains) = &run.drains else { return };
        for (at, group) in run.groups.iter().enumerate() {
            let is_left = |row: &Row| (row.drained().is_some() && !row.refused) || row.may_be_drained();
            let left = self.table.hosts().filter(|host| {
                let row = self.table.row(*host);
                row.group == at && is_left(row)
            });
            let left = left.collect();
            let step = Step::Run(Stage::Undrain);
            let call = Call { group: group.name.clone(), ..Call::contact(step, run.batch, drains.timeout) };
            self.call(&call, &group.name, left, false, |table, host, result| {
                (table.undrained(host, result), Flow::Continue)
            });
        }
    }

    /// Lets go of every lock and session.
    pub(super) fn close(&mut self) {
        let reached = self.table.hosts().filter(|host| self.table.row(*host).facts.is_some());
        let tasks: Vec<Task> = reached.map(Task::first).collect();
        if !tasks.is_empty() {
            let call = Call::contact(Step::Release, self.run.batch, CONTACT_TIMEOUT);
            let report = &mut *self.report;
            self.fleet.run(&call, &tasks, &mut |events| relay_remarks(events, call.step, report));
        }
    }
}
