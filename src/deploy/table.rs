//! Where every host of a run is. States change here and nowhere else, by one table of legal moves.

use crate::fleet::{HostId, HostResult, Outcome};
use crate::report::HostRow;
use crate::targets::Target;
use crate::wire::{Facts, Revision, Stage, State};

use super::Plan;

/// Where a host is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// Not probed yet.
    Waiting,
    /// Could not be reached, or not any more; what it did last is known.
    Unreachable,
    /// Reached, and not fit to be deployed to: nothing was done there.
    Refused,
    /// Fit for its next stage.
    Ready,
    Running(Stage),
    /// A primary stage failed.
    Failed,
    /// Lost in the middle of a stage and not found again: what it runs is not known.
    Unknown,
    Finalized,
    FinalizeFailed,
    /// Back on what it ran before, read back and verified.
    RolledBack,
    RollbackFailed,
    /// Back on what it ran before, read back; a check of that revision's own fails there.
    Unwell,
    /// Had nothing to go back to.
    Left,
    /// Runs what somebody else has deployed since the run began: left as it is.
    MovedOn,
}

impl HostState {
    /// The table of legal moves.
    fn may_become(self, next: HostState) -> bool {
        use HostState::*;
        match (self, next) {
            (Waiting, Unreachable | Refused | Ready) => true,
            // Between the probe and its first stage a host can still be locked by another run, or go away.
            (Ready, Unreachable | Refused | Running(_)) => true,
            // A retry, or a rollback.
            (Failed, Running(stage)) => stage != Stage::Finalize,
            // What was lost may have come back by the time of the rollback; what was finalized is taken back when the run
            // is interrupted before the last host was.
            (Unknown | Unreachable | Finalized | FinalizeFailed, Running(stage)) => stage == Stage::Rollback,
            // Found at a stage, or when the host was read again at the end of a run that was resumed.
            (Waiting | Refused, MovedOn) => false,
            (_, MovedOn) => true,
            (Running(Stage::Finalize), next) => matches!(next, Finalized | FinalizeFailed),
            (Running(Stage::Rollback), next) => {
                matches!(next, RolledBack | RollbackFailed | Unwell | Left | Unknown | Unreachable)
            }
            (Running(_), next) => matches!(next, Ready | Failed | Unknown | Unreachable),
            _ => false,
        }
    }
}

/// What went wrong on a host, first things first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `None`: at the probe, or at locking.
    pub stage: Option<Stage>,
    pub outcome: Outcome,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.stage {
            Some(stage) => write!(f, "{stage}: {}", self.outcome),
            None => write!(f, "{}", self.outcome),
        }
    }
}

/// One host.
#[derive(Debug, Clone)]
pub struct Row {
    pub target: Target,
    /// Index in the plan.
    pub group: usize,
    state: HostState,
    /// Primary stages that it has passed.
    pub passed: usize,
    /// Whether any stage was started on it: it may have been changed.
    pub touched: bool,
    /// [`Row::touched`] before the stage that is running.
    touched_before: bool,
    /// Whether it counts against its group's limit.
    pub failed: bool,
    /// Tries of each stage so far, so that every try has a number of its own.
    attempts: [u32; Stage::ALL.len()],
    pub facts: Option<Facts>,
    /// The live revision, as last read from the host; the outer `None`: not known.
    pub current: Option<Option<Revision>>,
    /// What `.done` named when it was last read.
    done: Option<Revision>,
    pub trouble: Option<Failure>,
}

impl Row {
    pub fn state(&self) -> HostState {
        self.state
    }

    /// What a rollback goes back to: what the probe saw live, finalized or not. A host without anything live goes back to
    /// what was finalized there, if its tree is left.
    pub fn restore(&self) -> Option<Revision> {
        let state = &self.facts.as_ref()?.state;
        state.current.clone().or_else(|| state.done.clone())
    }

