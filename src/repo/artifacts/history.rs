//! Where artifacts stand in the repository's history: at the commits that they were made from.

use std::path::Path;

use anyhow::Context;

use super::store::ArtifactStore;
use crate::repo::Repo;
use crate::wire::{Origin, Revision};

/// A revision, as far as the repository's history is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A commit. `subdir`: the only directory of it that counts.
    Commit { commit: Revision, subdir: Option<String> },
    /// An artifact that was made from nobody knows what.
    Nowhere,
}

impl Repo {
    /// The same repository with the artifacts that are kept in the folder of its journals.
    pub fn with_artifacts(self, state: &Path) -> Repo {
        self.with_objects_of([ArtifactStore::place(state).as_path()]).with_state(state)
    }

    /// The artifacts of this repository, if there are any.
    pub fn artifacts(&self) -> Option<ArtifactStore> {
        ArtifactStore::open(self.state()?)
    }

    /// How a revision was made; `None` of a commit.
    pub fn origin(&self, revision: &Revision) -> Option<Origin> {
        self.artifacts()?.origin(revision)
    }

    /// Whether a revision is an artifact: no commit that a ref or a tag of the repository could name.
    pub fn is_artifact(&self, revision: &Revision) -> bool {
        self.artifacts().is_some_and(|store| store.has(revision))
    }

    /// The commit that a revision is, or was made from, and the only directory of it that counts; `None`: nobody knows.
    pub(in crate::repo) fn commit_of(&self, revision: &Revision) -> Option<(Revision, Option<String>)> {
        match self.place_of(revision) {
            Place::Commit { commit, subdir } => Some((commit, subdir)),
            Place::Nowhere => None,
        }
    }

    /// The artifacts of this repository; their store is made where there is none.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn artifacts_to_write(&self) -> anyhow::Result<ArtifactStore> {
        let state = self.state().context("this repository has no folder for artifacts")?;
        ArtifactStore::open_or_create(state, self)
    }

    /// Where a revision stands in the history.
    pub fn place_of(&self, revision: &Revision) -> Place {
        let Some(store) = self.artifacts() else {
            return Place::Commit { commit: revision.clone(), subdir: None };
        };
        match store.origin(revision) {
            Some(origin) => match &origin.source {
                Some(source) => Place::Commit { commit: source.clone(), subdir: origin.subdir().map(str::to_owned) },
                None => Place::Nowhere,
            },
            None if store.has(revision) => Place::Nowhere,
            None => Place::Commit { commit: revision.clone(), subdir: None },
        }
    }
}
