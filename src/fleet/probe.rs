//! The first command of a session: what it takes until the target has answered.

use std::time::{Duration, Instant};

use super::Payload;
use super::output_sink::OutputSink;
use super::ssh::{
    Bootstrap, Driven, ExecEnd, Heed, Input, Link, Marker, OutputChunk, Running, UploadError, run_command,
};
use super::talk::{Failure, lines_of, not_run, refusal, unanswered};
use crate::wire::{Facts, Fault, Request, TargetEvent};

/// Runs the first command of a session, uploading Hoist where it is missing, up to the answer.
pub(super) fn probe(
    link: &mut Link,
    bootstrap: &Bootstrap,
    request: &Request,
    deadline: Instant,
    sink: &mut OutputSink,
) -> Result<(String, Running, Facts), Failure> {
    let first_command = bootstrap.first_command().map_err(Failure::failed)?;
    let (mut uploaded, mut asked_again) = (false, false);
    loop {
        let input = Input { head: lines_of(request), payload: Payload::default(), keep_open: true };
        let began = Instant::now();
        sink.begin();
        let mut running = link.start(&first_command, input, deadline).map_err(not_run)?;
        let mut command = bootstrap.installed();
        let (mut facts, mut ended, mut stop) = (None, None, None);
        let driven = running.drive(link, deadline, &mut |said| {
            if let (OutputChunk::Out(text), true) = (said, command.is_none())
                && let Some(marker) = Marker::parse(&String::from_utf8_lossy(text))
            {
                match marker {
                    Marker::At(path) => command = Some(run_command(&path)),
                    other => stop = Some(other),
                }
                return Heed::More;
            }
            match sink.said(said) {
                Some(TargetEvent::Facts(answer)) => {
                    facts = Some(*answer);
                    Heed::Pause
                }
                Some(TargetEvent::Ended { outcome, .. }) => {
                    ended = Some(outcome);
                    Heed::Last
                }
                _ => Heed::More,
            }
        });
        let end = match driven {
            Driven::Paused => match (command, facts) {
                (Some(command), Some(facts)) => return Ok((command, running, facts)),
                _ => {
                    running.leave(link);
                    let heard = sink.last_words();
                    return Err(Failure::unanswered(format!("the target answered the probe out of turn{heard}")));
                }
            },
            Driven::Ended(end) => end,
        };
        match (stop, ended) {
            (Some(Marker::Missing), _) if !uploaded => {
                uploaded = true;
                bootstrap.upload(link, deadline).map_err(|error| match error {
                    UploadError::Lost(why) => Failure::Lost(why),
                    UploadError::Failed(why) => Failure::failed(why),
                })?;
            }
            (Some(Marker::Unfit(why)), _) => return Err(Failure::unanswered(why)),
            (Some(_), _) => {
                return Err(Failure::unanswered("hoist was copied to the target and is not found there"));
            }
            (None, Some(refused)) => return Err(Failure::Ended(refusal(refused, Some(&end)))),
            // A channel that the server closed looks like this, too.
            (None, None)
                if !asked_again && matches!(end, ExecEnd::Status(0) | ExecEnd::Closed) && sink.words.is_silence() =>
            {
                asked_again = true
            }
            (None, None) => return Err(no_answer(end, bootstrap, began.elapsed(), sink)),
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
