//! Where the targets of a group come from: a target file, a command, a name server, or an Ansible inventory.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::inventory::{self, Command, Found, Output};
use crate::paths;
use crate::problem::Problem;
use crate::targets::{Details, SYSTEM_FOLDER, Target, read_target_file};
use crate::wire::Level;

use super::Config;
use super::layers::ConfigEntry;
use super::problems::Problems;
use super::settings::GroupSettings;

/// What was read already: a command runs once, however often its hosts are asked for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    commands: Once<String, Output>,
    names: Once<String, Vec<Target>>,
    inventories: Once<PathBuf, Found>,
}

type Once<K, V> = Mutex<HashMap<K, Arc<Result<V, Problem>>>>;

fn once<K: Eq + Hash, V>(
    known: &Once<K, V>,
    key: K,
    make: impl FnOnce(&K) -> Result<V, Problem>,
) -> Arc<Result<V, Problem>> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = known.get(&key) {
        return made.clone();
    }
    let made = Arc::new(make(&key));
    known.insert(key, made.clone());
    made
}

/// The targets of a group.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Where they come from, as messages name it.
    pub from: String,
    /// The files that they were read from.
    pub files: Vec<PathBuf>,
    pub targets: Vec<Target>,
    /// They are not known: neither commands nor name servers are asked.
    pub is_unknown: bool,
}

