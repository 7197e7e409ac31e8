//! A piece of work on one host, and its connection: the session and the lock, with a new session if the old one is lost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::abort::Abort;
use super::loss::{unreachable, why};
use super::output_sink::OutputSink;
use super::sessions::{First, FleetState, Session};
use super::talk::{Failure, NoSession, Remote, StageReply};
use super::terms::Terms;
use super::{HostId, Payload};
use crate::targets::Target;
use crate::wire::{Facts, Fault, LargeFile, Outcome, Request, Revision, RunId, State};

/// Added to a call's time limit here: the target enforces the limit itself, and reports it more precisely.
pub(super) const SLACK: Duration = Duration::from_secs(10);
/// The first pause between two attempts to reconnect, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// The first pause after a refused login, and all later ones. From 9.8 on, OpenSSH adds a penalty of 5 s for each such
/// login (`PerSourcePenalties`), and blocks a client at 15 s.
const FIRST_REFUSAL_PAUSE: Duration = Duration::from_secs(1);
const REFUSAL_PAUSE: Duration = Duration::from_secs(6);

/// A piece of work on one host.
pub(super) struct Work<'a> {
    pub shared: &'a FleetState,
    pub host: HostId,
    pub target: &'a Target,
    pub session: &'a mut Session,
    pub sink: OutputSink<'a>,
    pub timeout: Duration,
    pub restore: Option<&'a Revision>,
    probe_timeout: Duration,
    is_last_chance: bool,
}

impl<'a> Work<'a> {
    pub fn new(shared: &'a FleetState, terms: &Terms<'a>, session: &'a mut Session, sink: OutputSink<'a>) -> Work<'a> {
        let Terms { host, timeout, probe_timeout, restore, is_last_chance } = *terms;
        let target = &shared.hosts[host.index()].target;
        Work { shared, host, target, session, sink, timeout, restore, probe_timeout, is_last_chance }
    }
}

