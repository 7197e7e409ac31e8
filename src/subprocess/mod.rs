//! Commands of the configuration that run on the deploy host, each for a limited time: those of drains, gates, hooks, lists of
//! hosts and variables.

mod group;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::procfs;
use crate::text::plain;
use crate::threads;
use crate::wire::limits::{LINE, cut};

pub use group::Group;

/// How often to see whether the command has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the output of a command that has ended is waited for: something that it left running may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Lines that wait to be taken. A command that writes faster has to wait.
const WAITING: usize = 64;

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How long a command may run, and what becomes of what it has started.
pub struct Limits<'a> {
    pub until: Instant,
    /// Whether nobody waits for the command any more.
    pub is_over: &'a dyn Fn() -> bool,
    /// Whether processes that a command leaves running when it ends by itself are killed.
    pub kill_leftovers: bool,
}

/// A line of shell.
pub fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    command
}

/// As [`run_with_input`], with nothing on its standard input.
///
/// # Errors
/// A command that cannot be started.
pub fn run(
    command: &mut Command,
    limits: &Limits,
    line: &mut dyn FnMut(Stream, String),
) -> std::io::Result<Option<ExitStatus>> {
    run_with_input(command, None, limits, line)
}

/// Runs a command and hands over every line of its output, blank ones left out. Gives how it ended; `None`
/// if it did not end in time, or nobody waits for it any more: then it is killed, with all that it has started, as it is
/// when Hoist dies.
///
/// # Errors
/// A command that cannot be started.
pub fn run_with_input(
    command: &mut Command,
    input: Option<Vec<u8>>,
    limits: &Limits,
    line: &mut dyn FnMut(Stream, String),
) -> std::io::Result<Option<ExitStatus>> {
    let mut child = start(command, input.is_some())?;
    let (sender, lines) = bounded(WAITING);
    let mut threads = Vec::new();
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // It may not read it, or not all of it.
        threads.push(threads::start(move || drop(stdin.write_all(&input))).map(drop));
    }
    threads.push(read(child.stdout.take(), Stream::Stdout, sender.clone()));
    threads.push(read(child.stderr.take(), Stream::Stderr, sender));
    all_started(&mut child, threads)?;
    Ok(attend(&mut child, limits, &lines, line))
}

/// How a command ended whose output is kept as a whole.
pub enum Captured {
    /// With its standard output.
    Ended(ExitStatus, Vec<u8>),
    TimedOut,
    /// It wrote more than allowed, and was killed.
    TooLong,
}

/// Runs a command and keeps its standard output, byte for byte, up to `most` bytes; the lines of its standard error are
/// handed over. The output is kept in memory alone, since it may be secret. See [`run_with_input`].
///
/// # Errors
/// A command that cannot be started.
pub fn capture(
    command: &mut Command,
    limits: &Limits,
    most: usize,
    line: &mut dyn FnMut(String),
) -> std::io::Result<Captured> {
    let mut child = start(command, false)?;
    let (sender, lines) = bounded(WAITING);
    let (end, ended) = bounded::<()>(0);
    let output = Arc::new(Mutex::new(Vec::new()));
    let lock = || output.lock().unwrap_or_else(PoisonError::into_inner);
    let mut threads = vec![read(child.stderr.take(), Stream::Stderr, sender)];
    if let Some(stdout) = child.stdout.take() {
        let output = output.clone();
        threads.push(
            threads::start(move || {
                keep(stdout, &output, most);
                drop(end);
            })
            .map(drop),
        );
    }
    all_started(&mut child, threads)?;
    let is_over = || (limits.is_over)() || lock().len() > most;
    let status = attend(&mut child, &Limits { is_over: &is_over, ..*limits }, &lines, &mut |_, text| line(text));
    // All that it has written itself is in the pipe; what it left running may hold that open.
    let _ = ended.recv_timeout(LAST_WORDS);
    let output = std::mem::take(&mut *lock());
    Ok(match status {
        _ if output.len() > most => Captured::TooLong,
        Some(status) => Captured::Ended(status, output),
        None => Captured::TimedOut,
    })
}

/// Reads to the end, or a little more than `most` bytes.
fn keep(mut from: impl Read, output: &Mutex<Vec<u8>>, most: usize) {
    let mut piece = [0; 8 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.extend_from_slice(&piece[..length]);
        if output.len() > most {
            return;
        }
    }
}

