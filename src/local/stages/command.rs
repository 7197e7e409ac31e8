//! The stage `command`: a command of the operator's, while the host is out of service (R15).

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::local::drain;
use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::lines::Lines;
use crate::local::os::process;
use crate::local::os::process::{Exit, Feed, Stream};
use crate::local::os::sys;
use crate::timings;
use crate::timings::Part;
use crate::wire::{CommandLine, Level};

use super::undrain;

/// Drains the host, runs the command, and puts the host back once it is healthy, whatever came of the command.
pub fn run(job: &Job) -> Result<(), Fault> {
    let Some(command) = &job.request.command else {
        return Err(Fault::failed("the request has no command: this stage is a part of `hoist run --drain`"));
    };
    // The output is the command's.
    let around = Job { out: job.out.in_background(), ..job.clone() };
    drain::before_restart(&around)?;
    let outcome = carry_out(job, command);
    match (outcome, undrain::if_healthy(&around)) {
        (outcome, Ok(())) => outcome,
        (Ok(()), Err(fault)) => Err(Fault::failed(format!("the host stays drained: {}", fault.reason()))),
        (Err(Fault::Failed { reason, status }), Err(fault)) => {
            Err(Fault::Failed { reason: format!("{reason}; the host stays drained: {}", fault.reason()), status })
        }
        (Err(fault), Err(_)) => Err(fault),
    }
}

/// A line for the account's shell, in its home, as sshd would run it.
pub fn by_login_shell(line: &str) -> Command {
    let shell = std::env::var("SHELL").ok().filter(|shell| shell.starts_with('/'));
    let shell = shell.unwrap_or_else(|| "/bin/sh".to_owned());
    let mut command = process::command(&shell);
    command.args(["-c", line]);
    if let Some(name) = shell.rsplit('/').next() {
        command.arg0(name);
    }
    if let Some(home) = std::env::home_dir().filter(|home| home.is_dir()) {
        command.current_dir(home);
    }
    // A stage that was killed has nobody left to keep the time limit.
    sys::die_with_parent(&mut command);
    command
}

/// Runs the line. Its output is told as it stands.
fn carry_out(job: &Job, command: &CommandLine) -> Result<(), Fault> {
    run_shell(job, by_login_shell(&command.line), command)
}

/// Runs what has the line of a command in it, and tells its output as it stands.
pub(super) fn run_shell(job: &Job, mut process: Command, command: &CommandLine) -> Result<(), Fault> {
    let _timed = timings::during(Part::Command);
    let CommandLine { timeout, environment, .. } = command;
    let shell = process.get_program().display().to_string();
    process.envs(environment);
    let until = job.deadline.within(Duration::from_secs(*timeout));
    let [mut out, mut err] = [Lines::new(), Lines::new()];
    let (mut say, mut complain) =
        (|line: String| job.out.line(Level::Info, line), |line: String| job.out.line(Level::Warning, line));
    let exit = process::run(&mut process, Feed::Nothing, until, &mut |stream, piece| match stream {
        Stream::Out => out.take(stream, piece, &mut say),
        Stream::Err => err.take(stream, piece, &mut complain),
    });
    out.finish(&mut say);
    err.finish(&mut complain);
    match exit {
        Ok(exit) if exit.is_ok() => Ok(()),
        Ok(Exit::Status(status)) => {
            Err(Fault::Failed { reason: format!("exit status {status}"), status: Some(status) })
        }
        Ok(Exit::Signal(signal)) => Err(Fault::failed(format!("killed by signal {}", sys::signal_name(signal)))),
        Ok(Exit::TimedOut) => Err(Fault::TimedOut { seconds: *timeout }),
        Err(error) => Err(Fault::failed(format!("cannot run {shell}: {}", plain(&error)))),
    }
}
