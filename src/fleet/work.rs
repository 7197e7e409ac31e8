//! One step on one host: with its session, with a new one when that is lost, and with the true end in any case.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::hosts::{First, FleetState, Session};
use super::loss::{Loss, lost, unreachable, why};
use super::output_sink::OutputSink;
use super::ssh::ExecEnd;
use super::talk::{Failure, NoSession, Remote, StageReply, outcome_of};
use super::{Call, HostResult, Outcome, Payload, Step, Task};
use crate::targets::Target;
use crate::wire::{Action, Ended, Facts, LargeFile, Recorded, Request, RunId, Stage, State};

/// Added to a call's time limit here: the target keeps to the limit by itself, and says so more precisely.
const SLACK: Duration = Duration::from_secs(10);
/// A question on the way to something else takes no longer, whatever the step's own limit.
const ASK_PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions how a stage goes.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// Trees that finalize keeps for a rollback of the run: what was live and what was done before it.
const KEPT_FOR_ROLLBACK: usize = 2;
/// The first pause between two tries to connect again, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// The first pause after a login that was refused, and all others. OpenSSH from 9.8 on counts 5 s for each such login
/// (`PerSourcePenalties`), and shuts out who has gathered 15 of them.
const FIRST_REFUSAL_PAUSE: Duration = Duration::from_secs(1);
const REFUSAL_PAUSE: Duration = Duration::from_secs(6);

/// One step on one host.
pub(super) struct Work<'a> {
    pub shared: &'a FleetState,
    pub call: &'a Call,
    pub task: &'a Task,
    pub target: &'a Target,
    pub session: &'a mut Session,
    pub sink: OutputSink<'a>,
}