fn start(command: &mut Command, has_input: bool) -> std::io::Result<Group> {
    command.stdin(if has_input { Stdio::piped() } else { Stdio::null() });
    // Its group's guard needs a process, which may not be had.
    procfs::die_with_parent(command);
    Group::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Whether all threads that read and feed a command have started. If not, it is killed.
fn all_started(child: &mut Child, threads: Vec<std::io::Result<()>>) -> std::io::Result<()> {
    let started: std::io::Result<()> = threads.into_iter().collect();
    if started.is_err() {
        kill_group(child);
        let _ = child.wait();
    }
    started
}

/// Waits for a command, and for its last lines.
fn attend(
    child: &mut Child,
    limits: &Limits,
    lines: &Receiver<(Stream, String)>,
    line: &mut dyn FnMut(Stream, String),
) -> Option<ExitStatus> {
    let status = wait(child, limits, lines, line);
    if status.is_none() || limits.kill_leftovers {
        kill_group(child);
        let _ = child.wait();
    }
    let patience = Instant::now() + LAST_WORDS;
    while let Ok((stream, text)) = lines.recv_deadline(patience) {
        line(stream, text);
    }
    status
}

fn wait(
    child: &mut Child,
    limits: &Limits,
    lines: &Receiver<(Stream, String)>,
    line: &mut dyn FnMut(Stream, String),
) -> Option<ExitStatus> {
    while Instant::now() < limits.until && !(limits.is_over)() {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => {}
            Err(_) => return None,
        }
        match lines.recv_timeout(GLANCE) {
            Ok((stream, text)) => line(stream, text),
            Err(RecvTimeoutError::Timeout) => {}
            // It has closed its output, and works on.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(GLANCE),
        }
    }
    None
}

fn kill_group(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Reads lines on a thread, until there are no more or nobody takes them. A line that is too long comes in pieces.
fn read(
    output: Option<impl Read + Send + 'static>,
    stream: Stream,
    sender: Sender<(Stream, String)>,
) -> std::io::Result<()> {
    let Some(output) = output else { return Ok(()) };
    threads::start(move || {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while matches!(output.by_ref().take(LINE as u64).read_until(b'\n', &mut bytes), Ok(1..)) {
            let text = String::from_utf8_lossy(&bytes);
            let text = cut(text.trim_end(), LINE).into_owned();
            if !text.is_empty() && sender.send((stream, text)).is_err() {
                return;
            }
            bytes.clear();
        }
    })
    .map(drop)
}

/// Why git, without which nothing goes, was not started, and what to do about it.
pub fn cannot_run_git(error: &std::io::Error) -> String {
    let remedy = if error.kind() == std::io::ErrorKind::NotFound { "; install git on this host" } else { "" };
    format!("cannot run git: {}{remedy}", plain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(seconds: u64) -> Limits<'static> {
        Limits { until: Instant::now() + Duration::from_secs(seconds), is_over: &|| false, kill_leftovers: false }
    }

    fn lines_of(command: &mut Command, limits: &Limits) -> (Option<ExitStatus>, Vec<(Stream, String)>) {
        let mut lines = Vec::new();
        let status = run(command, limits, &mut |stream, text| lines.push((stream, text))).unwrap();
        (status, lines)
    }

    fn wait_until_gone(pid: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z")) {
            assert!(Instant::now() < until, "process {pid} lives on");
            thread::sleep(GLANCE);
        }
    }

    #[test]
    fn the_lines_of_both_outputs_come_with_the_exit_status() {
        let (status, mut lines) = lines_of(&mut shell("echo a; echo; echo b >&2; exit 3"), &within(60));
        lines.sort_by_key(|(_, text)| text.clone());
        assert_eq!(status.and_then(|status| status.code()), Some(3));
        assert_eq!(lines, [(Stream::Stdout, "a".to_owned()), (Stream::Stderr, "b".to_owned())]);
        assert!(run(&mut Command::new("/nonexistent"), &within(60), &mut |_, _| {}).is_err());
    }

    #[test]
    fn a_command_that_hangs_or_is_not_waited_for_is_killed_with_all_that_it_started() {
        let hangs = "sleep 600 & echo $!; wait";
        let (status, lines) = lines_of(&mut shell(hangs), &within(2));
        assert_eq!((status, lines.len()), (None, 1));
        wait_until_gone(&lines[0].1);
        let pid = std::cell::RefCell::new(None);
        let limits = Limits { is_over: &|| pid.borrow().is_some(), ..within(60) };
        let mut keep = |_, text: String| *pid.borrow_mut() = Some(text);
        assert_eq!(run(&mut shell(hangs), &limits, &mut keep).unwrap(), None);
        wait_until_gone(&pid.borrow_mut().take().unwrap());
    }

    #[test]
    fn what_a_command_leaves_running_is_killed_only_if_that_is_asked_for() {
        let leaves = "sleep 600 >/dev/null 2>&1 & echo $!";
        let (_, lines) = lines_of(&mut shell(leaves), &Limits { kill_leftovers: true, ..within(60) });
        wait_until_gone(&lines[0].1);
        let (_, lines) = lines_of(&mut shell(leaves), &within(60));
        let pid = lines[0].1.parse().ok().and_then(Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }

    #[test]
    fn output_that_never_ends_keeps_no_command_longer_than_its_time() {
        let (status, lines) = lines_of(&mut shell("exec yes"), &within(1));
        assert!(status.is_none() && !lines.is_empty());
    }

    #[test]
    fn a_command_dies_with_the_thread_that_waits_for_it() {
        let (sender, started) = bounded(1);
        // A thread that ends while its command runs stands for a deployer that is killed.
        let thread = thread::spawn(move || {
            let mut tell = |_, pid: String| {
                let _ = sender.send(pid);
                panic!("killed");
            };
            let _ = run(&mut shell("echo $$; exec sleep 600"), &within(60), &mut tell);
        });
        let pid = started.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(thread.join().is_err());
        wait_until_gone(&pid);
    }
}
