//! Requests that the lock holder has carried out, each by a process of its own.
//!
//! A command of its own on the session costs the target a process of sshd and a shell, and both sides a channel. What the
//! process does is the same: it reads its request, has the same output, and lives on when the connection is lost.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::fault::{Fault, plain};
use super::os::sys;
use super::out::Out;
use super::state::layout::Layout;
use super::state::observed;
use crate::procfs;
use crate::threads;
use crate::wire::{LONGEST_START, TargetEvent};

/// How long the deployer may take to read what was said before the process begins.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a request of so many bytes.
pub fn take(input: &mut impl Read, bytes: u64, private: bool) -> io::Result<Vec<u8>> {
    if private {
        procfs::stay_private();
    }
    if bytes > LONGEST_START {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut request = vec![0; usize::try_from(bytes).unwrap_or(0)];
    input.read_exact(&mut request)?;
    Ok(request)
}

/// Starts the process of a request. Its end is told on `out`, by a thread, which this returns.
///
/// `before`: that of the request before. Its process has said how the request ended, or the deployer asks here for nothing
/// more; what is told of its end goes ahead of all that the next one says.
pub fn run(
    request: Vec<u8>,
    number: u32,
    before: Option<JoinHandle<()>>,
    layout: &Layout,
    out: &Out,
) -> Option<JoinHandle<()>> {
    if let Some(before) = before {
        let _ = before.join();
    }
    let silent = out.silent();
    out.flush(PATIENCE);
    let (give, given) = mpsc::channel();
    let told = out.clone();
    let attends = threads::start(move || {
        if let Ok(child) = given.recv() {
            let (status, signal) = attend(child, request);
            told.event(&TargetEvent::Exited { number, status, signal });
        }
        drop(silent);
    });
    let mut command = Command::new(program());
    command.arg0("hoist").arg("deploy-local").stdin(Stdio::piped());
    // Without the thread there is nobody to attend a process.
    match attends.and_then(|attends| command.spawn().map(|child| (attends, child))) {
        Ok((attends, child)) => {
            let _ = give.send(child);
            Some(attends)
        }
        Err(error) => {
            let fault = Fault::failed(format!("cannot start a process on the target: {}", plain(&error)));
            out.event(&TargetEvent::Ended { outcome: Err(fault.bounded()), state: observed::look(layout).ok() });
            out.event(&TargetEvent::Exited { number, status: Some(1), signal: None });
            None
        }
    }
}

/// This program, by its name where it still is there: the process is listed by that.
fn program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or(own)
}

/// Gives a process its request, and waits for its end.
fn attend(mut child: Child, request: Vec<u8>) -> (Option<i32>, Option<String>) {
    if let Some(mut input) = child.stdin.take() {
        // One that has ended before tells by its end.
        let _ = input.write_all(&request);
    }
    // It may be long, and contain secrets.
    drop(request);
    match child.wait() {
        Ok(end) => (end.code(), end.signal().map(|signal| sys::signal_name(signal).to_owned())),
        Err(_) => (None, None),
    }
}
