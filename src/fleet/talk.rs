//! Speaking with `deploy-local` on one target: probe, lock, stages, questions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ssh::{Bootstrap, Driven, ExecEnd, Heed, Input, Link, Marker, OpenError, Running, Said, Ssh, run_command};
use super::{Call, HostEvent, HostId, HostResult, Outcome, Parcel, TAIL_LINES};
use crate::targets::Target;
use crate::wire::{Ended, Facts, KeeperLine, Level, Line, Recorded, Request, State, TargetEvent};

/// How long a keeper may take to let go of its lock when it is told to.
const GOODBYE: Duration = Duration::from_secs(1);

/// Passes on what a host says, and keeps the end of it.
pub(super) struct Hearing<'a> {
    pub host: HostId,
    pub tell: &'a dyn Fn(HostEvent),
    pub tail: VecDeque<Line>,
}

impl Hearing<'_> {
    fn line(&mut self, line: Line) {
        if line.level > Level::Debug {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        (self.tell)(HostEvent::Line(self.host, line));
    }

    pub(super) fn text(&mut self, level: Level, text: &[u8]) {
        self.line(Line { level, message: String::from_utf8_lossy(text).into_owned() });
    }

    /// Takes a line of output; gives back an event that is an answer.
    fn said(&mut self, said: Said) -> Option<TargetEvent> {
        let text = match said {
            Said::Err(text) => {
                self.text(Level::Warning, text);
                return None;
            }
            Said::Out(text) => text,
        };
        match serde_json::from_slice(text) {
            Ok(TargetEvent::Line(line)) => self.line(line),
            Ok(TargetEvent::Diff { file, diff }) => (self.tell)(HostEvent::Diff { host: self.host, file, diff }),
            Ok(answer) => return Some(answer),
            // A login shell's greeting, say.
            Err(_) => self.text(Level::Info, text),
        }
        None
    }

    /// Completes a result with what only this side knows: the time limit, and the last lines of a host that failed.
    pub(super) fn complete(self, mut result: HostResult, call: &Call) -> HostResult {
        if let Outcome::TimedOut { seconds: seconds @ 0 } = &mut result.outcome {
            *seconds = call.timeout.as_secs();
        }
        if !result.outcome.is_ok() {
            result.tail = self.tail.into();
        }
        result
    }

    fn last_words(&self) -> String {
        self.tail.back().map_or_else(String::new, |line| format!(": {}", line.message))
    }
}

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The session broke.
    Lost(String),
    /// The command ended, or was never run.
    Ended(Outcome),
}

impl Trouble {
    fn failed(reason: impl Into<String>, status: i32) -> Trouble {
        Trouble::Ended(Outcome::Failed { reason: reason.into(), status })
    }

    /// What a command that did not do its work came to; `reason` says why a plain status counts as a failure.
    pub fn of(end: ExecEnd, reason: impl FnOnce(i32) -> String) -> Trouble {
        match end {
            ExecEnd::Lost(why) => Trouble::Lost(why),
            ExecEnd::Signal(signal) => Trouble::Ended(Outcome::Killed { signal }),
            // The seconds are the caller's, who knows what limit was set.
            ExecEnd::TimedOut => Trouble::Ended(Outcome::TimedOut { seconds: 0 }),
            ExecEnd::Status(status) => Trouble::failed(reason(status), status),
        }
    }
}

impl From<Trouble> for Outcome {
    fn from(trouble: Trouble) -> Outcome {
        match trouble {
            Trouble::Lost(reason) => Outcome::Lost { reason },
            Trouble::Ended(outcome) => outcome,
        }
    }
}

