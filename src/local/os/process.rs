//! Running commands: in a group of their own, with a time limit, and with their output taken in as it comes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::sys;
use crate::threads;

/// How long output is still waited for after a command has ended: what it left in the background may hold the pipe open.
const GRACE: Duration = Duration::from_millis(500);

/// How long a killed command may take to be gone. One that waits for a dead disk cannot even be killed.
const DEATH: Duration = Duration::from_secs(3);

/// How long commands may take to end when they are asked to; then they are killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The groups under way, so that all can be ended at once.
static GROUPS: Mutex<Groups> = Mutex::new(Groups { leaders: BTreeSet::new(), closed: false });

struct Groups {
    leaders: BTreeSet<u32>,
    /// This process is about to end: nothing is started any more.
    closed: bool,
}

fn groups() -> MutexGuard<'static, Groups> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
    /// It passed its time limit and was killed, with all that it had started and that had not become a daemon.
    TimedOut,
}

impl Exit {
    pub fn is_ok(self) -> bool {
        self == Exit::Status(0)
    }

    /// `failed with exit status 3`, `was killed by signal TERM`; `seconds` is the limit that was given.
    pub fn reason(self, seconds: u64) -> String {
        match self {
            Exit::Status(status) => format!("failed with exit status {status}"),
            Exit::Signal(signal) => format!("was killed by signal {}", sys::signal_name(signal)),
            Exit::TimedOut => format!("timed out after {seconds} s"),
        }
    }
}

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// What a command reads.
pub enum Feed {
    Nothing,
    /// Something that is read on a thread of its own, to its end.
    From(Box<dyn Read + Send>),
}

impl Feed {
    pub fn text(text: impl Into<Vec<u8>>) -> Feed {
        Feed::From(Box::new(io::Cursor::new(text.into())))
    }
}

/// Runs a command until it has ended, or until `until`. `sink` gets the output piece by piece.
///
/// Errors only when the command cannot be started, or not be watched.
pub fn run(command: &mut Command, feed: Feed, until: Instant, sink: &mut dyn FnMut(Stream, &[u8])) -> io::Result<Exit> {
    let stdin = if matches!(feed, Feed::Nothing) { Stdio::null() } else { Stdio::piped() };
    command.process_group(0).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = {
        // Held across the start, so that nobody who ends all groups misses this one.
        let mut groups = groups();
        if groups.closed {
            return Err(io::Error::other("the stage is being ended"));
        }
        let child = command.spawn()?;
        groups.leaders.insert(child.id());
        child
    };
    let pid = child.id();
    let attended =
        give(&mut child, feed).and_then(|()| sys::end_of(pid)).and_then(|end| attend(&mut child, end, until, sink));
    groups().leaders.remove(&pid);
    match attended {
        Ok(Attended { ended: true, timed_out: false }) => {}
        Ok(Attended { ended, .. }) => {
            if ended {
                let _ = child.wait();
            }
            return Ok(Exit::TimedOut);
        }
        Err(error) => {
            sys::kill_tree(pid);
            let _ = child.wait();
            return Err(error);
        }
    }
    let status = child.wait()?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    })
}

/// Starts the thread that feeds a command. It ends with what it feeds, and is not waited for.
fn give(child: &mut Child, feed: Feed) -> io::Result<()> {
    if let (Feed::From(mut source), Some(mut stdin)) = (feed, child.stdin.take()) {
        threads::start(move || {
            let _ = io::copy(&mut source, &mut stdin).and_then(|_| stdin.flush());
        })?;
    }
    Ok(())
}

/// What came of a command that was attended.
struct Attended {
    ended: bool,
    timed_out: bool,
}

