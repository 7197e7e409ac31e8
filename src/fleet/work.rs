//! One step on one host: with its session, with a new one when that is lost, and with the true end in any case.

use std::time::{Duration, Instant};

use super::hosts::{Session, Shared};
use super::ssh::ExecEnd;
use super::talk::{Answer, Hearing, Remote, Trouble, outcome_of};
use super::{Call, HostResult, Outcome, Parcel, Step, Task};
use crate::targets::Target;
use crate::wire::{Action, Ended, Recorded, Request, Stage, State};

/// Added to a call's time limit here: the target keeps to the limit by itself, and says so more precisely.
const SLACK: Duration = Duration::from_secs(10);
/// A question on the way to something else takes no longer, whatever the step's own limit.
const ASK_PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions how a stage goes.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// One step on one host.
pub(super) struct Work<'a> {
    pub shared: &'a Shared,
    pub call: &'a Call,
    pub task: &'a Task,
    pub target: &'a Target,
    pub session: &'a mut Session,
    pub hearing: Hearing<'a>,
}

impl Work<'_> {
    pub(super) fn step(&mut self) -> HostResult {
        match self.call.step {
            Step::Probe => self.probe(),
            Step::Hold => self.hold(),
            Step::Run(stage) => {
                self.session.promoted |= stage == Stage::Promote;
                let result = self.run(stage);
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
        match self.ask_after_loss(stage, "its deployer is gone".into(), deadline) {
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
        let facts = self.session.remote.as_ref().filter(|_| outcome.is_ok()).map(|remote| remote.facts.clone());
        let state = facts.as_ref().map(|facts| facts.state.clone());
        HostResult { facts, state, ..HostResult::from(outcome) }
    }

    fn fresh_probe(&mut self) -> Result<(), Outcome> {
        if !self.is_connected() {
            return self.ready();
        }
        let (request, deadline) = (self.request(Action::Probe), self.deadline());
        let Some(remote) = &mut self.session.remote else { return self.ready() };
        match remote.probe_again(&self.shared.ssh, &request, deadline, &mut self.hearing) {
            Ok(()) => Ok(()),
            Err(Trouble::Ended(outcome)) => Err(outcome),
            Err(Trouble::Lost(_)) => {
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

    /// Makes sure of a session for a stage. One that was there and got lost is tried for as long as `reconnect_timeout`
    /// says.
    fn ready_again(&mut self) -> Result<(), Outcome> {
        if self.is_connected() || !self.session.had_one {
            return self.ready();
        }
        self.reconnect("the session was lost between two steps").map_err(unreachable)?;
        self.hold_again().map_err(unreachable)
    }

    /// Makes sure of a session, and of the lock where it was held; one try.
    pub(super) fn ready(&mut self) -> Result<(), Outcome> {
        if !self.is_connected() {
            self.connect().map_err(|(outcome, _)| outcome)?;
            self.hold_again().map_err(unreachable)?;
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<(), (Outcome, bool)> {
        self.shared.make_room(self.task.host);
        let request = self.request(Action::Probe);
        let patience = match self.call.step {
            Step::Probe => self.call.timeout + SLACK,
            _ => self.call.timeout.min(ASK_PATIENCE) + SLACK,
        };
        let remote = Remote::connect(&self.shared.ssh, self.target, &request, patience, &mut self.hearing)?;
        (self.session.remote, self.session.had_one) = (Some(remote), true);
        Ok(())
    }

    fn hold_again(&mut self) -> Result<(), Trouble> {
        if self.session.hold { self.take_lock() } else { Ok(()) }
    }

    fn take_lock(&mut self) -> Result<(), Trouble> {
        let (request, deadline) = (self.request(Action::Probe), self.deadline());
        let Some(remote) = &mut self.session.remote else {
            return Err(Trouble::Lost("there is no session".into()));
        };
        if !remote.has_keeper() {
            remote.probe_again(&self.shared.ssh, &request, deadline, &mut self.hearing)?;
        }
        let claims = self.shared.open.limit().is_some();
        let taken = remote.hold(claims, deadline, &mut self.hearing);
        self.session.claimed |= claims && taken.is_ok();
        if let Err(Trouble::Lost(_)) = taken {
            self.session.remote = None;
        }
        taken
    }

    fn hold(&mut self) -> HostResult {
        let outcome = self.ready().map_or_else(
            |outcome| outcome,
            |()| match self.take_lock() {
                Ok(()) => Outcome::Ok,
                Err(Trouble::Ended(outcome)) => outcome,
                // Nothing was done but to ask, so a new session may simply ask once more.
                Err(Trouble::Lost(why)) => match self.reconnect(&why).and_then(|()| self.take_lock()) {
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
        if self.session.claimed && !self.is_connected() {
            // Its session was closed to make room, and the claim would outlive the run.
            if let Err(outcome) = self.ready() {
                let target = self.target;
                log::warn!("{target}: the lock could not be let go: {outcome}; `hoist unlock {target}` does that");
            }
        }
        self.session.claimed = false;
        if let Some(remote) = self.session.remote.take() {
            remote.close();
        }
        self.shared.open.forget(self.task.host);
        Outcome::Ok.into()
    }

    fn run(&mut self, stage: Stage) -> HostResult {
        if let Err(outcome) = self.ready_again() {
            return outcome.into();
        }
        let (mut rebuild, mut run_again) = (false, true);
        loop {
            let (request, parcel) = match self.stage_request(stage, rebuild) {
                Ok(made) => made,
                Err(error) => {
                    let reason = format!("cannot make the pack for this host: {error:#}");
                    return Outcome::Failed { reason, status: 1 }.into();
                }
            };
            let deadline = self.deadline();
            let answer = match self.exec(&request, parcel, deadline) {
                Ok(answer) => answer,
                Err(Trouble::Ended(outcome)) => return outcome.into(),
                Err(Trouble::Lost(why)) => match self.ask_in_a_new_session(stage, why, deadline) {
                    Ok(Some(answer)) => answer,
                    Ok(None) if run_again => {
                        run_again = false;
                        continue;
                    }
                    Ok(None) => {
                        let reason = "the session was lost again ahead of the stage".into();
                        return Outcome::Lost { reason }.into();
                    }
                    Err(result) => return result,
                },
            };
            if matches!(answer.ended, Ended::CacheBroken { .. }) && stage == Stage::Fetch && !rebuild {
                rebuild = true;
                // They came ahead of what was broken.
                if let Some(remote) = &mut self.session.remote {
                    remote.facts.lacks.clear();
                }
                continue;
            }
            let outcome = outcome_of(answer.ended, &answer.end);
            if outcome.is_ok() && stage == Stage::Fetch {
                self.remember(&request);
            }
            return HostResult { state: Some(answer.state), ..HostResult::from(outcome) };
        }
    }

    pub(super) fn exec(&mut self, request: &Request, parcel: Parcel, deadline: Instant) -> Result<Answer, Trouble> {
        let Some(remote) = &mut self.session.remote else {
            return Err(Trouble::Lost("there is no session".into()));
        };
        remote.run(request, parcel, deadline, &mut self.hearing)
    }

    /// The stage's request, and for a fetch what the host lacks.
    fn stage_request(&self, stage: Stage, rebuild: bool) -> anyhow::Result<(Request, Parcel)> {
        let mut request = self.request(Action::Run { stage, attempt: self.task.attempt });
        let mut parcel = Parcel::default();
        if let (Stage::Fetch, Some(fetch)) = (stage, &mut request.fetch) {
            fetch.rebuild |= rebuild;
            let facts = self.session.remote.as_ref().map(|remote| &remote.facts);
            let has_it = facts.is_some_and(|facts| facts.revisions.contains(&request.revision));
            let packs = &self.shared.packs;
            if fetch.source.is_none() && (!has_it || request.force || fetch.rebuild) {
                let cached = facts.filter(|_| !fetch.rebuild).map_or(&[][..], |facts| &facts.cached);
                parcel.pack = packs.pack(cached)?;
                fetch.pack_bytes = parcel.pack.as_ref().map(|pack| pack.bytes);
            }
            for file in facts.map_or(&[][..], |facts| &facts.lacks) {
                let Some(path) = packs.stored(file) else { continue };
                parcel.large_files.push((path.to_owned(), file.bytes()));
                fetch.large_files.push(file.clone());
            }
        }
        Ok((request, parcel))
    }

    /// After a fetch the host has the revision, which the facts of its probe do not know.
    fn remember(&mut self, request: &Request) {
        if let Some(remote) = &mut self.session.remote {
            remote.facts.lacks.clear();
            for list in [&mut remote.facts.revisions, &mut remote.facts.cached] {
                if !list.contains(&request.revision) {
                    list.push(request.revision.clone());
                }
            }
        }
    }

    fn ask_in_a_new_session(
        &mut self,
        stage: Stage,
        why: String,
        deadline: Instant,
    ) -> Result<Option<Answer>, HostResult> {
        self.session.remote = None;
        self.ask_after_loss(stage, why, deadline)
    }

    /// Finds out how a stage went whose session was lost: its answer, or `None` when the target never saw it.
    fn ask_after_loss(
        &mut self,
        stage: Stage,
        mut why: String,
        deadline: Instant,
    ) -> Result<Option<Answer>, HostResult> {
        let request = self.request(Action::Ask { stage, attempt: self.task.attempt });
        let give_up = deadline + self.shared.ssh.options.reconnect_timeout;
        'connected: loop {
            if Instant::now() >= give_up {
                return Err(Outcome::Lost { reason: why }.into());
            }
            if !self.is_connected() {
                self.reconnect(&why).map_err(|trouble| HostResult::from(lost(trouble)))?;
            }
            loop {
                let Some(remote) = &mut self.session.remote else { continue 'connected };
                let patience = Instant::now() + self.call.timeout.min(ASK_PATIENCE) + SLACK;
                let answer = match remote.ask(&request, patience, &mut self.hearing) {
                    Ok(Recorded::Running) if Instant::now() < deadline => {
                        std::thread::sleep(ASK_PAUSE);
                        continue;
                    }
                    Ok(Recorded::Running) => return Err(Outcome::TimedOut { seconds: 0 }.into()),
                    Ok(Recorded::Nothing) => None,
                    Ok(Recorded::Ended { outcome, state }) => Some(answer(outcome, state)),
                    Ok(Recorded::Died { state }) => {
                        let reason = format!("deploy-local died in {stage}, and its connection with it");
                        let result = HostResult::from(Outcome::Failed { reason, status: 1 });
                        return Err(HostResult { state: Some(state), ..result });
                    }
                    Err(Trouble::Lost(again)) => {
                        self.session.remote = None;
                        why = again;
                        continue 'connected;
                    }
                    Err(Trouble::Ended(outcome)) => return Err(outcome.into()),
                };
                return match (self.hold_again(), answer) {
                    (Ok(()), answer) => Ok(answer),
                    // What was done is known; the lock is tried again by the step that needs it.
                    (Err(_), Some(answer)) => Ok(Some(answer)),
                    (Err(Trouble::Lost(again)), None) => {
                        why = again;
                        continue 'connected;
                    }
                    (Err(Trouble::Ended(outcome)), None) => Err(outcome.into()),
                };
            }
        }
    }

    /// Connects again after a loss, as long as `reconnect_timeout` allows.
    fn reconnect(&mut self, why: &str) -> Result<(), Trouble> {
        self.session.remote = None;
        let until = Instant::now() + self.shared.ssh.options.reconnect_timeout;
        let mut pause = Duration::from_millis(100);
        loop {
            let (outcome, may_pass) = match self.connect() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !may_pass || Instant::now() + pause >= until {
                self.session.had_one = false;
                return Err(Trouble::Ended(match outcome {
                    Outcome::Unreachable { reason } => Outcome::Lost { reason: format!("{why}; then {reason}") },
                    other => other,
                }));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RECONNECT_PAUSE);
        }
    }
}

/// An answer that came by way of a question: its process has ended as the record says.
fn answer(ended: Ended, state: State) -> Answer {
    Answer { ended, state, end: ExecEnd::Status(0) }
}

/// Trouble ahead of a step: nothing was done.
fn unreachable(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Lost(reason) | Trouble::Ended(Outcome::Lost { reason }) => Outcome::Unreachable { reason },
        Trouble::Ended(outcome) => outcome,
    }
}

/// Trouble in the middle of a stage: what the host did is not known.
fn lost(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Lost(reason) => Outcome::Lost { reason },
        Trouble::Ended(outcome @ Outcome::Lost { .. }) => outcome,
        Trouble::Ended(outcome) => Outcome::Lost { reason: format!("a new session did not help: {outcome}") },
    }
}
