//! A directory of a commit as an artifact: the files that a checkout of the whole commit would have there, and no others.
//!
//! What a checkout does on the way is done here: conversions that attributes ask for, also those of directories above;
//! submodules; contents that git-lfs keeps. So the same files are the same revision, whatever else a commit changes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::repo::checkout::{ENVIRONMENT, SETTINGS};
use crate::repo::large_files::located;
use crate::repo::parts::{Wanted, searched};
use crate::repo::submodules::{Submodule, submodules_below};
use crate::repo::{ArtifactStore, Repo};
use crate::wire::Revision;

/// Attributes by which a checkout may write something else than the blob.
const CONVERTING: [&str; 5] = ["filter", "ident", "eol", "crlf", "working-tree-encoding"];

/// Files of one command.
const AT_ONCE: usize = 500;

/// Modes and git's names of contents, by their paths.
type Files = BTreeMap<Vec<u8>, (String, String)>;

impl Repo {
    /// The revision of a directory of a commit; it is put into the store of artifacts. `wanted`: which parts of the commit
    /// are deployed with it.
    ///
    /// # Errors
    /// The commit has no such directory, or one of its parts is not here. Messages begin with the key.
    pub fn subdir_revision(&self, commit: &Revision, subdir: &str, wanted: Wanted) -> anyhow::Result<Revision> {
        self.require_directory(commit, subdir)?;
        let store = self.artifacts_to_write()?;
        let below = format!("{subdir}/");
        let inner = if wanted.submodules { submodules_below(self, commit, &below)? } else { Vec::new() };
        let all = self.with_objects_of(inner.iter().map(|it| it.git_dir.as_path()));
        let checkout = Checkout::new(&store, &all)?;
        let mut files = checkout.files(commit, below.as_bytes())?;
        for Submodule { path, commit, .. } in &inner {
            let path = path.strip_prefix(&below).unwrap_or(path);
            let own = checkout.files(commit, b"")?.into_iter();
            files.extend(own.map(|(name, file)| ([path.as_bytes(), b"/", &name].concat(), file)));
        }
        if wanted.large_files {
            for (path, stored) in located(&searched(self, &all, commit, &inner), &below)? {
                let path = path.strip_prefix(&below).unwrap_or(&path);
                if let Some((_, object)) = files.get_mut(path.as_bytes()) {
                    *object = checkout.add(&[stored.path])?.concat();
                }
            }
        }
        ensure!(!files.is_empty(), "subdir: {subdir} of {} has no file that could be deployed", commit.short());
        store.copy_tree(&all, &checkout.tree(&files)?)
    }

