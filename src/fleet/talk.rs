//! The protocol with `deploy-local` on one target after the probe: lock, stages, queries.

use std::time::{Duration, Instant};

use super::abort::Abort;
use super::drain::LocalDrain;
use super::lines::{line_of, lines_of};
use super::lock_holder::{Answer, LockHolder};
use super::output_sink::OutputSink;
use super::ssh::{AfterLine, Driven, ExecEnd, Input, Link, OpenError, OutputChunk, Running};
use super::{HostResult, Payload};
use crate::timings;
use crate::timings::Part;
use crate::wire::{Facts, Fault, Level, LockHolderLine, Outcome, Recorded, Request, RunId, State, TargetEvent};

/// Time limit for a lock holder to release its lock.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// The message about a command that may still be running.
pub(super) const CLOSED: &str = "the server closed the channel and did not say how the command ended";

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The session broke.
    Lost(String),
    /// The command ended without reporting a result.
    Unanswered(Fault),
    /// The target reported the reason, or nothing was run there.
    Ended(Fault),
}

impl Failure {
    pub(super) fn failed(reason: impl Into<String>) -> Failure {
        Failure::Ended(Fault::failed(reason))
    }

    /// The failure of a command that did not do its work. `reason` is the message for an exit status, `limit` the time
    /// limit of the step.
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
    fn from(failure: Failure) -> Fault {
        match failure {
            Failure::Lost(reason) => Fault::Lost { reason },
            Failure::Unanswered(fault) | Failure::Ended(fault) => fault,
        }
    }
}

/// Why there is no session.
#[derive(Debug)]
pub(super) struct NoSession {
    pub fault: Fault,
    /// Trying again a little later is of no use, even if the host accepted this key before.
    pub is_final: bool,
    /// The server responded, but refused the login.
    pub is_refused: bool,
}

/// The result of a stage.
#[derive(Debug)]
pub(super) struct StageReply {
    pub outcome: Outcome,
    pub state: Option<State>,
}

impl From<StageReply> for HostResult {
    fn from(reply: StageReply) -> HostResult {
        HostResult { state: reply.state, ..HostResult::from(reply.outcome) }
    }
}

/// A session with a target that answered the probe.
pub(super) struct Remote {
    pub link: Link,
    /// The command line of `deploy-local`.
    pub command: String,
    /// The process of the probe, which stays to hold the lock.
    pub lock_holder: Option<LockHolder>,
    pub facts: Facts,
}

impl Remote {
    /// Whether the session is usable, as far as is known without sending anything.
    pub fn is_alive(&mut self) -> bool {
        self.link.is_alive()
    }

    /// Makes the lock holder take the lock. There must be a lock holder: probe first. With `claims`, other runs are also
    /// excluded while this session is closed, until [`Remote::close`]. The claim of the run `ended` is void.
    pub fn hold(
        &mut self,
        ended: Option<RunId>,
        claims: bool,
        deadline: Instant,
        sink: &mut OutputSink,
    ) -> Result<(), Failure> {
        let Some(mut lock_holder) = self.lock_holder.take() else {
            return Err(Failure::failed("no process on the target can hold its lock"));
        };
        let _exchange = timings::exchange(Part::Lock);
        timings::asked(self.link.round_trip());
        if let Some(run) = ended {
            lock_holder.say(&LockHolderLine::Ended { run });
        }
        lock_holder.say(if claims { &LockHolderLine::Claim } else { &LockHolderLine::Hold });
        sink.begin();
        let mut refused = None;
        let driven = lock_holder.running.drive(&mut self.link, deadline, &mut |said| match sink.said(said) {
            Some(TargetEvent::Held) => AfterLine::Pause,
            Some(TargetEvent::Ended { outcome, .. }) => {
                refused = Some(outcome);
                AfterLine::Pause
            }
            _ => AfterLine::More,
        });
        let end = match driven {
            Driven::Paused if refused.is_none() => {
                self.lock_holder = Some(lock_holder);
                return Ok(());
            }
            Driven::Paused => {
                lock_holder.running.leave(&mut self.link);
                None
            }
            Driven::Ended(end @ ExecEnd::TimedOut) => {
                lock_holder.running.leave(&mut self.link);
                Some(end)
            }
            Driven::Ended(end) => Some(end),
        };
        Err(match (refused, end) {
            (Some(refused), end) => Failure::Ended(refusal(refused, end.as_ref())),
            (None, Some(end)) => unanswered(end, "the process that holds the lock ended", sink),
            (None, None) => Failure::failed("the process that holds the lock did not confirm it"),
        })
    }

