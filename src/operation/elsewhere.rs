//! R13 where a run leaves hosts of a group alone: those of them that are out of service take room all the same.

use crate::config::{Config, Note};
use crate::deploy::Prepared;
use crate::targets::{Group, Target, fold};
use crate::wire::Level;

use super::{Frontend, Refused, View, status};

/// Counts the hosts that a run leaves alone and that are out of service: drained, or out of reach. Those of groups with
/// `max_unavailable` are asked, once and before anything is touched, unless they are among the `seen`, who were asked a
/// moment ago.
pub fn count_elsewhere(
    config: &Config,
    prepared: &mut Prepared,
    seen: &[View],
    front: &dyn Frontend,
) -> Result<(), Refused> {
    let Prepared { plan, notes, .. } = prepared;
    if plan.restarts() { count_in(config, &mut plan.groups, notes, seen, front) } else { Ok(()) }
}

/// The same for the groups of a run that takes hosts out of service.
pub fn count_in(
    config: &Config,
    groups: &mut [Group],
    notes: &mut Vec<Note>,
    seen: &[View],
    front: &dyn Frontend,
) -> Result<(), Refused> {
    let mut others = config.groups(None)?.0;
    for group in &mut others {
        let own = groups.iter().find(|own| own.name == group.name && own.max_unavailable.is_some());
        let asks = |target: &Target| {
            own.is_some_and(|own| !own.targets.contains(target)) && !seen.iter().any(|view| view.target == *target)
        };
        group.targets.retain(asks);
    }
    others.retain(|group| !group.targets.is_empty());
    let asked =
        if others.is_empty() { Vec::new() } else { status::ask(config, others, status::Asking::default(), front)? };
    for group in groups {
        let is_out = |view: &&View| view.reached() == Some(false) || view.drained().is_some();
        let others = asked.iter().chain(seen).filter(|view| view.group == group.name);
        let out = others.filter(|view| !group.targets.contains(&view.target)).filter(is_out);
        group.out_elsewhere = out.map(|view| view.target.clone()).collect();
        if group.max_unavailable.is_some() && !group.out_elsewhere.is_empty() {
            let (names, verb) = (fold(&group.out_elsewhere), if group.out_elsewhere.len() == 1 { "is" } else { "are" });
            let count = if verb == "is" { "counts" } else { "count" };
            let note = format!(
                "{names} {verb} out of service and {count} against max_unavailable of {}, though not part of this run",
                group.name
            );
            notes.push((Level::Info, note));
        }
    }
    Ok(())
}
