//! The command that stays on a session: it holds the target's lock, and has stages carried out by processes of their own.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Payload;
use super::abort::Abort;
use super::lines::line_of;
use super::output_sink::OutputSink;
use super::ssh::{AfterLine, Driven, ExecEnd, Link, OutputChunk, Running};
use crate::timings;
use crate::wire::{LONGEST_START, LockHolderLine, Outcome, Request, State, TargetEvent};

/// How a stage ended, as it says itself, and the target after it.
pub(super) type Answer = (Outcome, Option<State>);

/// A lock holder, which is the command of a session's probe.
pub(super) struct LockHolder {
    /// A deadline that passes leaves it running.
    pub running: Running,
    /// As of [`crate::wire::Facts::takes_requests`].
    takes_requests: bool,
    /// How many it was given.
    given: u32,
    /// The end of a request was not waited for. What is said from now on may be of that.
    is_abandoned: bool,
}

impl LockHolder {
    /// `takes_requests`: as it says in its facts.
    pub fn new(running: Running, takes_requests: bool) -> LockHolder {
        LockHolder { running: running.that_stays(), takes_requests, given: 0, is_abandoned: false }
    }

    /// Whether it can be asked something: it has not ended, as far as that was read, and nothing else is still to come.
    pub fn is_there(&self) -> bool {
        !self.is_abandoned && !self.running.has_closed()
    }

    pub fn say(&mut self, line: &LockHolderLine) {
        self.running.say(&line_of(line));
    }

    /// As [`Running::keep_alive`]. What nobody waits for is dropped.
    pub fn keep_alive(&mut self, link: &mut Link) {
        let is_abandoned = self.is_abandoned;
        self.running.keep_alive(link, &|said| !is_abandoned && !is_idle(said));
    }

    /// The line of a request, if the lock holder takes it with what belongs to it.
    pub fn line(&self, link: &Link, request: &Request, payload: &Payload) -> Option<Vec<u8>> {
        let pack = payload.pack.as_ref().map_or(0, |pack| pack.bytes);
        // The transfer limit is for files, and the lock holder's input is none.
        let is_message = payload.large_files.is_empty() && (pack == 0 || !link.is_limited());
        let line = (self.takes_requests && self.is_there() && is_message).then(|| line_of(request));
        line.filter(|line| pack + line.len() as u64 <= LONGEST_START)
    }

    /// Gives it the request of a [line](LockHolder::line); returns its number.
    pub fn start(&mut self, link: &Link, line: Vec<u8>, private: bool, payload: &Payload) -> io::Result<u32> {
        let (number, mut bytes) = (self.given, line.len() as u64);
        if let Some(pack) = &payload.pack {
            // Where it cannot be read nothing is asked: the lock holder would wait for the rest.
            pack.content()?;
            bytes += pack.bytes;
        }
        self.say(&LockHolderLine::Start { number, bytes, private });
        self.running.say(&line);
        if let Some(pack) = &payload.pack {
            self.running.send(Arc::clone(pack));
        }
        self.given += 1;
        timings::asked(link.round_trip());
        Ok(number)
    }

    /// Waits for the end of a stage that it was given.
    pub fn follow(
        &mut self,
        link: &mut Link,
        number: u32,
        deadline: Instant,
        abort: Option<&Abort>,
        sink: &mut OutputSink,
    ) -> (Option<Answer>, ExecEnd) {
        let mut answer: Option<Answer> = None;
        let end = loop {
            let mut exit = None;
            let driven = self.running.drive(link, deadline, &mut |said| match sink.said(said) {
                Some(TargetEvent::Ended { outcome, state }) => {
                    // After a success there is nothing left to learn from the process.
                    let after = if outcome.is_ok() { AfterLine::Pause } else { AfterLine::More };
                    answer = Some((outcome, state));
                    after
                }
                Some(TargetEvent::Exited { number: of, status, signal }) if of == number => {
                    exit = Some(match (status, signal) {
                        (_, Some(signal)) => ExecEnd::Signal(signal),
                        (Some(status), None) => ExecEnd::Status(status),
                        (None, None) => ExecEnd::Closed,
                    });
                    AfterLine::Pause
                }
                _ if abort.is_some_and(Abort::is_due) => AfterLine::Pause,
                _ => AfterLine::More,
            });
            match (driven, exit, &answer) {
                (_, Some(end), _) => break end,
                (_, None, Some((Ok(()), _))) => break ExecEnd::Status(0),
                (Driven::Ended(end), None, _) => {
                    if end == ExecEnd::TimedOut {
                        self.is_abandoned = true;
                    }
                    break end;
                }
                (Driven::Paused, None, _) => {}
            }
            if let Some(abort) = abort.filter(|abort| abort.is_due()) {
                self.say(&abort.line());
            }
        };
        (answer, end)
    }
}

/// Whether a line is only a sign of life, or tells that a process has ended whose result is known.
fn is_idle(said: OutputChunk) -> bool {
    let OutputChunk::Out(text) = said else { return false };
    text.is_empty() || matches!(serde_json::from_slice(text), Ok(TargetEvent::Alive | TargetEvent::Exited { .. }))
}
