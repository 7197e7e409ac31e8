//! Remarks on keys that have no effect, or not the one that was meant.

use crate::problem::Problem;
use crate::wire::Level;

use super::Config;
use super::keys;
use super::keys::Found;
use super::layers::{ConfigEntry, Origin};
use super::problems::Problems;
use super::scap_keys;
use super::scap_keys::Unserved;

impl Config {
    /// Notes the remarks on keys.
    pub(super) fn remark_into(&self, problems: &mut Problems) {
        problems.extend(self.layers.entries.iter().filter_map(|(name, entry)| self.remark_on(name, entry)));
        problems.extend(self.unserved());
    }

    fn remark_on(&self, name: &str, entry: &ConfigEntry) -> Option<Problem> {
        let settings = &self.settings;
        let (level, why) = match keys::find(name) {
            Some(Found::Bare(key)) if key.name == "max_failures" => {
                (Level::Warning, "max_failures has no effect: set failure_limit".to_owned())
            }
            Some(Found::Bare(key))
                if key.name == "git_upstream_submodules"
                    && settings.git_upstream_submodules
                    && !settings.git_submodules =>
            {
                (Level::Warning, "git_upstream_submodules has no effect: set git_submodules too".to_owned())
            }
            Some(Found::Group(group, _)) if !self.reads_group_keys(&group) => {
                (Level::Debug, format!("{name} is ignored: no group of server_groups is named {group}"))
            }
            Some(_) => return None,
            None => match scap_keys::find(name) {
                Some(Unserved::Announcement) if scap_keys::asks(&entry.value) => return None,
                Some(Unserved::Targets) if scap_keys::asks(&entry.value) => {
                    let instead = "mark services with NAME=restart:disable-secondary";
                    (Level::Warning, format!("{name} is not supported: {instead}"))
                }
                Some(Unserved::OtherCommands) => {
                    (Level::Debug, format!("{name} is for commands of Scap that Hoist does not have"))
                }
                Some(_) => (Level::Debug, format!("{name} has no effect")),
                None if entry.origin == Origin::Define => {
                    let meant = keys::nearest(name, &settings.server_groups);
                    let hint = meant.map(|known| format!(": did you mean {known}?")).unwrap_or_default();
                    let why = format!("-D sets the unknown key {name:?}{hint}");
                    return Some(Problem::new(why).about(name).remark(Level::Warning));
                }
                None => (Level::Debug, format!("unknown key {name:?} is ignored")),
            },
        };
        Some(entry.remark(level, name, &why))
    }

    /// One warning about all keys that ask for an announcement.
    pub(super) fn unserved(&self) -> Option<Problem> {
        let announces = |(name, entry): &(&String, &ConfigEntry)| {
            scap_keys::find(name) == Some(Unserved::Announcement) && scap_keys::asks(&entry.value)
        };
        // A port is named with its host.
        let detail = |name: &str| {
            let host = name.strip_suffix("_port").map(|of| format!("{of}_host"));
            host.is_some_and(|host| self.layers.get(&host).is_some_and(|entry| announces(&(&host, entry))))
        };
        let named = |it: &(&String, &ConfigEntry)| {
            announces(it) || (scap_keys::find(it.0) == Some(Unserved::Detail) && detail(it.0))
        };
        let asked = self.layers.entries.iter().filter(named);
        let asked: Vec<String> = asked.map(|(name, entry)| format!("{name} ({})", place(entry))).collect();
        let why = "hoist makes no announcements and sends no logs: these keys have no effect";
        (!asked.is_empty()).then(|| Problem::new(format!("{why}: {}", asked.join(", "))).remark(Level::Warning))
    }
}

fn place(entry: &ConfigEntry) -> String {
    match &entry.origin {
        Origin::File { name, line, .. } => format!("{name}:{line}"),
        origin => origin.to_string(),
    }
}
