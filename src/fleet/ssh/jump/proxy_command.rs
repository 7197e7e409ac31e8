//! `ProxyCommand`: a command whose standard input and output are the connection.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::fleet::ssh::transport::socket::{Carrier, Socket};
use crate::subprocess::Group;

/// How long a command may take to end by itself after its connection is closed, and again after it is told to end.
const GRACE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(2);
/// The maximum length of a line that a command prints on standard error.
const LONGEST_LINE: u64 = 8 * 1024;

/// A running command. It is ended with the socket that it carries.
struct Running {
    child: Mutex<Group>,
    complaints: Arc<Complaints>,
}

/// What a command has printed on standard error.
#[derive(Default)]
struct Complaints {
    last: Mutex<String>,
    /// Standard error is closed.
    over: AtomicBool,
}

/// Starts `command` with the operator's shell, as ssh does. `on_complaint` gets its standard error, line by line.
pub fn start(command: &str, on_complaint: impl Fn(&str) + Send + 'static) -> std::io::Result<Socket> {
    let (ours, theirs) = UnixStream::pair()?;
    let (input, output): (OwnedFd, OwnedFd) = (theirs.try_clone()?.into(), theirs.into());
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut child = Command::new(shell);
    child.arg("-c").arg(format!("exec {command}"));
    let mut child = Group::start(child.stdin(input).stdout(output).stderr(Stdio::piped()))?;
    let complaints = Arc::<Complaints>::default();
    if let Some(stderr) = child.stderr.take() {
        let heard = complaints.clone();
        let thread = std::thread::Builder::new().name("proxy-stderr".into()).stack_size(64 << 10);
        // If the thread cannot be started, the pipe is closed, and the command gets an error when it writes.
        let _ = thread.spawn(move || {
            listen(stderr, &on_complaint, &heard.last);
            heard.over.store(true, Ordering::Release);
        });
    }
    Ok(Socket::carried(ours, Box::new(Running { child: Mutex::new(child), complaints })))
}

/// Waits until a condition is true, at most for this time; returns whether it is.
fn within(timeout: Duration, is_true: impl Fn() -> bool) -> bool {
    let until = Instant::now() + timeout;
    loop {
        if is_true() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether a command is OpenSSH's client, which itself logs in to a host.
pub fn is_ssh(command: &str) -> bool {
    let mut words = command.split_whitespace().filter(|word| *word != "exec");
    words.next().is_some_and(|program| program.rsplit('/').next() == Some("ssh"))
}

fn listen(stderr: impl std::io::Read, on_complaint: &dyn Fn(&str), last_words: &Mutex<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match std::io::Read::take(&mut stderr, LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let said = String::from_utf8_lossy(&line).trim().to_owned();
        if !said.is_empty() {
            on_complaint(&said);
            *last_words.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
    }
}

impl Running {
    fn has_ended(&self) -> Option<std::process::ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    fn ends_within(&self, timeout: Duration) -> bool {
        within(timeout, || self.has_ended().is_some())
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.lock().unwrap_or_else(PoisonError::into_inner).id();
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Carrier for Running {
    fn error(&self) -> Option<String> {
        // It may be about to end, since its connection was closed.
        self.ends_within(GRACE).then_some(())?;
        let status = self.has_ended()?;
        within(GRACE, || self.complaints.over.load(Ordering::Acquire));
        let last = self.complaints.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = if last.is_empty() { last } else { format!(": {last}") };
        Some(format!("its ProxyCommand ended ({status}){last}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ends_within(GRACE) {
            return;
        }
        self.signal(Signal::TERM);
        if !self.ends_within(GRACE) {
            self.signal(Signal::KILL);
            let _ = self.child.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }
}
