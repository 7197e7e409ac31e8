//! A bare repository of the deploy host's own with the files of artifacts. Each is kept by a ref; beside it stands what
//! is known of how it was made.

use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::files::{no_links, shared};
use crate::repo::Repo;
use crate::wire::{Origin, Revision, artifact_commit};

/// The repository, in the folder of the journals.
const STORE: &str = "artifacts.git";

/// The folder in it that has a file for each origin.
const ORIGINS: &str = "origins";

/// The folders of notes: which revision an archive is, and which one came of the inputs of a build.
pub const ARCHIVES: &str = "archives";
pub const BUILDS: &str = "builds";

/// Where the refs are that keep the revisions.
const REFS: &str = "refs/artifacts/";

/// What git writes is on the disk before a ref names it, and all operators of the repository may write here.
const CONFIG: [(&str, &str); 4] = [
    ("core.fsync", "committed,loose-object,reference"),
    ("core.logAllRefUpdates", "false"),
    ("gc.autoDetach", "false"),
    // Packs of objects that nobody needs any more go when there are so many.
    ("gc.autoPackLimit", "12"),
];

/// A note: what a thing is, and more that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    pub revision: Revision,
    pub more: String,
}

impl Noted {
    fn read(path: &Path) -> Option<Noted> {
        let text = fs::read_to_string(path).ok()?;
        let (revision, more) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Some(Noted { revision: revision.parse().ok()?, more: more.to_owned() })
    }
}

impl From<Revision> for Noted {
    fn from(revision: Revision) -> Noted {
        Noted { revision, more: String::new() }
    }
}

/// The artifacts of a repository.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    repo: Repo,
}

impl ArtifactStore {
    /// The store in the folder of the journals; `None` where nothing was ever put into one.
    pub fn open(state: &Path) -> Option<ArtifactStore> {
        let git_dir = ArtifactStore::place(state);
        git_dir.join("HEAD").is_file().then(|| ArtifactStore { repo: Repo::bare(&git_dir) })
    }

    /// The same; it is made where there is none. `like` is the repository whose artifacts it is for.
    ///
    /// # Errors
    /// It cannot be made, or it names objects otherwise than the repository does.
    pub fn open_or_create(state: &Path, like: &Repo) -> anyhow::Result<ArtifactStore> {
        let git_dir = ArtifactStore::place(state);
        no_links::refuse_link(&git_dir)?;
        let store = match ArtifactStore::open(state) {
            Some(store) => store,
            None => ArtifactStore::create(state, &git_dir, like)
                .with_context(|| format!("cannot create the store of artifacts {}", git_dir.display()))?,
        };
        let (own, theirs) = (store.repo.object_format()?, like.object_format()?);
        if own != theirs {
            bail!(
                "{} has objects of {own}, and the repository has objects of {theirs}: remove {0}, in which only \
                 artifacts are kept",
                git_dir.display()
            );
        }
        Ok(store)
    }

    /// Makes it beside its place, so that nobody finds half of it.
    fn create(state: &Path, git_dir: &Path, like: &Repo) -> anyhow::Result<ArtifactStore> {
        shared::make_folder(state).with_context(|| format!("cannot create {}", state.display()))?;
        let beside = state.join(format!("{STORE}.{}", std::process::id()));
        remove_folder(&beside)?;
        let format = format!("--object-format={}", like.object_format()?);
        let path = beside.as_os_str().to_owned();
        let arguments = ["init", "--quiet", "--bare", "--template=", "--shared=group", &format].map(Into::into);
        like.run(&[&arguments[..], &[path]].concat())?;
        let store = ArtifactStore { repo: Repo::bare(&beside) };
        for (key, value) in CONFIG {
            store.repo.run(&["config", key, value])?;
        }
        fs::create_dir(beside.join(ORIGINS))?;
        shared::take_group(&beside);
        match fs::rename(&beside, git_dir) {
            Ok(()) => shared::sync_folder(state)?,
            // Somebody else was ahead.
            Err(_) if git_dir.join("HEAD").is_file() => remove_folder(&beside)?,
            Err(error) => return Err(error.into()),
        }
        Ok(ArtifactStore { repo: Repo::bare(git_dir) })
    }