impl Work<'_> {
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout + SLACK
    }

    pub(super) fn is_connected(&mut self) -> bool {
        let alive = self.session.remote.as_mut().is_some_and(Remote::is_alive);
        if !alive {
            self.session.remote = None;
        }
        alive
    }

    /// Ensures that there is a session, and that the lock is held if it was. A host that accepted a login before is tried
    /// for `reconnect_timeout`. After that has failed once, only a rollback tries for as long again: it may be the last
    /// thing left to do, and a host may need more than one timeout to boot.
    pub(super) fn ready_again(&mut self) -> Outcome {
        let is_retried = self.session.has_logged_in && (!self.session.given_up || self.is_last_chance);
        let why = match self.is_connected() {
            _ if !is_retried => return self.ready(),
            false => "the session was lost between two steps".to_owned(),
            // A host that restarts may end all commands and refuse new ones, and its connections last longer than that.
            true => match self.hold_if_lost() {
                Err(failure @ (Failure::Lost(_) | Failure::Unanswered(_))) => why(failure),
                other => return other.map_err(unreachable),
            },
        };
        self.reconnect(&why).map_err(unreachable)?;
        self.hold_again().map_err(unreachable)
    }

    /// Ensures that there is a session, and that the lock is held if it was; a single attempt.
    pub(super) fn ready(&mut self) -> Outcome {
        if self.is_connected() {
            return self.hold_if_lost().map_err(unreachable);
        }
        self.connect().map_err(|none| none.fault)?;
        self.hold_again().map_err(unreachable)
    }

    /// Ensures, on a session that is there, that the lock is held if it was.
    fn hold_if_lost(&mut self) -> Result<(), Failure> {
        match self.session.remote.as_mut().is_some_and(Remote::has_lost_lock_holder) {
            true => self.hold_again(),
            false => Ok(()),
        }
    }

    fn connect(&mut self) -> Result<(), NoSession> {
        self.shared.make_room(self.host);
        let request = self.probe_request();
        let timeout = self.probe_timeout + SLACK;
        let remote = Remote::connect(self.shared, self.target, &request, timeout, &mut self.sink)?;
        self.check_identity(&remote.facts, &request.header().holder.run)?;
        self.session.remote = Some(remote);
        self.note_lacks();
        (self.session.has_logged_in, self.session.given_up) = (true, false);
        Ok(())
    }

    /// Fails if the name now leads to a machine other than at the run's first probe. The machine is recognized by its
    /// place or, after a reboot, by this run in its records. Until a stage was run there, the same state is enough.
    fn check_identity(&mut self, facts: &Facts, run: &RunId) -> Result<(), NoSession> {
        let Some(first) = &self.session.first else {
            let (place, state) = (facts.place.clone(), facts.state.clone());
            self.session.first = Some(First { place, state, begun: false });
            return Ok(());
        };
        let same_place = facts.place.is_none() || facts.place == first.place;
        let has_seen_us = facts.newest.as_ref().is_some_and(|newest| newest.run >= *run);
        let looks_the_same = !first.begun && facts.state == first.state;
        if same_place || has_seen_us || looks_the_same {
            return Ok(());
        }
        // A host may accept logins before all its disks are mounted.
        let is_empty = facts.newest.is_none() && facts.revisions.is_empty() && facts.state == State::default();
        let target = self.target;
        let reason = if is_empty {
            format!(
                "{target} has nothing of {} and does not know run {run}: a disk may not be mounted, or the name \
                 points to another machine now",
                self.shared.requests.header().repo
            )
        } else {
            format!(
                "{target} is not the machine that this run started on: it does not know run {run}; find out where the \
                 name points, and what the first machine runs"
            )
        };
        Err(NoSession { fault: Fault::Unreachable { reason }, is_final: !is_empty, is_refused: false })
    }

    /// Moves the list of missing large files out of the facts, in the order of the revision.
    pub(super) fn note_lacks(&mut self) {
        let Some(remote) = &mut self.session.remote else { return };
        let lacks: HashSet<LargeFile> = std::mem::take(&mut remote.facts.lacks).into_iter().collect();
        let all = self.shared.packs.large_files().iter().enumerate();
        self.session.lacks = all.filter(|(_, file)| lacks.contains(file)).map(|(place, _)| place).collect();
    }

    pub(super) fn hold_again(&mut self) -> Result<(), Failure> {
        if self.session.hold { self.take_lock() } else { Ok(()) }
    }

    pub(super) fn take_lock(&mut self) -> Result<(), Failure> {
        match self.take_lock_once() {
            // The lock holder's command ended while no step used it; start another one.
            Err(Failure::Unanswered(_)) => self.take_lock_once(),
            other => other,
        }
    }

    fn take_lock_once(&mut self) -> Result<(), Failure> {
        let (request, deadline) = (self.probe_request(), self.deadline());
        let no_session = || Failure::Lost("there is no session".into());
        let remote = self.session.remote.as_mut().ok_or_else(no_session)?;
        if !remote.has_lock_holder() {
            remote.probe_again(self.shared, &request, deadline, &mut self.sink)?;
            self.note_lacks();
        }
        let claims = self.shared.open.limit().is_some();
        let remote = self.session.remote.as_mut().ok_or_else(no_session)?;
        let ended = self.shared.void_claim(&remote.facts).cloned();
        let taken = remote.hold(ended, claims, deadline, &mut self.sink);
        self.session.claimed |= claims && taken.is_ok();
        if let Err(Failure::Lost(_)) = taken {
            self.session.remote = None;
        }
        taken
    }

    pub(super) fn exec(
        &mut self,
        request: &Request,
        payload: Payload,
        deadline: Instant,
        abort: Option<&Abort>,
    ) -> Result<StageReply, Failure> {
        let Some(remote) = &mut self.session.remote else {
            return Err(Failure::Lost("there is no session".into()));
        };
        remote.run(request, payload, deadline, abort, &mut self.sink)
    }

    /// Reconnects after a loss; gives up after `reconnect_timeout`.
    pub(super) fn reconnect(&mut self, why: &str) -> Result<(), Failure> {
        self.session.remote = None;
        let until = Instant::now() + self.shared.ssh.options.timeouts.reconnect;
        let (mut pause, mut after_refusal) = (FIRST_PAUSE, FIRST_REFUSAL_PAUSE);
        loop {
            let NoSession { fault, is_final, is_refused } = match self.connect() {
                Ok(()) => return Ok(()),
                Err(none) => none,
            };
            let left = until.saturating_duration_since(Instant::now());
            if is_final || left.is_zero() {
                self.session.given_up = true;
                return Err(Failure::Ended(match fault {
                    Fault::Unreachable { reason } => Fault::Lost { reason: format!("{why}; then {reason}") },
                    other => other,
                }));
            }
            log::debug!("trying {} again: {fault}", self.target);
            let next;
            if is_refused {
                (next, after_refusal) = (after_refusal, REFUSAL_PAUSE);
            } else {
                (next, pause) = (pause, (pause * 2).min(RECONNECT_PAUSE));
            }
            std::thread::sleep(next.min(left));
        }
    }
}