/// What the keys of a group say.
enum Source<'a> {
    File(&'a str),
    Command(&'a str),
    Dns(&'a str),
    Inventory(&'a str),
}

impl Config {
    /// The targets of a group; `None`: it has to do without.
    pub(super) fn listed(&self, group: &GroupSettings, problems: &mut Problems) -> Option<Listed> {
        let (source, key, entry) = self.source(group, problems)?;
        let listed = match source {
            Source::File(file) => self.listed_in(file, problems),
            Source::Command(_) | Source::Dns(_) if self.is_offline => {
                let not = if matches!(source, Source::Dns(_)) { "looked up" } else { "run" };
                let why = format!("the targets of group {} are not known here: {key} is not {not}", group.name);
                problems.push(Problem::new(why).about(&key).remark(Level::Info));
                return Some(Listed { is_unknown: true, ..Listed::default() });
            }
            Source::Command(line) => self.printed_by(line, group, problems),
            Source::Dns(name) => self.named_by(name, group),
            Source::Inventory(path) => self.of_inventory(path, group, problems),
        };
        // What is wrong with the key, and not within a file, is told with the key's own place.
        let about_key = |problem: Problem| match problem.line {
            Some(_) => problem,
            None => entry.mistake(&key, &of_group(&group.name, &problem.message)).looked_for(problem.looked_for),
        };
        problems.keep(listed.map_err(about_key))
    }

    /// What says where the targets are: the key and its value.
    fn source<'a>(
        &'a self,
        group: &'a GroupSettings,
        problems: &mut Problems,
    ) -> Option<(Source<'a>, String, &'a ConfigEntry)> {
        let name = &group.name;
        let entry = |key: &str| self.layers.get(key);
        let own = |key: &str| super::keys::of_group(name, key);
        let file = group.dsh_targets.as_deref().map(|file| (Source::File(file), own("dsh_targets")));
        let command = group.targets_command.as_deref().map(|line| (Source::Command(line), own("targets_command")));
        let dns = group.targets_dns.as_deref().map(|dns| (Source::Dns(dns), own("targets_dns")));
        let mut given: Vec<(Source, String)> = [file, command, dns].into_iter().flatten().collect();
        let second = given.get(1).or(given.first().filter(|(source, _)| !matches!(source, Source::Command(_))));
        let clash = match (given.len(), &group.inventory_hosts) {
            (2.., _) => second.map(|(_, key)| key.clone()),
            (1, Some(_)) if second.is_some() => Some(own("inventory_hosts")),
            _ => None,
        };
        if let Some((key, (_, first))) = clash.zip(given.first()) {
            let why = format!("group {name} has {first} too: remove one, or leave it empty");
            problems
                .push(entry(&key).map_or_else(|| Problem::new(&why).about(&key), |entry| entry.mistake(&key, &why)));
            return None;
        }
        if let (true, Some(path)) = (given.is_empty(), &group.inventory) {
            let key = [own("inventory"), "inventory".to_owned()].into_iter().find(|key| entry(key).is_some());
            given.extend(key.map(|key| (Source::Inventory(path), key)));
        }
        if let Some((source, key)) = given.pop() {
            return entry(&key).map(|entry| (source, key, entry));
        }
        problems.push(self.no_source(name));
        None
    }

    /// Whether there are groups whose targets are not known, since neither commands nor name servers are asked.
    pub(super) fn has_unknown_targets(&self) -> bool {
        let source = |group| self.source(group, &mut Problems::default());
        let is_unknown = |group| matches!(source(group), Some((Source::Command(_) | Source::Dns(_), ..)));
        self.is_offline && self.settings.groups.iter().any(is_unknown)
    }

    /// What to say of a group that nothing lists the targets of. If a key is there and empty, that is how an environment
    /// does without the group.
    fn no_source(&self, group: &str) -> Problem {
        if let Some(key) = GroupSettings::source_keys(group).find(|key| self.layers.get(key).is_some()) {
            let why = format!("group {group} is skipped: {key} is empty ({})", self.place_of(&key));
            return Problem::new(why).about(&key).remark(Level::Warning);
        }
        let key = GroupSettings::targets_key(group);
        let place = self.shown_file().unwrap_or_else(|| "the configuration".to_owned());
        let why = format!("group {group} has no target file: set {key} in {place}, or name other groups");
        match self.layers.get("server_groups") {
            Some(entry) => entry.mistake("server_groups", &why),
            None => Problem { file: self.shown_file(), ..Problem::new(why) }.about(&key),
        }
    }

    fn listed_in(&self, file: &str, problems: &mut Problems) -> Result<Listed, Problem> {
        let mut folders = self.folders();
        folders.push(PathBuf::from(SYSTEM_FOLDER));
        let shown = |path: &Path| self.shown(path);
        let check = |path: &Path| self.check_target_file(file, path);
        let read = read_target_file(file, &folders, &shown, &check)
            .map_err(|problem| Problem { message: format!("the target file: {}", problem.message), ..problem })?;
        problems.extend(read.problems);
        let from = self.shown(&read.path);
        Ok(Listed { from, files: vec![read.path], targets: read.targets, is_unknown: false })
    }

    /// What a command prints.
    fn printed(&self, line: &str) -> Arc<Result<Output, Problem>> {
        once(&self.sources.commands, line.to_owned(), |line| {
            let environment = self.environment.as_deref().unwrap_or_default();
            let variables = [("REPO", self.settings.git_repo.as_str()), ("ENVIRONMENT", environment)];
            let timeout = self.settings.targets_timeout;
            inventory::run(Command { line, folder: &self.top, variables: &variables, timeout })
        })
    }

    fn printed_by(&self, line: &str, group: &GroupSettings, problems: &mut Problems) -> Result<Listed, Problem> {
        let output = self.printed(line);
        let named = |problem: &Problem| Problem::new(problem.to_string());
        let from = GroupSettings::own_key(&group.name, "targets_command");
        let targets = match (&*output, &group.inventory_hosts) {
            (Err(problem), _) => return Err(named(problem)),
            (Ok(Output::Hosts(_)), Some(_)) => {
                let why = "inventory_hosts is set, but the command prints no groups to choose from: remove the key";
                return Err(Problem::new(why));
            }
            (Ok(Output::Hosts(hosts)), None) => hosts.clone(),
            (Ok(Output::Inventory(found)), pattern) => {
                let pattern = pattern.as_deref().unwrap_or("all");
                let labels = &self.settings.inventory_labels;
                let (targets, remarks) = found.targets(pattern, &from, labels).map_err(|problem| named(&problem))?;
                problems.extend(remarks);
                targets
            }
        };
        Ok(Listed { from, targets, ..Listed::default() })
    }

    fn named_by(&self, name: &str, group: &GroupSettings) -> Result<Listed, Problem> {
        let timeout = self.settings.targets_timeout;
        let found = once(&self.sources.names, name.to_owned(), |name| inventory::look_up(name, timeout));
        let targets = found.as_ref().as_ref().map_err(Problem::clone)?.clone();
        Ok(Listed { from: GroupSettings::own_key(&group.name, "targets_dns"), targets, ..Listed::default() })
    }

    fn of_inventory(&self, named: &str, group: &GroupSettings, problems: &mut Problems) -> Result<Listed, Problem> {
        let (from, found) = self.inventory(named)?;
        let found = found.as_ref().as_ref().map_err(Problem::clone)?;
        let pattern = group.inventory_hosts.as_ref().unwrap_or(&group.name);
        let (targets, remarks) = found.inventory.targets(pattern, &from, &self.settings.inventory_labels)?;
        problems.extend(remarks);
        Ok(Listed { from, files: found.files.clone(), targets, is_unknown: false })
    }

    /// The inventory that has this path, and what messages call it.
    fn inventory(&self, named: &str) -> Result<(String, Arc<Result<Found, Problem>>), Problem> {
        let wanted = Path::new(named);
        if paths::leads_up(wanted) {
            return Err(Problem::new(format!("bad path {named:?}: it must not contain `..`")));
        }
        let places: Vec<PathBuf> = match wanted.is_absolute() {
            true => vec![wanted.to_owned()],
            false => self.folders().into_iter().chain([self.top.clone()]).map(|it| it.join(wanted)).collect(),
        };
        let Some(path) = places.iter().find(|path| path.symlink_metadata().is_ok()) else {
            let looked_for = places.iter().map(|path| self.shown(path)).collect();
            return Err(Problem::new(format!("no inventory {named:?}")).looked_for(looked_for));
        };
        let check = |file: &Path| if wanted.is_absolute() { Ok(()) } else { self.in_repository(file) };
        let found = once(&self.sources.inventories, path.clone(), |path| {
            inventory::read(path, &|path| self.shown(path), &check)
        });
        Ok((self.shown(path), found))
    }

    /// Gives hosts that are only named what the inventories and commands of the groups say of them: where to connect, as
    /// whom, and their labels.
    ///
    /// # Errors
    /// One of these lists cannot be read. The key that does without it is named.
    pub fn describe(&self, targets: &mut [Target]) -> Result<(), Problem> {
        let mut groups: Vec<&GroupSettings> = self.settings.groups.iter().collect();
        while !groups.is_empty() && targets.iter().any(|target| target.details.is_none()) {
            let Some((source, key, _)) = self.source(groups.remove(0), &mut Problems::default()) else { continue };
            let described = match source {
                Source::File(_) | Source::Dns(_) => continue,
                Source::Command(_) if self.is_offline => continue,
                Source::Command(line) => match &*self.printed(line) {
                    Ok(Output::Hosts(hosts)) => Ok(hosts.clone()),
                    Ok(Output::Inventory(found)) => found.named(targets, &self.settings.inventory_labels),
                    Err(problem) => Err(problem.clone()),
                },
                Source::Inventory(path) => self.inventory(path).and_then(|(_, found)| match &*found {
                    Ok(found) => found.inventory.named(targets, &self.settings.inventory_labels),
                    Err(problem) => Err(problem.clone()),
                }),
            };
            let described = described.map_err(|problem| {
                let without = format!("with `-D {key}:`, hosts are taken as they are named");
                Problem { message: format!("{}; {without}", problem.message), ..problem }
            })?;
            let listed: HashMap<&Target, &Target> = described.iter().map(|known| (known, known)).collect();
            // `None`: several of that name are reached in different ways.
            let mut of_name: HashMap<&str, Option<Details>> = HashMap::new();
            for known in &described {
                let details = of_name.entry(&known.host).or_insert_with(|| Some(known.described()));
                details.take_if(|details| *details != known.described());
            }
            for target in targets.iter_mut().filter(|target| target.details.is_none()) {
                // A list that has the very target says by it what it says of it, and not by another of its name.
                let details = match listed.get(target) {
                    Some(known) => known.details.as_deref().cloned(),
                    None => of_name.get(target.host.as_str()).cloned().flatten(),
                };
                target.details = details.filter(|details| *details != Details::default()).map(Arc::new);
            }
        }
        Ok(())
    }
}

/// `the target file of group canary: no target file "few"`.
fn of_group(group: &str, why: &str) -> String {
    match why.strip_prefix("the target file: ") {
        Some(why) => format!("the target file of group {group}: {why}"),
        None => format!("the targets of group {group}: {why}"),
    }
}
