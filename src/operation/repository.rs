//! The repository of an operation: its commits, and its artifacts.

use std::collections::HashSet;

use crate::config::Config;
use crate::fleet_state::FleetState;
use crate::journal;
use crate::repo::Repo;
use crate::wire::{Revision, State};

use super::state_folder;

/// The repository that is deployed from, with its artifacts.
///
/// # Errors
/// There is none, or git does not trust it.
pub fn repository(config: &Config) -> anyhow::Result<Repo> {
    Ok(Repo::open(&config.top)?.with_artifacts(&state_folder(config)))
}

/// Whether this repository has a revision, or what is no commit but was made here.
pub fn is_here(repo: &Repo, revision: &Revision) -> anyhow::Result<bool> {
    Ok(repo.is_artifact(revision) || !repo.has(std::slice::from_ref(revision))?.is_empty())
}

/// Drops the artifacts that nobody can go back to, go on with or bring to a host any more. Call it with the repository's
/// lock held, when old journals are removed. `wanted`: what the run is about that begins.
///
/// # Errors
/// Journals or the memory of targets cannot be read: then nothing is dropped.
pub fn drop_artifacts(config: &Config, repo: &Repo, wanted: &Revision) -> anyhow::Result<()> {
    let Some(store) = repo.artifacts() else { return Ok(()) };
    let mut keep = HashSet::from([wanted.clone()]);
    let of = |state: &State| [&state.current, &state.done, &state.in_progress].into_iter().flatten().cloned().collect();
    let folder = state_folder(config);
    let memory: Vec<_> = FleetState::load(&folder, &config.settings.git_repo)?.everything().cloned().collect();
    for known in memory {
        let state: Vec<Revision> = known.state.as_ref().map(of).unwrap_or_default();
        keep.extend(state.into_iter().chain(known.wanted).chain(known.owed.map(|owed| owed.revision)));
    }
    for journal in journal::past(&folder)? {
        let Some(past) = journal.read()? else { continue };
        keep.insert(past.opened.plan.revision.clone());
        let links = past.steps.iter().flat_map(|step| &step.results).filter_map(|result| result.links.as_ref());
        keep.extend(links.flat_map(|links| [&links.current, &links.done]).flatten().cloned());
    }
    store.retain(&keep).map(drop)
}
