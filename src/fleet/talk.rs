//! Speaking with `deploy-local` on one target: probe, lock, stages, questions.

use std::time::{Duration, Instant};

use super::output_sink::OutputSink;
use super::probe::probe;
use super::ssh::{ConnectErrorKind, Driven, ExecEnd, Heed, Input, Link, OpenError, OutputChunk, Running, Ssh};
use super::{HostResult, Payload};
use crate::targets::Target;
use crate::wire::{FIRST_LINE, Facts, Fault, KeeperLine, Outcome, Recorded, Request, State, TargetEvent};

/// How long a keeper may take to let go of its lock when it is told to.
const GOODBYE: Duration = Duration::from_secs(1);
/// Of a command that may still run.
pub(super) const CLOSED: &str = "the server closed the channel and did not say how the command ended";

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The session broke.
    Lost(String),
    /// The command ended and did not say how its work went.
    Unanswered(Fault),
    /// The target said why, or nothing was run there.
    Ended(Fault),
}

impl Failure {
    pub(super) fn failed(reason: impl Into<String>) -> Failure {
        Failure::Ended(Fault::failed(reason))
    }

    /// What a command that did not do its work came to; `reason` says why a plain status counts as a failure. `limit` is
    /// the time limit of the step.
    pub fn of(end: ExecEnd, limit: Duration, reason: impl FnOnce(i32) -> String) -> Failure {
        match end {
            ExecEnd::Lost(why) => Failure::Lost(why),
            ExecEnd::Signal(signal) => Failure::Unanswered(Fault::Killed { signal }),
            ExecEnd::TimedOut => Failure::Ended(Fault::TimedOut { seconds: limit.as_secs() }),
            ExecEnd::Closed => Failure::unanswered(CLOSED),
            ExecEnd::Status(status) => {
                Failure::Unanswered(Fault::Failed { reason: reason(status), status: Some(status) })
            }
        }
    }

    pub(super) fn unanswered(reason: impl Into<String>) -> Failure {
        Failure::Unanswered(Fault::failed(reason))
    }
}

impl From<Failure> for Fault {
    fn from(trouble: Failure) -> Fault {
        match trouble {
            Failure::Lost(reason) => Fault::Lost { reason },
            Failure::Unanswered(fault) | Failure::Ended(fault) => fault,
        }
    }
}

/// Why there is no session.
#[derive(Debug)]
pub(super) struct NoSession {
    pub fault: Fault,
    /// Even a host that has let this key in before will not do so a little later.
    pub is_final: bool,
    /// The server was there and let nobody log in.
    pub is_refused: bool,
}

/// What a stage's command came to.
#[derive(Debug)]
pub(super) struct StageReply {
    pub outcome: Outcome,
    pub state: State,
}

impl From<StageReply> for HostResult {
    fn from(reply: StageReply) -> HostResult {
        HostResult { state: Some(reply.state), ..HostResult::from(reply.outcome) }
    }
}

/// A session with a target on which the probe was answered.
pub(super) struct Remote {
    link: Link,
    /// The command line of `deploy-local`.
    command: String,
    /// The probe's process, which stays to keep the lock.
    keeper: Option<Running>,
    pub facts: Facts,
}

impl Remote {
    /// Connects, brings Hoist to the target where it is missing, and probes.
    pub fn connect(
        ssh: &Ssh,
        target: &Target,
        request: &Request,
        patience: Duration,
        sink: &mut OutputSink,
    ) -> Result<Remote, NoSession> {
        let mut link = ssh.connect(target).map_err(|error| NoSession {
            is_final: error.is_final(),
            is_refused: error.kind == ConnectErrorKind::Auth,
            fault: Fault::Unreachable { reason: error.message },
        })?;
        let deadline = Instant::now() + patience;
        match probe(&mut link, &ssh.bootstrap, request, deadline, sink) {
            Ok((command, keeper, facts)) => Ok(Remote { link, command, keeper: Some(keeper), facts }),
            Err(Failure::Lost(reason)) => {
                let fault = Fault::Unreachable { reason: format!("connection lost at the probe: {reason}") };
                Err(NoSession { fault, is_final: false, is_refused: false })
            }
            Err(Failure::Unanswered(fault)) => Err(NoSession { fault, is_final: false, is_refused: false }),
            Err(Failure::Ended(fault)) => Err(NoSession { fault, is_final: true, is_refused: false }),
        }
    }

