//! `hoist run`: a command on targets.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::Context;

use crate::config::{Config, Note, Options, values};
use crate::exit_code::ExitCode;
use crate::fleet::CommandFleet;
use crate::fleet::ssh::shell_word;
use crate::report;
use crate::report::{Event, Reporter};
use crate::run::CommandRun;
use crate::targets::{FailedTargets, FailureLimit, Group, Target, fold, parse_list, parse_targets, read_targets};

use super::out::complain;
use super::session::Show;
use super::signals::Interrupts;
use super::{Refused, args, options, reconcile};

/// The group of the hosts that `--hosts` names.
const GROUP: &str = "hosts";
const LAST_WORDS: &str = "hoist run: stopped at once; commands under way may go on on their hosts";

/// Runs the command.
pub fn run(args: args::Run) -> Result<ExitCode, Refused> {
    if args.fold && args.format != report::Format::Text {
        return Err(Refused::usage("run", "--fold is for text: --format json shows each line as it comes"));
    }
    let show = Show::of("run", args.format, args.verbose, args.quiet)?;
    let command = command_line(&args.command)?;
    let config = Config::load(&Options {
        repo_optional: true,
        ..options(args.config.as_deref(), &args.define, args.environment.as_deref())?
    })?;
    let (mut groups, notes) = groups(&config, &args)?;
    override_groups(&mut groups, &args)?;
    let settings = &config.settings;
    let batch = flag("--batch", &args.batch, |text| values::number(text, 1))?.unwrap_or(settings.batch_size);
    let timeout = flag("--timeout", &args.timeout, values::seconds)?.unwrap_or(settings.stage_timeout);
    let operator = crate::repo::operator();
    let command_run = CommandRun { command, user: operator.user, deploy_host: operator.host, groups, batch, timeout };

    let ssh = super::ssh::prepare(&config, command_run.groups.iter().flat_map(|group| &group.targets))?;
    let targets = command_run.groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
    let mut fleet = CommandFleet::new(ssh, targets, command_run.command.clone());
    let interrupts = Interrupts::listen(LAST_WORDS)?;
    let names = |hosts: &[&Target]| fold(hosts.iter().copied());
    let mut report = report::of_command(show.format, show.verbosity, names, args.fold);
    for (level, note) in config.notes.iter().chain(&notes) {
        report.event(&Event::note(*level, note.clone()));
    }
    Ok(crate::run::run(&command_run, &mut fleet, &mut *report, &mut |report| {
        end_without_a_reader(report);
        interrupts.any()
    }))
}

/// The line for the remote login shell. One word is such a line as it stands; several are quoted, so that the remote
/// shell makes the same words of them.
fn command_line(words: &[String]) -> Result<String, Refused> {
    let line = match words {
        [line] => line.clone(),
        words => words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "),
    };
    if line.trim().is_empty() {
        return Err(Refused::usage("run", "no command: write it behind the flags, hoist run -- COMMAND"));
    }
    Ok(line)
}

/// Where the command goes: the hosts of `--hosts`, or the groups of the configuration.
fn groups(config: &Config, args: &args::Run) -> Result<(Vec<Group>, Vec<Note>), Refused> {
    let limit = reconcile::limit(args.limit_hosts.as_deref())?;
    let Some(hosts) = &args.hosts else {
        if !config.has_file() {
            return Err(Refused::usage(
                "run",
                "no hosts: there is no configuration here to take groups from; name hosts with --hosts",
            ));
        }
        let (mut groups, notes) = config.groups(limit.as_ref())?;
        if let Some(chosen) = &args.groups {
            choose(&mut groups, chosen, &config.settings.server_groups)?;
        }
        return Ok((groups, notes));
    };
    if args.groups.is_some() {
        return Err(Refused::usage("run", "--hosts and --groups exclude each other"));
    }
    let mut targets = named(hosts)?;
    let mut seen = HashSet::new();
    targets.retain(|target| seen.insert(target.clone()));
    let count = targets.len();
    if let Some(limit) = &limit {
        targets.retain(|target| limit.matches(target));
    }
    if targets.is_empty() {
        let why = match limit {
            Some(limit) if count > 0 => format!("{limit} matches none of the {}", super::plural(count, "host")),
            _ => format!("--hosts: {hosts:?} names no host"),
        };
        return Err(Refused(why));
    }
    let settings = &config.settings.bare_group;
    let group = Group {
        name: GROUP.to_owned(),
        targets,
        size: settings.group_size,
        limit: settings.failure_limit,
        retry_failed: 0,
        failed_targets: FailedTargets::Leave,
    };
    Ok((vec![group], Vec::new()))
}

/// Just the groups that `-g` names, in their own order.
fn choose(groups: &mut Vec<Group>, chosen: &str, known: &[String]) -> Result<(), Refused> {
    let chosen: Vec<&str> = chosen.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(stranger) = chosen.iter().find(|name| !known.iter().any(|known| known == *name)) {
        return Err(Refused(format!("--groups: {stranger:?} is no group: there are {}", known.join(", "))));
    }
    if chosen.is_empty() {
        return Err(Refused(format!("--groups names no group: there are {}", known.join(", "))));
    }
    groups.retain(|group| chosen.contains(&group.name.as_str()));
    if groups.is_empty() {
        return Err(Refused(format!("--groups: no target in {}", chosen.join(", "))));
    }
    Ok(())
}

/// The hosts of `--hosts`: `-` is standard input; what has a slash, or is the name of a file, is that file; anything
/// else a list.
fn named(hosts: &str) -> anyhow::Result<Vec<Target>> {
    if hosts == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        return parse_targets(&bytes, "standard input");
    }
    let path = Path::new(hosts);
    if hosts.contains('/') || path.is_file() {
        return read_targets(path, hosts);
    }
    parse_list(hosts).map_err(|why| anyhow::anyhow!("--hosts: {why}"))
}

/// What the flags say of all groups.
fn override_groups(groups: &mut [Group], args: &args::Run) -> Result<(), Refused> {
    let limit = flag("--failure-limit", &args.failure_limit, str::parse::<FailureLimit>)?;
    let size = flag("--group-size", &args.group_size, values::group_size)?;
    for group in groups {
        group.limit = limit.unwrap_or(group.limit);
        group.size = size.unwrap_or(group.size);
    }
    Ok(())
}

/// A flag's value, read as its key's would be.
fn flag<T>(name: &str, text: &Option<String>, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Refused> {
    text.as_deref().map(read).transpose().map_err(|why| Refused(format!("{name}: {why}")))
}

/// What nobody reads need not be run: with the reader of standard output gone this ends as any filter does, at once
/// and in silence. Anything else that keeps output from being written is told.
fn end_without_a_reader(report: &dyn Reporter) {
    let Some(error) = report.broken() else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        complain(&format!(
            "hoist run: cannot write to standard output: {error}; {}",
            &LAST_WORDS["hoist run: ".len()..]
        ));
    }
    std::process::exit(ExitCode::Interrupted.status().into());
}
