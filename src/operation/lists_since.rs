//! How the lists of hosts differ from those that an unfinished run began with. It keeps its own.

use std::collections::{HashMap, HashSet};

use crate::config::{Config, Note};
use crate::deploy::Plan;
use crate::targets::{Target, fold};
use crate::text::some;
use crate::wire::Level;

/// Changes of one kind that are told one by one.
const SHOWN: usize = 5;

/// What to tell the operator who goes on with a run, or undoes it; `None`: nothing has changed.
pub fn changed(config: &Config, plan: &Plan) -> Option<Note> {
    let keeps = "this run keeps the hosts, groups and addresses that it began with";
    let groups = match config.groups(None) {
        Ok((groups, _)) => groups,
        Err(error) => return Some((Level::Warning, format!("the lists of hosts cannot be read: {error:#}; {keeps}"))),
    };
    let now: HashMap<&Target, (&str, &Target)> = groups
        .iter()
        .flat_map(|group| group.targets.iter().map(|target| (target, (group.name.as_str(), target))))
        .collect();
    let mut then: HashSet<&Target> = HashSet::new();
    let (mut gone, mut moved, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
    for (group, target) in plan.targets() {
        then.insert(target);
        let group = &plan.group(group).name;
        let Some((now_in, now)) = now.get(target) else {
            gone.push(target);
            continue;
        };
        if now_in != group {
            moved.push(format!("{target} is in group {now_in} (was {group})"));
        }
        let (was, is) = (way(target), way(now));
        if was != is {
            elsewhere.push(format!("{target} is at {is} (was {was})"));
        }
    }
    // A run on some hosts of a group leaves out others on purpose.
    let is_whole =
        |name: &str| plan.groups.iter().any(|group| group.name == name && group.targets.len() == group.whole());
    let new: Vec<&Target> = groups
        .iter()
        .filter(|group| is_whole(&group.name))
        .flat_map(|group| &group.targets)
        .filter(|target| !then.contains(target))
        .collect();
    let are = |hosts: &[&Target], what: &str| {
        let verb = if hosts.len() == 1 { "is" } else { "are" };
        (!hosts.is_empty()).then(|| format!("{} {verb} {what}", fold(hosts.iter().copied())))
    };
    let listed = |changes: &[String]| (!changes.is_empty()).then(|| some(changes, SHOWN));
    let parts: Vec<String> = [are(&gone, "in no list any more"), listed(&elsewhere), listed(&moved), are(&new, "new")]
        .into_iter()
        .flatten()
        .collect();
    let what = parts.join(", ");
    (!parts.is_empty())
        .then(|| (Level::Warning, format!("the lists of hosts have changed since the run began: {what}; {keeps}")))
}

/// Where a host is connected to, and as whom.
fn way(target: &Target) -> String {
    let (host, user) = (target.address().to_owned(), target.login_user().map(str::to_owned));
    Target { host, user, port: target.login_port(), details: None }.to_string()
}
