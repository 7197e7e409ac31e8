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
            for target in self.listed(settings)? {
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

    /// The targets that a group's file lists.
    fn listed(&self, group: &GroupSettings) -> Result<Vec<Target>> {
        let key = GroupSettings::targets_key(&group.name);
        let Some(file) = &group.dsh_targets else {
            return Err(anyhow!(
                "group {} has no target file: set {key} in {}, or take it out of server_groups",
                group.name,
                self.file.as_deref().map_or_else(|| "the configuration".to_owned(), |file| self.shown(file))
            ));
        };
        let origin = self.layers.get(&key).map(|entry| entry.origin.to_string()).unwrap_or_default();
        let mut folders = self.folders();
        folders.push(PathBuf::from(SYSTEM_FOLDER));
        let context = || format!("the target file of group {} ({key}, {origin})", group.name);
        let shown = |path: &std::path::Path| self.shown(path);
        let check = |path: &std::path::Path| self.check_target_file(file, path);
        Ok(read_target_file(file, &folders, &shown, &check).with_context(context)?.targets)
    }
}
