//! The beginning of a session: connecting, and the first command up to the target's answer.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Payload;
use super::lines::lines_of;
use super::lock_holder::LockHolder;
use super::output_sink::OutputSink;
use super::sessions::FleetState;
use super::ssh::{
    AfterLine, Bootstrap, ConnectErrorKind, Driven, ExecEnd, Input, Link, Marker, OutputChunk, Running, Unpackers,
    run_command,
};
use super::talk::{Failure, NoSession, Remote, not_run, refusal, unanswered};
use crate::targets::Target;
use crate::timings;
use crate::timings::Part;
use crate::wire::{Facts, Fault, Outcome, Request, TargetEvent};

/// For so long a target may take nothing of Hoist while that is copied there: what time a slow link needs for it is not the
/// target's.
const STALL: Duration = Duration::from_secs(30);

impl Remote {
    /// Connects, brings Hoist to the target where it is missing, and probes.
    pub fn connect(
        fleet: &FleetState,
        target: &Target,
        request: &Request,
        timeout: Duration,
        sink: &mut OutputSink,
    ) -> Result<Remote, NoSession> {
        let mut link = fleet.ssh.connect(target).map_err(|error| NoSession {
            is_final: error.is_final(),
            is_refused: error.kind == ConnectErrorKind::Auth,
            fault: Fault::Unreachable { reason: error.message },
        })?;
        link.hold();
        let deadline = Instant::now() + timeout;
        match probe(&mut link, fleet, request, deadline, sink) {
            Ok((command, running, facts)) => {
                let lock_holder = Some(LockHolder::new(running, facts.takes_requests));
                Ok(Remote { link, command, lock_holder, facts })
            }
            Err(Failure::Lost(reason)) => {
                let fault = Fault::Unreachable { reason: format!("connection lost at the probe: {reason}") };
                Err(NoSession { fault, is_final: false, is_refused: false })
            }
            Err(Failure::Unanswered(fault)) => Err(NoSession { fault, is_final: false, is_refused: false }),
            Err(Failure::Ended(fault)) => Err(NoSession { fault, is_final: true, is_refused: false }),
        }
    }

    /// Probes once more on the same session. A lock holder that may hold the lock stays.
    pub fn probe_again(
        &mut self,
        fleet: &FleetState,
        request: &Request,
        deadline: Instant,
        sink: &mut OutputSink,
    ) -> Result<(), Failure> {
        let (command, running, facts) = probe(&mut self.link, fleet, request, deadline, sink)?;
        let lock_holder = LockHolder::new(running, facts.takes_requests);
        (self.command, self.facts) = (command, facts);
        let surplus = if self.has_lock_holder() { Some(lock_holder) } else { self.lock_holder.replace(lock_holder) };
        if let Some(surplus) = surplus {
            surplus.running.leave(&mut self.link);
        }
        Ok(())
    }
}

/// What the first command has said, of the build until it is executed, and as Hoist after that.
#[derive(Default)]
struct Said {
    /// The command line of `deploy-local`.
    command: Option<String>,
    missing: Option<Unpackers>,
    unfit: Option<String>,
    facts: Option<Facts>,
    ended: Option<Outcome>,
}

impl Said {
    fn take_in(&mut self, said: OutputChunk, sink: &mut OutputSink) -> AfterLine {
        if let (OutputChunk::Out(text), None) = (said, &self.command)
            && let Some(marker) = Marker::parse(&String::from_utf8_lossy(text))
        {
            match marker {
                Marker::At(path) => self.command = Some(run_command(&path)),
                Marker::Missing(unpackers) => self.missing = Some(unpackers),
                Marker::Unfit(why) => {
                    self.unfit = Some(why);
                    return AfterLine::More;
                }
            }
            return AfterLine::Pause;
        }
        match sink.said(said) {
            Some(TargetEvent::Facts(answer)) => {
                self.facts = Some(*answer);
                AfterLine::Pause
            }
            Some(TargetEvent::Ended { outcome, .. }) => {
                self.ended = Some(outcome);
                AfterLine::Last
            }
            _ => AfterLine::More,
        }
    }
}