    /// Whether the session is of use, as far as can be seen without talking.
    pub fn is_alive(&mut self) -> bool {
        self.link.is_alive()
    }

    /// Probes once more on the same session. A keeper that may hold the lock stays.
    pub fn probe_again(
        &mut self,
        ssh: &Ssh,
        request: &Request,
        deadline: Instant,
        sink: &mut OutputSink,
    ) -> Result<(), Failure> {
        let (command, keeper, facts) = probe(&mut self.link, &ssh.bootstrap, request, deadline, sink)?;
        (self.command, self.facts) = (command, facts);
        let surplus = if self.has_keeper() { Some(keeper) } else { self.keeper.replace(keeper) };
        if let Some(surplus) = surplus {
            surplus.leave(&mut self.link);
        }
        Ok(())
    }

    /// Has the keeper take the lock. Without a keeper there is nothing to take it: probe first.
    /// With `claims` other runs are kept out when this session is closed, too, until [`Remote::close`].
    pub fn hold(&mut self, claims: bool, deadline: Instant, sink: &mut OutputSink) -> Result<(), Failure> {
        let Some(mut keeper) = self.keeper.take() else {
            return Err(Failure::failed("nobody on the target can keep its lock"));
        };
        keeper.say(&line_of(if claims { &KeeperLine::Claim } else { &KeeperLine::Hold }));
        sink.begin();
        let mut refused = None;
        let driven = keeper.drive(&mut self.link, deadline, &mut |said| match sink.said(said) {
            Some(TargetEvent::Held) => Heed::Pause,
            Some(TargetEvent::Ended { outcome, .. }) => {
                refused = Some(outcome);
                Heed::Pause
            }
            _ => Heed::More,
        });
        let end = match driven {
            Driven::Paused if refused.is_none() => {
                self.keeper = Some(keeper);
                return Ok(());
            }
            Driven::Paused => {
                keeper.leave(&mut self.link);
                None
            }
            Driven::Ended(end) => Some(end),
        };
        Err(match (refused, end) {
            (Some(refused), end) => Failure::Ended(refusal(refused, end.as_ref())),
            (None, Some(end)) => unanswered(end, "the keeper of the lock ended", sink),
            (None, None) => Failure::failed("the keeper of the lock did not say whether it holds it"),
        })
    }

    /// Keeps a session alive that nobody uses now: answers the host's signs of life and gives our own. With `renew`
    /// also tells the keeper that this deployer is there. Never waits for the host.
    pub fn tend(&mut self, renew: bool) {
        if let Some(keeper) = &mut self.keeper {
            if renew {
                keeper.say(&line_of(&KeeperLine::Renew));
            }
            keeper.tend(&mut self.link, &|said| !is_beat(said));
        }
    }