    /// Where the store in a folder is, whether there is one yet or not.
    pub(super) fn place(state: &Path) -> PathBuf {
        state.join(STORE)
    }

    /// The git directory, with the objects.
    pub fn git_dir(&self) -> &Path {
        self.repo.git_dir()
    }

    /// The repository of the store, with the objects of another one beside its own.
    pub(super) fn borrowing(&self, from: &Repo) -> Repo {
        let folders = from.object_folders();
        self.repo.with_objects_of(folders.iter().filter_map(|folder| folder.parent()))
    }

    /// Copies a tree that `from` has, with all that is in it; the revision that stands for it.
    ///
    /// # Errors
    /// Something of the tree is missing, or the store cannot be written.
    pub(super) fn copy_tree(&self, from: &Repo, tree: &str) -> anyhow::Result<Revision> {
        let name = self
            .repo
            .feed(self.repo.command(&["hash-object", "-t", "commit", "--stdin"]), artifact_commit(tree).as_bytes())?;
        let known: Revision = String::from_utf8_lossy(&name).trim().parse().map_err(anyhow::Error::msg)?;
        if self.has(&known) {
            return Ok(known);
        }
        let here = self.revisions()?.into_iter().map(|revision| format!("^{revision}^{{tree}}\n"));
        let asked: String = [format!("{tree}\n")].into_iter().chain(here).collect();
        let mut pack = tempfile::tempfile_in(self.git_dir()).context("cannot create a temporary file")?;
        let arguments = ["pack-objects", "--revs", "--stdout", "--delta-base-offset", "--quiet"];
        from.feed_into(from.command(&arguments), asked.as_bytes(), pack.try_clone()?)?;
        pack.rewind()?;
        let mut command = self.repo.command(&["index-pack", "--stdin"]);
        command.stdin(pack);
        self.repo.finish(command)?;
        self.revision_of_tree(tree)
    }

    /// The revision that stands for a tree of the store, which is kept from now on. The same tree is the same revision,
    /// whoever imports it, wherever and whenever.
    ///
    /// # Errors
    /// The tree is not in the store, or something of it is not.
    pub fn revision_of_tree(&self, tree: &str) -> anyhow::Result<Revision> {
        let here = || format!("in {}", self.git_dir().display());
        // Nothing that a ref keeps may lack an object: later packs lean on it.
        self.repo.run(&["rev-list", "--objects", "--quiet", tree, "--not", "--all"]).with_context(here)?;
        let command = self.repo.command(&["hash-object", "-t", "commit", "-w", "--stdin"]);
        let name = self.repo.feed(command, artifact_commit(tree).as_bytes()).with_context(here)?;
        let revision: Revision = String::from_utf8_lossy(&name).trim().parse().map_err(anyhow::Error::msg)?;
        self.repo.run(&["update-ref", &format!("{REFS}{revision}"), revision.as_str()]).with_context(here)?;
        Ok(revision)
    }

