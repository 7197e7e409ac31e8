//! The variables of `vars_command`, which are asked for whenever a run renders and never stored.

use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::config::Config;
use crate::procfs;
use crate::subprocess;
use crate::subprocess::{Captured, Limits};
use crate::wire::Secrets;
use crate::yaml;

use super::plan::Plan;

/// What the command prints may be this long, in bytes.
const PRINTED: usize = 1 << 20;

/// Lines of its standard error that are told of a command that fails.
const COMPLAINTS: usize = 20;

/// Runs `vars_command`, if there is one, in the top directory of the working tree.
///
/// # Errors
/// It failed, took too long, or printed no mapping. The message never contains what it printed.
pub fn read(config: &Config, plan: &Plan) -> Result<Option<Secrets>> {
    let settings = &config.settings;
    let Some(line) = settings.vars_command.as_ref().filter(|_| settings.config_deploy) else { return Ok(None) };
    let name = format!("vars_command ({})", config.place_of("vars_command"));
    let mut command = subprocess::shell(line);
    command.current_dir(&config.top).envs([
        ("HOIST_REPO", plan.repo.as_str()),
        ("HOIST_RUN", plan.run.as_str()),
        ("HOIST_REVISION", plan.revision.as_str()),
        ("HOIST_ENVIRONMENT", config.environment.as_deref().unwrap_or_default()),
    ]);
    procfs::stay_private();
    let until = Instant::now() + settings.vars_timeout;
    // An agent that it starts, such as gpg-agent, outlives it.
    let limits = Limits { until, is_over: &|| false, kill_leftovers: false };
    let mut complaints = Vec::new();
    let captured = subprocess::capture(&mut command, &limits, PRINTED, &mut |line| complaints.push(line));
    let skipped = complaints.len().saturating_sub(COMPLAINTS);
    let complaints: String = complaints.iter().skip(skipped).map(|line| format!("\n  {line}")).collect();
    let (status, output) = match captured {
        Ok(Captured::Ended(status, output)) => (status, output),
        Ok(Captured::TimedOut) => {
            let seconds = settings.vars_timeout.as_secs();
            bail!("{name} did not end within {seconds} s (vars_timeout); nothing was touched{complaints}")
        }
        Ok(Captured::TooLong) => bail!("{name} printed more than {} MiB; nothing was touched", PRINTED >> 20),
        Err(error) => bail!("{name}: cannot run /bin/sh: {error}; nothing was touched"),
    };
    match (status.code(), status.signal().unwrap_or_default()) {
        (Some(0), _) => {}
        (Some(code), _) => bail!("{name} failed with exit status {code}; nothing was touched{complaints}"),
        (None, signal) => bail!("{name} was killed by signal {signal}; nothing was touched{complaints}"),
    }
    match yaml::printed_variables(&output) {
        Ok(variables) => Ok(Some(Secrets(variables))),
        Err(why) => bail!("{name} {why}; nothing was touched"),
    }
}