    fn nothing_was_live(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.state.current.is_none())
    }

    /// Whether the host, as last read, names the same revisions as at the probe.
    pub fn as_it_was(&self) -> bool {
        match (&self.facts, &self.current) {
            (Some(facts), Some(current)) => facts.state.current == *current && facts.state.done == self.done,
            (None, _) => true,
            _ => false,
        }
    }

    /// Whether a promote was started on the host.
    pub fn was_promoted(&self) -> bool {
        self.attempts[Stage::Promote as usize] > 0
    }

    /// Whether a rollback was started on the host.
    pub fn rollback_was_tried(&self) -> bool {
        self.attempts[Stage::Rollback as usize] > 0
    }

    /// Takes over what the host said of its links.
    fn read(&mut self, state: &State) {
        self.current = Some(state.current.clone());
        self.done = state.done.clone();
    }

    /// The live revision, when neither it nor what is finalized is what the host had at the probe, or what is deployed.
    fn foreign<'a>(&self, state: &'a State, plan: &Plan) -> Option<&'a Revision> {
        let before = &self.facts.as_ref()?.state;
        let ours = [Some(&plan.revision), before.current.as_ref(), before.done.as_ref()];
        let foreign = |found: &Option<Revision>| found.is_some() && !ours.contains(&found.as_ref());
        state.current.as_ref().filter(|_| foreign(&state.current) && foreign(&state.done))
    }

    /// Whether the host may be live on what nobody is going to confirm, and so goes back by itself.
    fn is_on_lease(&self, plan: &Plan) -> bool {
        use HostState::*;
        let open = matches!(self.state, Unreachable | Failed | Unknown | FinalizeFailed | RollbackFailed | Ready);
        let back = self.facts.as_ref().is_some_and(|facts| self.current.as_ref() == Some(&facts.state.current));
        let restorable = self.restore().is_some_and(|restore| restore != plan.revision);
        plan.confirm_timeout > std::time::Duration::ZERO && self.was_promoted() && open && !back && restorable
    }

    /// Whether the host can be tried again: it answered, and said that it failed.
    pub fn can_be_retried(&self) -> bool {
        self.state == HostState::Failed
    }
}

/// All hosts, by [`HostId`].
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    /// By group: the hosts that count against its limit.
    failed: Vec<usize>,
}

impl Table {
    pub fn new(plan: &Plan) -> Self {
        let row = |(group, target): (usize, &Target)| Row {
            target: target.clone(),
            group,
            state: HostState::Waiting,
            passed: 0,
            touched: false,
            touched_before: false,
            failed: false,
            attempts: [0; Stage::ALL.len()],
            facts: None,
            current: None,
            done: None,
            trouble: None,
        };
        Table { rows: plan.targets().map(row).collect(), failed: vec![0; plan.groups.len()] }
    }

