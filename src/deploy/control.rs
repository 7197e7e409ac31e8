//! What the working tree holds that is not committed: the control files among it are used all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::{Config, ControlFile, Note};
use crate::repo::Repo;
use crate::text::some;
use crate::wire::{Level, Revision};

use super::plan::Kind;
use super::revision::SHOWN;

/// Files that a refusal names.
const REFUSED: usize = 20;

/// The digits of a digest of a file that may be secret: nobody can tell from so few what it holds.
const DIGITS: usize = 4;

/// Control files by name, each with a digest of its contents: git's name of them, as `git hash-object FILE` tells; of
/// files that may hold passwords the first four digits.
pub type Digests = BTreeMap<String, String>;

/// The working tree beside the commits.
#[derive(Debug, Default)]
pub struct WorkingTree {
    pub digests: Digests,
    /// Control files that are used and are not as in the last commit; those that git is told to ignore are not among
    /// them.
    used: Vec<String>,
    /// Control files that are as in the last commit, and not as in the revision.
    unlike: Vec<String>,
    /// Other files that differ from the last commit.
    rest: Vec<String>,
}

impl WorkingTree {
    /// Looks at it.
    ///
    /// # Errors
    /// A repository that cannot be read.
    pub fn look(config: &Config, repo: &Repo, revision: &Revision) -> Result<WorkingTree> {
        let files = config.control_files();
        // The control folder may be a repository of its own, a submodule.
        let own = Repo::open(&config.control).ok().filter(|own| own.top() != repo.top());
        let home = own.as_ref().filter(|own| config.control.starts_with(own.top())).unwrap_or(repo);
        // From the top of their repository, as its attributes name them. Links are followed.
        let place = |file: &ControlFile| {
            let real = file.path.canonicalize().unwrap_or_else(|_| file.path.clone());
            real.strip_prefix(home.top()).map(Path::to_owned).unwrap_or(real)
        };
        let places: Vec<PathBuf> = files.iter().map(place).collect();
        let hashes = home.hash_files(&places)?;
        let mut tree = WorkingTree::default();
        let mut inside: BTreeMap<String, (&ControlFile, &String)> = BTreeMap::new();
        for ((file, place), hash) in files.iter().zip(&places).zip(&hashes) {
            let digits = if file.may_be_secret { DIGITS } else { hash.len() };
            tree.digests.insert(file.name.clone(), hash[..digits.min(hash.len())].to_owned());
            if let Some(path) = place.to_str().filter(|_| place.is_relative() && !place.starts_with(".git")) {
                inside.insert(path.to_owned(), (file, hash));
            }
        }
        let names: Vec<String> = inside.keys().cloned().collect();
        let head = home.resolve("HEAD").ok().map(|head| home.blobs(&head, &names)).transpose()?.unwrap_or_default();
        // A revision that is gone back to need not be here.
        let then = own.is_none().then(|| home.blobs(revision, &names).ok()).flatten().unwrap_or_else(|| head.clone());
        let ignored = home.ignored(&names)?;
        for (path, (file, hash)) in &inside {
            match (head.get(path) == Some(*hash), then.get(path) == Some(*hash)) {
                (false, _) if ignored.contains(path) => {}
                (false, _) => tree.used.push(file.name.clone()),
                (true, false) => tree.unlike.push(file.name.clone()),
                (true, true) => {}
            }
        }
        let read: BTreeSet<&String> = if own.is_none() { names.iter().collect() } else { BTreeSet::new() };
        for path in repo.changed_files()? {
            match Change::of(config, &path) {
                _ if read.contains(&path) => {}
                Change::Deleted => tree.used.push(format!("{path} (deleted)")),
                Change::Submodule => tree.used.push(format!("{path} (another commit)")),
                Change::Rest => tree.rest.push(path),
            }
        }
        tree.used.sort();
        Ok(tree)
    }

    /// The same, with a remark in place of an error: what ends a run, or undoes one, does not fail for it.
    pub fn look_or_note(config: &Config, repo: &Repo, revision: &Revision, notes: &mut Vec<Note>) -> WorkingTree {
        WorkingTree::look(config, repo, revision).unwrap_or_else(|error| {
            let note = format!("cannot determine whether control files have changed: {error:#}");
            notes.push((Level::Warning, note));
            WorkingTree::default()
        })
    }

    /// Remarks on control files that are used, and in a deployment on files that are not. `name` is how the revision was
    /// named.
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
        // Who goes back is told what has changed since the revision was deployed.
        let unlike = listed(Level::Info, unlike, &self.unlike).filter(|_| kind != Kind::Rollback);
        let notes = [listed(Level::Warning, used, &self.used), unlike, rest];
        notes.into_iter().flatten().collect()
    }

    /// Refuses what is not committed, where `require_clean` asks for it.
    ///
    /// # Errors
    /// The files.
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

/// What a changed file that was not read is to a deployment.
enum Change {
    /// A control file that is gone: nothing is read in its place.
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

/// The control files that differ between two times: changed, gone, or new. None when nobody noted what was then.
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
