//! From `server_groups` and target files to the groups of a deployment.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};

use crate::targets::{Group, HostPattern, SYSTEM_FOLDER, Target, fold, read_target_file};
use crate::wire::Level;

use super::settings::GroupSettings;
use super::{Config, Note};

impl Config {
    /// The groups in the order of `server_groups`, and remarks. A target that is listed twice belongs to the group that
    /// lists it first; its place in a group is its place in the file. With `limit`, a group is those of its targets
    /// that match: shares of it are shares of what is deployed to. Groups without targets are left out, with a remark.
    ///
    /// # Errors
    /// A group without a target file, an unreadable one, no target at all, or a `limit` that matches none.
    pub fn groups(&self, limit: Option<&HostPattern>) -> Result<(Vec<Group>, Vec<Note>)> {
        let mut notes = Vec::new();
        let mut owner: HashMap<Target, String> = HashMap::new();
        let mut everyone = Vec::new();
        let mut groups = Vec::new();
        for settings in &self.settings.groups {
            let name = &settings.name;
            let mut targets = Vec::new();
            let Some((listed, remarks)) = self.listed(settings)? else {
                notes.push((Level::Warning, self.without_targets(name)));
                continue;
            };
            notes.extend(remarks);
            for target in listed {
                if let Some(first) = owner.get(&target) {
                    let message = format!("{target} is listed in group {name} again: it belongs to group {first}");
                    notes.push((Level::Debug, message));
                    continue;
                }
                owner.insert(target.clone(), name.clone());
                everyone.push(target.clone());
                targets.push(target);
            }
            let listed = targets.len();
            if let Some(limit) = limit {
                targets.retain(|target| limit.matches(target));
            }
            if targets.is_empty() {
                notes.push(match limit {
                    Some(limit) if listed > 0 => {
                        (Level::Info, format!("group {name} has no target that matches {limit}: skipped"))
                    }
                    _ => (Level::Warning, format!("group {name} is empty: skipped")),
                });
                continue;
            }
            groups.push(Group {
                name: name.clone(),
                targets,
                size: settings.group_size,
                limit: settings.failure_limit,
                retry_failed: settings.retry_failed,
                failed_targets: settings.failed_targets,
            });
        }
        if everyone.is_empty() {
            bail!("no target at all: the target files of {} list no host", self.settings.server_groups.join(", "));
        }
        if let Some(limit) = limit {
            let strangers = limit.unmatched(&everyone);
            if groups.is_empty() {
                bail!("{limit} matches none of the {} targets", everyone.len());
            }
            if !strangers.is_empty() {
                let names: Vec<Target> = strangers.iter().filter_map(|name| name.parse().ok()).collect();
                let message = format!("{limit} names hosts that are no targets: {}", fold(&names));
                notes.push((Level::Warning, message));
            }
        }
        Ok((groups, notes))
    }

    /// What to say of a group whose key is there and names no file: that is how an environment does without one.
    pub(super) fn without_targets(&self, group: &str) -> String {
        let key = GroupSettings::targets_key(group);
        format!("group {group} is skipped: {key} is empty ({})", self.place_of(&key))
    }

    /// The targets that a group's file lists, and remarks; `None` where the key names no file.
    fn listed(&self, group: &GroupSettings) -> Result<Option<(Vec<Target>, Vec<Note>)>> {
        let key = GroupSettings::targets_key(&group.name);
        let Some(file) = &group.dsh_targets else {
            if self.layers.get(&key).is_some() {
                return Ok(None);
            }
            return Err(anyhow!(
                "group {} has no target file: set {key} in {}, or take it out of server_groups",
                group.name,
                self.file.as_deref().map_or_else(|| "the configuration".to_owned(), |file| self.shown(file))
            ));
        };
        let mut folders = self.folders();
        folders.push(PathBuf::from(SYSTEM_FOLDER));
        let context = || format!("the target file of group {} ({key}, {})", group.name, self.place_of(&key));
        let shown = |path: &std::path::Path| self.shown(path);
        let check = |path: &std::path::Path| self.check_target_file(file, path);
        let read = read_target_file(file, &folders, &shown, &check).with_context(context)?;
        let notes = read.notes.into_iter().map(|note| (Level::Warning, note)).collect();
        Ok(Some((read.targets, notes)))
    }
}
