//! The operator's own command: which hosts it goes to, and how.

use std::collections::HashSet;
use std::time::Duration;

use crate::config::{Config, Note, Options};
use crate::exit_code::ExitCode;
use crate::fleet::CommandFleet;
use crate::fleet::ssh::shell_word;
use crate::report::{Event, Reporter};
use crate::run;
use crate::run::{Caller, CommandRun};
use crate::targets::{Group, Target};
use crate::text::counted;

use super::{Refused, limit, ssh};

/// The group of hosts that were named one by one.
const GROUP: &str = "hosts";

/// What is chosen in place of what the configuration says.
pub struct Overrides<'a> {
    pub batch: Option<usize>,
    pub timeout: Option<Duration>,
    /// Changes each group.
    pub group: &'a dyn Fn(&mut Group),
}

/// A command that is ready to be run: nothing was connected yet.
pub struct Command {
    run: CommandRun,
    fleet: CommandFleet,
    notes: Vec<Note>,
}

/// Where a command goes.
#[derive(Debug)]
pub enum Hosts {
    /// To the groups of the configuration.
    Groups,
    /// To these, whose order and words `from` names.
    Named { targets: Vec<Target>, from: String },
}

impl Command {
    /// Finds the hosts, and the ways to them.
    pub fn prepare(
        options: &Options,
        line: String,
        hosts: Hosts,
        limit_hosts: Option<&str>,
        overrides: &Overrides,
    ) -> Result<Command, Refused> {
        let config = Config::load(&Options { repo_optional: true, ..options.clone() })?;
        let (mut groups, notes) = groups(&config, hosts, limit_hosts)?;
        groups.iter_mut().for_each(overrides.group);
        // A command takes no host out of service, as far as anybody knows.
        groups.iter_mut().for_each(|group| group.max_unavailable = None);
        let settings = &config.settings;
        let batch = overrides.batch.unwrap_or(settings.batch_size);
        let timeout = overrides.timeout.unwrap_or(settings.stage_timeout);
        let run =
            CommandRun { command: line, by: crate::repo::operator(), groups, batch, timeout, strict: settings.strict };
        let ssh = ssh::prepare(&config, run.groups.iter().flat_map(|group| &group.targets))?;
        let targets = run.groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
        let fleet = CommandFleet::new(ssh, targets, run.command.clone());
        Ok(Command { run, fleet, notes: config.notes.into_iter().chain(notes).collect() })
    }

    /// Runs it.
    pub fn run(mut self, report: &mut dyn Reporter, caller: &mut dyn Caller) -> ExitCode {
        for (level, note) in self.notes {
            report.event(&Event::note(level, note));
        }
        run::run(&self.run, &mut self.fleet, report, caller)
    }
}

/// The line for the remote login shell. One word is such a line as it stands; several are quoted, so that the remote
/// shell makes the same words of them.
pub fn command_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "),
    }
}

fn groups(config: &Config, hosts: Hosts, limit_hosts: Option<&str>) -> Result<(Vec<Group>, Vec<Note>), Refused> {
    let mut limit = limit(limit_hosts)?;
    let (mut targets, from) = match hosts {
        Hosts::Named { targets, from } => (targets, from),
        Hosts::Groups if !config.has_file() => {
            let why = "no hosts: there is no configuration with groups here; name hosts with --hosts";
            return Err(Refused::Usage(why.to_owned()));
        }
        Hosts::Groups => return Ok(config.groups(limit.as_ref())?),
    };
    let mut seen = HashSet::new();
    targets.retain(|target| seen.insert(target.clone()));
    let count = targets.len();
    if let Some(limit) = &mut limit {
        limit.know(&[], &targets).map_err(Refused::new)?;
        targets.retain(|target| limit.matches(GROUP, target));
    }
    if targets.is_empty() {
        return Err(Refused::new(match limit {
            Some(limit) if count > 0 => format!("{limit} matches none of the {}", counted(count, "host")),
            _ => format!("--hosts: {from:?} contains no host"),
        }));
    }
    let settings = &config.settings.bare_group;
    let group = Group {
        name: GROUP.to_owned(),
        targets,
        steps: settings.group_size.clone(),
        limit: settings.failure_limit,
        ..Group::default()
    };
    Ok((vec![group], Vec::new()))
}