/// Takes in a command's output until it has ended and closed it, or until its time is over. `end` becomes readable when it
/// has ended.
fn attend(
    child: &mut Child,
    end: OwnedFd,
    until: Instant,
    sink: &mut dyn FnMut(Stream, &[u8]),
) -> io::Result<Attended> {
    let out = child.stdout.take().map(|pipe| (Stream::Out, File::from(OwnedFd::from(pipe))));
    let err = child.stderr.take().map(|pipe| (Stream::Err, File::from(OwnedFd::from(pipe))));
    let mut pipes: Vec<(Stream, File)> = out.into_iter().chain(err).collect();
    let mut attended = Attended { ended: false, timed_out: false };
    let mut buffer = vec![0; 16 << 10];
    let mut limit = until;
    while !(attended.ended && pipes.is_empty()) {
        let now = Instant::now();
        if now >= limit {
            if attended.ended || attended.timed_out {
                break;
            }
            attended.timed_out = true;
            sys::kill_tree(child.id());
            limit = now + DEATH;
        }
        let watched: Vec<BorrowedFd<'_>> =
            pipes.iter().map(|(_, pipe)| pipe.as_fd()).chain(Some(end.as_fd()).filter(|_| !attended.ended)).collect();
        let ready = sys::readable(&watched, limit.saturating_duration_since(now))?;
        let mut closed = Vec::new();
        for (place, (stream, pipe)) in pipes.iter_mut().enumerate().filter(|(place, _)| ready[*place]) {
            match pipe.read(&mut buffer) {
                Ok(0) => closed.push(place),
                Ok(length) => sink(*stream, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => closed.push(place),
            }
        }
        if !attended.ended && ready.last() == Some(&true) {
            attended.ended = true;
            limit = Instant::now() + GRACE;
        }
        closed.into_iter().rev().for_each(|place| drop(pipes.remove(place)));
    }
    // Without a listener the pipe is still emptied: a daemon that was left behind must not fill it. Where there is no thread
    // for that, its pipe is closed now instead of at this process's end.
    for (_, mut pipe) in pipes {
        let _ = threads::start(move || drop(io::copy(&mut pipe, &mut io::sink())));
    }
    Ok(attended)
}

/// Kills every group that is under way. No other is started any more.
pub fn kill_all() {
    let mut groups = groups();
    groups.closed = true;
    groups.leaders.iter().for_each(|leader| sys::kill_tree(*leader));
}

/// Asks every group that is under way to end, so that each can tidy up, and kills what does not. No other is started any
/// more.
pub fn end_all() {
    let mut under_way = groups();
    under_way.closed = true;
    under_way.leaders.iter().for_each(|leader| sys::end_group(*leader));
    drop(under_way);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until && !groups().leaders.is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    kill_all();
}

/// A command with the environment that everything on a target gets: this process's own, without what steers git, and
/// with the folders of system commands in its path, which a remote command often lacks.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if ["GIT_", "SCAP_", "HOIST_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(&key);
        }
    }
    command.env("PATH", folders_of_programs());
    command
}

/// The folders in which such a command is looked for, separated by colons.
pub fn folders_of_programs() -> String {
    search_path(std::env::var("PATH").ok())
}

fn search_path(given: Option<String>) -> String {
    let mut path = given.filter(|path| !path.is_empty()).unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !path.split(':').any(|part| part == folder) {
            path.push(':');
            path.push_str(folder);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> (Exit, String) {
        let mut seen = Vec::new();
        let mut command = command("/bin/sh");
        command.args(["-c", script]);
        let exit =
            run(&mut command, Feed::Nothing, Instant::now() + limit, &mut |_, bytes| seen.extend_from_slice(bytes));
        (exit.unwrap(), String::from_utf8_lossy(&seen).into_owned())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn status_signal_and_output_are_told_apart() {
        assert_eq!(sh("echo a; echo b >&2; exit 255", LONG).0, Exit::Status(255));
        assert_eq!(sh("kill -TERM $$", LONG).0, Exit::Signal(15));
        assert_eq!(Exit::Signal(15).reason(1), "was killed by signal TERM");
        assert_eq!(sh("echo out", LONG), (Exit::Status(0), "out\n".to_owned()));
    }

    #[test]
    fn a_time_limit_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let script = format!("(sleep 2; touch {0}) & sleep 100", mark.display());
        assert_eq!(sh(&script, Duration::from_millis(300)).0, Exit::TimedOut);
        thread::sleep(Duration::from_secs(3));
        assert!(!mark.exists(), "the background part lived on");
    }

    #[test]
    fn what_stays_in_the_background_does_not_hold_the_stage() {
        let started = Instant::now();
        let (exit, output) = sh("setsid sleep 30 & printf done", LONG);
        assert_eq!((exit, output.as_str()), (Exit::Status(0), "done"));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_feed_reaches_the_command() {
        let mut seen = Vec::new();
        let feed = Feed::text(vec![b'x'; 1 << 20]);
        let exit = run(&mut command("cat"), feed, Instant::now() + LONG, &mut |_, bytes| seen.extend_from_slice(bytes));
        assert_eq!((exit.unwrap(), seen.len()), (Exit::Status(0), 1 << 20));
    }

    #[test]
    fn the_folders_of_system_commands_are_in_the_path_once() {
        assert_eq!(search_path(Some("/sbin:/bin".to_owned())), "/sbin:/bin:/usr/local/sbin:/usr/sbin");
        assert_eq!(search_path(None), "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
    }
}
