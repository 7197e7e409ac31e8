//! Remarks on keys that have no effect, or not the one that was meant.

use crate::problem::Problem;
use crate::text::did_you_mean;
use crate::threads::MOST_AT_ONCE;
use crate::wire::{Drain, DrainOn, Level};

use super::Config;
use super::ini;
use super::keys;
use super::keys::Found;
use super::layers::{ConfigEntry, Origin};
use super::problems::Problems;
use super::scap_keys;
use super::scap_keys::Unserved;
use super::values;

impl Config {
    /// Notes the remarks on keys.
    pub(super) fn remark_into(&self, problems: &mut Problems) {
        problems.extend(self.layers.entries.iter().filter_map(|(name, entry)| self.remark_on(name, entry)));
        problems.extend(self.unserved());
        problems.extend(self.ignored_files());
        problems.extend(self.warning_of_state().map(|why| Problem::new(why).remark(Level::Warning)));
    }

    /// The warnings about keys that the command line defines.
    pub fn remarks_on_definitions(&self) -> Vec<String> {
        let defined = self.layers.entries.iter().filter(|(_, entry)| entry.origin == Origin::Define);
        let remarks = defined.filter_map(|(name, entry)| self.remark_on(name, entry));
        remarks.filter(|remark| remark.severity >= Level::Warning).map(|remark| remark.to_string()).collect()
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
            Some(Found::Bare(key)) if key.name == "confirm_timeout" && self.has_lease_without_drain() => {
                let why = "a target whose lease expires restarts its services without being drained, since drain_on is \
                           deploy_host and no deployer is there then: set `drain_on: target`";
                (Level::Warning, why.to_owned())
            }
            Some(Found::Bare(key) | Found::Stage(_, key))
                if key.name == "batch_size" && values::number(&entry.value, 1).is_ok_and(|it| it > MOST_AT_ONCE) =>
            {
                let why = format!("at most {MOST_AT_ONCE} hosts run a stage at once");
                (Level::Warning, format!("{name} is {}: {why}", entry.value))
            }
            Some(Found::Group(group, _)) if !self.reads_group_keys(&group) => self.of_no_group(name, &group),
            Some(_) => return None,
            None => match scap_keys::find(name) {
                Some(Unserved::Log) if scap_keys::asks(&entry.value) => return None,
                Some(Unserved::Targets) if scap_keys::asks(&entry.value) => {
                    let instead = "mark services with NAME=restart:disable-secondary";
                    (Level::Warning, format!("{name} is not supported: {instead}"))
                }
                Some(Unserved::OtherCommands) => {
                    (Level::Debug, format!("{name} is for commands of Scap that Hoist does not have"))
                }
                Some(_) => (Level::Debug, format!("{name} has no effect")),
                None => self.unknown(name, &entry.origin),
            },
        };
        Some(entry.remark(level, name, &why))
    }

    /// Files of which only the one with the other ending is read.
    fn ignored_files(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for folder in self.folders() {
            for name in ["checks", "config-files", "gates", "hooks", "steps", "vars"] {
                let [read, ignored] = ["yaml", "yml"].map(|ending| folder.join(format!("{name}.{ending}")));
                if read.exists() && ignored.exists() {
                    let (read, ignored) = (self.shown(&read), self.shown(&ignored));
                    let why = format!("{ignored} is ignored, since {read} exists: remove one of them");
                    found.push(Problem::of_file(&ignored, why).remark(Level::Warning));
                }
            }
        }
        found
    }

    /// Whether the watchers of leases have to roll back hosts that only a deployer can drain.
    fn has_lease_without_drain(&self) -> bool {
        let on_deploy_host = |drain: &Drain| drain.on == DrainOn::DeployHost;
        let groups = &self.settings.groups;
        !self.settings.confirm_timeout.is_zero() && groups.iter().filter_map(|it| it.drain.as_ref()).any(on_deploy_host)
    }

    /// A key that nobody knows. Other versions of Scap have more keys, and so have its files; elsewhere it is a slip.
    fn unknown(&self, name: &str, origin: &Origin) -> (Level, String) {
        let meant = self.nearest_key(name);
        let from_scap = matches!(origin, Origin::File { name, .. } if name.ends_with("scap.cfg"));
        let level = if from_scap && meant.is_none() { Level::Debug } else { Level::Warning };
        (level, format!("unknown key {name:?} is ignored{}", did_you_mean(name, meant)))
    }

    /// A key of a group that `server_groups` does not name here. It may be named in another environment, or elsewhere.
    fn of_no_group(&self, name: &str, group: &str) -> (Level, String) {
        let sources = keys::SOURCES.map(|key| keys::of_group(group, key));
        let is_named = |file: &ini::Item| {
            file.key == "server_groups" && values::list(&file.value).iter().any(|it| it.to_lowercase() == group)
        };
        let elsewhere = |file: &ini::Item| sources.contains(&file.key) || is_named(file);
        // Of a group that is deployed to elsewhere it is no slip.
        let meant = self.nearest_key(name).filter(|_| self.layers.any_section(is_named).is_none());
        let known = self.layers.any_section(elsewhere).is_some() || !self.environments().is_empty();
        let is_told = !(known && meant.is_none()) && self.groups_are_known();
        let level = if is_told { Level::Warning } else { Level::Debug };
        let hint = did_you_mean(name, meant);
        (level, format!("{name} is ignored: no group of server_groups is named {group}{hint}"))
    }

    fn nearest_key(&self, name: &str) -> Option<String> {
        keys::nearest(name, &self.settings.server_groups)
    }

    /// One warning about all keys that ask for another log.
    fn unserved(&self) -> Option<Problem> {
        let asks = |(name, entry): &(&String, &ConfigEntry)| {
            scap_keys::find(name) == Some(Unserved::Log) && scap_keys::asks(&entry.value)
        };
        let asked = self.layers.entries.iter().filter(asks);
        let asked: Vec<String> = asked.map(|(name, entry)| format!("{name} ({})", place(entry))).collect();
        let why = "hoist sends its log nowhere else: these keys have no effect";
        (!asked.is_empty()).then(|| Problem::new(format!("{why}: {}", asked.join(", "))).remark(Level::Warning))
    }
}

fn place(entry: &ConfigEntry) -> String {
    match &entry.origin {
        Origin::File { name, line, .. } => format!("{name}:{line}"),
        origin => origin.to_string(),
    }
}