    /// Fails if a commit has something else than a directory at a path.
    ///
    /// # Errors
    /// What it has, in words that begin with the key.
    pub fn require_directory(&self, commit: &Revision, subdir: &str) -> anyhow::Result<()> {
        let ends = subdir.match_indices('/').map(|(at, _)| at).chain([subdir.len()]);
        for path in ends.map(|end| &subdir[..end]) {
            let listing =
                self.text(&["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit.as_str(), "--", path])?;
            let what = match listing.split(' ').next().unwrap_or_default() {
                "040000" => continue,
                "" => bail!(
                    "subdir: {} has no directory {subdir}: commit it, or write its path from the top of the repository",
                    commit.short()
                ),
                "120000" => "a symbolic link: name the directory that it leads to",
                "160000" => "a submodule: deploy it from its own repository, or name a directory around it",
                _ => "a file: name the directory that it is in",
            };
            bail!("subdir: {path} of {} is {what}", commit.short());
        }
        Ok(())
    }
}

/// What a checkout of commits would write, found out in the store, where no settings and no attributes of the repository
/// itself count.
struct Checkout {
    store: Repo,
    folder: tempfile::TempDir,
}

impl Checkout {
    /// `from` has all commits.
    fn new(store: &ArtifactStore, from: &Repo) -> anyhow::Result<Checkout> {
        let folder = tempfile::tempdir().context("cannot create a temporary directory")?;
        Ok(Checkout { store: store.borrowing(from), folder })
    }

    fn command<S: AsRef<OsStr>>(&self, index: &str, arguments: &[S]) -> Command {
        let settings = SETTINGS.iter().flat_map(|setting| ["-c".as_ref(), OsStr::new(setting)]);
        let arguments: Vec<&OsStr> = settings.chain(arguments.iter().map(AsRef::as_ref)).collect();
        let mut command = self.store.command(&arguments);
        command.envs(ENVIRONMENT).env("GIT_INDEX_FILE", self.folder.path().join(index));
        command
    }

    fn feed(&self, index: &str, arguments: &[&str], input: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.store.feed(self.command(index, arguments), input)
    }

    /// The files of a commit below a path, as a checkout writes them. What is not in its own objects is left out.
    fn files(&self, commit: &Revision, below: &[u8]) -> anyhow::Result<Files> {
        let listing = self.feed("none", &["ls-tree", "-r", "-z", "--full-tree", commit.as_str()], b"")?;
        let (mut files, mut may_convert) = (Files::new(), false);
        for entry in listing.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            // `mode type object<TAB>path`
            let tab = entry.iter().position(|byte| *byte == b'\t').context("git ls-tree gave a line without a path")?;
            let (head, path) = (String::from_utf8_lossy(&entry[..tab]), &entry[tab + 1..]);
            may_convert |= path.ends_with(b".gitattributes");
            let words: Vec<&str> = head.split(' ').collect();
            if let ([mode, "blob", object], true) = (words.as_slice(), path.starts_with(below)) {
                files.insert(path.to_owned(), ((*mode).to_owned(), (*object).to_owned()));
            }
        }
        if may_convert {
            self.convert(commit, &mut files)?;
        }
        Ok(files.into_iter().map(|(path, file)| (path[below.len()..].to_owned(), file)).collect())
    }

    /// Puts what a checkout writes in place of the blobs, where that may differ.
    fn convert(&self, commit: &Revision, files: &mut Files) -> anyhow::Result<()> {
        let index = commit.as_str();
        self.feed(index, &["read-tree", commit.as_str()], b"")?;
        let plain = files.iter().filter(|(_, (mode, _))| mode.starts_with("100")).map(|(path, _)| path.as_slice());
        let ask = [&["check-attr", "--cached", "--stdin", "-z"], &CONVERTING[..]].concat();
        let answer = self.feed(index, &ask, &lines(plain))?;
        // `path`, the attribute, its value.
        let words: Vec<&[u8]> = answer.split(|byte| *byte == 0).collect();
        let converts = |words: &&[&[u8]]| match words {
            [_, b"eol", b"lf"] => false,
            [_, _, value] => !matches!(*value, b"unspecified" | b"unset"),
            _ => false,
        };
        let mut paths: Vec<&[u8]> = words.chunks_exact(3).filter(converts).map(|words| words[0]).collect();
        paths.dedup();
        if paths.is_empty() {
            return Ok(());
        }
        let tree = self.folder.path().join(format!("tree-{index}"));
        std::fs::create_dir(&tree).context("cannot create a temporary directory")?;
        let mut command = self.command(index, &["checkout-index", "--force", "-z", "--stdin"]);
        command.current_dir(&tree).env("GIT_WORK_TREE", &tree);
        let written = self.store.feed(command, &lines(paths.iter().copied()));
        written.with_context(|| format!("cannot check out {} in {}", commit.short(), tree.display()))?;
        let written: Vec<PathBuf> = paths.iter().map(|path| tree.join(OsStr::from_bytes(path))).collect();
        for (path, object) in paths.into_iter().zip(self.add(&written)?) {
            if let Some((_, known)) = files.get_mut(path) {
                *known = object;
            }
        }
        Ok(())
    }

    /// Adds the contents of files as they are; git's names of them, in order.
    fn add(&self, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for some in files.chunks(AT_ONCE) {
            let switches = ["hash-object", "-w", "--no-filters", "--"].map(OsString::from).into_iter();
            let arguments: Vec<OsString> = switches.chain(some.iter().map(OsString::from)).collect();
            let answer = self.store.feed(self.command("none", &arguments), b"")?;
            names.extend(String::from_utf8_lossy(&answer).lines().map(str::to_owned));
        }
        ensure!(names.len() == files.len(), "git hash-object named {} of {} files", names.len(), files.len());
        Ok(names)
    }

    /// The tree of these files.
    fn tree(&self, files: &Files) -> anyhow::Result<String> {
        let line = |(path, (mode, object)): (&Vec<u8>, &(String, String))| {
            [format!("{mode} {object}\t").as_bytes(), path, b"\0"].concat()
        };
        let listed: Vec<u8> = files.iter().flat_map(line).collect();
        self.feed("tree", &["update-index", "-z", "--index-info"], &listed)?;
        let tree = self.feed("tree", &["write-tree"], b"")?;
        Ok(String::from_utf8_lossy(&tree).trim().to_owned())
    }
}

fn lines<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    paths.flat_map(|path| [path, b"\0"].concat()).collect()
}

#[cfg(test)]
#[path = "subdir_tests.rs"]
mod tests;
