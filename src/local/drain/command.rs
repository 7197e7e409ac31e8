//! The commands of a drain on the target itself.
//!
//! A stage may be killed while one of them runs, and its children live on. All of them inherit an open file that is
//! locked, so whoever undrains the target later waits until they are gone: a drain that is late would undo that.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::lines::Lines;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed};
use crate::local::os::sys;
use crate::local::os::sys::How;
use crate::local::state::hoist_dir;
use crate::local::waiting::Waiting;
use crate::wire::{Drain, DrainPart, Level};

/// Between two questions whether it is done, and between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(500);
const GLANCE: Duration = Duration::from_millis(50);

/// Runs the command of a part, then waits until its question is answered with exit status 0.
pub fn run(job: &Job, how: &Drain, part: DrainPart) -> Result<(), Fault> {
    let until = job.deadline.within(Duration::from_secs(how.timeout));
    let (name, question_name) = part.keys();
    let (command, question) = how.commands(part);
    let _told = Waiting::start(&job.out, name.to_owned(), until.saturating_duration_since(Instant::now()));
    let _lock = lock(job, until)?;
    if let Some(command) = command {
        once(job, (name, command), until, Level::Info).map_err(|failed| failed.fault(job, how, name))?;
    }
    let Some(question) = question else { return Ok(()) };
    loop {
        let Err(failed) = once(job, (question_name, question), until, Level::Debug) else { return Ok(()) };
        if failed.exit == Exit::TimedOut || Instant::now() + PAUSE >= until {
            job.deadline.check()?;
            let (seconds, last_words) = (how.timeout, failed.last_words);
            return Err(Fault::failed(format!("{name} was not done within {seconds} s{last_words}")));
        }
        thread::sleep(PAUSE);
    }
}

/// How a command failed.
struct Failed {
    exit: Exit,
    last_words: String,
    /// It could not be started.
    cannot: Option<String>,
}

impl Failed {
    fn fault(self, job: &Job, how: &Drain, name: &str) -> Fault {
        if job.deadline.passed() {
            return Fault::TimedOut { seconds: job.deadline.seconds };
        }
        let last_words = self.last_words;
        match self.cannot {
            Some(why) => Fault::failed(format!("{name}: {why}")),
            None => Fault::failed(format!("{name} {}{last_words}", self.exit.reason(how.timeout))),
        }
    }
}

fn once(job: &Job, (name, line): (&str, &str), until: Instant, level: Level) -> Result<(), Failed> {
    let mut command = process::command("/bin/sh");
    command.args(["-c", line]).current_dir("/");
    command.envs(job.request.drain_environment());
    command.env("HOIST_FINAL_PATH", job.layout.live()).env("HOIST_REV_PATH", job.layout.rev(&job.request.revision));
    // A stage that was killed has nobody left to keep the time limit.
    sys::die_with_parent(&mut command);
    let mut lines = Lines::new();
    let mut say = |line: String| match level {
        _ if line.trim().is_empty() => {}
        Level::Info => job.out.info(format!("{name}: {line}")),
        level => job.out.line(level, format!("{name}: {line}")),
    };
    let exit =
        process::run(&mut command, Feed::Nothing, until, &mut |stream, piece| lines.take(stream, piece, &mut say));
    lines.finish(&mut say);
    let last_words = lines.last_words();
    match exit {
        Ok(exit) if exit.is_ok() => Ok(()),
        Ok(exit) => Err(Failed { exit, last_words, cannot: None }),
        Err(error) => Err(Failed {
            exit: Exit::Status(127),
            last_words,
            cannot: Some(format!("cannot run /bin/sh: {}", plain(&error))),
        }),
    }
}

/// Waits for what an earlier command has left running, and lets those of this part inherit the lock.
fn lock(job: &Job, until: Instant) -> Result<Option<File>, Fault> {
    let path = job.layout.own().join("drain-lock");
    hoist_dir::prepare(&job.layout.own())?;
    let file = hoist_dir::open(&path)?;
    let cannot = |error: std::io::Error| Fault::failed(format!("cannot lock {}: {}", path.display(), plain(&error)));
    let mut told = false;
    while !sys::lock(&file, How::Try).map_err(cannot)? {
        if Instant::now() + GLANCE >= until {
            job.out.warn("a command of an earlier drain is still running");
            return Ok(None);
        }
        if !std::mem::replace(&mut told, true) {
            job.out.info("waiting for a command of an earlier drain to end");
        }
        thread::sleep(GLANCE);
    }
    sys::let_inherit(&file).map_err(cannot)?;
    Ok(Some(file))
}
