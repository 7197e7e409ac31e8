//! One host of a run.

use super::state::HostState;
use crate::deploy::plan::{GroupId, Plan};
use crate::targets::Target;
use crate::wire::{Drained, Facts, Fault, Revision, Stage, State};

/// What went wrong on a host, in order of importance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `None`: at the probe or the lock.
    pub stage: Option<Stage>,
    pub fault: Fault,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.stage {
            Some(stage) => write!(f, "{stage}: {}", self.fault),
            None => write!(f, "{}", self.fault),
        }
    }
}

/// One host.
#[derive(Debug, Clone)]
pub struct Row {
    pub target: Target,
    pub group: GroupId,
    pub(super) state: HostState,
    /// How many primary stages it has passed.
    pub passed: usize,
    /// Whether any stage was started on it, so that it may have been changed.
    pub touched: bool,
    /// [`Row::touched`] before the stage that is running.
    pub(super) touched_before: bool,
    /// Whether a stage took it out of service, and no stage has brought it back.
    pub(super) out: bool,
    /// Whether it counts against its group's limit.
    pub failed: bool,
    /// Attempts of each stage so far, so that every attempt has its own number.
    pub(super) attempts: [u32; Stage::ALL.len()],
    pub facts: Option<Facts>,
    /// The revisions that the host's links name, as last read from it; `None`: not known, since they may have changed.
    pub links: Option<State>,
    /// How the host was drained when it was last read.
    drained: Option<Box<Drained>>,
    /// Why the host could not be read again at the end of the run: what is told of it was read before.
    pub(super) unread: Option<Fault>,
    pub trouble: Option<Failure>,
}

impl Row {
    pub(super) fn new(group: GroupId, target: Target) -> Row {
        Row {
            target,
            group,
            state: HostState::Waiting,
            passed: 0,
            touched: false,
            touched_before: false,
            out: false,
            failed: false,
            attempts: [0; Stage::ALL.len()],
            facts: None,
            links: None,
            drained: None,
            unread: None,
            trouble: None,
        }
    }

    pub fn state(&self) -> HostState {
        self.state
    }

    /// The revision that a rollback goes back to: the one that was live at the probe, finalized or not. If nothing was
    /// live, it is the finalized one, if its tree still exists.
    pub fn restore(&self) -> Option<Revision> {
        let state = &self.facts.as_ref()?.state;
        state.current.clone().or_else(|| state.done.clone())
    }

