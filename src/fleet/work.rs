//! One step on one host: with its session, with a new one when that is lost, and with the true end in any case.

use std::time::{Duration, Instant};

use super::abort::Abort;
use super::connection::{ASK_PATIENCE, SLACK, Work};
use super::loss::{Loss, lost, unreachable, why};
use super::ssh::ExecEnd;
use super::talk::{Failure, StageReply, outcome_of};
use super::{HostResult, Outcome, Payload, Step};
use crate::wire::{Action, Ended, Facts, Recorded, Request, Stage, State};

/// Between two questions how a stage goes.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// Trees that finalize keeps for a rollback of the run: what was live and what was done before it.
const KEPT_FOR_ROLLBACK: usize = 2;
impl<'a> Work<'a> {
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
                log::warn!("{target}: the lock could not be released: {outcome}; `hoist unlock {target}` does that");
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
            if let Some(outcome) = self.aborted() {
                return outcome.into();
            }
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

    /// How the stage of this work is aborted; `None`: this step is not.
    pub(super) fn abort(&self) -> Option<Abort<'a>> {
        match self.call.step {
            Step::Run(stage) if stage != Stage::Rollback => {
                Some(Abort::of(&self.shared.aborting, stage, self.task.attempt))
            }
            _ => None,
        }
    }

    /// The outcome of a stage that is aborted before it was begun.
    fn aborted(&self) -> Option<Outcome> {
        let is_aborted = self.abort().is_some_and(|abort| abort.is_due());
        is_aborted.then(|| Outcome::Failed { reason: "aborted by the operator".into(), status: 1 })
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
        let abort = self.abort();
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
                if let Some(abort) = abort.as_ref().filter(|abort| abort.is_due()) {
                    remote.abort(abort);
                }
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
}

/// An answer that came by way of a question: its process has ended as the record says.
fn answer(ended: Ended, state: State) -> StageReply {
    StageReply { ended, state, end: ExecEnd::Status(0) }
}
