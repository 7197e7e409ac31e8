//! Holding a lock at a terminal, or in a process of its own.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::exit_code::ExitCode;
use crate::operation::Refused;

use super::out::{answer, answer_line, complain};
use super::signals::Interrupts;

/// How long the keyboard is looked at before the clock and the signals are.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Says what is locked, and waits for Enter, a signal or the end of the lock's time.
pub fn hold(what: &str, end: &str, time: Option<Duration>, interrupts: &Interrupts) {
    let terminal = io::stdin().is_terminal();
    let keys = if terminal { "Enter, Ctrl-C, or " } else { "" };
    answer_line(&format!("{what}; end it with {keys}{end}"));
    let began = Instant::now();
    while !interrupts.any() && time.is_none_or(|time| began.elapsed() < time) {
        if terminal {
            if entered() {
                break;
            }
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Waits a moment for a line from the terminal, or for its end. In the background, where reading would stop the
/// process, nothing is read.
fn entered() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let there = match poll(&mut fds, Some(&LOOK)) {
        Ok(count) => count > 0,
        Err(rustix::io::Errno::INTR) => false,
        Err(_) => return true,
    };
    if !there {
        return false;
    }
    let ours = rustix::process::getpgrp();
    match rustix::termios::tcgetpgrp(&stdin) {
        Ok(front) if front != ours => {
            std::thread::sleep(Duration::from_millis(100));
            false
        }
        _ => {
            // A line, or the end of the terminal: either ends the lock.
            let _ = stdin.lock().read_until(b'\n', &mut Vec::new());
            true
        }
    }
}

/// Runs `hoist lock` with `words` in another process, which nothing ties to this terminal, and returns as soon as its lock
/// stands.
pub fn detach(words: &[&str]) -> Result<ExitCode, Refused> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("lock").args(words);
    // Its own process group, so that the terminal's Ctrl-C is not for it; and none of its streams is the caller's, who
    // may wait for them to be closed.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if !line.is_empty() {
        answer(&line);
        return Ok(ExitCode::Success);
    }
    let mut said = String::new();
    if let Some(mut err) = child.stderr.take() {
        err.read_to_string(&mut said)?;
    }
    complain(said.trim_end());
    let status = child.wait()?.code();
    let same = |code: &ExitCode| status == Some(code.status().into());
    Ok(ExitCode::ALL.into_iter().find(same).unwrap_or(ExitCode::Failed))
}
