//! The states of all hosts of a run. They change only here, by one table of legal transitions.

mod row;
mod state;
mod summary;

pub use row::{Failure, Row};
pub use state::HostState;

use crate::fleet::{HostId, HostResult};
use crate::report::HostRow;
use crate::targets::Target;
use crate::wire::{Facts, Fault, Outcome, Revision, Stage, State};

use super::plan::{GroupId, Plan};

/// All hosts, by [`HostId`].
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    /// For each group, how many hosts count against its limit.
    failed: Vec<usize>,
}

impl Table {
    pub fn new(plan: &Plan) -> Self {
        let row = |(group, target): (GroupId, &Target)| Row::new(group, target.clone());
        Table { rows: plan.targets().map(row).collect(), failed: vec![0; plan.groups.len()] }
    }

    pub fn row(&self, host: HostId) -> &Row {
        &self.rows[host.index()]
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What each host reported about itself.
    pub fn facts(&self) -> impl Iterator<Item = (&Target, Option<&Facts>)> {
        self.rows.iter().map(|row| (&row.target, row.facts.as_ref()))
    }

    /// How many hosts of a group count against its limit.
    pub fn failed_in(&self, group: GroupId) -> usize {
        self.failed[group.index()]
    }

    fn go(&mut self, host: HostId, next: HostState) {
        let row = &mut self.rows[host.index()];
        if !row.state.may_become(next) {
            let reason = format!("internal error: {} went from {:?} to {next:?}", row.target, row.state);
            debug_assert!(false, "{reason}");
            row.trouble = Some(Failure { stage: None, fault: Fault::failed(reason) });
        }
        row.state = next;
    }

    fn fail(&mut self, host: HostId, stage: Option<Stage>, fault: Fault, next: HostState) {
        self.go(host, next);
        let row = &mut self.rows[host.index()];
        self.failed[row.group.index()] += usize::from(!std::mem::replace(&mut row.failed, true));
        row.trouble = Some(Failure { stage, fault });
    }

    /// Records the probe's result. `unusable` says why a host that answered cannot be deployed to.
    pub fn probed(&mut self, host: HostId, result: HostResult, unusable: Option<Fault>) {
        if let Some(facts) = result.facts {
            let row = &mut self.rows[host.index()];
            row.read(facts.state.clone());
            row.facts = Some(facts);
        }
        match (result.outcome, unusable) {
            (Ok(()), None) => self.go(host, HostState::Ready),
            (Ok(()), Some(unusable)) => self.fail(host, None, unusable, HostState::Refused),
            (Err(fault), _) => self.no_contact(host, fault),
        }
    }

    /// Records the result of taking a host's lock.
    pub fn held(&mut self, host: HostId, outcome: Outcome) {
        if let Err(fault) = outcome {
            self.no_contact(host, fault);
        }
    }

    fn no_contact(&mut self, host: HostId, fault: Fault) {
        let next = if fault.is_out_of_reach() { HostState::Unreachable } else { HostState::Refused };
        self.fail(host, None, fault, next);
    }

    /// The number of the next attempt of a stage on a host.
    pub fn attempt(&self, host: HostId, stage: Stage) -> u32 {
        self.rows[host.index()].attempts[stage as usize]
    }

    /// Records that a stage starts on a host.
    pub fn started(&mut self, host: HostId, stage: Stage) {
        if stage == Stage::Undrain {
            self.rows[host.index()].attempts[stage as usize] += 1;
            return;
        }
        let row = &mut self.rows[host.index()];
        row.out = row.is_out() || row.goes_out_for(stage);
        self.go(host, HostState::Running(stage));
        let row = &mut self.rows[host.index()];
        row.attempts[stage as usize] += 1;
        row.touched_before = row.touched;
        row.touched |= stage != Stage::ConfigDiff;
    }

    /// Records the end of a stage on a host. `index` is the position of a primary stage in the plan.
    pub fn ended(&mut self, host: HostId, stage: Stage, index: usize, result: HostResult, plan: &Plan) {
        let row = &mut self.rows[host.index()];
        match &result.state {
            Some(state) => row.read(state.clone()),
            None if result.leaves_links_unknown(stage) => row.links = None,
            None => {}
        }
        // A stage may have succeeded before somebody else deployed.
        let to = result.state.as_ref().and_then(|state| row.foreign(state, plan).cloned());
        let outcome = to.map_or(result.outcome, |to| Err(Fault::MovedOn { to }));
        let outcome = match (outcome, stage) {
            (outcome @ (Ok(()) | Err(Fault::ChecksFailed { .. })), Stage::Rollback) => {
                self.verified_rollback(host, result.state.as_ref()).and(outcome)
            }
            (Ok(()), Stage::Finalize) => self.verified_finalize(result.state.as_ref(), plan),
            (outcome, _) => outcome,
        };
        match outcome {
            Ok(()) => self.ended_well(host, stage, index),
            Err(fault) => self.ended_badly(host, stage, index, fault, plan),
        }
    }

    /// Records that a host had rolled itself back when it was to be finalized. It has yet to pass the stage at `index`, which
    /// makes the revision live.
    pub fn went_back(&mut self, host: HostId, index: usize, result: HostResult) {
        let row = &mut self.rows[host.index()];
        if let Some(state) = result.state {
            row.read(state);
        }
        row.passed = index;
        self.go(host, HostState::Ready);
    }

    fn ended_well(&mut self, host: HostId, stage: Stage, index: usize) {
        let row = &mut self.rows[host.index()];
        row.out &= !stage.restarts();
        match stage {
            Stage::Rollback => {
                let is_back = row.restore().is_some() || row.occupant_is_back();
                let next = if is_back { HostState::RolledBack } else { HostState::Left };
                self.go(host, next);
            }
            Stage::Finalize => self.go(host, HostState::Finalized),
            _ => {
                row.passed = index + 1;
                self.failed[row.group.index()] -= usize::from(std::mem::take(&mut row.failed));
                row.trouble = None;
                self.go(host, HostState::Ready);
            }
        }
    }

    fn ended_badly(&mut self, host: HostId, stage: Stage, index: usize, fault: Fault, plan: &Plan) {
        use HostState::*;
        let row = &mut self.rows[host.index()];
        row.out |= fault.is_out_of_reach();
        // Nobody renews its lease any more, so it may have gone back by now, even if this stage did not begin.
        let may_be_back = fault.is_out_of_reach() && row.may_go_back(plan);
        if may_be_back {
            row.links = None;
        }
        // Nothing was done without a session, or if somebody else's revision was found.
        if matches!(fault, Fault::Unreachable { .. } | Fault::MovedOn { .. }) {
            row.touched = row.touched_before;
        }
        let next = match (stage, &fault) {
            (_, Fault::MovedOn { to }) => {
                row.found(to);
                row.out = false;
                MovedOn
            }
            (Stage::Rollback, Fault::ChecksFailed { .. }) if row.restore().is_some() => Unwell,
            (Stage::Rollback, Fault::Unreachable { .. }) if row.links.is_some() => Unreachable,
            (Stage::Rollback, Fault::Unreachable { .. } | Fault::Lost { .. }) => Unknown,
            (Stage::Rollback, _) => RollbackFailed,
            (Stage::Finalize, _) if may_be_back => Unknown,
            (Stage::Finalize, _) => FinalizeFailed,
            (_, fault) => {
                row.passed = index;
                match fault {
                    _ if may_be_back => Unknown,
                    Fault::Unreachable { .. } => Unreachable,
                    Fault::Lost { .. } => Unknown,
                    _ => Failed,
                }
            }
        };
        self.fail(host, Some(stage), fault, next);
    }

    /// Records the end of a rollback. It counts only if the host, read back, is in the state that the probe saw.
    fn verified_rollback(&self, host: HostId, state: Option<&State>) -> Outcome {
        let row = &self.rows[host.index()];
        let Some(before) = row.facts.as_ref().map(|facts| &facts.state) else { return Ok(()) };
        if let (Some(occupant), Some(state)) = (&before.occupant, state)
            && state.occupant != before.occupant
        {
            let (path, what) = (occupant.path.display(), &occupant.what);
            return Err(Fault::failed(format!("{path} is not {what} again after the rollback")));
        }
        let Some(wanted) = row.restore() else { return Ok(()) };
        let name = |revision: &Option<Revision>| revision.as_ref().map_or("nothing".to_owned(), |it| it.short().into());
        let reason = match state {
            None => "the host did not report its revision after the rollback".to_owned(),
            // If nothing was live, the finalized revision may be live now.
            Some(state) if state.current != before.current && state.current.as_ref() != Some(&wanted) => {
                let was = name(&before.current);
                format!("current is {} after the rollback, but {was} was live before", name(&state.current))
            }
            Some(state) if state.done != before.done => {
                format!(".done is {} after the rollback, not {}", name(&state.done), name(&before.done))
            }
            // A link that was wrong at the probe was not changed by this run.
            Some(state) => match state.stray_links.iter().find(|link| !before.stray_links.contains(link)) {
                Some(link) => format!("{link} does not point into {} after the rollback", wanted.short()),
                None => return Ok(()),
            },
        };
        Err(Fault::failed(reason))
    }

    /// Records that a host was read again at the end of the run, and whether somebody else has deployed there since.
    pub fn read_again(&mut self, host: HostId, result: HostResult, plan: &Plan) {
        let state = result.facts.map(|facts| facts.state).or(result.state);
        let row = &mut self.rows[host.index()];
        let to = match (result.outcome, &state) {
            (Err(Fault::MovedOn { to }), _) => Some(to),
            (Ok(()), Some(state)) => row.foreign(state, plan).cloned(),
            (Ok(()), None) => return,
            (Err(fault), _) => return self.not_read_again(host, fault, plan),
        };
        if let Some(state) = state {
            row.read(state);
        }
        if let Some(to) = to {
            row.found(&to);
            self.fail(host, None, Fault::MovedOn { to }, HostState::MovedOn);
        }
    }

    /// Records that a host could not be read again. What it runs is what was read of it before, unless its lease may have
    /// run out since.
    fn not_read_again(&mut self, host: HostId, fault: Fault, plan: &Plan) {
        use HostState::*;
        let row = &mut self.rows[host.index()];
        if row.is_on_lease(plan) && !matches!(row.state, Unknown | Unreachable) {
            row.links = None;
            let before = row.trouble.take();
            self.fail(host, None, fault.clone(), Unknown);
            let row = &mut self.rows[host.index()];
            row.trouble = before.or_else(|| row.trouble.take());
        }
        self.rows[host.index()].unread = Some(fault);
    }

    /// Records the result for a host that was asked to go back into service. Its state in the run does not change.
    pub fn undrained(&mut self, host: HostId, result: HostResult) {
        if let Some(state) = result.state {
            self.rows[host.index()].read(state);
        }
    }

    /// Records the end of finalize. It counts only if the host's `.done`, read back, names the deployed revision.
    fn verified_finalize(&self, state: Option<&State>, plan: &Plan) -> Outcome {
        match state {
            Some(state) if state.done.as_ref() == Some(&plan.revision) => Ok(()),
            _ => Err(Fault::failed(format!(".done does not name {}", plan.revision.short()))),
        }
    }

    /// Records that a host is not rolled back, since that would take more hosts out of service than allowed.
    pub fn no_room(&mut self, host: HostId, why: &str) {
        self.rows[host.index()].trouble = Some(Failure { stage: Some(Stage::Rollback), fault: Fault::failed(why) });
    }

    /// The final table, in the order of the plan: every target once, each with a named state.
    pub fn report(&self, plan: &Plan) -> Vec<HostRow> {
        self.rows.iter().map(|row| row.summary(plan)).collect()
    }
}