/// Runs the first command of a session, up to the answer. Where Hoist is missing, it gets it, and the request once more.
fn probe(
    link: &mut Link,
    fleet: &FleetState,
    request: &Request,
    mut deadline: Instant,
    sink: &mut OutputSink,
) -> Result<(String, Running, Facts), Failure> {
    let bootstrap = &fleet.ssh.bootstrap;
    let first_command = bootstrap.first_command().map_err(Failure::failed)?;
    let mut asked_again = false;
    loop {
        let input = Input { head: lines_of(request), payload: Payload::default(), keep_open: true };
        let began = Instant::now();
        sink.begin();
        let mut exchange = Some(timings::exchange(Part::Start));
        let mut running = link.start(&first_command, input, deadline).map_err(not_run)?;
        let mut said = Said { command: bootstrap.installed(), ..Said::default() };
        let mut copying = None;
        let end = loop {
            if let Driven::Ended(end) = running.drive(link, deadline, &mut |line| said.take_in(line, sink)) {
                break end;
            }
            match (said.facts.take(), said.missing.take(), copying.take()) {
                (None, Some(unpackers), None) => {
                    exchange = None;
                    let upload = match bootstrap.upload(unpackers) {
                        Ok(upload) => upload,
                        Err(why) => {
                            running.leave(link);
                            return Err(Failure::failed(why));
                        }
                    };
                    copying = Some((Instant::now(), timings::during(Part::Transfer)));
                    timings::wait();
                    sink.begin();
                    running.say(&upload.script);
                    running.send_for_as_long_as_it_takes(upload.content, STALL, fleet.copies_no_more.clone());
                }
                (None, None, Some(_)) if fleet.copies_no_more.load(Ordering::SeqCst) => {
                    let why = "interrupted while hoist was copied to the target";
                    running.break_off(link, why);
                    return Err(Failure::failed(why));
                }
                (None, None, Some((began, timed))) => {
                    drop(timed);
                    running.sent();
                    deadline += began.elapsed();
                    sink.begin();
                    exchange = Some(timings::exchange(Part::Start));
                    timings::asked(link.round_trip());
                    running.say(&lines_of(request));
                }
                (None, None, None) => {}
                (facts, ..) => match (facts, said.command) {
                    (Some(facts), Some(command)) => return Ok((command, running, facts)),
                    _ => {
                        running.leave(link);
                        let heard = sink.last_words();
                        return Err(Failure::unanswered(format!("unexpected response to the probe{heard}")));
                    }
                },
            }
        };
        drop(exchange);
        match (said.unfit, said.ended) {
            (Some(why), _) if copying.is_some() => return Err(Failure::failed(why)),
            (Some(why), _) => return Err(Failure::unanswered(why)),
            (None, _) if copying.is_some() => return Err(not_copied(end, sink)),
            (None, Some(refused)) => return Err(Failure::Ended(refusal(refused, Some(&end)))),
            // A channel that the server closed may look the same.
            (None, None)
                if !asked_again && matches!(end, ExecEnd::Status(0) | ExecEnd::Closed) && sink.words.is_silence() =>
            {
                asked_again = true;
            }
            (None, None) => return Err(no_answer(end, bootstrap, began.elapsed(), sink)),
        }
    }
}

/// Why a command that was to store Hoist did not say that it has, nor why not.
fn not_copied(end: ExecEnd, sink: &OutputSink) -> Failure {
    match (end, sink.last_words()) {
        (ExecEnd::Lost(why), _) => Failure::Lost(why),
        (ExecEnd::TimedOut, _) => Failure::failed(format!(
            "copying hoist to the target took too long: it took nothing for {} s; try again, or set remote_binary",
            STALL.as_secs()
        )),
        (_, words) => {
            let why = if words.is_empty() { ": it ended without output" } else { &words };
            Failure::failed(format!("cannot copy hoist to the target{why}; fix that, or set remote_binary"))
        }
    }
}

/// Why a command that should have become Hoist gave no answer.
fn no_answer(end: ExecEnd, bootstrap: &Bootstrap, waited: Duration, sink: &OutputSink) -> Failure {
    let cannot_run = match (&end, bootstrap) {
        (ExecEnd::Status(126 | 127), Bootstrap::Installed(path)) => {
            Some(format!("{path} cannot be run on the target: install hoist there, or unset remote_binary"))
        }
        (ExecEnd::Status(126 | 127), Bootstrap::Copied(_)) => {
            Some("hoist cannot be run in the home directory on the target: set remote_binary".to_owned())
        }
        _ => None,
    };
    match (end, cannot_run) {
        (end @ (ExecEnd::Lost(_) | ExecEnd::Signal(_)), _) => unanswered(end, "", sink),
        (end, Some(why)) => unanswered(end, &why, sink),
        (end, None) => match sink.words.explain(&end, waited) {
            Some(reason) => {
                let status = if let ExecEnd::Status(status) = end { Some(status) } else { None };
                Failure::Unanswered(Fault::Failed { reason, status })
            }
            None => unanswered(end, "no answer to the probe", sink),
        },
    }
}