    pub(super) fn nothing_was_live(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.state.current.is_none())
    }

    /// Whether nothing was live, and what somebody else has put at the path that the service uses stands there as at the
    /// probe: it was moved back, or was never moved.
    pub(super) fn occupant_is_back(&self) -> bool {
        let (Some(facts), Some(now)) = (&self.facts, &self.links) else { return false };
        facts.state.occupant.is_some() && facts.state.occupant == now.occupant && self.as_it_was()
    }

    /// Whether the host, as last read, names the same revisions as at the probe.
    pub fn as_it_was(&self) -> bool {
        match (&self.facts, &self.links) {
            (Some(facts), Some(now)) => facts.state.current == now.current && facts.state.done == now.done,
            (None, _) => true,
            _ => false,
        }
    }

    /// Whether the host passed every primary stage.
    pub fn is_complete(&self, plan: &Plan) -> bool {
        let there = matches!(self.state, HostState::Ready | HostState::Finalized);
        there && self.passed == plan.stages.len()
    }

    /// R13: whether the host is out of service, as far as is known.
    pub fn is_out(&self) -> bool {
        let lost = matches!(self.state, HostState::Unreachable | HostState::Unknown);
        self.out || lost || self.drained().is_some()
    }

    /// Whether a stage takes the host out of service, if it is in service now. If the host was not promoted, a rollback
    /// restarts nothing there.
    pub fn goes_out_for(&self, stage: Stage) -> bool {
        !self.is_out() && stage.restarts() && (stage != Stage::Rollback || self.was_promoted())
    }

    /// Whether the host serves what it served at the probe: no stage that interrupts its service was started there.
    pub fn is_as_before(&self) -> bool {
        let begun = |stage: &Stage| stage.restarts() && self.attempts[*stage as usize] > 0;
        let known = !matches!(self.state, HostState::Unreachable | HostState::Unknown | HostState::MovedOn);
        self.facts.is_some() && known && !Stage::ALL.iter().any(begun)
    }

    /// Whether the run has not changed the host yet, and its revision was already live there.
    pub fn has_it_already(&self, plan: &Plan) -> bool {
        let live = self.facts.as_ref().and_then(|facts| facts.state.current.as_ref());
        plan.kind.changes_revision() && self.is_as_before() && live == Some(&plan.revision)
    }

    /// Whether a promote was started on the host.
    pub fn was_promoted(&self) -> bool {
        self.attempts[Stage::Promote as usize] > 0
    }

    /// Whether a rollback was started on the host.
    pub fn rollback_was_tried(&self) -> bool {
        self.attempts[Stage::Rollback as usize] > 0
    }

    /// The live revision as last read from the host; `None` also if it is not known.
    pub fn current(&self) -> Option<&Revision> {
        self.links.as_ref()?.current.as_ref()
    }

    /// How the host is drained, as last read from it; `None`: it is in service. What it runs may be unknown since.
    pub fn drained(&self) -> Option<&Drained> {
        self.drained.as_deref()
    }

    /// Whether what is known of the host is what it said last, and not only what was seen of it before it was lost.
    pub fn is_read(&self) -> bool {
        self.links.is_some() && self.unread.is_none()
    }

    /// Records what was read from the host.
    pub(super) fn read(&mut self, state: State) {
        self.drained.clone_from(&state.drained);
        (self.links, self.unread) = (Some(state), None);
    }

    /// Records the revision that somebody else has made live.
    pub(super) fn found(&mut self, to: &Revision) {
        self.links.get_or_insert_default().current = Some(to.clone());
    }

    /// The live revision, if neither it nor the finalized one is what the host had at the probe or what is deployed.
    pub(super) fn foreign<'a>(&self, state: &'a State, plan: &Plan) -> Option<&'a Revision> {
        let before = &self.facts.as_ref()?.state;
        let ours = [Some(&plan.revision), before.current.as_ref(), before.done.as_ref()];
        let foreign = |found: &Option<Revision>| found.is_some() && !ours.contains(&found.as_ref());
        state.current.as_ref().filter(|_| foreign(&state.current) && foreign(&state.done))
    }

    /// Whether the host may have a live revision that nobody will confirm, so that it rolls back by itself.
    pub fn is_on_lease(&self, plan: &Plan) -> bool {
        use HostState::*;
        let open = matches!(self.state, Unreachable | Failed | Unknown | FinalizeFailed | RollbackFailed | Ready);
        open && self.may_go_back(plan)
    }

    /// Whether a lease may take the host back, as long as nobody ends it. What it runs is certain only while it answers.
    pub(super) fn may_go_back(&self, plan: &Plan) -> bool {
        let was = |now: &State| self.facts.as_ref().is_some_and(|facts| facts.state.current == now.current);
        let back = self.links.as_ref().is_some_and(was);
        let restorable = self.restore().is_some_and(|restore| restore != plan.revision);
        plan.confirm_timeout > std::time::Duration::ZERO && self.was_promoted() && !back && restorable
    }

    /// Whether the host passed every primary stage and was to be finalized: it is, or that failed, or it was lost then.
    pub fn came_to_finalize(&self) -> bool {
        let was_lost = || self.trouble.as_ref().is_some_and(|trouble| trouble.stage == Some(Stage::Finalize));
        match self.state {
            HostState::Finalized | HostState::FinalizeFailed => true,
            HostState::Unknown => was_lost(),
            _ => false,
        }
    }

    /// Whether the host can be tried again: it answered and reported a failure.
    pub fn can_be_retried(&self) -> bool {
        self.state == HostState::Failed
    }
}
