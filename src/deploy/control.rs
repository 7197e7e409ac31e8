//! Uncommitted changes in the working tree. Changed control files are used nevertheless.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::{Config, ControlFile, Note};
use crate::repo::{Repo, Tree};
use crate::text::some;
use crate::wire::{Level, Revision};

use super::plan::Kind;
use super::revision::SHOWN;

/// How many files a refusal names.
const REFUSED: usize = 20;

/// Length of the digest of a file that may be secret: too short to guess the contents from.
const DIGITS: usize = 4;

/// Control files by name, each with a digest of its contents as by `git hash-object FILE`. For files that may contain
/// passwords, only the first four digits.
pub type Digests = BTreeMap<String, String>;

/// The differences between the working tree, the last commit and the revision.
#[derive(Debug, Default)]
pub struct WorkingTree {
    pub digests: Digests,
    /// Control files that are used and differ from the last commit, without those that git ignores.
    used: Vec<String>,
    /// Control files that are as in the last commit, but differ from the revision.
    unlike: Vec<String>,
    /// Other files that differ from the last commit.
    rest: Vec<String>,
}

impl WorkingTree {
    /// Compares the working tree. A `tree` that was read already is not read again.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn look(config: &Config, repo: &Repo, revision: &Revision, tree: Option<&Tree>) -> Result<WorkingTree> {
        let files = config.control_files();
        let own = own_repository(&config.control, repo);
        let home = own.as_ref().filter(|own| config.control.starts_with(own.top())).unwrap_or(repo);
        // Paths from the top of their repository, as in its attributes. Links are followed.
        let place = |file: &ControlFile| {
            let real = file.path.canonicalize().unwrap_or_else(|_| file.path.clone());
            real.strip_prefix(home.top()).map(Path::to_owned).unwrap_or(real)
        };
        let places: Vec<PathBuf> = files.iter().map(place).collect();
        let hashes = home.hash_files(&places)?;
        let mut found = WorkingTree::default();
        let mut inside: BTreeMap<String, (&ControlFile, &String)> = BTreeMap::new();
        for ((file, place), hash) in files.iter().zip(&places).zip(&hashes) {
            let digits = if file.may_be_secret { DIGITS } else { hash.len() };
            found.digests.insert(file.name.clone(), hash[..digits.min(hash.len())].to_owned());
            if let Some(path) = place.to_str().filter(|_| place.is_relative() && !place.starts_with(".git")) {
                inside.insert(path.to_owned(), (file, hash));
            }
        }
        let names: Vec<String> = inside.keys().cloned().collect();
        let commit = home.resolve("HEAD").ok();
        let blobs = |commit: &Revision| match tree.filter(|tree| tree.commit() == commit) {
            Some(tree) => Ok(tree.blobs(&names)),
            None => home.blobs(commit, &names),
        };
        let head = commit.as_ref().map(blobs).transpose()?.unwrap_or_default();
        // For a rollback, the revision may not exist on this host.
        let then = (own.is_none() && commit.as_ref() != Some(revision))
            .then(|| blobs(revision).ok())
            .flatten()
            .unwrap_or_else(|| head.clone());
        let differing = inside.iter().filter(|(path, (_, hash))| head.get(*path) != Some(*hash));
        let ignored = home.ignored(&differing.map(|(path, _)| path.clone()).collect::<Vec<_>>())?;
        for (path, (file, hash)) in &inside {
            match (head.get(path) == Some(*hash), then.get(path) == Some(*hash)) {
                (false, _) if ignored.contains(path) => {}
                (false, _) => found.used.push(file.name.clone()),
                (true, false) => found.unlike.push(file.name.clone()),
                (true, true) => {}
            }
        }
        let read: BTreeSet<&String> = if own.is_none() { names.iter().collect() } else { BTreeSet::new() };
        for path in repo.changed_files()? {
            match Change::of(config, &path) {
                _ if read.contains(&path) => {}
                Change::Deleted => found.used.push(format!("{path} (deleted)")),
                Change::Submodule => found.used.push(format!("{path} (another commit)")),
                Change::Rest => found.rest.push(path),
            }
        }
        found.used.sort();
        Ok(found)
    }

    /// The same, with a remark instead of an error, which must not keep a run from being finished or undone.
    pub fn look_or_note(config: &Config, repo: &Repo, revision: &Revision, notes: &mut Vec<Note>) -> WorkingTree {
        WorkingTree::look(config, repo, revision, None).unwrap_or_else(|error| {
            let note = format!("cannot determine whether control files have changed: {error:#}");
            notes.push((Level::Warning, note));
            WorkingTree::default()
        })
    }

    /// Remarks on changed control files, which are used, and in a deployment on other changed files, which are not.
    /// `name` is the revision's name on the command line.
    pub fn notes(&self, name: &str, kind: Kind) -> Vec<Note> {
        let listed = |level, what: String, files: &[String]| {
            (!files.is_empty()).then(|| (level, format!("{what}: {}", some(files, SHOWN))))
        };
        let short = name.parse::<Revision>().map(|revision| revision.short().to_owned());
        let name = short.as_deref().unwrap_or(name);
        let used = "uncommitted control files are used".to_owned();
        let unlike = format!("control files are used from the working tree, not from {name}");
        let rest = format!("uncommitted changes are not part of {name} and are not deployed");
        let rest = listed(Level::Warning, rest, &self.rest).filter(|_| kind == Kind::Deploy);
        // For a rollback, the remark says what has changed since the revision was deployed.
        let unlike = listed(Level::Info, unlike, &self.unlike).filter(|_| kind != Kind::Rollback);
        let notes = [listed(Level::Warning, used, &self.used), unlike, rest];
        notes.into_iter().flatten().collect()
    }

    /// Refuses uncommitted changes if `require_clean` is set.
    ///
    /// # Errors
    /// There are uncommitted changes; names the files.
    pub fn require_clean(&self, config: &Config) -> Result<()> {
        let files: Vec<String> = self.used.iter().chain(&self.rest).cloned().collect();
        if !config.settings.require_clean || files.is_empty() {
            return Ok(());
        }
        bail!(
            "require_clean ({}) refuses uncommitted changes: {}: commit or stash them, or override it with -D \
             require_clean:no",
            config.place_of("require_clean"),
            some(&files, REFUSED)
        )
    }
}