    pub fn row(&self, host: HostId) -> &Row {
        &self.rows[host]
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Hosts of a group that count against its limit.
    pub fn failed_in(&self, group: usize) -> usize {
        self.failed[group]
    }

    fn go(&mut self, host: HostId, next: HostState) {
        let row = &mut self.rows[host];
        if !row.state.may_become(next) {
            let reason = format!("internal error: {} went from {:?} to {next:?}", row.target, row.state);
            debug_assert!(false, "{reason}");
            row.trouble = Some(Failure { stage: None, outcome: Outcome::Failed { reason, status: 1 } });
        }
        row.state = next;
    }

    fn fail(&mut self, host: HostId, stage: Option<Stage>, outcome: Outcome, next: HostState) {
        self.go(host, next);
        let row = &mut self.rows[host];
        self.failed[row.group] += usize::from(!std::mem::replace(&mut row.failed, true));
        row.trouble = Some(Failure { stage, outcome });
    }

    /// The probe's result. `unfit` says why a host that answered cannot be deployed to.
    pub fn probed(&mut self, host: HostId, result: HostResult, unfit: Option<Outcome>) {
        if let Some(facts) = result.facts {
            self.rows[host].read(&facts.state);
            self.rows[host].facts = Some(facts);
        }
        match (result.outcome, unfit) {
            (Outcome::Ok, None) => self.go(host, HostState::Ready),
            (Outcome::Ok, Some(unfit)) => self.fail(host, None, unfit, HostState::Refused),
            (outcome @ (Outcome::Unreachable { .. } | Outcome::Lost { .. }), _) => {
                self.fail(host, None, outcome, HostState::Unreachable)
            }
            (outcome, _) => self.fail(host, None, outcome, HostState::Refused),
        }
    }

    /// The result of taking a host's lock.
    pub fn held(&mut self, host: HostId, outcome: Outcome) {
        match outcome {
            Outcome::Ok => {}
            Outcome::Unreachable { .. } | Outcome::Lost { .. } => {
                self.fail(host, None, outcome, HostState::Unreachable)
            }
            _ => self.fail(host, None, outcome, HostState::Refused),
        }
    }

    /// The number of the next try of a stage on a host.
    pub fn attempt(&self, host: HostId, stage: Stage) -> u32 {
        self.rows[host].attempts[stage as usize]
    }

    /// A stage starts on a host.
    pub fn started(&mut self, host: HostId, stage: Stage) {
        self.go(host, HostState::Running(stage));
        let row = &mut self.rows[host];
        row.attempts[stage as usize] += 1;
        row.touched_before = row.touched;
        row.touched |= stage != Stage::ConfigDiff;
    }

    /// A stage ended on a host. `index` is a primary stage's place in the plan.
    pub fn ended(&mut self, host: HostId, stage: Stage, index: usize, result: HostResult, plan: &Plan) {
        use HostState::*;
        let moves = matches!(stage, Stage::Promote | Stage::Rollback);
        match &result.state {
            Some(state) => self.rows[host].read(state),
            None if moves && !matches!(result.outcome, Outcome::Unreachable { .. }) => self.rows[host].current = None,
            None => {}
        }
        // A stage may have ended well before somebody else came.
        let to = result.state.as_ref().and_then(|state| self.rows[host].foreign(state, plan).cloned());
        let outcome = match (to.map_or(result.outcome, |to| Outcome::MovedOn { to }), stage) {
            (outcome @ (Outcome::Ok | Outcome::ChecksFailed { .. }), Stage::Rollback) => {
                self.verified_rollback(host, result.state.as_ref()).unwrap_or(outcome)
            }
            (Outcome::Ok, Stage::Finalize) => self.verified_finalize(result.state.as_ref(), plan),
            (outcome, _) => outcome,
        };
        match outcome {
            Outcome::Lost { .. } => self.rows[host].current = None,
            // Without a session nothing was done, nor where somebody else's revision was found.
            Outcome::Unreachable { .. } | Outcome::MovedOn { .. } => {
                self.rows[host].touched = self.rows[host].touched_before;
            }
            _ => {}
        }
        match (stage, outcome) {
            (_, Outcome::MovedOn { to }) => {
                self.rows[host].current = Some(Some(to.clone()));
                self.fail(host, Some(stage), Outcome::MovedOn { to }, MovedOn);
            }
            (Stage::Rollback, Outcome::Ok) => {
                let next = if self.rows[host].restore().is_some() { RolledBack } else { Left };
                self.go(host, next);
            }
            (Stage::Rollback, outcome @ Outcome::ChecksFailed { .. }) if self.rows[host].restore().is_some() => {
                self.fail(host, Some(stage), outcome, Unwell);
            }
            (Stage::Rollback, outcome) => {
                let next = match outcome {
                    Outcome::Unreachable { .. } if self.rows[host].current.is_some() => Unreachable,
                    Outcome::Unreachable { .. } | Outcome::Lost { .. } => Unknown,
                    _ => RollbackFailed,
                };
                self.fail(host, Some(stage), outcome, next);
            }
            (Stage::Finalize, Outcome::Ok) => self.go(host, Finalized),
            (Stage::Finalize, outcome) => self.fail(host, Some(stage), outcome, FinalizeFailed),
            (_, Outcome::Ok) => {
                self.go(host, Ready);
                let row = &mut self.rows[host];
                row.passed = index + 1;
                self.failed[row.group] -= usize::from(std::mem::take(&mut row.failed));
                row.trouble = None;
            }
            (_, outcome) => {
                let next = match outcome {
                    Outcome::Unreachable { .. } => Unreachable,
                    Outcome::Lost { .. } => Unknown,
                    _ => Failed,
                };
                self.rows[host].passed = index;
                self.fail(host, Some(stage), outcome, next);
            }
        }
    }

    /// A rollback counts only when the host, read back, is where the probe saw it. What is wrong, if anything.
    fn verified_rollback(&self, host: HostId, state: Option<&State>) -> Option<Outcome> {
        let row = &self.rows[host];
        let (wanted, before) = (row.restore()?, &row.facts.as_ref()?.state);
        let name = |revision: &Option<Revision>| revision.as_ref().map_or("nothing".to_owned(), |it| it.short().into());
        let reason = match state {
            None => "the host did not say what it runs after the rollback".to_owned(),
            // Where nothing was live, what is finalized may be.
            Some(state) if state.current != before.current && state.current.as_ref() != Some(&wanted) => {
                let was = name(&before.current);
                format!("current is {} after the rollback, where {was} was live before", name(&state.current))
            }
            Some(state) if state.done != before.done => {
                format!(".done is {} after the rollback, not {}", name(&state.done), name(&before.done))
            }
            // A link that led astray at the probe already is not this run's doing.
            Some(state) => match state.stray_links.iter().find(|link| !before.stray_links.contains(link)) {
                Some(link) => format!("{link} does not lead into {} after the rollback", wanted.short()),
                None => return None,
            },
        };
        Some(Outcome::Failed { reason, status: 0 })
    }

    /// A host that only the journal has told of, read again. What somebody else has deployed there since is told.
    pub fn read_again(&mut self, host: HostId, result: HostResult, plan: &Plan) {
        let state = result.facts.map(|facts| facts.state).or(result.state);
        let to = match (result.outcome, &state) {
            (Outcome::MovedOn { to }, _) => Some(to),
            (Outcome::Ok, Some(state)) => self.rows[host].foreign(state, plan).cloned(),
            _ => return,
        };
        if let Some(state) = &state {
            self.rows[host].read(state);
        }
        if let Some(to) = to {
            self.rows[host].current = Some(Some(to.clone()));
            self.fail(host, None, Outcome::MovedOn { to }, HostState::MovedOn);
        }
    }

    /// A host is finalized only when its `.done`, read back, names what was deployed.
    fn verified_finalize(&self, state: Option<&crate::wire::State>, plan: &Plan) -> Outcome {
        match state {
            Some(state) if state.done.as_ref() == Some(&plan.revision) => Outcome::Ok,
            _ => Outcome::Failed { reason: format!(".done does not name {}", plan.revision.short()), status: 0 },
        }
    }

    /// The final table, in the order of the plan: every target once, none in a state without a name.
    pub fn report(&self, plan: &Plan) -> Vec<HostRow> {
        self.rows.iter().map(|row| self.report_row(row, plan)).collect()
    }

    fn report_row(&self, row: &Row, plan: &Plan) -> HostRow {
        use HostState::*;
        let last_stage = row.passed.checked_sub(1).and_then(|index| plan.stages.get(index)).map(|it| it.stage);
        let state = match row.state {
            Waiting => "not attempted".to_owned(),
            Unreachable if row.touched => match last_stage {
                Some(stage) => format!("unreachable after {stage}"),
                None => "unreachable".to_owned(),
            },
            Unreachable => "unreachable".to_owned(),
            Refused => "refused".to_owned(),
            Ready => match last_stage {
                None => "not attempted".to_owned(),
                Some(Stage::ConfigDiff) => "compared".to_owned(),
                Some(stage) => format!("after {stage}"),
            },
            Running(stage) => format!("in {stage}"),
            Failed => "failed".to_owned(),
            Unknown => "unknown".to_owned(),
            Finalized => "finalized".to_owned(),
            FinalizeFailed => "not finalized".to_owned(),
            RolledBack => "rolled back".to_owned(),
            RollbackFailed => "rollback failed".to_owned(),
            Unwell => "rolled back, check fails".to_owned(),
            Left => "left as it is".to_owned(),
            MovedOn => "moved on".to_owned(),
        };
        let complete = row.state == Ready && row.passed == plan.stages.len() && plan.finalize.is_none();
        let happy = complete
            || (matches!(row.state, Finalized | RolledBack) && !row.failed)
            || (matches!(row.state, Waiting | Ready) && !row.touched);
        let beside_state = |trouble: &Failure| match (row.state, trouble.stage) {
            (Unreachable, None) => trouble.outcome.beside_unreachable(),
            (Unreachable, Some(stage)) => format!("{stage}: {}", trouble.outcome.beside_unreachable()),
            _ => trouble.to_string(),
        };
        let mut reason = row.trouble.as_ref().map(beside_state).or_else(|| match row.state {
            Left => Some("nothing was live there before, so there is nothing to go back to".to_owned()),
            RolledBack if row.current.as_ref().is_some_and(Option::is_some) && row.nothing_was_live() => {
                Some("nothing was live there before; what was finalized is live now".to_owned())
            }
            _ => None,
        });
        if row.is_on_lease(plan) {
            let reason = reason.get_or_insert_default();
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str(&format!("rolls itself back within {} s unless reached", plan.confirm_timeout.as_secs()));
        }
        HostRow {
            host: row.target.clone(),
            group: plan.groups[row.group].name.clone(),
            state,
            happy,
            current: row.current.clone().flatten(),
            reason,
        }
    }
}
