//! A command on the deploy host that prints the hosts of a group.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::problem::Problem;
use crate::subprocess::{self, Captured, Limits};
use crate::text;

use super::Output;

/// The longest output that is read.
const LONGEST: u64 = 16_000_000;
/// Lines of its standard error that are shown if it fails.
const SHOWN: usize = 5;

/// A command line for the shell, and how it is run.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    pub line: &'a str,
    pub folder: &'a Path,
    /// `HOIST_*` in its environment.
    pub variables: &'a [(&'a str, &'a str)],
    pub timeout: Duration,
}

/// Runs a command, and reads the hosts that it prints.
///
/// # Errors
/// It fails, does not end in time, or prints no list of hosts. Each names the command.
pub fn run(command: Command) -> Result<Output, Problem> {
    let Command { line, folder, variables, timeout } = command;
    let from = format!("`{line}`");
    let wrong = |why: String| Problem::new(format!("{from} {why}"));
    let mut shell = subprocess::shell(line);
    shell.current_dir(folder);
    shell.envs(variables.iter().map(|(name, value)| (format!("HOIST_{name}"), value)));
    let limits = Limits { until: Instant::now() + timeout, is_over: &|| false, kill_leftovers: true };
    let mut errors = Vec::new();
    let captured = subprocess::capture(&mut shell, &limits, LONGEST as usize, &mut |line| {
        errors.push(line);
        if errors.len() > SHOWN {
            errors.remove(0);
        }
    });
    let said = if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) };
    match captured {
        Err(error) => Err(wrong(format!("cannot be run: {error}"))),
        Ok(Captured::TimedOut) => {
            Err(wrong(format!("did not end within {} s (targets_timeout){said}", timeout.as_secs_f64())))
        }
        Ok(Captured::TooLong) => Err(wrong(format!("printed more than {}", text::bytes(LONGEST)))),
        Ok(Captured::Ended(status, _)) if !status.success() => {
            let how = match status.code() {
                Some(code) => format!("failed with exit status {code}"),
                None => format!("was killed ({status})"),
            };
            Err(wrong(format!("{how}{said}")))
        }
        Ok(Captured::Ended(_, output)) => Output::read(&output, &from),
    }
}
