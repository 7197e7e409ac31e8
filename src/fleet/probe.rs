//! The beginning of a session: connecting, and the first command up to the target's answer.

use std::time::{Duration, Instant};

use super::Payload;
use super::lines::lines_of;
use super::lock_holder::LockHolder;
use super::output_sink::OutputSink;
use super::ssh::{
    AfterLine, Bootstrap, ConnectErrorKind, Driven, ExecEnd, Input, Link, Marker, OutputChunk, Running, Ssh,
    UploadError, run_command,
};
use super::talk::{Failure, NoSession, Remote, not_run, refusal, unanswered};
use crate::targets::Target;
use crate::timings;
use crate::timings::Part;
use crate::wire::{Facts, Fault, Request, TargetEvent};

impl Remote {
    /// Connects, brings Hoist to the target where it is missing, and probes.
    pub fn connect(
        ssh: &Ssh,
        target: &Target,
        request: &Request,
        timeout: Duration,
        sink: &mut OutputSink,
    ) -> Result<Remote, NoSession> {
        let mut link = ssh.connect(target).map_err(|error| NoSession {
            is_final: error.is_final(),
            is_refused: error.kind == ConnectErrorKind::Auth,
            fault: Fault::Unreachable { reason: error.message },
        })?;
        link.hold();
        let deadline = Instant::now() + timeout;
        match probe(&mut link, &ssh.bootstrap, request, deadline, sink) {
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
        ssh: &Ssh,
        request: &Request,
        deadline: Instant,
        sink: &mut OutputSink,
    ) -> Result<(), Failure> {
        let (command, running, facts) = probe(&mut self.link, &ssh.bootstrap, request, deadline, sink)?;
        let lock_holder = LockHolder::new(running, facts.takes_requests);
        (self.command, self.facts) = (command, facts);
        let surplus = if self.has_lock_holder() { Some(lock_holder) } else { self.lock_holder.replace(lock_holder) };
        if let Some(surplus) = surplus {
            surplus.running.leave(&mut self.link);
        }
        Ok(())
    }
}

/// Runs the first command of a session, uploading Hoist where it is missing, up to the answer.
fn probe(
    link: &mut Link,
    bootstrap: &Bootstrap,
    request: &Request,
    mut deadline: Instant,
    sink: &mut OutputSink,
) -> Result<(String, Running, Facts), Failure> {
    let first_command = bootstrap.first_command().map_err(Failure::failed)?;
    let (mut uploaded, mut asked_again) = (None, false);
    loop {
        let input = Input { head: lines_of(request), payload: Payload::default(), keep_open: true };
        let began = Instant::now();
        sink.begin();
        let _exchange = timings::exchange(Part::Start);
        let started = uploaded.as_ref().unwrap_or(&first_command);
        let mut running = link.start(started, input, deadline).map_err(not_run)?;
        let mut command = uploaded.clone().or_else(|| bootstrap.installed());
        let (mut facts, mut ended) = (None, None);
        let (mut missing, mut unfit) = (None, None);
        let driven = running.drive(link, deadline, &mut |said| {
            if let (OutputChunk::Out(text), true) = (said, command.is_none())
                && let Some(marker) = Marker::parse(&String::from_utf8_lossy(text))
            {
                match marker {
                    Marker::At(path) => command = Some(run_command(&path)),
                    Marker::Missing(unpackers) => missing = Some(unpackers),
                    Marker::Unfit(why) => unfit = Some(why),
                }
                return AfterLine::More;
            }
            match sink.said(said) {
                Some(TargetEvent::Facts(answer)) => {
                    facts = Some(*answer);
                    AfterLine::Pause
                }
                Some(TargetEvent::Ended { outcome, .. }) => {
                    ended = Some(outcome);
                    AfterLine::Last
                }
                _ => AfterLine::More,
            }
        });
        let end = match driven {
            Driven::Paused => match (command, facts) {
                (Some(command), Some(facts)) => return Ok((command, running, facts)),
                _ => {
                    running.leave(link);
                    let heard = sink.last_words();
                    return Err(Failure::unanswered(format!("unexpected response to the probe{heard}")));
                }
            },
            Driven::Ended(end) => end,
        };
        if let Some(why) = unfit {
            return Err(Failure::unanswered(why));
        }
        if let Some(unpackers) = missing {
            let (began, _timed) = (Instant::now(), timings::during(Part::Transfer));
            uploaded = Some(bootstrap.upload(link, unpackers, deadline).map_err(|error| match error {
                UploadError::Lost(why) => Failure::Lost(why),
                UploadError::Failed(why) => Failure::failed(why),
            })?);
            if link.is_limited() {
                deadline += began.elapsed();
            }
            continue;
        }
        match ended {
            Some(refused) => return Err(Failure::Ended(refusal(refused, Some(&end)))),
            // A channel that the server closed may look the same.
            None if !asked_again && matches!(end, ExecEnd::Status(0) | ExecEnd::Closed) && sink.words.is_silence() => {
                asked_again = true;
            }
            None => return Err(no_answer(end, bootstrap, began.elapsed(), sink)),
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