    /// Keeps an idle session alive: answers the host's keepalive messages and sends our own. With `renew` also tells the
    /// lock holder that this deployer is alive. Never waits for the host.
    pub fn keep_alive(&mut self, renew: bool) {
        if let Some(lock_holder) = &mut self.lock_holder {
            if renew {
                lock_holder.say(&LockHolderLine::Renew);
            }
            lock_holder.keep_alive(&mut self.link);
        }
    }

    /// Whether there is a lock holder, as far as is known.
    pub fn has_lock_holder(&self) -> bool {
        self.lock_holder.as_ref().is_some_and(LockHolder::is_there)
    }

    /// Whether there was a lock holder and its command has ended, and the lock with it.
    pub fn has_lost_lock_holder(&mut self) -> bool {
        self.keep_alive(false);
        self.lock_holder.is_some() && !self.has_lock_holder()
    }

    /// Runs a stage: by the lock holder if that can take it, or else by a command of its own.
    pub fn run(
        &mut self,
        request: &Request,
        payload: Payload,
        deadline: Instant,
        abort: Option<&Abort>,
        sink: &mut OutputSink,
    ) -> Result<StageReply, Failure> {
        sink.begin();
        let _exchange = timings::exchange(Part::Other);
        let drain = match request {
            Request::Run(run) => LocalDrain::of(&run.request),
            _ => None,
        };
        // The target asks for the parts of a drain while the stage runs, and reads the replies from its own input.
        let line = match (&drain, &self.lock_holder) {
            (None, Some(holder)) => holder.line(&self.link, request, &payload),
            _ => None,
        };
        let (answer, end) = if let Some(line) = line
            && let Some(mut holder) = self.lock_holder.take()
        {
            let private = matches!(request, Request::Run(run) if run.secrets.is_some());
            let given = holder.start(&self.link, line, private, &payload);
            let ended = given.map(|number| holder.follow(&mut self.link, number, deadline, abort, sink));
            self.lock_holder = Some(holder);
            ended.map_err(|error| Failure::failed(format!("cannot read the pack on the deploy host: {error}")))?
        } else {
            self.run_by_command(request, payload, drain, deadline, abort, sink)?
        };
        match answer {
            Some((said, state)) => Ok(StageReply { outcome: outcome_of(said, &end), state }),
            None => Err(unanswered(end, "ended without a result", sink)),
        }
    }

    /// Meanwhile the target may request parts of its drain from this host.
    fn run_by_command(
        &mut self,
        request: &Request,
        payload: Payload,
        mut drain: Option<LocalDrain>,
        deadline: Instant,
        abort: Option<&Abort>,
        sink: &mut OutputSink,
    ) -> Result<(Option<Answer>, ExecEnd), Failure> {
        let input = Input { head: lines_of(request), payload, keep_open: drain.is_some() };
        let mut running = self.start(input, deadline)?;
        let mut answer = None;
        let end = loop {
            let mut wanted = None;
            let is_busy = drain.as_ref().is_some_and(LocalDrain::is_busy);
            // The target sends something regularly. Then the drain and a possible abort are checked.
            let driven = running.drive(&mut self.link, deadline, &mut |said| match sink.said(said) {
                Some(TargetEvent::Ended { outcome, state }) => {
                    answer = Some((outcome, state));
                    AfterLine::Last
                }
                Some(TargetEvent::Wanted { part }) => {
                    wanted = Some(part);
                    AfterLine::Pause
                }
                _ if is_busy || abort.is_some_and(Abort::is_due) => AfterLine::Pause,
                _ => AfterLine::More,
            });
            if let Driven::Ended(end) = driven {
                break end;
            }
            if let Some(drain) = &mut drain {
                if let Some(part) = wanted {
                    drain.begin(part);
                }
                if let Some(reply) = drain.take(&mut |line| sink.text(Level::Info, line.as_bytes())) {
                    running.say(&line_of(&reply));
                }
            }
            running = self.heed_abort(running, abort)?;
        };
        Ok((answer, end))
    }

    /// Aborts the stage if the operator wants it. Returns the stage, whose end is still to come.
    fn heed_abort(&mut self, running: Running, abort: Option<&Abort>) -> Result<Running, Failure> {
        if let Some(abort) = abort.filter(|abort| abort.is_due())
            && !self.abort(abort)
        {
            running.leave(&mut self.link);
            return Err(Failure::Lost("the stage is aborted".into()));
        }
        Ok(running)
    }

