//! Runs `ssh` and reads its output.

use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::subprocess::Group;

/// A configuration may run commands of its own (`Match exec`) or resolve names.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A program that takes too long.
#[derive(Debug)]
struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it did not end within {} s", TIMEOUT.as_secs())
    }
}

impl std::error::Error for TimedOut {}

/// The output of `ssh`; `None` if the program does not exist.
///
/// # Errors
/// It fails (with its error output), or does not end in time.
pub fn ssh<S: AsRef<OsStr>>(arguments: &[S]) -> anyhow::Result<Option<String>> {
    let output = output("ssh", arguments).map_err(|error| match error.is::<TimedOut>() {
        true => error.context("a command of `Match exec` hangs, maybe"),
        false => error,
    })?;
    Ok(output.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

/// The output of a program; `None` if the program does not exist.
///
/// # Errors
/// See [`ssh`].
pub fn output<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match Group::start(&mut command) {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot run {program}")),
    };
    let read = read(&mut child);
    if read.is_err()
        && let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let ended = child.wait().with_context(|| format!("cannot wait for {program}"))?;
    let (out, err, _) = read.map(|(out, err)| (out, err, ended))?;
    if !ended.success() {
        bail!("{}", complaint(program, &err, ended));
    }
    Ok(Some(out))
}

fn complaint(program: &str, err: &[u8], ended: ExitStatus) -> String {
    let text = String::from_utf8_lossy(err);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { format!("{program} ended with {ended}") } else { lines.join("; ") }
}

/// Reads standard output to its end, and the standard error up to then.
fn read(child: &mut Child) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let (mut out, mut err) = (child.stdout.take().context("no output")?, child.stderr.take().context("no output")?);
    let (mut texts, mut open) = ([Vec::new(), Vec::new()], [true, true]);
    let until = Instant::now() + TIMEOUT;
    let mut buffer = [0; 16 * 1024];
    while open[0] {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TimedOut.into());
        }
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let ready: Vec<usize> = {
            let fds = [out.as_fd(), err.as_fd()];
            let watched: Vec<usize> = (0..2).filter(|&at| open[at]).collect();
            let mut polled: Vec<PollFd> =
                watched.iter().map(|&at| PollFd::from_borrowed_fd(fds[at], PollFlags::IN)).collect();
            match poll(&mut polled, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for its output"),
            }
            watched.into_iter().zip(&polled).filter(|(_, fd)| !fd.revents().is_empty()).map(|(at, _)| at).collect()
        };
        for at in ready {
            let bytes = if at == 0 { out.read(&mut buffer) } else { err.read(&mut buffer) };
            match bytes.context("cannot read its output")? {
                0 => open[at] = false,
                bytes => texts[at].extend_from_slice(&buffer[..bytes]),
            }
        }
    }
    // Only what is there by now: a process that it started may keep the pipe open.
    let [out_text, mut err_text] = texts;
    while open[1] {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut polled = [PollFd::new(&err, PollFlags::IN)];
        if !matches!(poll(&mut polled, Some(&at_once)), Ok(1..)) {
            break;
        }
        match err.read(&mut buffer).context("cannot read its output")? {
            0 => open[1] = false,
            bytes => err_text.extend_from_slice(&buffer[..bytes]),
        }
    }
    Ok((out_text, err_text))
}
