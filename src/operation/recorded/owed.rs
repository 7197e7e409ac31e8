//! Which hosts still need a revision once a run is over.

use std::collections::HashSet;

use crate::config::Config;
use crate::deploy::Plan;
use crate::fleet_state::FleetState;
use crate::operation::standing::Wanted;
use crate::report::{OwedHost, WhyOwed};
use crate::targets::{Group, Target};

/// The hosts of a run that went through without them, as was remembered just now; with `everyone`, also hosts of the lists
/// that missed an earlier deployment or were never deployed to.
pub fn owed(config: &Config, plan: &Plan, memory: &FleetState, everyone: bool) -> Vec<OwedHost> {
    let of_run = |(group, target)| (plan.group(group).name.as_str(), target);
    let mut owed: Vec<OwedHost> = plan.targets().filter_map(|host| missed(memory, plan, of_run(host))).collect();
    // Lists that cannot be read any more say nothing of others.
    let lists = if everyone { config.groups(None).map(|(groups, _)| groups).unwrap_or_default() } else { Vec::new() };
    let of_run: HashSet<&Target> = plan.targets().map(|(_, target)| target).collect();
    let others = || {
        let all = lists.iter().flat_map(|group| group.targets.iter().map(move |target| (group.name.as_str(), target)));
        all.filter(|(_, target)| !of_run.contains(target))
    };
    owed.extend(others().filter_map(|host| missed(memory, plan, host)));
    if is_deployed_to(memory, &lists) {
        let wanted = Wanted::new(memory, &lists);
        let is_new = |target: &Target| memory.of(target).is_none_or(|known| known.wanted.is_none());
        let new = others().filter(|(_, target)| is_new(target)).filter_map(|(group, target)| {
            let revision = wanted.of(group, target)?;
            let has_it = memory.of(target).is_some_and(|known| known.has(&revision));
            let owed = || OwedHost { host: target.clone(), group: group.to_owned(), revision, why: WhyOwed::New };
            (!has_it).then(owed)
        });
        owed.extend(new);
    }
    owed
}

/// A deployment that went through without a host.
fn missed(memory: &FleetState, plan: &Plan, (group, target): (&str, &Target)) -> Option<OwedHost> {
    let missed = memory.of(target)?.owed.as_ref()?;
    let why = if missed.run == plan.run { WhyOwed::Missed } else { WhyOwed::MissedEarlier };
    Some(OwedHost { host: target.clone(), group: group.to_owned(), revision: missed.revision.clone(), why })
}

/// Whether most hosts were deployed to: a first try on a few makes the others no new hosts.
fn is_deployed_to(memory: &FleetState, lists: &[Group]) -> bool {
    let hosts = || lists.iter().flat_map(|group| &group.targets);
    let count = hosts().filter(|target| memory.of(target).is_some_and(|known| known.wanted.is_some())).count();
    count * 2 > hosts().count()
}