    /// Asks how a stage ended.
    pub fn ask(&mut self, request: &Request, deadline: Instant, sink: &mut OutputSink) -> Result<Recorded, Failure> {
        let mut answer = None;
        sink.begin();
        let _exchange = timings::exchange(Part::Other);
        let end = self.exec(request, deadline, &mut |said| match sink.said(said) {
            Some(TargetEvent::Recorded(recorded)) => {
                answer = Some(Ok(recorded));
                AfterLine::Last
            }
            Some(TargetEvent::Ended { outcome, .. }) => {
                answer = Some(Err(outcome));
                AfterLine::Last
            }
            _ => AfterLine::More,
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
        deadline: Instant,
        on: &mut dyn FnMut(OutputChunk) -> AfterLine,
    ) -> Result<ExecEnd, Failure> {
        let mut running = self.start(Input::from(lines_of(request)), deadline)?;
        loop {
            if let Driven::Ended(end) = running.drive(&mut self.link, deadline, on) {
                return Ok(end);
            }
        }
    }

    fn start(&mut self, input: Input, deadline: Instant) -> Result<Running, Failure> {
        let again = Input { head: input.head.clone(), payload: input.payload.clone(), keep_open: input.keep_open };
        let mut started = self.link.start(&self.command, input, deadline);
        if matches!(started, Err(OpenError::NoChannel(_)))
            && let Some(lock_holder) = self.lock_holder.take()
        {
            // The server allows one command per session. End the lock holder: the stage takes the lock itself.
            lock_holder.running.finish(&mut self.link, Instant::now() + RELEASE_TIMEOUT);
            started = self.link.start(&self.command, again, deadline);
        }
        started.map_err(|error| match not_run(error) {
            // The session has run commands before, so a new session may work.
            Failure::Ended(fault) => Failure::Lost(fault.to_string()),
            other => other,
        })
    }

    /// Makes the lock holder abort a stage. `false`: there is no lock holder, so a new session is needed.
    pub fn abort(&mut self, abort: &Abort) -> bool {
        if !self.has_lock_holder() {
            return false;
        }
        if let Some(lock_holder) = &mut self.lock_holder {
            lock_holder.say(&abort.line());
        }
        self.keep_alive(false);
        true
    }

    /// Releases the lock and a claim, and closes the session.
    pub fn close(self) {
        self.close_until(Instant::now() + RELEASE_TIMEOUT);
    }

    /// The same after a successful run, once the target has cleaned up.
    pub fn close_after_cleanup(mut self, deadline: Instant) {
        if let Some(lock_holder) = &mut self.lock_holder {
            lock_holder.say(&LockHolderLine::Over);
        }
        self.close_until(deadline);
    }

    fn close_until(mut self, deadline: Instant) {
        if let Some(mut lock_holder) = self.lock_holder.take() {
            let _exchange = timings::exchange(Part::Work);
            lock_holder.say(&LockHolderLine::Release);
            lock_holder.running.finish(&mut self.link, deadline);
        }
    }
}

pub(super) fn not_run(error: OpenError) -> Failure {
    match error {
        OpenError::Lost(why) => Failure::Lost(why),
        OpenError::TimedOut => Failure::Lost("a command could not be started in time".into()),
        OpenError::NoChannel(why) => Failure::failed(format!("the target's sshd opens no channel: {why}")),
        OpenError::Denied(why) => Failure::failed(format!("the target's sshd runs no commands: {why}")),
    }
}

/// The failure of a command that ended without an answer.
pub(super) fn unanswered(end: ExecEnd, what: &str, sink: &OutputSink) -> Failure {
    Failure::of(end, sink.limit, |_| format!("{what}{}", sink.last_words()))
}

/// The outcome of a stage, from its own report and the end of its process.
pub(super) fn outcome_of(said: Outcome, end: &ExecEnd) -> Outcome {
    match (said, end) {
        (Ok(()), ExecEnd::Signal(signal)) => Err(Fault::Killed { signal: signal.clone() }),
        (Ok(()), ExecEnd::Status(status)) if *status != 0 => {
            Err(Fault::Failed { reason: "reported success, and then failed".into(), status: Some(*status) })
        }
        (Ok(()), _) => Ok(()),
        // A status in the report is that of the operator's command.
        (Err(Fault::Failed { reason, status }), ExecEnd::Status(own)) if *own != 0 => {
            Err(Fault::Failed { reason, status: status.or(Some(*own)) })
        }
        (Err(fault), _) => Err(fault),
    }
}

/// Why a target did not do what it was asked, if it gave no other answer. `end`: how its process ended, if it has.
pub(super) fn refusal(said: Outcome, end: Option<&ExecEnd>) -> Fault {
    let outcome = end.map_or_else(|| said.clone(), |end| outcome_of(said.clone(), end));
    outcome.err().unwrap_or_else(|| Fault::failed("the target reported success, but gave no answer"))
}
