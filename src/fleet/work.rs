//! One step on one host. If its session is lost, a new one is opened to find out how the step ended.

use std::time::{Duration, Instant};

use super::abort::Abort;
use super::connection::{SLACK, Work};
use super::loss::{Loss, lost, unreachable, why};
use super::talk::{Failure, StageReply};
use super::terms::ASK_TIMEOUT;
use super::{Call, HostResult, Step, Task};
use crate::wire::{CUT_OFF, DAMAGED, Facts, Fault, LARGE_FILE, NO_DEPLOYER, Outcome, Recorded, Stage};

/// The pause between two queries about a stage.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// How often a stage is sent again that was lost before the target had all that it needs.
const SENT_AGAIN: u32 = 3;
/// How many trees finalize keeps for a rollback of the run: the live one and the finalized one from before the run.
const KEPT_FOR_ROLLBACK: usize = 2;

impl Work<'_> {
    pub(super) fn step(&mut self, call: &Call, task: &Task) -> HostResult {
        match call.step {
            Step::Probe => self.probe(),
            Step::Hold => self.hold(),
            Step::Run(stage) => {
                self.session.promoted |= stage == Stage::Promote;
                self.session.keeps_more = false;
                let result = self.run(stage, call, task);
                if stage == Stage::Finalize && result.outcome.is_ok() {
                    let deployment = self.shared.requests.deployment();
                    self.session.keeps_more = deployment.is_some_and(|it| it.cache_revs < KEPT_FOR_ROLLBACK);
                }
                if matches!(stage, Stage::Finalize | Stage::Rollback) && result.outcome.is_ok() {
                    self.session.promoted = false;
                }
                result
            }
            Step::Release => self.release(),
            Step::Command => self.run(Stage::Command, call, task),
        }
    }

    /// The result of a stage that an earlier deployer may have begun; `None`: it never began.
    pub(super) fn recover(&mut self, stage: Stage, attempt: u32) -> Option<HostResult> {
        let deadline = self.deadline();
        let end = self.ask_after_loss(stage, attempt, Loss::of_deployer(), deadline);
        end.map_or_else(|fault| Some(fault.into()), |answer| answer.map(HostResult::from))
    }

    fn probe(&mut self) -> HostResult {
        let outcome = self.fresh_probe();
        let facts = self.session.remote.as_ref().filter(|_| outcome.is_ok()).map(|remote| Facts {
            // Only this fleet needs the list, and it may be long.
            cached: Vec::new(),
            locked: remote.facts.locked.clone().filter(|_| self.shared.void_claim(&remote.facts).is_none()),
            ..remote.facts.clone()
        });
        let state = facts.as_ref().map(|facts| facts.state.clone());
        HostResult { facts, state, ..HostResult::from(outcome) }
    }

    fn fresh_probe(&mut self) -> Outcome {
        if !self.is_connected() {
            return self.ready_again();
        }
        let (request, deadline) = (self.probe_request(), self.deadline());
        let Some(remote) = &mut self.session.remote else { return self.ready_again() };
        match remote.probe_again(self.shared, &request, deadline, &mut self.sink) {
            Ok(()) => {
                self.note_lacks();
                Ok(())
            }
            Err(Failure::Ended(fault)) => Err(fault),
            Err(Failure::Lost(_) | Failure::Unanswered(_)) => {
                self.session.remote = None;
                self.ready_again()
            }
        }
    }

    fn hold(&mut self) -> HostResult {
        let outcome = self.ready_again().and_then(|()| match self.take_lock() {
            Ok(()) => Ok(()),
            Err(Failure::Ended(fault)) => Err(fault),
            // Nothing was changed, so it can be tried again with a new session.
            Err(failure) => self.reconnect(&why(failure)).and_then(|()| self.take_lock()).map_err(unreachable),
        });
        self.session.hold = outcome.is_ok();
        outcome.into()
    }

    fn release(&mut self) -> HostResult {
        (self.session.hold, self.session.promoted) = (false, false);
        let keeps_more = std::mem::take(&mut self.session.keeps_more);
        if self.session.claimed && !self.is_connected() {
            // Its session was closed to make room for others, and the claim would outlive the run.
            if let Err(fault) = self.ready() {
                let target = self.target;
                let unlock = self.shared.requests.command(&format!("unlock {target}"));
                let message = format!("the lock could not be released: {fault}; `{unlock}` does that");
                self.shared.ssh.remarks().warn(Some(target), message);
            }
        }
        self.session.claimed = false;
        if let Some(remote) = self.session.remote.take() {
            if keeps_more { remote.close_after_cleanup(self.deadline()) } else { remote.close() }
        }
        self.shared.open.forget(self.host);
        HostResult::ok()
    }

    fn run(&mut self, stage: Stage, call: &Call, task: &Task) -> HostResult {
        if let Err(fault) = self.ready_again() {
            return fault.into();
        }
        if let Some(first) = &mut self.session.first {
            first.begun |= stage != Stage::Fetch;
        }
        let abort = Abort::of(&self.shared.aborting, stage, task.attempt);
        let (mut rebuild, mut again) = (false, SENT_AGAIN);
        loop {
            if abort.as_ref().is_some_and(Abort::is_due) {
                return Fault::failed("aborted by the operator").into();
            }
            let (request, payload) = match self.stage_request(stage, call, task, rebuild) {
                Ok(made) => made,
                Err(error) => return Fault::failed(format!("cannot make the pack for this host: {error:#}")).into(),
            };
            let deadline = self.deadline();
            let mut answer = match self.exec(&request, payload, deadline, abort.as_ref()) {
                Ok(answer) => answer,
                Err(Failure::Ended(fault)) => return fault.into(),
                Err(failure) => {
                    let loss = Loss::of(failure);
                    if loss.told.is_none() {
                        self.session.remote = None;
                    }
                    match self.ask_after_loss(stage, task.attempt, loss.clone(), deadline) {
                        Ok(Some(answer)) if again > 0 && lacked_deploy_host(&answer) => {
                            again -= 1;
                            continue;
                        }
                        Ok(Some(answer)) => answer,
                        Ok(None) if again > 0 => {
                            again -= 1;
                            continue;
                        }
                        Ok(None) => return loss.again().into(),
                        Err(fault) => return fault.into(),
                    }
                }
            };
            if matches!(answer.outcome, Err(Fault::CacheBroken { .. })) && stage == Stage::Fetch && !rebuild {
                rebuild = true;
                // They were received before the broken part.
                self.session.lacks.clear();
                continue;
            }
            self.name_large_file(stage, &mut answer);
            if lost_large_files(&answer) && stage == Stage::Fetch && again > 0 {
                again -= 1;
                if let Err(fault) = self.fresh_probe() {
                    return fault.into();
                }
                continue;
            }
            if let Some(first) = &mut self.session.first {
                first.begun = true;
            }
            if answer.outcome.is_ok() && stage == Stage::Fetch {
                self.note_fetched();
            }
            return answer.into();
        }
    }

    /// Names a large file by its path: the target has only its content's name while it receives that.
    fn name_large_file(&self, stage: Stage, answer: &mut StageReply) {
        if let (Stage::Fetch, Err(Fault::Failed { reason, .. })) = (stage, &mut answer.outcome)
            && let Some(oid) = reason.strip_prefix(LARGE_FILE).and_then(|rest| rest.split(' ').next())
            && let Some(path) = self.shared.packs.large_file_path(oid)
        {
            *reason = reason.replacen(oid, &format!("{path} ({oid})"), 1);
        }
    }

    /// After a fetch the host has the revision, which is not in the facts of its probe.
    fn note_fetched(&mut self) {
        self.session.lacks.clear();
        if let (Some(remote), Some(deployment)) = (&mut self.session.remote, self.shared.requests.deployment()) {
            for list in [&mut remote.facts.revisions, &mut remote.facts.cached] {
                if !list.contains(&deployment.revision) {
                    list.push(deployment.revision.clone());
                }
            }
        }
    }

    /// Finds out how a stage ended that gave no answer; `None`: the target never received it.
    fn ask_after_loss(
        &mut self,
        stage: Stage,
        attempt: u32,
        mut loss: Loss,
        deadline: Instant,
    ) -> Result<Option<StageReply>, Fault> {
        let request = self.ask_request(stage, attempt);
        let give_up = deadline + self.shared.ssh.options.timeouts.reconnect;
        let mut is_new = false;
        let abort = Abort::of(&self.shared.aborting, stage, attempt);
        'connected: loop {
            if Instant::now() >= give_up {
                return Err(Fault::Lost { reason: loss.why });
            }
            if !self.is_connected() {
                self.reconnect(&loss.why).map_err(lost)?;
                is_new = true;
                if let Some(at) = loss.at.take() {
                    let (why, seconds) = (&loss.why, at.elapsed().as_secs());
                    let message = format!(
                        "the connection was lost ({why}) and made again after {seconds} s; what the target printed \
                         meanwhile is missing"
                    );
                    self.shared.ssh.remarks().debug(Some(self.target), message);
                }
            }
            loop {
                let Some(remote) = &mut self.session.remote else { continue 'connected };
                if let Some(abort) = abort.as_ref().filter(|abort| abort.is_due()) {
                    remote.abort(abort);
                }
                let deadline = Instant::now() + self.timeout.min(ASK_TIMEOUT) + SLACK;
                let answer = match remote.ask(&request, deadline, &mut self.sink) {
                    Ok(Recorded::Running) if Instant::now() < deadline => {
                        std::thread::sleep(ASK_PAUSE);
                        continue;
                    }
                    Ok(Recorded::Running) => {
                        return Err(Fault::TimedOut { seconds: self.timeout.as_secs() });
                    }
                    Ok(Recorded::Nothing) => None,
                    Ok(Recorded::Ended { outcome, state }) => Some(StageReply { outcome, state: Some(state) }),
                    Ok(Recorded::Died { state }) => {
                        let reason = match stage {
                            Stage::Once => "it ended on the host without a record of how".to_owned(),
                            stage => format!("deploy-local died during {stage}, and the connection was lost"),
                        };
                        let fault = loss.told.unwrap_or(Fault::failed(reason));
                        return Ok(Some(StageReply { outcome: Err(fault), state: Some(state) }));
                    }
                    Err(Failure::Ended(fault)) => return Err(fault),
                    Err(failure) => {
                        self.session.remote = None;
                        loss.why = why(failure);
                        std::thread::sleep(ASK_PAUSE);
                        continue 'connected;
                    }
                };
                let needs_lock = is_new || remote.has_lost_lock_holder();
                let held = if needs_lock { self.hold_again() } else { Ok(()) };
                return match (held, answer) {
                    (Ok(()), answer) => Ok(answer),
                    // The result is known; the next step that needs the lock tries to take it again.
                    (Err(_), Some(answer)) => Ok(Some(answer)),
                    (Err(Failure::Ended(fault)), None) => Err(fault),
                    (Err(failure), None) => {
                        self.session.remote = None;
                        loss.why = why(failure);
                        continue 'connected;
                    }
                };
            }
        }
    }
}

/// Whether a stage failed only because the connection was lost: the deploy host should have drained or undrained it, or had
/// not sent all of a file.
fn lacked_deploy_host(answer: &StageReply) -> bool {
    let tells = |reason: &str| reason.contains(NO_DEPLOYER) || reason.ends_with(CUT_OFF);
    matches!(&answer.outcome, Err(Fault::Failed { reason, .. }) if tells(reason))
}

/// Whether a fetch failed only because large files of the target were damaged, which it lacks now.
fn lost_large_files(answer: &StageReply) -> bool {
    matches!(&answer.outcome, Err(Fault::Failed { reason, .. }) if reason.ends_with(DAMAGED))
}