/// What a stage's command came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub ended: Ended,
    pub state: State,
    pub end: ExecEnd,
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
    ///
    /// `Err` with whether another try a little later may go better.
    pub fn connect(
        ssh: &Ssh,
        target: &Target,
        request: &Request,
        patience: Duration,
        hearing: &mut Hearing,
    ) -> Result<Remote, (Outcome, bool)> {
        let mut link = ssh
            .connect(target)
            .map_err(|error| (Outcome::Unreachable { reason: error.message.clone() }, error.may_pass()))?;
        let deadline = Instant::now() + patience;
        match probe(&mut link, &ssh.bootstrap, request, deadline, hearing) {
            Ok((command, keeper, facts)) => Ok(Remote { link, command, keeper: Some(keeper), facts }),
            Err(Trouble::Lost(reason)) => {
                Err((Outcome::Unreachable { reason: format!("connection lost at the probe: {reason}") }, true))
            }
            Err(Trouble::Ended(outcome)) => Err((outcome, false)),
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
        hearing: &mut Hearing,
    ) -> Result<(), Trouble> {
        let (command, keeper, facts) = probe(&mut self.link, &ssh.bootstrap, request, deadline, hearing)?;
        (self.command, self.facts) = (command, facts);
        match &self.keeper {
            Some(_) => keeper.leave(&mut self.link),
            None => self.keeper = Some(keeper),
        }
        Ok(())
    }

    /// Has the keeper take the lock. Without a keeper there is nothing to take it: probe first.
    /// With `claims` other runs are kept out when this session is closed, too, until [`Remote::close`].
    pub fn hold(&mut self, claims: bool, deadline: Instant, hearing: &mut Hearing) -> Result<(), Trouble> {
        let Some(mut keeper) = self.keeper.take() else {
            return Err(Trouble::failed("nobody on the target can keep its lock", 1));
        };
        keeper.say(&line_of(if claims { &KeeperLine::Claim } else { &KeeperLine::Hold }));
        let mut answer = None;
        let driven = keeper.drive(&mut self.link, deadline, &mut |said| match hearing.said(said) {
            Some(TargetEvent::Held) => {
                answer = Some(None);
                Heed::Pause
            }
            Some(TargetEvent::Ended { outcome, .. }) => {
                answer = Some(Some(outcome));
                Heed::Pause
            }
            _ => Heed::More,
        });
        let end = match driven {
            Driven::Paused => {
                if let Some(None) = answer {
                    self.keeper = Some(keeper);
                    return Ok(());
                }
                keeper.leave(&mut self.link);
                ExecEnd::Status(1)
            }
            Driven::Ended(end) => end,
        };
        match (answer, end) {
            (Some(Some(ended)), end) => Err(Trouble::Ended(outcome_of(ended, &end))),
            (_, end) => Err(unanswered(end, "the keeper of the lock ended", hearing)),
        }
    }

    /// Keeps a session alive that nobody uses now: answers the host's signs of life and gives our own. With `renew`
    /// also tells the keeper that this deployer is there. Never waits for the host.
    pub fn tend(&mut self, renew: bool) {
        if let Some(keeper) = &mut self.keeper {
            if renew {
                keeper.say(&line_of(&KeeperLine::Renew));
            }
            keeper.tend(&mut self.link);
        }
    }

    /// Whether there is a keeper.
    pub fn has_keeper(&self) -> bool {
        self.keeper.is_some()
    }

    /// Runs a stage.
    pub fn run(
        &mut self,
        request: &Request,
        parcel: Parcel,
        deadline: Instant,
        hearing: &mut Hearing,
    ) -> Result<Answer, Trouble> {
        let mut answer = None;
        let end = self.exec(request, parcel, deadline, &mut |said| match hearing.said(said) {
            Some(TargetEvent::Ended { outcome, state }) => {
                answer = Some((outcome, state));
                Heed::Last
            }
            _ => Heed::More,
        })?;
        match answer {
            Some((ended, state)) => Ok(Answer { ended, state, end }),
            None => Err(unanswered(end, "ended without a result", hearing)),
        }
    }

    /// Asks how a stage ended.
    pub fn ask(&mut self, request: &Request, deadline: Instant, hearing: &mut Hearing) -> Result<Recorded, Trouble> {
        let mut answer = None;
        let end = self.exec(request, Parcel::default(), deadline, &mut |said| match hearing.said(said) {
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
            Some(Err(ended)) => Err(Trouble::Ended(outcome_of(ended, &end))),
            None => Err(unanswered(end, "could not be asked how the stage ended", hearing)),
        }
    }

    fn exec(
        &mut self,
        request: &Request,
        parcel: Parcel,
        deadline: Instant,
        on: &mut dyn FnMut(Said) -> Heed,
    ) -> Result<ExecEnd, Trouble> {
        let input = || Input { head: line_of(request), parcel: parcel.clone(), keep_open: false };
        let mut end = self.link.exec(&self.command, input(), deadline, on);
        if matches!(end, Err(OpenError::NoChannel(_)))
            && let Some(keeper) = self.keeper.take()
        {
            // The server allows one command a session. The work matters more than the lock, which it takes by itself.
            keeper.finish(&mut self.link, Instant::now() + GOODBYE);
            end = self.link.exec(&self.command, input(), deadline, on);
        }
        end.map_err(not_run)
    }

    /// Lets go of the lock, of a claim too, and hangs up.
    pub fn close(mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.say(&line_of(&KeeperLine::Release));
            keeper.finish(&mut self.link, Instant::now() + GOODBYE);
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

/// Runs the first command of a session, uploading Hoist where it is missing, up to the answer.
fn probe(
    link: &mut Link,
    bootstrap: &Bootstrap,
    request: &Request,
    deadline: Instant,
    hearing: &mut Hearing,
) -> Result<(String, Running, Facts), Trouble> {
    let first_command = bootstrap.first_command().map_err(|why| Trouble::failed(why, 1))?;
    let mut uploaded = false;
    loop {
        let input = Input { head: line_of(request), parcel: Parcel::default(), keep_open: true };
        let mut running = link.start(&first_command, input, deadline).map_err(not_run)?;
        let mut command = bootstrap.installed();
        let (mut facts, mut ended, mut stop) = (None, None, None);
        let driven = running.drive(link, deadline, &mut |said| {
            if let (Said::Out(text), true) = (said, command.is_none())
                && let Some(marker) = Marker::parse(&String::from_utf8_lossy(text))
            {
                match marker {
                    Marker::At(path) => command = Some(run_command(&path)),
                    other => stop = Some(other),
                }
                return Heed::More;
            }
            match hearing.said(said) {
                Some(TargetEvent::Facts(answer)) => {
                    facts = Some(answer);
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
                    return Err(Trouble::failed("the target answered the probe out of turn", 1));
                }
            },
            Driven::Ended(end) => end,
        };
        match (stop, ended) {
            (Some(Marker::Missing), _) if !uploaded => {
                uploaded = true;
                bootstrap.upload(link, deadline).map_err(|(lost, why)| match lost {
                    true => Trouble::Lost(why),
                    false => Trouble::failed(why, 1),
                })?;
            }
            (Some(Marker::Unfit(why)), _) => return Err(Trouble::failed(why, 1)),
            (Some(_), _) => return Err(Trouble::failed("hoist was copied to the target and is not found there", 1)),
            (None, Some(ended)) => return Err(Trouble::Ended(outcome_of(ended, &end))),
            (None, None) => {
                let why = match (&end, bootstrap) {
                    (ExecEnd::Status(126 | 127), Bootstrap::Installed(path)) => {
                        format!("{path} cannot be run on the target: install hoist there, or unset remote_binary")
                    }
                    (ExecEnd::Status(126 | 127), Bootstrap::Copied(_)) => {
                        "hoist cannot be run in the home directory on the target: set remote_binary".into()
                    }
                    _ => "no answer to the probe".into(),
                };
                return Err(unanswered(end, &why, hearing));
            }
        }
    }
}

pub(super) fn not_run(error: OpenError) -> Trouble {
    match error {
        OpenError::Lost(why) => Trouble::Lost(why),
        OpenError::TimedOut => Trouble::Lost("a command could not be started in time".into()),
        OpenError::NoChannel(why) => Trouble::failed(format!("the target's sshd opens no channel: {why}"), 1),
        OpenError::Denied(why) => Trouble::failed(format!("the target's sshd runs no commands: {why}"), 1),
    }
}

/// A command that ended and had not answered.
fn unanswered(end: ExecEnd, what: &str, hearing: &Hearing) -> Trouble {
    Trouble::of(end, |_| format!("{what}{}", hearing.last_words()))
}

/// The outcome of a stage that said how it ended, and how its process ended.
pub(super) fn outcome_of(ended: Ended, end: &ExecEnd) -> Outcome {
    let status = match end {
        ExecEnd::Status(status) if *status != 0 => *status,
        _ => 1,
    };
    match (ended, end) {
        (Ended::Ok, ExecEnd::Signal(signal)) => Outcome::Killed { signal: signal.clone() },
        (Ended::Ok, ExecEnd::Status(status)) if *status != 0 => {
            Outcome::Failed { reason: "said that all is well, and then failed".into(), status: *status }
        }
        (Ended::Ok, _) => Outcome::Ok,
        (Ended::Failed { reason }, _) => Outcome::Failed { reason, status },
        (Ended::TimedOut { seconds }, _) => Outcome::TimedOut { seconds },
        (Ended::Locked { by }, _) => Outcome::Locked { by },
        (Ended::CacheBroken { reason }, _) => {
            Outcome::Failed { reason: format!("the git cache of the target is broken: {reason}"), status }
        }
    }
}
