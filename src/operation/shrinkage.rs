//! Lists of hosts that have lost many since the last deployment: whatever made the list may have failed.

use std::collections::HashSet;

use crate::config::{Config, GroupSettings, Note};
use crate::targets::{FailureLimit, Target, fold};
use crate::text::counted;
use crate::wire::Level;

use super::{Frontend, Refused, memory};

/// What a list may lose if nothing is set. A target file is changed on purpose, other lists by themselves.
const USUAL: FailureLimit = FailureLimit::Percent(20);

/// Asks whether hosts that are in no list any more are gone on purpose, if they are many. `--yes` is no answer.
///
/// # Errors
/// They are not, or nobody can say so.
pub fn check(config: &Config, front: &dyn Frontend) -> Result<(), Refused> {
    for (key, why) in shrunk(config)? {
        if front.is_unattended() {
            return Err(Refused::new(format!(
                "{why}; --yes is no answer to that: if they are gone on purpose, add `-D {key}:100%`; nothing was touched"
            )));
        }
        front.insist(&format!("{why}. Go on without them?"))?;
    }
    Ok(())
}

/// What a deployment would be told; for `hoist plan`.
pub fn preview(config: &Config) -> Vec<Note> {
    let shrunk = shrunk(config).unwrap_or_default().into_iter();
    shrunk
        .map(|(_, why)| (Level::Warning, format!("a deployment would ask, and be refused with --yes: {why}")))
        .collect()
}

/// The groups whose lists have lost more than they may: the key that says so, and what is to be said.
fn shrunk(config: &Config) -> Result<Vec<(String, String)>, Refused> {
    // Nobody is kept from deploying because it is not known what was deployed.
    let Ok(memory) = memory(config) else { return Ok(Vec::new()) };
    let (groups, _) = config.groups(None)?;
    let now: HashSet<String> = groups.iter().flat_map(|group| &group.targets).map(Target::to_string).collect();
    let mut found = Vec::new();
    for group in &config.settings.groups {
        let usual = || group.dsh_targets.is_none().then_some(USUAL);
        let Some(limit) = group.inventory_shrink_limit.or_else(usual) else { continue };
        let Some(before) = memory.list_of(config.environment.as_deref(), &group.name) else { continue };
        let gone: Vec<Target> =
            before.iter().filter(|host| !now.contains(*host)).filter_map(|it| it.parse().ok()).collect();
        if limit.exceeded_by(gone.len(), before.len()) {
            let (had, allowed) = (counted(before.len(), "host"), limit.resolved(before.len()));
            let why = format!(
                "group {} had {had} at the last deployment, and {} of them are in no list any more ({}): \
                 inventory_shrink_limit is {allowed}",
                group.name,
                gone.len(),
                fold(&gone)
            );
            found.push((GroupSettings::own_key(&group.name, "inventory_shrink_limit"), why));
        }
    }
    Ok(found)
}
