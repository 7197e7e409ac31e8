//! `hoist reconcile`: brings the hosts that missed out to what the others run.

use crate::deploy;
use crate::deploy::Choice;
use crate::exit_code::ExitCode;
use crate::fleet_state::{FleetState, Owed};
use crate::repo::Repo;
use crate::report::Format;
use crate::targets::{HostPattern, Target};
use crate::wire::Revision;

use super::console::Console;
use super::fresh;
use super::fresh::Chosen;
use super::out::answer_line;
use super::session::{Show, lock, state_folder};
use super::{Refused, args, interlocks, load, plural};

/// Runs the command. Hosts that are owed different revisions get a deployment for each, the oldest first.
pub fn run(args: args::Reconcile) -> Result<ExitCode, Refused> {
    let show = Show::of("reconcile", args.format, args.verbose, args.quiet)?;
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    interlocks::check("reconcile", &config)?;
    let repo = Repo::open(&config.top)?;
    let pattern = limit(args.limit_hosts.as_deref())?;
    let (groups, _) = config.groups(pattern.as_ref())?;
    let targets: Vec<Target> = groups.into_iter().flat_map(|group| group.targets).collect();
    let first = deploy::holder("reconcile".into())?;
    let _lock = match lock(&config, &first)? {
        Ok(lock) => lock,
        Err(code) => return Ok(code),
    };
    if let Some(code) = fresh::refuse_unfinished("reconcile", &config)? {
        return Ok(code);
    }
    let owed = owed(&FleetState::load(&state_folder(&config))?, &targets);
    if owed.is_empty() {
        // In JSON every line is an event, and nothing happened.
        if args.format == Format::Text {
            answer_line(&format!("nothing is owed to any of {}", plural(targets.len(), "target")));
        }
        return Ok(ExitCode::Success);
    }
    Console::check("reconcile", args.yes)?;
    for (revision, targets) in owed {
        let message = format!("reconcile {} with {}", plural(targets.len(), "host"), revision.short());
        let holder = deploy::holder(message)?;
        let rev = Some(revision.to_string());
        let choice = Choice { rev, limit_hosts: args.limit_hosts.clone(), only: Some(targets), ..Choice::default() };
        let prepared = deploy::prepare(&config, &repo, &choice, &holder)?;
        let ssh = super::ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
        let chosen = Chosen { config_file: args.config.as_deref(), defines: &args.define };
        let code = fresh::carry_out(&config, &repo, &prepared, ssh, chosen, show, args.yes)?;
        if code != ExitCode::Success {
            return Ok(code);
        }
    }
    Ok(ExitCode::Success)
}

/// The pattern of `--limit-hosts`.
pub fn limit(text: Option<&str>) -> Result<Option<HostPattern>, Refused> {
    text.map(str::parse::<HostPattern>).transpose().map_err(|why| Refused(format!("--limit-hosts: {why}")))
}

/// The targets that are owed something, by what; in the order of the runs that left them out.
fn owed(memory: &FleetState, targets: &[Target]) -> Vec<(Revision, Vec<Target>)> {
    let mut found: Vec<(&Owed, &Target)> =
        targets.iter().filter_map(|target| memory.of(target)?.owed.as_ref().map(|owed| (owed, target))).collect();
    // Run ids sort by time; hosts of one run stay in their order.
    found.sort_by(|(a, _), (b, _)| a.run.cmp(&b.run));
    let mut owed: Vec<(Revision, Vec<Target>)> = Vec::new();
    for (Owed { revision, .. }, target) in found {
        match owed.iter_mut().find(|(other, _)| other == revision) {
            Some((_, targets)) => targets.push(target.clone()),
            None => owed.push((revision.clone(), vec![target.clone()])),
        }
    }
    owed
}
