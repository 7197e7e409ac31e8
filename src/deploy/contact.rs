//! The beginning of a deployment: every host is probed and locked before anything is touched.

use crate::fleet::{Flow, Step};
use crate::report::Event;
use crate::wire::{Fault, Level};

use super::calls::contact_call;
use super::plan::{GroupId, Kind};
use super::probe::{find_duplicate, unusable, warnings};
use super::story::Deployment;
use super::table::{HostState, Row};
use super::verdict::End;

impl Deployment<'_> {
    /// Probes every host, rejects those that cannot be deployed to, and takes the locks. Changes nothing on any host,
    /// except that a host that an earlier run left drained may go back into service.
    pub(super) fn contact(&mut self) -> Result<(), End> {
        self.probe();
        self.judge_contact()?;
        if self.plan.kind == Kind::DryRun {
            return self.judge_room();
        }
        self.hold();
        self.judge_contact()?;
        // R15: first, hosts that an earlier run left drained get a chance to go back into service, since they use
        // capacity.
        if self.lacks_room().is_some() {
            self.undrain();
        }
        self.judge_room()
    }

    fn probe(&mut self) {
        let plan = self.plan;
        let everyone = plan.hosts().collect();
        let call = contact_call(plan, Step::Probe);
        self.run_step(&call, "", everyone, |table, host, result| {
            let group = table.row(host).group;
            let unusable = result.facts.as_ref().and_then(|facts| unusable(facts, plan, group));
            table.probed(host, result, unusable);
            Flow::Continue
        });
        for warning in warnings(self.table.rows(), plan) {
            self.report.event(&Event::note(Level::Warning, warning));
        }
    }

    fn hold(&mut self) {
        let call = contact_call(self.plan, Step::Hold);
        let ready = self.hosts_in(self.plan.hosts(), HostState::Ready);
        self.run_step(&call, "", ready, |table, host, result| {
            table.held(host, result.outcome);
            Flow::Continue
        });
    }

    /// Checks before anything is touched: foreign locks, failure limits, whether there is a host to deploy to
    /// and one for each step, interrupts.
    fn judge_contact(&mut self) -> Result<(), End> {
        if self.operator.interrupted() {
            self.report.event(&Event::Interrupted);
            return Err(End::InterruptedUntouched);
        }
        let locked =
            |row: &&Row| row.trouble.as_ref().is_some_and(|trouble| matches!(trouble.fault, Fault::Locked { .. }));
        if find_duplicate(self.table.facts()).is_some() {
            return Err(End::DuplicateHost);
        }
        if self.table.rows().iter().find(locked).is_some() {
            return Err(End::Locked);
        }
        for group in self.plan.group_ids() {
            if self.exceeded(group) {
                self.report_limit(group);
                return Err(End::LimitUntouched);
            }
        }
        if self.hosts_in(self.plan.hosts(), HostState::Ready).is_empty() {
            return Err(End::NoUsableHost);
        }
        if let Some(why) = self.step_without_host() {
            self.why = Some(why);
            return Err(End::StepUntouched);
        }
        Ok(())
    }

    /// A group in which hosts wait to be deployed to, but none may go out of service.
    fn lacks_room(&self) -> Option<GroupId> {
        self.plan.group_ids().find(|group| self.is_used_up(*group))
    }

    fn judge_room(&mut self) -> Result<(), End> {
        let Some(group) = self.lacks_room() else { return Ok(()) };
        self.why = Some(self.report_used_up(group));
        Err(End::UsedUpUntouched)
    }
}