/// The repository of the control folder, where that is a submodule.
fn own_repository(control: &Path, repo: &Repo) -> Option<Repo> {
    let real = control.canonicalize().ok()?;
    let is_inside = real.starts_with(repo.top());
    let has_own =
        real.ancestors().take_while(|folder| *folder != repo.top()).any(|folder| folder.join(".git").exists());
    if is_inside && !has_own {
        return None;
    }
    Repo::open(&real).ok().filter(|own| own.top() != repo.top())
}

/// How a deployment treats a changed file that it does not read.
enum Change {
    /// A control file that was deleted.
    Deleted,
    /// The control folder itself, at another commit.
    Submodule,
    Rest,
}

impl Change {
    fn of(config: &Config, path: &str) -> Change {
        if path == config.control_name {
            return Change::Submodule;
        }
        let Ok(below) = Path::new(path).strip_prefix(&config.control_name) else { return Change::Rest };
        let below = match (below.strip_prefix("environments"), &config.environment) {
            (Ok(below), Some(name)) => below.strip_prefix(name),
            (Ok(_), None) => return Change::Rest,
            (Err(_), _) => Ok(below),
        };
        let name = below.ok().and_then(Path::to_str).unwrap_or_default();
        let names = ["hoist.cfg", "scap.cfg", "checks.", "config-files.", "vars.", "templates/"];
        let is_control = names.iter().any(|start| name.starts_with(start));
        if is_control && !config.top.join(path).exists() { Change::Deleted } else { Change::Rest }
    }
}

/// The control files that were changed, deleted or added between two times. Empty if the earlier state is not recorded.
pub fn changed(then: &Digests, now: &Digests) -> Vec<String> {
    if then.is_empty() {
        return Vec::new();
    }
    let changed = then.iter().filter_map(|(name, digest)| match now.get(name) {
        Some(same) if same == digest => None,
        Some(_) => Some(name.clone()),
        None => Some(format!("{name} (gone)")),
    });
    let new = now.keys().filter(|name| !then.contains_key(*name)).map(|name| format!("{name} (new)"));
    changed.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_changed_went_or_came_are_told_and_none_where_nothing_was_noted() {
        let digests = |pairs: &[(&str, &str)]| -> Digests {
            pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
        };
        let now = digests(&[("a", "1"), ("b", "2"), ("d", "4")]);
        assert_eq!(changed(&digests(&[("a", "1"), ("b", "1"), ("c", "3")]), &now), ["b", "c (gone)", "d (new)"]);
        assert_eq!(changed(&Digests::new(), &now), Vec::<String>::new());
        assert_eq!(changed(&now, &now), Vec::<String>::new());
    }
}
