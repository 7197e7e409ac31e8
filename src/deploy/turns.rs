//! R13: the hosts of a step take turns, so that no more of their group are out of service than allowed.

use crate::fleet::{Call, Flow, HostId, HostResult, Step};
use crate::report::Event;
use crate::targets::Target;

use super::capacity;
use super::capacity::{Admitted, Capacity};
use super::plan::GroupId;
use super::relay::Left;
use super::story::Deployment;
use super::table::{HostState, Row, Table};

impl Deployment<'_> {
    /// Runs a step on hosts of one group. Hosts that do not go out of service for it, or already are, go first and use
    /// no room. Of the others, as many run at a time as there is room for; a host that failed keeps using its room.
    /// Returns the hosts for which there was no room.
    pub(super) fn take_turns(
        &mut self,
        call: &Call,
        group: GroupId,
        (label, hosts): (&str, Vec<HostId>),
        capacity: Capacity<'_>,
        interruptible: bool,
        mut ended: impl FnMut(&mut Table, HostId, HostResult) -> Flow,
    ) -> Vec<HostId> {
        let goes_out = |row: &Row| matches!(call.step, Step::Run(stage) if row.goes_out_for(stage));
        let (waiting, free) = hosts.into_iter().partition(|host| goes_out(self.table.row(*host)));
        in_turns(
            self,
            call,
            (free, waiting),
            |story, waiting| capacity.admit(waiting, |host| &story.table.row(host).target, &story.out_in(group)),
            |story, call, hosts| story.run_call(call, label, hosts, interruptible, &mut ended),
        )
    }

    /// The hosts of a group that are out of service, including those that this run does not touch.
    pub(super) fn out_in(&self, group: GroupId) -> Vec<&Target> {
        let rows = self.plan.hosts_of(group).map(|host| self.table.row(host));
        let own = rows.filter(|row| row.is_out()).map(|row| &row.target);
        own.chain(&self.plan.group(group).out_elsewhere).collect()
    }

    /// Whether a host of a group is waiting, and there is no room for it, or for any other of its part of the group.
    pub(super) fn is_used_up(&self, group: GroupId) -> bool {
        let plan = self.plan;
        let waits = |row: &Row| row.state() == HostState::Ready && row.passed < plan.stages.len() && !row.is_out();
        let (capacity, out) = (Capacity::of(plan.group(group), 1), self.out_in(group));
        let mut waiting = plan.hosts_of(group).map(|host| self.table.row(host)).filter(|row| waits(row));
        plan.restarts() && waiting.any(|row| capacity.room(&row.target, &out) == 0)
    }

    /// Reports that there is no room left, and returns the message.
    pub(super) fn report_used_up(&mut self, group: GroupId) -> String {
        let head = self.plan.group(group);
        let out = self.out_in(group);
        let (said, hosts) = (capacity::used_up(head, &out), out.into_iter().cloned().collect());
        let most = head.resolved_max_unavailable().unwrap_or_default();
        self.report.event(&Event::CapacityUsedUp { group: head.name.clone(), max_unavailable: most, hosts });
        said
    }
}

/// Makes a call on hosts: first on those that need no room, then on those that go out of service for it, as many at a
/// time as `admit` has room for. After a call was stopped, no further host begins. Returns the hosts for which there was
/// no room.
pub fn in_turns<S>(
    story: &mut S,
    call: &Call,
    (free, mut waiting): (Vec<HostId>, Vec<HostId>),
    admit: impl Fn(&S, &[HostId]) -> Admitted<HostId>,
    mut make: impl FnMut(&mut S, &Call, Vec<HostId>) -> Left,
) -> Vec<HostId> {
    if make(story, call, free).stopped {
        return Vec::new();
    }
    while !waiting.is_empty() {
        let Admitted { now, room, later } = admit(story, &waiting);
        if room == 0 {
            break;
        }
        let call = Call { batch: call.batch.min(room), room: Some(room), ..call.clone() };
        let left = make(story, &call, now);
        if left.stopped {
            return Vec::new();
        }
        waiting = left.hosts;
        if !later.is_empty() {
            waiting.extend(later);
            waiting.sort_unstable();
        }
    }
    waiting
}