    /// Whether there is a keeper, as far as its end was heard of.
    pub fn has_keeper(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| !keeper.has_closed())
    }

    /// Whether there was a keeper and its command has ended, and the lock with it.
    pub fn has_lost_keeper(&mut self) -> bool {
        self.tend(false);
        self.keeper.is_some() && !self.has_keeper()
    }

    /// Runs a stage.
    pub fn run(
        &mut self,
        request: &Request,
        payload: Payload,
        deadline: Instant,
        sink: &mut OutputSink,
    ) -> Result<StageReply, Failure> {
        let mut answer = None;
        sink.begin();
        let end = self.exec(request, payload, deadline, &mut |said| match sink.said(said) {
            Some(TargetEvent::Ended { outcome, state }) => {
                answer = Some((outcome, state));
                Heed::Last
            }
            _ => Heed::More,
        })?;
        match answer {
            Some((said, state)) => Ok(StageReply { outcome: outcome_of(said, &end), state }),
            None => Err(unanswered(end, "ended without a result", sink)),
        }
    }

    /// Asks how a stage ended.
    pub fn ask(&mut self, request: &Request, deadline: Instant, sink: &mut OutputSink) -> Result<Recorded, Failure> {
        let mut answer = None;
        sink.begin();
        let end = self.exec(request, Payload::default(), deadline, &mut |said| match sink.said(said) {
            Some(TargetEvent::Recorded(recorded)) => {
                answer = Some(Ok(recorded));
                Heed::Last
            }
            Some(TargetEvent::Ended { outcome, .. }) => {
                answer = Some(Err(outcome));
                Heed::Last
            }
            _ => Heed::More,
        })?;
        match answer {
            Some(Ok(recorded)) => Ok(recorded),
            Some(Err(refused)) => Err(Failure::Ended(refusal(refused, Some(&end)))),
            None => Err(unanswered(end, "could not be asked how the stage ended", sink)),
        }
    }

    fn exec(
        &mut self,
        request: &Request,
        payload: Payload,
        deadline: Instant,
        on: &mut dyn FnMut(OutputChunk) -> Heed,
    ) -> Result<ExecEnd, Failure> {
        let input = || Input { head: lines_of(request), payload: payload.clone(), keep_open: false };
        let mut end = self.link.exec(&self.command, input(), deadline, on);
        if matches!(end, Err(OpenError::NoChannel(_)))
            && let Some(keeper) = self.keeper.take()
        {
            // The server allows one command a session. The work matters more than the lock, which it takes by itself.
            keeper.finish(&mut self.link, Instant::now() + GOODBYE);
            end = self.link.exec(&self.command, input(), deadline, on);
        }
        end.map_err(|error| match not_run(error) {
            // The session has run commands before: what is in the way now may pass, and a new session may do.
            Failure::Ended(fault) => Failure::Lost(fault.to_string()),
            other => other,
        })
    }

    /// Lets go of the lock, of a claim too, and hangs up.
    pub fn close(self) {
        self.close_until(Instant::now() + GOODBYE);
    }

    /// The same once the run has ended well, and the target has tidied up after it.
    pub fn close_when_tidy(mut self, deadline: Instant) {
        if let Some(keeper) = &mut self.keeper {
            keeper.say(&line_of(&KeeperLine::Over));
        }
        self.close_until(deadline);
    }

    fn close_until(mut self, deadline: Instant) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.say(&line_of(&KeeperLine::Release));
            keeper.finish(&mut self.link, deadline);
        }
    }
}

/// One line of JSON.
fn line_of(message: &impl serde::Serialize) -> Vec<u8> {
    // These types hold nothing that JSON cannot carry; if one ever does, the target says that the line is empty.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A request, behind the line that ends a shell which has taken Hoist's place.
pub(super) fn lines_of(request: &Request) -> Vec<u8> {
    let mut lines = format!("{FIRST_LINE}\n").into_bytes();
    lines.extend(line_of(request));
    lines
}

/// Whether a line says only that the target is at work.
fn is_beat(said: OutputChunk) -> bool {
    matches!(said, OutputChunk::Out(text) if text.is_empty() || matches!(serde_json::from_slice(text), Ok(TargetEvent::Alive)))
}

pub(super) fn not_run(error: OpenError) -> Failure {
    match error {
        OpenError::Lost(why) => Failure::Lost(why),
        OpenError::TimedOut => Failure::Lost("a command could not be started in time".into()),
        OpenError::NoChannel(why) => Failure::failed(format!("the target's sshd opens no channel: {why}")),
        OpenError::Denied(why) => Failure::failed(format!("the target's sshd runs no commands: {why}")),
    }
}

/// A command that ended and had not answered.
pub(super) fn unanswered(end: ExecEnd, what: &str, sink: &OutputSink) -> Failure {
    Failure::of(end, sink.limit, |_| format!("{what}{}", sink.last_words()))
}

/// The outcome of a stage that said how it ended, and how its process ended.
pub(super) fn outcome_of(said: Outcome, end: &ExecEnd) -> Outcome {
    match (said, end) {
        (Ok(()), ExecEnd::Signal(signal)) => Err(Fault::Killed { signal: signal.clone() }),
        (Ok(()), ExecEnd::Status(status)) if *status != 0 => {
            Err(Fault::Failed { reason: "said that all is well, and then failed".into(), status: Some(*status) })
        }
        (Ok(()), _) => Ok(()),
        (Err(Fault::Failed { reason, .. }), ExecEnd::Status(status)) if *status != 0 => {
            Err(Fault::Failed { reason, status: Some(*status) })
        }
        (Err(fault), _) => Err(fault),
    }
}

/// Why a target that gave no other answer did not do what it was asked. `end`: how its process ended, when it has.
pub(super) fn refusal(said: Outcome, end: Option<&ExecEnd>) -> Fault {
    let outcome = end.map_or_else(|| said.clone(), |end| outcome_of(said.clone(), end));
    outcome.err().unwrap_or_else(|| Fault::failed("the target said that all is well, and gave no answer"))
}
