//! What has changed since a plan was made.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use crate::clock;
use crate::config::Config;
use crate::deploy::Prepared;
use crate::operation::status::{self, Asking, View};
use crate::operation::{Frontend, Refused};
use crate::targets::{Target, fold};
use crate::text::counted;
use crate::wire::Revision;

use super::file::{Fixed, PlanFile, Reached, live};
use super::steps::{PlannedGroup, Steps};

/// Changes that are listed.
const LISTED: usize = 40;

/// Refuses to deploy a plan if anything that it fixes has changed. If the targets were asked when the plan was made, they
/// are asked again. Call it with the repository's lock held, so that nobody else deploys in between.
pub fn refuse_changed(
    file: &PlanFile,
    path: &Path,
    config: &Config,
    prepared: &Prepared,
    front: &dyn Frontend,
) -> Result<(), Refused> {
    let views = match file.asked {
        true => status::ask(config, prepared.plan.groups.clone(), Asking::default(), front)?,
        false => status::remembered(config, &prepared.plan.groups, front)?,
    };
    let changes = changes(file, config, prepared, &views)?;
    if changes.is_empty() {
        return Ok(());
    }
    let more = changes.len().saturating_sub(LISTED);
    let mut lines: Vec<String> = changes.into_iter().take(LISTED).map(|line| format!("- {line}")).collect();
    if more > 0 {
        lines.push(format!("- and {more} more"));
    }
    let (when, by) = (clock::local_with_zone(&file.origin.made_at), &file.origin.made_by);
    let again = file.again(config, path);
    Err(Refused::new(format!(
        "{} is out of date, nothing was touched; since it was made ({when}, by {by}), this has changed:\n{}\nmake a \
         new plan with `{again}`",
        path.display(),
        lines.join("\n")
    )))
}

fn changes(file: &PlanFile, config: &Config, prepared: &Prepared, views: &[View]) -> Result<Vec<String>, Refused> {
    let now = file.now(config, prepared)?;
    let then: Steps = serde_json::from_value(serde_json::json!({
        "stages": file.stages, "groups": file.groups, "gates": file.gates, "steps": file.steps
    }))?;
    let mut changes = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    if file.origin.hoist != version {
        changes.push(format!("Hoist: it was {}, and is {version}", file.origin.hoist));
    }
    changes.extend(differences(&file.settings, &now.settings, |key, then, now| {
        let value = |value: Option<&String>| value.map_or("not known".to_owned(), |value| format!("{value:?}"));
        format!("{key}: it was {}, and is {}", value(then), value(now))
    }));
    changes.extend(hosts(&then.groups, &now.steps.groups));
    changes.extend(reached(file, &now));
    changes.extend(differences(&file.files, &now.files, |name, then, now| match (then, now) {
        (None, _) => format!("{name}: it is new"),
        (_, None) => format!("{name}: it is gone, or not used any more"),
        _ => format!("{name}: its contents"),
    }));
    changes.extend(fleet(&file.live, views));
    // All of this follows from what was compared above.
    if changes.is_empty() && then != now.steps {
        changes.push("the stages, subgroups or gates".to_owned());
    }
    Ok(changes)
}

/// The entries that differ, in order.
fn differences(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    describe: impl Fn(&str, Option<&String>, Option<&String>) -> String,
) -> Vec<String> {
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differing = keys.into_iter().filter(|key| then.get(*key) != now.get(*key));
    differing.map(|key| describe(key, then.get(key), now.get(key))).collect()
}

/// The hosts that came to groups and went from them.
fn hosts<'a>(then: &'a [PlannedGroup], now: &'a [PlannedGroup]) -> Vec<String> {
    let mut changes = Vec::new();
    let names: Vec<&str> = then.iter().chain(now).map(|group| group.name.as_str()).collect();
    let names = names.iter().enumerate().filter(|(at, name)| !names[..*at].contains(name)).map(|(_, name)| *name);
    for name in names {
        let of = |groups: &'a [PlannedGroup]| -> Vec<&'a Target> {
            groups.iter().filter(|group| group.name == name).flat_map(PlannedGroup::targets).collect()
        };
        let (before, after) = (of(then), of(now));
        let without = |list: &[&'a Target], others: &[&Target]| -> Vec<&'a Target> {
            let others: HashSet<&&Target> = others.iter().collect();
            list.iter().filter(|target| !others.contains(target)).copied().collect()
        };
        let (went, came) = (without(&before, &after), without(&after, &before));
        if !came.is_empty() {
            changes.push(format!("group {name}: {} came: {}", counted(came.len(), "host"), fold(came)));
        }
        if !went.is_empty() {
            changes.push(format!("group {name}: {} went: {}", counted(went.len(), "host"), fold(went)));
        } else if before.len() == after.len() && before != after {
            changes.push(format!("group {name}: its hosts are in another order"));
        }
    }
    changes
}

/// The hosts of the plan that are reached in another way now, or have another label.
fn reached(file: &PlanFile, now: &Fixed) -> Vec<String> {
    let nothing = Reached::default();
    let of = |all: &BTreeMap<String, Reached>, host: &String| all.get(host).unwrap_or(&nothing).clone();
    let mut changes = Vec::new();
    for target in now.steps.groups.iter().flat_map(PlannedGroup::targets) {
        let host = target.to_string();
        let (then, now) = (of(&file.reached, &host), of(&now.reached, &host));
        let text = |value: Option<String>| value.map_or("not set".to_owned(), |value| format!("{value:?}"));
        let mut compare = |what: &str, then: Option<String>, now: Option<String>| {
            if then != now {
                changes.push(format!("{host}: its {what} was {}, and is {}", text(then), text(now)));
            }
        };
        compare("address", then.address, now.address);
        compare("user", then.user, now.user);
        compare("port", then.port.map(|port| port.to_string()), now.port.map(|port| port.to_string()));
        let names: BTreeSet<&String> = then.labels.keys().chain(now.labels.keys()).collect();
        for name in names {
            compare(&format!("label {name}"), then.labels.get(name).cloned(), now.labels.get(name).cloned());
        }
    }
    changes
}

/// The targets that run something else now, as far as both is known. A target that could not be asked is compared with
/// what was last seen of it.
fn fleet(then: &BTreeMap<String, Option<Revision>>, views: &[View]) -> Vec<String> {
    let mut changed: BTreeMap<(String, String), Vec<&Target>> = BTreeMap::new();
    let name = |revision: &Option<Revision>| revision.as_ref().map_or("nothing", Revision::short).to_owned();
    for view in views {
        let Some(before) = then.get(&view.target.to_string()) else { continue };
        let after = live(view).map(|(_, live)| live);
        if after.as_ref() != Some(before) {
            let after = after.as_ref().map_or("what is not known".to_owned(), name);
            changed.entry((name(before), after)).or_default().push(&view.target);
        }
    }
    let line = |((before, after), targets): ((String, String), Vec<&Target>)| {
        let verb = if targets.len() == 1 { "runs" } else { "run" };
        format!("{} {verb} {after}, and ran {before}", fold(targets))
    };
    changed.into_iter().map(line).collect()
}
