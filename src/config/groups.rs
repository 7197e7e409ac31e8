//! From `server_groups` and target files to the groups of a deployment.

use std::collections::HashMap;

use anyhow::{Error, Result, bail};

use crate::problem::Problem;
use crate::targets::{Group, HostPattern, Target, fold};
use crate::text::{counted, did_you_mean};
use crate::wire::Level;

use super::problems::Problems;
use super::values;
use super::{Config, Note};

impl Config {
    /// Keeps targets in a group that its list does not have any more.
    pub fn keep_targets(&mut self, group: &str, targets: &[Target]) {
        self.kept_targets.extend(targets.iter().map(|target| (group.to_owned(), target.clone())));
    }

    /// The groups in the order of `server_groups`, and remarks. A target that is listed twice belongs to the group that
    /// lists it first; its place in a group is its place in the file. With `limit`, a group is those of its targets
    /// that match: shares of it are shares of what is deployed to. Groups without targets are left out, with a remark.
    ///
    /// # Errors
    /// A group without a target file, an unreadable one, no targets, or a `limit` that matches none.
    pub fn groups(&self, limit: Option<&HostPattern>) -> Result<(Vec<Group>, Vec<Note>)> {
        let mut problems = Problems::default();
        let groups = self.groups_into(&mut problems);
        let (mut groups, mut notes) = problems.settle(groups)?;
        if let Some(limit) = limit {
            notes.extend(keep_matching(limit, &self.settings.server_groups, &mut groups)?);
        }
        Ok((groups, notes))
    }

    /// Whether `server_groups` is right: otherwise that is told, and nothing is said of the groups in its place.
    pub(super) fn groups_are_known(&self) -> bool {
        self.layers.get("server_groups").is_none_or(|entry| values::groups(&entry.value).is_ok())
    }

    /// As [`Config::groups`] without a limit, noting what is wrong and going on without it.
    pub(super) fn groups_into(&self, problems: &mut Problems) -> Vec<Group> {
        if !self.groups_are_known() {
            return Vec::new();
        }
        let before = problems.mistakes();
        let mut owner: HashMap<Target, &str> = HashMap::new();
        let (mut groups, mut any_unknown) = (Vec::new(), false);
        for settings in &self.settings.groups {
            let Some(mut listed) = self.listed(settings, problems) else { continue };
            // A target file of canaries names hosts of which the inventory of another group says how they are reached. What
            // is wrong with that inventory is told of the group that has it.
            let _ = self.describe(&mut listed.targets);
            if listed.is_unknown {
                any_unknown = true;
                continue;
            }
            let (name, from, is_blank) = (&settings.name, listed.from, listed.targets.is_empty());
            let mut targets = Vec::new();
            let kept = self.kept_targets.iter().filter(|(group, _)| group == name).map(|(_, target)| target.clone());
            for target in listed.targets.into_iter().chain(kept) {
                if let Some(first) = owner.get(&target) {
                    let why = format!("{target} is also listed in group {name}: it belongs to group {first}");
                    problems.push(Problem::of_file(&from, why).remark(Level::Debug));
                    continue;
                }
                owner.insert(target.clone(), name);
                targets.push(target);
            }
            if targets.is_empty() {
                let why = match is_blank {
                    true => format!("group {name} is empty: skipped"),
                    false => format!("group {name} is skipped: all its hosts belong to earlier groups"),
                };
                problems.push(Problem::of_file(&from, why).remark(Level::Warning));
                continue;
            }
            let mut group = Group {
                name: name.clone(),
                whole: targets.len(),
                targets,
                steps: settings.group_size.clone(),
                max_unavailable: settings.max_unavailable,
                max_unavailable_by: settings.max_unavailable_by.clone(),
                soak_time: settings.soak_time,
                group_soak_time: settings.group_soak_time,
                limit: settings.failure_limit,
                retry_failed: settings.retry_failed,
                failed_targets: settings.failed_targets,
                ..Group::default()
            };
            group.count_parts();
            problems.extend(parts_in_doubt(&group).map(|why| Problem::of_file(&from, why).remark(Level::Warning)));
            groups.push(group);
        }
        if groups.is_empty() && !any_unknown && problems.mistakes() == before {
            let names = self.settings.server_groups.join(", ");
            let why = format!("no targets: no host is listed for {names}");
            problems.push(Problem { file: self.shown_file(), ..Problem::new(why) });
        }
        groups
    }
}

/// What to say of a group that is counted by a label.
fn parts_in_doubt(group: &Group) -> Option<String> {
    let (name, label) = (&group.name, group.max_unavailable_by.as_ref()?);
    if group.max_unavailable.is_none() {
        return Some(format!("max_unavailable_by of {name} has no effect: max_unavailable is not set"));
    }
    let without: Vec<&Target> = group.targets.iter().filter(|target| target.label(label).is_none()).collect();
    let counted = "counted together, as if they were in one of their own";
    (!without.is_empty())
        .then(|| format!("hosts of {name} without the label {label} are {counted}: {}", fold(without.iter().copied())))
}

/// Leaves the targets that match in each group, and the groups that have any; gives remarks.
/// `known` are the names of all groups, those without targets too.
fn keep_matching(limit: &HostPattern, known: &[String], groups: &mut Vec<Group>) -> Result<Vec<Note>> {
    let everyone: Vec<Target> = groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
    let mut limit = limit.clone();
    let both = limit.know(known, &everyone).map_err(Error::msg)?;
    let said = |name: &String| {
        let why =
            format!("{name} is the name of a host and of a group: the host is meant; @{name} stands for the group");
        (Level::Warning, why)
    };
    let mut notes: Vec<Note> = both.iter().map(said).collect();
    groups.retain_mut(|group| {
        group.targets.retain(|target| limit.matches(&group.name, target));
        if group.targets.is_empty() && !limit.names_groups() {
            notes.push((Level::Info, format!("group {} has no target that matches {limit}: skipped", group.name)));
        }
        !group.targets.is_empty()
    });
    let strangers = limit.unmatched(&everyone);
    if groups.is_empty() {
        let names: Vec<&str> =
            everyone.iter().map(|target| &*target.host).chain(known.iter().map(|it| &**it)).collect();
        let meant = strangers.first().map(|name| did_you_mean(name, names)).unwrap_or_default();
        bail!("{limit} matches none of the {}{meant}", counted(everyone.len(), "target"));
    }
    if !strangers.is_empty() {
        let names: Vec<Target> = strangers.iter().filter_map(|name| name.parse().ok()).collect();
        let message = format!("{limit} contains hosts that are not targets: {}", fold(&names));
        notes.push((Level::Warning, message));
    }
    Ok(notes)
}
