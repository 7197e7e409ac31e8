//! The submodules of a revision, as the deploy host has them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::Repo;
use crate::gitmodules;
use crate::gitmodules::Module;
use crate::wire::Revision;

/// A submodule's commit that belongs to a revision, and the repository here that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submodule {
    /// Where it stands, from the top of the superproject.
    pub path: String,
    pub commit: Revision,
    pub git_dir: PathBuf,
}

/// All submodules of a revision, nested ones too, each behind the one that it is in.
///
/// # Errors
/// The first one whose commit no repository here has, or which `.gitmodules` does not name or describes badly.
pub fn submodules(repo: &Repo, revision: &Revision) -> anyhow::Result<Vec<Submodule>> {
    submodules_below(repo, revision, "")
}

/// Those submodules whose paths begin so; nobody asks for the others.
///
/// # Errors
/// As of [`submodules`].
pub(super) fn submodules_below(repo: &Repo, revision: &Revision, below: &str) -> anyhow::Result<Vec<Submodule>> {
    let top = Level {
        commit: revision.clone(),
        git_dirs: repo.git_dirs(),
        tree: repo.top().to_owned(),
        shown: String::new(),
    };
    let (mut found, mut levels) = (Vec::new(), vec![top]);
    let mut reader = repo.clone();
    while let Some(level) = levels.pop() {
        for (module, commit) in modules(&reader, &level, below)? {
            let path = format!("{}{}", level.shown, module.path);
            let tree = level.tree.join(&module.path);
            let candidates = candidates(&level, &module, &tree);
            let has = |dir: &PathBuf| repo.with_objects_of([dir.as_path()]).has(std::slice::from_ref(&commit));
            let mut git_dir = None;
            for candidate in candidates {
                if !has(&candidate)?.is_empty() {
                    git_dir = Some(candidate);
                    break;
                }
            }
            let Some(git_dir) = git_dir else {
                bail!(
                    "submodule {path} of {} needs its commit {commit}, which is not here: run `git submodule update \
                     --init --recursive` with {} checked out",
                    revision.short(),
                    revision.short()
                );
            };
            found.push(Submodule { path: path.clone(), commit: commit.clone(), git_dir: git_dir.clone() });
            reader = repo.with_objects_of(found.iter().map(|it| it.git_dir.as_path()));
            levels.push(Level { commit, git_dirs: vec![git_dir], tree, shown: path + "/" });
        }
    }
    Ok(found)
}

/// A commit whose submodules are looked for.
struct Level {
    commit: Revision,
    /// Its repository; of a linked working tree the own one and the common one.
    git_dirs: Vec<PathBuf>,
    /// Its working tree, where something else may be checked out.
    tree: PathBuf,
    shown: String,
}

/// The folders that may be a submodule's repository.
fn candidates(level: &Level, module: &Module, tree: &Path) -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> = level.git_dirs.iter().map(|dir| module.git_dir(dir)).collect();
    // One that was renamed, or added by hand: its working tree says where its repository is.
    let dot_git = tree.join(".git");
    match fs::read_to_string(&dot_git) {
        Ok(text) => candidates.extend(text.trim_end().strip_prefix("gitdir: ").map(|dir| tree.join(dir))),
        Err(_) => candidates.push(dot_git),
    }
    candidates.retain(|dir| dir.join("objects").is_dir());
    candidates
}

fn modules(repo: &Repo, level: &Level, below: &str) -> anyhow::Result<Vec<(Module, Revision)>> {
    let commit = level.commit.as_str();
    let mut links = repo.entries(&level.commit)?;
    links.retain(|entry| entry.is_submodule() && format!("{}{}", level.shown, entry.path).starts_with(below));
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let file = format!("{}.gitmodules", level.shown);
    if !repo.file_exists(&level.commit, ".gitmodules")? {
        bail!("{} of {commit} is a submodule, but there is no {file}: add it, or remove the submodule", links[0].path);
    }
    let listing = repo.text(&["config", &format!("--blob={commit}:.gitmodules"), "-z", "--list"])?;
    let modules = gitmodules::parse(&listing).map_err(|why| anyhow!("{file} of {commit}: {why}"))?;
    let mut found = Vec::new();
    for link in links {
        let Some(module) = modules.iter().find(|module| module.path == link.path) else {
            bail!(
                "{}{} is a submodule that is not in {file} of {commit}: add it, or remove the submodule",
                level.shown,
                link.path
            );
        };
        let commit = link.object.parse().map_err(anyhow::Error::msg).context("git ls-tree gave a strange name")?;
        found.push((module.clone(), commit));
    }
    Ok(found)
}