impl Work<'_> {
    pub(super) fn step(&mut self) -> HostResult {
        match self.call.step {
            Step::Probe => self.probe(),
            Step::Hold => self.hold(),
            Step::Run(stage) => {
                self.session.promoted |= stage == Stage::Promote;
                self.session.keeps_more = false;
                let result = self.run(stage);
                if stage == Stage::Finalize && result.outcome.is_ok() {
                    self.session.keeps_more = self.request(Action::Probe).cache_revs < KEPT_FOR_ROLLBACK;
                }
                if matches!(stage, Stage::Finalize | Stage::Rollback) && result.outcome.is_ok() {
                    self.session.promoted = false;
                }
                result
            }
            Step::Release => self.release(),
            Step::Command => {
                let reason = "internal error: a deployment's fleet runs no commands of the operator's".into();
                Outcome::Failed { reason, status: 1 }.into()
            }
        }
    }

    /// What became of a stage that an earlier deployer may have begun; `None`: it never began.
    pub(super) fn recover(&mut self, stage: Stage) -> Option<HostResult> {
        let deadline = self.deadline();
        match self.ask_after_loss(stage, Loss::session("its deployer is gone"), deadline) {
            Ok(None) => None,
            Ok(Some(answer)) => {
                let outcome = outcome_of(answer.ended, &answer.end);
                Some(HostResult { state: Some(answer.state), ..HostResult::from(outcome) })
            }
            Err(result) => Some(result),
        }
    }

    pub(super) fn request(&self, action: Action) -> Request {
        let mut request = (self.shared.requests)(self.task.host, self.call, self.task);
        request.action = action;
        request.timeout = self.call.timeout.as_secs().max(1);
        request.force |= self.call.force;
        request.restore = self.task.restore.clone();
        // At the probe itself nobody knows yet what is there.
        request.found_nothing = request.restore.is_none() && matches!(request.action, Action::Run { .. });
        if let Some(fetch) = &mut request.fetch {
            fetch.pack_bytes = None;
        }
        if request.action == Action::Probe {
            request.large_files = self.shared.packs.large_files().to_vec();
        }
        request
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.call.timeout + SLACK
    }

    fn probe(&mut self) -> HostResult {
        let outcome = match self.fresh_probe() {
            Ok(()) => Outcome::Ok,
            Err(outcome) => outcome,
        };
        let facts = self.session.remote.as_ref().filter(|_| outcome.is_ok()).map(|remote| Facts {
            // What a host is sent is for this fleet alone to know, and the list may be long.
            cached: Vec::new(),
            ..remote.facts.clone()
        });
        let state = facts.as_ref().map(|facts| facts.state.clone());
        HostResult { facts, state, ..HostResult::from(outcome) }
    }

    fn fresh_probe(&mut self) -> Result<(), Outcome> {
        if !self.is_connected() {
            return self.ready();
        }
        let (request, deadline) = (self.request(Action::Probe), self.deadline());
        let Some(remote) = &mut self.session.remote else { return self.ready() };
        match remote.probe_again(&self.shared.ssh, &request, deadline, &mut self.sink) {
            Ok(()) => {
                self.note_lacks();
                Ok(())
            }
            Err(Failure::Ended(outcome)) => Err(outcome),
            Err(Failure::Lost(_) | Failure::Unanswered(_)) => {
                self.session.remote = None;
                self.ready()
            }
        }
    }

    fn is_connected(&mut self) -> bool {
        let alive = self.session.remote.as_mut().is_some_and(Remote::is_alive);
        if !alive {
            self.session.remote = None;
        }
        alive
    }

    /// Makes sure of a session, and of the lock where it was held. A host that was let in to before is tried for as long
    /// as `reconnect_timeout` says; once that was in vain, a rollback alone has as long again: it may be all that is
    /// left to do, and a host may need more than one timeout to start up.
    fn ready_again(&mut self) -> Result<(), Outcome> {
        let is_last_chance = self.call.step == Step::Run(Stage::Rollback);
        let is_tried = self.session.let_in && (!self.session.given_up || is_last_chance);
        if self.is_connected() || !is_tried {
            return self.ready();
        }
        self.reconnect("the session was lost between two steps").map_err(unreachable)?;
        self.hold_again().map_err(unreachable)
    }

    /// Makes sure of a session, and of the lock where it was held; one try.
    pub(super) fn ready(&mut self) -> Result<(), Outcome> {
        if !self.is_connected() {
            self.connect().map_err(|none| none.outcome)?;
        } else if !self.session.remote.as_mut().is_some_and(Remote::has_lost_keeper) {
            return Ok(());
        }
        self.hold_again().map_err(unreachable)
    }

    fn connect(&mut self) -> Result<(), NoSession> {
        self.shared.make_room(self.task.host);
        let request = self.request(Action::Probe);
        let patience = match self.call.step {
            Step::Probe => self.call.timeout + SLACK,
            _ => self.call.timeout.min(ASK_PATIENCE) + SLACK,
        };
        let remote = Remote::connect(&self.shared.ssh, self.target, &request, patience, &mut self.sink)?;
        self.know_again(&remote.facts, &request.holder.run)?;
        self.session.remote = Some(remote);
        self.note_lacks();
        (self.session.let_in, self.session.given_up) = (true, false);
        Ok(())
    }

    /// Fails when the name leads to another machine than at the run's first probe. The same one is known by its place or,
    /// when it was started anew, by the run that it has seen; until a stage was done, or may be live, one that looks the
    /// same will do.
    fn know_again(&mut self, facts: &Facts, run: &RunId) -> Result<(), NoSession> {
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
        // A host may let logins in before all its disks are mounted.
        let is_empty = facts.newest.is_none() && facts.revisions.is_empty() && facts.state == State::default();
        let target = self.target;
        let reason = if is_empty {
            format!(
                "{target} has nothing of {} and knows nothing of run {run}: a disk may not be mounted, or the name lead to \
                 another machine than at first",
                self.request(Action::Probe).repo
            )
        } else {
            format!(
                "{target} is not the machine that this run began with: it knows nothing of run {run}; see where the name \
                 leads, and what the first machine runs"
            )
        };
        Err(NoSession { outcome: Outcome::Unreachable { reason }, is_final: !is_empty, is_refused: false })
    }

    /// Takes what the target lacks out of its facts, in the order of the revision's large files.
    fn note_lacks(&mut self) {
        let Some(remote) = &mut self.session.remote else { return };
        let lacks: HashSet<LargeFile> = std::mem::take(&mut remote.facts.lacks).into_iter().collect();
        let all = self.shared.packs.large_files().iter().enumerate();
        self.session.lacks = all.filter(|(_, file)| lacks.contains(file)).map(|(place, _)| place).collect();
    }

    fn hold_again(&mut self) -> Result<(), Failure> {
        if self.session.hold { self.take_lock() } else { Ok(()) }
    }

    fn take_lock(&mut self) -> Result<(), Failure> {
        match self.take_lock_once() {
            // The keeper's command was ended while it was parked; another one may have better luck.
            Err(Failure::Unanswered(_)) => self.take_lock_once(),
            other => other,
        }
    }

    fn take_lock_once(&mut self) -> Result<(), Failure> {
        let (request, deadline) = (self.request(Action::Probe), self.deadline());
        let no_session = || Failure::Lost("there is no session".into());
        let remote = self.session.remote.as_mut().ok_or_else(no_session)?;
        if !remote.has_keeper() {
            remote.probe_again(&self.shared.ssh, &request, deadline, &mut self.sink)?;
            self.note_lacks();
        }
        let claims = self.shared.open.limit().is_some();
        let remote = self.session.remote.as_mut().ok_or_else(no_session)?;
        let taken = remote.hold(claims, deadline, &mut self.sink);
        self.session.claimed |= claims && taken.is_ok();
        if let Err(Failure::Lost(_)) = taken {
            self.session.remote = None;
        }
        taken
    }

    fn hold(&mut self) -> HostResult {
        let outcome = self.ready_again().map_or_else(
            |outcome| outcome,
            |()| match self.take_lock() {
                Ok(()) => Outcome::Ok,
                Err(Failure::Ended(outcome)) => outcome,
                // Nothing was done but to ask, so a new session may simply ask once more.
                Err(trouble) => match self.reconnect(&why(trouble)).and_then(|()| self.take_lock()) {
                    Ok(()) => Outcome::Ok,
                    Err(trouble) => unreachable(trouble),
                },
            },
        );
        self.session.hold = outcome.is_ok();
        outcome.into()
    }

    fn release(&mut self) -> HostResult {
        (self.session.hold, self.session.promoted) = (false, false);
        let keeps_more = std::mem::take(&mut self.session.keeps_more);
        if self.session.claimed && !self.is_connected() {
            // Its session was closed to make room, and the claim would outlive the run.
            if let Err(outcome) = self.ready() {
                let target = self.target;
                let message = format!("the lock could not be let go: {outcome}; `hoist unlock {target}` does that");
                self.shared.ssh.remarks().warn(Some(target), message);
            }
        }
        self.session.claimed = false;
        if let Some(remote) = self.session.remote.take() {
            if keeps_more { remote.close_when_tidy(self.deadline()) } else { remote.close() }
        }
        self.shared.open.forget(self.task.host);
        Outcome::Ok.into()
    }

    fn run(&mut self, stage: Stage) -> HostResult {
        if let Err(outcome) = self.ready_again() {
            return outcome.into();
        }
        if let Some(first) = &mut self.session.first {
            first.begun |= stage != Stage::Fetch;
        }
        let (mut rebuild, mut run_again) = (false, true);
        loop {
            let (request, payload) = match self.stage_request(stage, rebuild) {
                Ok(made) => made,
                Err(error) => {
                    let reason = format!("cannot make the pack for this host: {error:#}");
                    return Outcome::Failed { reason, status: 1 }.into();
                }
            };
            let deadline = self.deadline();
            let answer = match self.exec(&request, payload, deadline) {
                Ok(answer) => answer,
                Err(Failure::Ended(outcome)) => return outcome.into(),
                Err(trouble) => {
                    let loss = Loss::of(trouble);
                    if loss.told.is_none() {
                        self.session.remote = None;
                    }
                    match self.ask_after_loss(stage, loss.clone(), deadline) {
                        Ok(Some(answer)) => answer,
                        Ok(None) if run_again => {
                            run_again = false;
                            continue;
                        }
                        Ok(None) => return loss.again().into(),
                        Err(result) => return result,
                    }
                }
            };
            if matches!(answer.ended, Ended::CacheBroken { .. }) && stage == Stage::Fetch && !rebuild {
                rebuild = true;
                // They came ahead of what was broken.
                self.session.lacks.clear();
                continue;
            }
            if let Some(first) = &mut self.session.first {
                first.begun = true;
            }
            let outcome = outcome_of(answer.ended, &answer.end);
            if outcome.is_ok() && stage == Stage::Fetch {
                self.remember(&request);
            }
            return HostResult { state: Some(answer.state), ..HostResult::from(outcome) };
        }
    }

    pub(super) fn exec(
        &mut self,
        request: &Request,
        payload: Payload,
        deadline: Instant,
    ) -> Result<StageReply, Failure> {
        let Some(remote) = &mut self.session.remote else {
            return Err(Failure::Lost("there is no session".into()));
        };
        remote.run(request, payload, deadline, &mut self.sink)
    }

    /// The stage's request, and for a fetch what the host lacks.
    fn stage_request(&self, stage: Stage, rebuild: bool) -> anyhow::Result<(Request, Payload)> {
        let mut request = self.request(Action::Run { stage, attempt: self.task.attempt });
        let mut payload = Payload::default();
        if let (Stage::Fetch, Some(fetch)) = (stage, &mut request.fetch) {
            fetch.rebuild |= rebuild;
            let facts = self.session.remote.as_ref().map(|remote| &remote.facts);
            let has_it = facts.is_some_and(|facts| facts.revisions.contains(&request.revision));
            let packs = &self.shared.packs;
            if fetch.source.is_none() && (!has_it || request.force || fetch.rebuild) {
                let cached = facts.filter(|_| !fetch.rebuild).map_or(&[][..], |facts| &facts.cached);
                payload.pack = packs.pack(cached)?;
                fetch.pack_bytes = payload.pack.as_ref().map(|pack| pack.bytes);
            }
            for file in self.session.lacks.iter().filter_map(|place| packs.large_files().get(*place)) {
                let Some(path) = packs.stored(file) else { continue };
                payload.large_files.push((path.to_owned(), file.bytes()));
                fetch.large_files.push(file.clone());
            }
        }
        Ok((request, payload))
    }

    /// After a fetch the host has the revision, which the facts of its probe do not know.
    fn remember(&mut self, request: &Request) {
        self.session.lacks.clear();
        if let Some(remote) = &mut self.session.remote {
            for list in [&mut remote.facts.revisions, &mut remote.facts.cached] {
                if !list.contains(&request.revision) {
                    list.push(request.revision.clone());
                }
            }
        }
    }

    /// Finds out how a stage went that gave no answer: its answer, or `None` when the target never saw it.
    fn ask_after_loss(
        &mut self,
        stage: Stage,
        mut loss: Loss,
        deadline: Instant,
    ) -> Result<Option<StageReply>, HostResult> {
        let request = self.request(Action::Ask { stage, attempt: self.task.attempt });
        let give_up = deadline + self.shared.ssh.options.reconnect_timeout;
        let mut is_new = false;
        'connected: loop {
            if Instant::now() >= give_up {
                return Err(Outcome::Lost { reason: loss.why }.into());
            }
            if !self.is_connected() {
                self.reconnect(&loss.why).map_err(|trouble| HostResult::from(lost(trouble)))?;
                is_new = true;
            }
            loop {
                let Some(remote) = &mut self.session.remote else { continue 'connected };
                let patience = Instant::now() + self.call.timeout.min(ASK_PATIENCE) + SLACK;
                let answer = match remote.ask(&request, patience, &mut self.sink) {
                    Ok(Recorded::Running) if Instant::now() < deadline => {
                        std::thread::sleep(ASK_PAUSE);
                        continue;
                    }
                    Ok(Recorded::Running) => return Err(Outcome::TimedOut { seconds: 0 }.into()),
                    Ok(Recorded::Nothing) => None,
                    Ok(Recorded::Ended { outcome, state }) => Some(answer(outcome, state)),
                    Ok(Recorded::Died { state }) => {
                        let reason = format!("deploy-local died in {stage}, and its connection with it");
                        let outcome = loss.told.unwrap_or(Outcome::Failed { reason, status: 1 });
                        return Err(HostResult { state: Some(state), ..HostResult::from(outcome) });
                    }
                    Err(Failure::Ended(outcome)) => return Err(outcome.into()),
                    Err(trouble) => {
                        self.session.remote = None;
                        loss.why = why(trouble);
                        std::thread::sleep(ASK_PAUSE);
                        continue 'connected;
                    }
                };
                let needs_lock = is_new || remote.has_lost_keeper();
                let held = if needs_lock { self.hold_again() } else { Ok(()) };
                return match (held, answer) {
                    (Ok(()), answer) => Ok(answer),
                    // What was done is known; the lock is tried again by the step that needs it.
                    (Err(_), Some(answer)) => Ok(Some(answer)),
                    (Err(Failure::Ended(outcome)), None) => Err(outcome.into()),
                    (Err(trouble), None) => {
                        self.session.remote = None;
                        loss.why = why(trouble);
                        continue 'connected;
                    }
                };
            }
        }
    }

    /// Connects again after a loss, as long as `reconnect_timeout` allows.
    fn reconnect(&mut self, why: &str) -> Result<(), Failure> {
        self.session.remote = None;
        let until = Instant::now() + self.shared.ssh.options.reconnect_timeout;
        let (mut pause, mut after_refusal) = (FIRST_PAUSE, FIRST_REFUSAL_PAUSE);
        loop {
            let NoSession { outcome, is_final, is_refused } = match self.connect() {
                Ok(()) => return Ok(()),
                Err(none) => none,
            };
            let left = until.saturating_duration_since(Instant::now());
            if is_final || left.is_zero() {
                self.session.given_up = true;
                return Err(Failure::Ended(match outcome {
                    Outcome::Unreachable { reason } => Outcome::Lost { reason: format!("{why}; then {reason}") },
                    other => other,
                }));
            }
            log::debug!("{} is tried again: {outcome}", self.target);
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

/// An answer that came by way of a question: its process has ended as the record says.
fn answer(ended: Ended, state: State) -> StageReply {
    StageReply { ended, state, end: ExecEnd::Status(0) }
}
