//! Names that people type, for completion and for hints: quickly, and without a word where there are none.

use crate::config::{Config, Options, keys};
use crate::repo::Repo;
use crate::targets::Group;
use crate::wire::Revision;

use super::{past_deployments, repository};

/// Revisions that are offered, the newest first.
const REVISIONS: usize = 1000;

/// Deployed revisions that are offered.
const DEPLOYED: usize = 10;

/// What kind of name is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Hosts,
    Groups,
    /// Branches and tags, but for the tags that deployments leave.
    Revisions,
    Environments,
    Keys,
    Gates,
    Hooks,
}

/// The names of this kind; none where the configuration or the repository cannot be read.
pub fn names(options: &Options, kind: Names) -> Vec<String> {
    match kind {
        Names::Keys => keys::KEYS.iter().map(|key| key.name.to_owned()).collect(),
        Names::Revisions => revisions(options).unwrap_or_default(),
        Names::Environments => Config::environments_at(options),
        Names::Gates => gates(options).unwrap_or_default(),
        Names::Hooks => hooks(options).unwrap_or_default(),
        Names::Groups => Config::load(options).map(|config| config.settings.server_groups).unwrap_or_default(),
        Names::Hosts => hosts(options).unwrap_or_default(),
    }
}

fn gates(options: &Options) -> Option<Vec<String>> {
    let (gates, _) = Config::load(options).ok()?.gates().ok()?;
    Some(gates.into_iter().map(|gate| gate.name).collect())
}

fn hooks(options: &Options) -> Option<Vec<String>> {
    let (hooks, _) = Config::load(options).ok()?.hooks().ok()?;
    Some(hooks.into_iter().map(|hook| hook.name).collect())
}

/// What a word names that stands where nothing of the kind is taken: what that is, and the flag that takes it.
pub fn misplaced(config: &Config, word: &str) -> Option<(&'static str, &'static str)> {
    let is_host = |groups: Vec<Group>| {
        groups.iter().flat_map(|group| &group.targets).any(|target| target.host == word || target.to_string() == word)
    };
    if config.settings.server_groups.iter().any(|group| group == word) {
        Some(("a group", "-g"))
    } else if config.environments().iter().any(|environment| environment == word) {
        Some(("an environment", "-e"))
    } else if config.groups(None).is_ok_and(|(groups, _)| is_host(groups)) {
        Some(("a host", "-l"))
    } else {
        None
    }
}

/// The revisions that were deployed last, the newest first, each with its subject on one line.
pub fn deployed(options: &Options) -> Vec<(String, String)> {
    past(options).unwrap_or_default()
}

fn past(options: &Options) -> Option<Vec<(String, String)>> {
    let config = Config::load(options).ok()?;
    let repo = repository(&config).ok()?;
    let history = past_deployments(&config).ok()?;
    let mut revisions: Vec<&Revision> = Vec::new();
    for past in history.runs.iter().rev().filter(|past| past.stayed()) {
        if revisions.len() < DEPLOYED && !revisions.contains(&&past.revision) {
            revisions.push(&past.revision);
        }
    }
    let subject = |revision: &Revision| repo.subject(revision).unwrap_or_default().replace(char::is_control, " ");
    Some(revisions.into_iter().map(|revision| (revision.short().to_string(), subject(revision))).collect())
}

fn hosts(options: &Options) -> Option<Vec<String>> {
    let (groups, _) = Config::load(options).ok()?.groups(None).ok()?;
    Some(groups.into_iter().flat_map(|group| group.targets).map(|target| target.host).collect())
}

fn revisions(options: &Options) -> Option<Vec<String>> {
    let names = Repo::open(&options.start).ok()?.names(REVISIONS).ok()?;
    let of_deployments = |name: &String| ["hoist/sync/", "scap/sync/"].iter().any(|prefix| name.starts_with(prefix));
    Some(names.into_iter().filter(|name| !of_deployments(name)).collect())
}
