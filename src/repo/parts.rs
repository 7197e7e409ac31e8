//! What a revision consists of beside its own files: submodules and large files.

use std::path::Path;

use super::large_files::{Searched, StoredFile, large_files, pointer_paths, store};
use super::submodules::{Submodule, submodules};
use super::{Repo, Tree, TreeSize};
use crate::wire::Revision;

/// What is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    pub submodules: bool,
    pub large_files: bool,
}

/// The parts that a revision's own tree names, by their paths, whether the deploy host has them or not.
#[derive(Debug, Clone, Default)]
pub struct Named {
    pub submodules: Vec<String>,
    /// Pointers of git-lfs.
    pub lfs: Vec<String>,
    /// Pointers of git-fat.
    pub fat: Vec<String>,
}

impl Named {
    /// Of a tree in this repository.
    pub fn of(repo: &Repo, tree: &Tree) -> anyhow::Result<Named> {
        let entries = tree.entries();
        let submodules = entries.iter().filter(|entry| entry.is_submodule()).map(|entry| entry.path.clone()).collect();
        let (lfs, fat) = pointer_paths(repo, tree.commit(), entries)?;
        Ok(Named { submodules, lfs, fat })
    }
}

/// Where the large files of a revision, and of these submodules of it, may be. `all` has the objects of both.
pub(super) fn searched<'a>(
    repo: &Repo,
    all: &'a Repo,
    revision: &'a Revision,
    submodules: &'a [Submodule],
) -> Vec<Searched<'a>> {
    let configured = |dir: &Path| repo.config_of(dir, "lfs.storage");
    let own = store(repo.git_dir(), configured(repo.git_dir()).as_deref());
    let top = Searched { repo: all, commit: revision, shown: String::new(), stores: vec![own.clone()] };
    let inner = submodules.iter().map(|Submodule { path, commit, git_dir }| {
        let stores = vec![store(git_dir, configured(git_dir).as_deref()), own.clone()];
        Searched { repo: all, commit, shown: format!("{path}/"), stores }
    });
    [top].into_iter().chain(inner).collect()
}

/// The parts of a revision that the deploy host has; those that were not wanted are empty.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub submodules: Vec<Submodule>,
    pub large_files: Vec<StoredFile>,
}

impl Parts {
    /// Finds the parts of a revision.
    ///
    /// # Errors
    /// The first part that is not here.
    pub fn of(repo: &Repo, revision: &Revision, wanted: Wanted) -> anyhow::Result<Parts> {
        let submodules = if wanted.submodules { submodules(repo, revision)? } else { Vec::new() };
        let mut parts = Parts { submodules, large_files: Vec::new() };
        if wanted.large_files {
            let all = parts.objects(repo);
            parts.large_files = large_files(&searched(repo, &all, revision, &parts.submodules))?;
        }
        Ok(parts)
    }

    /// The repository with the submodules' objects beside its own.
    pub fn objects(&self, repo: &Repo) -> Repo {
        repo.with_objects_of(self.submodules.iter().map(|it| it.git_dir.as_path()))
    }

    /// The commits whose parents the deploy host lacks, in the repository itself and in submodules.
    pub fn shallow(&self, repo: &Repo) -> anyhow::Result<Vec<Revision>> {
        let mut shallow = repo.shallow()?;
        for Submodule { git_dir, .. } in &self.submodules {
            shallow.extend(super::git::shallow(git_dir)?);
        }
        shallow.sort();
        shallow.dedup();
        Ok(shallow)
    }

    /// What the parts take on a target's disk. Large files are there twice: in the tree, and in git-lfs's store.
    pub fn size(&self, repo: &Repo) -> anyhow::Result<TreeSize> {
        let all = self.objects(repo);
        let mut size = TreeSize::default();
        for Submodule { commit, .. } in &self.submodules {
            size = size + all.tree(commit)?.size();
        }
        for StoredFile { file, .. } in &self.large_files {
            size.bytes = size.bytes.saturating_add(file.bytes().saturating_mul(2));
            size.inodes += 1;
        }
        Ok(size)
    }
}
