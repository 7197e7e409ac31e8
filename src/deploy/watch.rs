//! R14: between subgroups and groups the run soaks and evaluates the gates.

use std::time::Duration;

use crate::fleet::{Flow, HostId};
use crate::gates::HostsByRevision;
use crate::report::{Event, Reporter};
use crate::targets::Target;

use super::health::{Earlier, GateEvent, Gates, Health, Look, Moment, Unwell};
use super::operator::{Answer, Operator, Question, ask};
use super::plan::GroupId;
use super::story::{Deployment, Halt};

impl Deployment<'_> {
    /// After the stages of a subgroup: its gates, then its soak.
    pub(super) fn watch_subgroup(&mut self, group: GroupId, label: &str) -> Result<(), Halt> {
        let soak = self.plan.group(group).soak_time;
        self.watch(Moment::Subgroup, Some(group), label, Duration::ZERO)?;
        self.watch(Moment::Soak, Some(group), label, soak)
    }

    /// After a group: its gates, then its soak.
    pub(super) fn watch_group(&mut self, group: GroupId) -> Result<(), Halt> {
        let (name, soak) = (&self.plan.group(group).name, self.plan.group(group).group_soak_time);
        self.watch(Moment::Group, Some(group), name, Duration::ZERO)?;
        self.watch(Moment::Soak, Some(group), name, soak)
    }

    /// Evaluates the gates and soaks, if there is anything to do: a pass goes on, a failure halts the run, and an
    /// inconclusive result is for the operator to decide. `group` is `None` for all groups together.
    pub(super) fn watch(
        &mut self,
        moment: Moment,
        group: Option<GroupId>,
        label: &str,
        soak: Duration,
    ) -> Result<(), Halt> {
        let plan = self.plan;
        let soaks = moment == Moment::Soak;
        let is_due = if soaks { soak > Duration::ZERO } else { plan.has_gates(moment, group) };
        if !plan.is_watched() || !is_due {
            return Ok(());
        }
        self.heed_interrupt()?;
        let look = self.look_of(moment, group, label, soak);
        let Deployment { gates, operator, report, .. } = self;
        let looked = watch(&look, *gates, *operator, *report);
        self.heed_interrupt()?;
        looked.map_err(Halt::Gate)
    }

    fn look_of(&self, moment: Moment, group: Option<GroupId>, label: &str, soak: Duration) -> Look {
        let plan = self.plan;
        let is_meant = |host: HostId| group.is_none_or(|group| self.table.row(host).group == group);
        let those = |which: &dyn Fn(HostId) -> bool| -> Vec<Target> {
            plan.hosts().filter(|host| which(*host)).map(|host| self.table.row(host).target.clone()).collect()
        };
        let is_new = |host| self.table.row(host).is_complete(plan) || self.table.row(host).has_it_already(plan);
        let is_old = |host| self.table.row(host).is_as_before() && !is_new(host);
        Look {
            moment,
            group: group.map(|group| plan.group(group).name.clone()).unwrap_or_default(),
            label: label.to_owned(),
            soak,
            hosts: HostsByRevision {
                new: those(&|host| is_meant(host) && is_new(host)),
                old: those(&|host| is_meant(host) && is_old(host)),
                elsewhere: those(&|host| !is_meant(host) && is_old(host)),
            },
            earlier: Earlier::default(),
        }
    }
}

/// Observes the service and reports the results. An inconclusive result is for the operator to decide. An interrupt
/// ends the look at once, without a result.
pub fn watch(
    look: &Look,
    gates: &mut dyn Gates,
    operator: &mut dyn Operator,
    report: &mut dyn Reporter,
) -> Result<(), Unwell> {
    let (moment, group, label) = (look.moment, look.group.clone(), look.label.clone());
    let mut left = look.soak;
    let soaks = moment == Moment::Soak;
    if soaks {
        let seconds = left.as_secs();
        report.event(&Event::SoakStarted { group: group.clone(), label: label.clone(), seconds });
    }
    let health = look_on(look, &mut left, gates, operator, report);
    if soaks {
        report.event(&Event::SoakEnded { group: group.clone(), label, left_seconds: left.as_secs() });
    }
    if operator.interrupted() {
        return Ok(());
    }
    let unwell = match health {
        Health::Pass => return Ok(()),
        Health::Fail { gate, reason } => Unwell { gate, reason, inconclusive: false },
        Health::Inconclusive { gate, reason } => {
            let question = Question::Inconclusive { gate: gate.clone(), reason: reason.clone() };
            if ask(operator, report, &question) != Answer::No || operator.interrupted() {
                return Ok(());
            }
            Unwell { gate, reason, inconclusive: true }
        }
    };
    let Unwell { gate, reason, inconclusive } = unwell.clone();
    report.event(&Event::GateFailed { gate, moment, group, reason, inconclusive });
    Err(unwell)
}

fn look_on(
    look: &Look,
    left: &mut Duration,
    gates: &mut dyn Gates,
    operator: &mut dyn Operator,
    report: &mut dyn Reporter,
) -> Health {
    gates.look(look, &mut |events| {
        if events.is_empty() {
            report.tick();
        }
        for event in events {
            let (group, label) = (look.group.clone(), look.label.clone());
            report.event(&match event {
                GateEvent::Sample(sample) => Event::Gate { moment: look.moment, group, label, sample },
                GateEvent::Left(now) => {
                    *left = now;
                    let (left, soak) = (now.as_secs_f64().ceil() as u64, look.soak.as_secs());
                    Event::Soaking { group, label, left_seconds: left, soak_seconds: soak }
                }
            });
        }
        report.flush();
        if operator.interrupted() { Flow::Stop } else { Flow::Continue }
    })
}