    /// Notes how a revision was made, in place of what was known of that before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&self, revision: &Revision, origin: &Origin) -> anyhow::Result<()> {
        let path = self.origin_file(revision);
        let bytes = serde_json::to_vec(origin)?;
        shared::replace(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// How a revision was made, if that is known.
    pub fn origin(&self, revision: &Revision) -> Option<Origin> {
        serde_json::from_slice(&fs::read(self.origin_file(revision)).ok()?).ok()
    }

    /// The revisions that are kept.
    pub fn revisions(&self) -> anyhow::Result<Vec<Revision>> {
        let listing = self.repo.text(&["for-each-ref", "--format=%(objectname)", REFS])?;
        Ok(listing.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether a revision is one of the store's.
    pub fn has(&self, revision: &Revision) -> bool {
        self.repo.run(&["rev-parse", "--quiet", "--verify", &format!("{REFS}{revision}")]).is_ok()
    }

    /// Drops every revision but these, and the oldest of what nobody needs any more when it has become much. Returns
    /// what was dropped.
    ///
    /// # Errors
    /// Git failed, or a file cannot be removed.
    pub fn retain(&self, keep: &HashSet<Revision>) -> anyhow::Result<Vec<Revision>> {
        let mut gone = self.revisions()?;
        gone.retain(|revision| !keep.contains(revision));
        if gone.is_empty() {
            return Ok(gone);
        }
        let changes: String = gone.iter().map(|revision| format!("delete {REFS}{revision}\n")).collect();
        self.repo.feed(self.repo.command(&["update-ref", "--stdin"]), changes.as_bytes())?;
        for revision in &gone {
            let path = self.origin_file(revision);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        for folder in [ARCHIVES, BUILDS] {
            self.forget_notes(folder, &gone);
        }
        // Somebody may be importing right now: what is young stays.
        self.repo.run(&["gc", "--auto", "--quiet", "--prune=1.day.ago"])?;
        Ok(gone)
    }

    /// Notes that something, of which `folder` has the kind, is this revision.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&self, folder: &str, name: &str, noted: &Noted) -> anyhow::Result<()> {
        let folder = self.notes(folder)?;
        let path = folder.join(name);
        let text = format!("{} {}", noted.revision, noted.more);
        shared::replace(&path, text.trim().as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What was noted of something, if its revision is still kept.
    pub fn noted(&self, folder: &str, name: &str) -> Option<Noted> {
        Noted::read(&self.git_dir().join(folder).join(name)).filter(|noted| self.has(&noted.revision))
    }

    /// Removes the notes of revisions that are gone. One that stays is of no account.
    fn forget_notes(&self, folder: &str, gone: &[Revision]) {
        for entry in fs::read_dir(self.git_dir().join(folder)).into_iter().flatten().flatten() {
            if Noted::read(&entry.path()).is_some_and(|noted| gone.contains(&noted.revision)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The folder of notes of a kind, which is made where there is none.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn notes(&self, folder: &str) -> anyhow::Result<PathBuf> {
        let path = self.git_dir().join(folder);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
            Err(_) => {}
            Ok(()) => shared::take_group(&path),
        }
        Ok(path)
    }

    fn origin_file(&self, revision: &Revision) -> PathBuf {
        self.git_dir().join(ORIGINS).join(format!("{revision}.json"))
    }
}

fn remove_folder(path: &Path) -> anyhow::Result<()> {
    match crate::files::remove_tree(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::{Scratch, git};
    use crate::wire::{OriginKind, StartedBy};

    fn origin(from: &str) -> Origin {
        let by = StartedBy { user: "alice".into(), deploy_host: "deploy1".into() };
        let (kind, from, at) = (OriginKind::Directory, from.to_owned(), "2026-11-26T17:00:00Z".to_owned());
        Origin { kind, from, sha256: None, source: None, inputs: None, by, at }
    }

    /// A tree of one file in a store.
    fn tree(store: &ArtifactStore, content: &[u8]) -> String {
        let write = |words: &[&str], input: &[u8]| {
            let name = store.repo.feed(store.repo.command(words), input).unwrap();
            String::from_utf8(name).unwrap().trim().to_owned()
        };
        let blob = write(&["hash-object", "-w", "--stdin"], content);
        write(&["mktree"], format!("100644 blob {blob}\tfile\n").as_bytes())
    }

    fn store(scratch: &Scratch) -> ArtifactStore {
        ArtifactStore::open_or_create(&scratch.path().join("state"), &scratch.repo).unwrap()
    }

    #[test]
    fn the_same_files_are_the_same_revision_in_any_store() {
        let (one, other) = (Scratch::new(), Scratch::new());
        let revision = |scratch: &Scratch, content: &[u8]| {
            let store = store(scratch);
            store.revision_of_tree(&tree(&store, content)).unwrap()
        };
        assert_eq!(revision(&one, b"a"), revision(&other, b"a"));
        assert_eq!(revision(&one, b"a"), revision(&one, b"a"));
        assert_ne!(revision(&one, b"a"), revision(&one, b"b"));
        assert_eq!(store(&one).revisions().unwrap().len(), 2);
    }

    #[test]
    fn the_repository_finds_revisions_of_its_store_and_its_own() {
        let scratch = Scratch::new();
        let commit = scratch.commit("a", b"1");
        let state = scratch.path().join("state");
        // Opened before there is a store, as by the first deployment of an artifact.
        let repo = Repo::open(&scratch.path()).unwrap().with_artifacts(&state);
        assert!(ArtifactStore::open(&state).is_none());
        let store = store(&scratch);
        let revision = store.revision_of_tree(&tree(&store, b"a")).unwrap();
        assert_eq!(repo.resolve(revision.short()).unwrap(), revision);
        let both = [revision.clone(), commit.clone()];
        assert_eq!(repo.has(&both).unwrap(), both);
        assert_eq!(repo.changed_between(&commit, &revision, 9).unwrap().count(), 2);
        assert!(store.has(&revision) && !store.has(&commit));
        // The repository itself has nothing of it.
        assert!(scratch.repo.has(&[revision]).unwrap().is_empty());
    }

    #[test]
    fn a_tree_that_lacks_a_file_is_not_kept() {
        let scratch = Scratch::new();
        let store = store(&scratch);
        let absent = format!("100644 blob {}\tfile\n", "a".repeat(40));
        let name = store.repo.feed(store.repo.command(&["mktree", "--missing"]), absent.as_bytes()).unwrap();
        let error = store.revision_of_tree(String::from_utf8(name).unwrap().trim()).unwrap_err();
        assert!(format!("{error:#}").contains("rev-list"), "{error:#}");
        assert!(store.revisions().unwrap().is_empty());
    }

    #[test]
    fn what_is_known_of_a_revision_is_kept_as_long_as_the_revision() {
        let scratch = Scratch::new();
        let store = store(&scratch);
        let [first, second] = [b"1", b"2"].map(|content| store.revision_of_tree(&tree(&store, content)).unwrap());
        assert_eq!(store.origin(&first), None);
        store.record(&first, &origin("a")).unwrap();
        store.record(&first, &origin("b")).unwrap();
        assert_eq!(store.origin(&first), Some(origin("b")));
        for (name, revision) in [("a", &first), ("b", &second)] {
            let noted = Noted { revision: revision.clone(), more: name.repeat(2) };
            store.note(BUILDS, name, &noted).unwrap();
            assert_eq!(store.noted(BUILDS, name), Some(noted));
        }
        assert_eq!(store.retain(&HashSet::from([second.clone()])).unwrap(), std::slice::from_ref(&first));
        let left = ["a", "b"].map(|name| store.noted(BUILDS, name).map(|noted| noted.revision));
        assert_eq!(left, [None, Some(second.clone())]);
        assert_eq!(fs::read_dir(store.git_dir().join(BUILDS)).unwrap().count(), 1, "a note of nothing");
        assert_eq!((store.origin(&first), store.revisions().unwrap()), (None, vec![second]));
    }

    #[test]
    fn a_half_made_store_is_nobodys_and_a_link_in_its_place_is_refused() {
        let scratch = Scratch::new();
        let state = scratch.path().join("state");
        fs::create_dir_all(state.join(format!("{STORE}.{}", std::process::id())).join("objects")).unwrap();
        let store = store(&scratch);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "only the store is left");
        git(store.git_dir(), &["fsck", "--strict"]);
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(state.join(STORE), elsewhere.path().join("it")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("it"), state.join(STORE)).unwrap();
        let error = ArtifactStore::open_or_create(&state, &scratch.repo).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_repository_of_sha256_has_a_store_of_sha256() {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "--object-format=sha256"]);
        let repo = Repo::open(folder.path()).unwrap();
        let store = ArtifactStore::open_or_create(&folder.path().join("state"), &repo).unwrap();
        assert_eq!(store.revision_of_tree(&tree(&store, b"a")).unwrap().as_str().len(), 64);
        let other = Scratch::new();
        let error = ArtifactStore::open_or_create(&folder.path().join("state"), &other.repo).unwrap_err().to_string();
        assert!(error.contains("has objects of sha256") && error.contains("remove"), "{error}");
    }
}
