//! Bringing the hosts that missed to what the others run.

use crate::config::Options;
use crate::deploy;
use crate::deploy::Choice;
use crate::exit_code::ExitCode;
use crate::fleet_state::{FleetState, Owed};
use crate::repo::Repo;
use crate::targets::Target;
use crate::text::counted;
use crate::wire::Revision;

use super::locking::lock;
use super::recorded::{begin, refuse_unfinished};
use super::{Frontend, Refused, interlocks, limit, load, ssh, state_folder};

/// Brings the targets that match `limit_hosts` to what they are owed. Hosts that are owed different revisions get a
/// deployment for each, the oldest first.
pub fn reconcile(options: &Options, limit_hosts: Option<&str>, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    let config = load(options)?;
    interlocks::check(&config, front)?;
    let repo = Repo::open(&config.top)?;
    let pattern = limit(limit_hosts)?;
    let (groups, _) = config.groups(pattern.as_ref())?;
    let targets: Vec<Target> = groups.into_iter().flat_map(|group| group.targets).collect();
    let _lock = lock(&config, &deploy::holder("reconcile".into())?, front)?;
    refuse_unfinished(&config)?;
    let owed = owed(&FleetState::load(&state_folder(&config))?, &targets);
    if owed.is_empty() {
        front.answer(&format!("no revision is owed to any of {}", counted(targets.len(), "target")));
        return Ok(ExitCode::Success);
    }
    front.can_ask()?;
    for (revision, targets) in owed {
        let message = format!("reconcile {} with {}", counted(targets.len(), "host"), revision.short());
        let holder = deploy::holder(message)?;
        let (rev, limit_hosts) = (Some(revision.to_string()), limit_hosts.map(str::to_owned));
        let choice = Choice { rev, limit_hosts, only: Some(targets), ..Choice::default() };
        let prepared = deploy::prepare(&config, &repo, &choice, &holder)?;
        let ssh = ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
        let code = begin(&config, &repo, &prepared, ssh, options, front)?;
        if code != ExitCode::Success {
            return Ok(code);
        }
    }
    Ok(ExitCode::Success)
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
