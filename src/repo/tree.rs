//! The tree of a commit, read once for all that is asked of it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Repo;
use crate::wire::{Revision, SharedPath};

/// The unit in which a file takes room on the usual file systems, in bytes.
const BLOCK: u64 = 4096;

/// All files, links and submodules of a commit.
#[derive(Debug, Clone)]
pub struct Tree {
    commit: Revision,
    entries: Vec<TreeEntry>,
}

/// One entry of a commit's tree that is no folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeEntry {
    /// Six octal digits.
    pub mode: String,
    pub object: String,
    /// `None` for what is no file.
    pub bytes: Option<u64>,
    pub path: String,
}

impl TreeEntry {
    /// Whether it is another repository's commit.
    pub fn is_submodule(&self) -> bool {
        self.mode == "160000"
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode == "120000"
    }
}

/// What a revision's working tree takes on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TreeSize {
    /// Bytes, each file and folder rounded up to whole blocks of 4 KiB.
    #[serde(rename = "need_bytes")]
    pub bytes: u64,
    /// Files, links and folders.
    #[serde(rename = "need_inodes")]
    pub inodes: u64,
}

impl std::ops::Add for TreeSize {
    type Output = TreeSize;

    fn add(self, other: TreeSize) -> TreeSize {
        TreeSize { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes + other.inodes }
    }
}

impl Repo {
    /// Reads the tree of a commit.
    pub fn tree(&self, commit: &Revision) -> anyhow::Result<Tree> {
        Ok(Tree { commit: commit.clone(), entries: self.entries(commit)? })
    }

    /// All entries of a commit's tree that are no folders.
    pub(super) fn entries(&self, commit: &Revision) -> anyhow::Result<Vec<TreeEntry>> {
        let listing = self.text(&["ls-tree", "-r", "-l", "-z", "--full-tree", commit.as_str()])?;
        let entry = |entry: &str| {
            // `mode type object size<TAB>path`
            let (head, path) = entry.split_once('\t')?;
            let words: Vec<&str> = head.split_ascii_whitespace().collect();
            let [mode, _, object, bytes] = words.as_slice() else { return None };
            let (mode, object, path) = ((*mode).to_owned(), (*object).to_owned(), path.to_owned());
            Some(TreeEntry { mode, object, bytes: bytes.parse().ok(), path })
        };
        Ok(listing.split('\0').filter_map(entry).collect())
    }
}

impl Tree {
    /// The commit that it is of.
    pub fn commit(&self) -> &Revision {
        &self.commit
    }

    pub(super) fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Git's names of what it holds at those of these paths where it has a file.
    pub fn blobs(&self, paths: &[String]) -> BTreeMap<String, String> {
        let wanted: HashSet<&String> = paths.iter().collect();
        let found = self.entries.iter().filter(|entry| wanted.contains(&entry.path));
        found.map(|entry| (entry.path.clone(), entry.object.clone())).collect()
    }

    /// The tree of one of its directories, without what is in submodules.
    pub fn below(&self, folder: &str) -> Tree {
        let inner = |entry: &TreeEntry| {
            let path = entry.path.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
            Some(TreeEntry { path, ..entry.clone() })
        };
        Tree { commit: self.commit.clone(), entries: self.entries.iter().filter_map(inner).collect() }
    }

    /// What a working tree takes on a disk, its top folder included and submodules' contents not.
    pub fn size(&self) -> TreeSize {
        let blocks = |bytes: u64| bytes.div_ceil(BLOCK).saturating_mul(BLOCK);
        let mut folders = HashSet::from([Path::new("")]);
        let mut size = TreeSize::default();
        for entry in &self.entries {
            // A submodule takes a folder.
            size = size + TreeSize { bytes: entry.bytes.map_or(BLOCK, blocks), inodes: 1 };
            // Where a folder is known, those above it are.
            for folder in Path::new(&entry.path).ancestors().skip(1) {
                if !folders.insert(folder) {
                    break;
                }
            }
        }
        let folders = folders.len() as u64;
        size + TreeSize { bytes: folders.saturating_mul(BLOCK), inodes: folders }
    }

    /// Whether a path is another repository's commit.
    pub fn is_submodule(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| entry.path == path && entry.is_submodule())
    }

    /// What is at one of these paths, below it, or in the place of a directory above it: the path, and the first such file,
    /// link or submodule.
    pub fn overlapping<'a>(&self, mut paths: impl Iterator<Item = &'a SharedPath>) -> Option<(&'a SharedPath, &str)> {
        let first = |path: &SharedPath| self.entries.iter().find(|entry| path.overlaps(Path::new(&entry.path)));
        paths.find_map(|path| Some((path, first(path)?.path.as_str())))
    }

    /// The first file whose content this repository lacks, though it should have it.
    pub fn first_missing(&self) -> Option<&str> {
        let is_missing = |entry: &&TreeEntry| entry.bytes.is_none() && !entry.is_submodule();
        self.entries.iter().find(is_missing).map(|entry| entry.path.as_str())
    }

    /// What keeps a file from being written to a path: that path itself, if it is a directory, or a file above it. Links above
    /// it may lead to a directory of the tree.
    pub fn in_the_way_of<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        self.entries.iter().find_map(|entry| {
            let is_file = entry.mode.starts_with("100");
            let is_folder = is_below(&entry.path, path) || (entry.path == path && entry.is_submodule());
            is_folder
                .then_some(path)
                .or_else(|| (is_file && is_below(path, &entry.path)).then_some(entry.path.as_str()))
        })
    }

    /// A symbolic link above a path that leads out of the tree, and so to where no file of a revision belongs.
    pub fn link_out_above(&self, repo: &Repo, path: &str) -> anyhow::Result<Option<&str>> {
        let above = |entry: &&TreeEntry| entry.is_link() && is_below(path, &entry.path);
        let links: Vec<&TreeEntry> = self.entries.iter().filter(above).collect();
        let contents = repo.contents(&links.iter().map(|link| (*link).clone()).collect::<Vec<_>>())?;
        let out = links.into_iter().zip(contents).find(|(link, to)| {
            let to = String::from_utf8_lossy(to);
            to.starts_with('/') || leads_out(&link.path, &to)
        });
        Ok(out.map(|(link, _)| link.path.as_str()))
    }

    /// Symbolic links that lead upward out of the tree: the path, and what the link says. One that says an absolute path is
    /// meant for what a target has there.
    pub fn links_out(&self, repo: &Repo) -> anyhow::Result<Vec<(String, String)>> {
        let links: Vec<TreeEntry> = self.entries.iter().filter(|entry| entry.is_link()).cloned().collect();
        let contents = repo.contents(&links)?;
        let said = links.into_iter().zip(contents).map(|(link, to)| (link.path, String::from_utf8_lossy(&to).into()));
        Ok(said.filter(|(path, to): &(String, String)| leads_out(path, to)).collect())
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a link at a path goes above the top on its way. Other links on it are not looked at.
fn leads_out(path: &str, to: &str) -> bool {
    let step = |depth: usize, part: &str| match part {
        "" | "." => Some(depth),
        ".." => depth.checked_sub(1),
        _ => Some(depth + 1),
    };
    !to.starts_with('/') && to.split('/').try_fold(path.matches('/').count(), step).is_none()
}
