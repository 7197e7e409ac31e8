//! The state of each host of a command.

use crate::deploy::held_by_others;
use crate::fleet::{HostId, HostIds, HostResult};
use crate::report::{HostRow, RowState};
use crate::targets::Target;
use crate::wire::{Drained, Facts, Fault, Outcome, Revision, RunId, State};

use super::CommandRun;

/// One host.
pub struct Row<'a> {
    /// The index of its group.
    pub group: usize,
    pub target: &'a Target,
    /// `None`: the command has not begun there, and may.
    pub outcome: Option<Outcome>,
    /// It was refused because of its probe.
    pub refused: bool,
    /// The result of its probe; `None`: there was none.
    pub facts: Option<Facts>,
    /// Its last known state.
    pub state: Option<State>,
    /// It is known to be out of service, independently of this run.
    out: bool,
}

/// All hosts, by [`HostId`].
pub struct Table<'a> {
    pub rows: Vec<Row<'a>>,
    /// For each group, how many hosts count against its limit.
    failed: Vec<usize>,
    pub interrupted: bool,
    /// The operator has stopped waiting for the hosts at work.
    pub aborted: bool,
}

impl<'a> Table<'a> {
    pub fn new(run: &'a CommandRun) -> Table<'a> {
        let targets =
            run.groups.iter().enumerate().flat_map(|(at, group)| group.targets.iter().map(move |it| (at, it)));
        let row = |(group, target): (usize, &'a Target)| {
            let out = run.room.out.contains(target);
            Row { group, target, outcome: None, refused: false, facts: None, state: None, out }
        };
        let (interrupted, aborted) = (false, false);
        Table { rows: targets.map(row).collect(), failed: vec![0; run.groups.len()], interrupted, aborted }
    }

    pub fn row(&self, host: HostId) -> &Row<'a> {
        &self.rows[host.index()]
    }

    pub fn hosts(&self) -> HostIds {
        HostId::first(self.rows.len())
    }

    /// R5: how many hosts of a group count against its limit.
    pub fn failed_in(&self, group: usize) -> usize {
        self.failed[group]
    }

    fn end(&mut self, host: HostId, outcome: Outcome) {
        let row = &mut self.rows[host.index()];
        let was = row.outcome.as_ref().is_some_and(Result::is_err);
        self.failed[row.group] += usize::from(outcome.is_err() && !was);
        row.outcome = Some(outcome);
    }

    /// Records the end of a host's probe.
    pub fn probed(&mut self, host: HostId, result: HostResult, run: &RunId) -> Outcome {
        let row = &mut self.rows[host.index()];
        let unfit = result.facts.as_ref().and_then(|facts| held_by_others(facts, run));
        row.state = result.facts.as_ref().map(|facts| facts.state.clone());
        row.facts = result.facts;
        self.admit(host, result.outcome.and(unfit.map_or(Ok(()), Err)))
    }

    /// Records whether the run may work on a host, after its probe or its lock.
    pub fn admit(&mut self, host: HostId, outcome: Outcome) -> Outcome {
        if outcome.is_err() {
            self.rows[host.index()].refused = true;
            self.end(host, outcome.clone());
        }
        outcome
    }

    /// Records the end of the command on a host.
    pub fn ended(&mut self, host: HostId, result: HostResult) -> Outcome {
        let row = &mut self.rows[host.index()];
        // If the login failed, the result of the probe still holds. If the connection was lost, the state is unknown.
        let not_begun = result.is_unreachable();
        row.state = result.state.or_else(|| row.state.take().filter(|_| not_begun));
        self.end(host, result.outcome.clone());
        result.outcome
    }

    /// Records the result for a host that was asked to go back into service.
    pub fn undrained(&mut self, host: HostId, result: HostResult) -> Outcome {
        let row = &mut self.rows[host.index()];
        row.state = result.state.or(row.state.take());
        result.outcome
    }
}

impl Row<'_> {
    /// Whether the command has still to be run there.
    pub fn waits(&self) -> bool {
        self.outcome.is_none()
    }

    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Some(Ok(())))
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Some(Err(_)))
    }

    /// R13: whether the host is out of service, as far as is known. A host that was refused is still in service.
    pub fn is_out(&self) -> bool {
        let failed = |fault: &Fault| !self.refused || fault.is_out_of_reach();
        let has_failed = self.outcome.as_ref().is_some_and(|outcome| outcome.as_ref().is_err_and(failed));
        self.out || has_failed || self.drained().is_some()
    }

    /// How the host is drained, as last read from it.
    pub fn drained(&self) -> Option<&Drained> {
        self.state.as_ref()?.drained.as_deref()
    }

    /// Whether it may be drained: the connection was lost during the command, and its state was not read since.
    pub fn may_be_drained(&self) -> bool {
        self.facts.is_some() && self.state.is_none()
    }

    /// The revision that was live at the probe.
    pub fn live(&self) -> Option<Revision> {
        self.facts.as_ref()?.state.current.clone()
    }

    /// The row of the summary.
    pub fn report(&self, run: &CommandRun) -> HostRow {
        let (state, reason) = match &self.outcome {
            None => (RowState::NotAttempted, None),
            Some(Ok(())) => (RowState::Ok, None),
            Some(Err(fault)) => match fault {
                Fault::Failed { reason, .. } if self.refused => (RowState::Refused, Some(reason.clone())),
                Fault::Failed { reason, .. } | Fault::ChecksFailed { reason } | Fault::CacheBroken { reason } => {
                    (RowState::Failed, Some(reason.clone()))
                }
                Fault::Killed { signal } => (RowState::Killed, Some(format!("signal {signal}"))),
                Fault::TimedOut { seconds } => (RowState::TimedOut, Some(format!("after {seconds} s"))),
                Fault::Unreachable { reason } => (RowState::Unreachable, Some(reason.clone())),
                Fault::Lost { reason } => (RowState::Lost, Some(reason.clone())),
                Fault::Locked { .. } if self.refused => (RowState::Refused, Some(fault.to_string())),
                Fault::Locked { .. } | Fault::MovedOn { .. } => (RowState::Failed, Some(fault.to_string())),
            },
        };
        let drained = match self.may_be_drained() {
            true => Some("it is not known whether it is drained".to_owned()),
            // The failure gives the reason.
            false if self.has_failed() => self.drained().map(Drained::time),
            false => self.drained().map(Drained::to_string),
        };
        let reasons: Vec<String> = reason.into_iter().chain(drained).collect();
        HostRow {
            host: self.target.clone(),
            group: run.groups[self.group].name.clone(),
            state,
            stage: None,
            ok: self.is_ok() && self.drained().is_none(),
            current: None,
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            cause: None,
        }
    }
}
