//! Lists of hosts that have lost many since the last deployment: whatever made the list may have failed.

use std::collections::HashSet;

use crate::config::{Config, GroupSettings, Note, Settings};
use crate::targets::{FailureLimit, Target, fold};
use crate::text::counted;
use crate::wire::Level;

use super::{Frontend, Refused, memory};

/// What a list may lose if nothing is set. A target file is changed on purpose, other lists by themselves.
const USUAL: FailureLimit = FailureLimit::Percent(20);

/// Where a host is connected to, and as whom.
type Login<'a> = (&'a str, Option<&'a str>, u16);

fn login<'a>(config: &'a Config, target: &'a Target) -> Login<'a> {
    let Settings { ssh_user, ssh_port, .. } = &config.settings;
    let user = target.login_user().or(ssh_user.as_deref());
    (target.address(), user, target.login_port().unwrap_or(*ssh_port))
}

/// A group whose list has lost hosts.
struct Shrunk {
    group: String,
    gone: Vec<Target>,
    /// They are more than it may lose.
    are_many: bool,
    /// The key that says how many it may lose.
    key: String,
    why: String,
}

/// Asks whether hosts that are in no list any more are gone on purpose, if they are many. `--yes` is no answer.
///
/// # Errors
/// They are not, or nobody can say so.
pub fn check(config: &Config, front: &dyn Frontend) -> Result<(), Refused> {
    for Shrunk { key, why, .. } in shrunk(config)?.into_iter().filter(|shrunk| shrunk.are_many) {
        if front.is_unattended() {
            return Err(Refused::new(format!(
                "{why}; --yes is no answer to that: if they are gone on purpose, add `-D {key}:100%`; nothing was touched"
            )));
        }
        front.insist(&format!("{why}. Go on without them?"))?;
    }
    Ok(())
}

/// Has a rollback reach hosts that are in no list any more, if they are many: they were deployed to, and the way back is not
/// kept up by a question.
pub fn keep(config: &mut Config, front: &dyn Frontend) -> Result<(), Refused> {
    for Shrunk { group, gone, are_many, key, why } in shrunk(config)? {
        if !are_many {
            let (names, verb) = (fold(&gone), if gone.len() == 1 { "is" } else { "are" });
            front.tell(&format!("note: {names} {verb} in no list any more, and not rolled back"));
            continue;
        }
        front.tell(&format!("warning: {why}; they are rolled back too (`-D {key}:100%` leaves them out)"));
        config.keep_targets(&group, &gone);
    }
    Ok(())
}

/// What a deployment would be told; for `hoist plan`.
pub fn preview(config: &Config) -> Vec<Note> {
    let told = |why: String| (Level::Warning, format!("a deployment would ask, and be refused with --yes: {why}"));
    let shrunk = shrunk(config).unwrap_or_default().into_iter().filter(|shrunk| shrunk.are_many);
    shrunk.map(|shrunk| told(shrunk.why)).collect()
}

fn shrunk(config: &Config) -> Result<Vec<Shrunk>, Refused> {
    // Nobody is kept from deploying because it is not known what was deployed.
    let Ok(memory) = memory(config) else { return Ok(Vec::new()) };
    let (groups, _) = config.groups(None)?;
    let listed = || groups.iter().flat_map(|group| &group.targets);
    let now: HashSet<&Target> = listed().collect();
    let reached: HashSet<Login> = listed().map(|target| login(config, target)).collect();
    // Written in another way, it is the same host.
    let is_gone = |target: &&Target| !now.contains(target) && !reached.contains(&login(config, target));
    let mut found = Vec::new();
    for group in &config.settings.groups {
        let Some(before) = memory.list_of(config.environment.as_deref(), &group.name) else { continue };
        let gone: Vec<Target> = before.iter().filter(is_gone).cloned().collect();
        if gone.is_empty() {
            continue;
        }
        let usual = group.dsh_targets.is_none().then_some(USUAL);
        let limit = group.inventory_shrink_limit.or(usual);
        let (had, count, names) = (counted(before.len(), "host"), gone.len(), fold(&gone));
        let allowed = limit.map(|limit| limit.resolved(before.len())).unwrap_or_default();
        found.push(Shrunk {
            are_many: limit.is_some_and(|limit| limit.exceeded_by(gone.len(), before.len())),
            gone,
            key: GroupSettings::own_key(&group.name, "inventory_shrink_limit"),
            why: format!(
                "group {} had {had} at the last deployment, and {count} of them are in no list any more ({names}): \
                 inventory_shrink_limit is {allowed}",
                group.name
            ),
            group: group.name.clone(),
        });
    }
    Ok(found)
}
