//! Paths of the working tree whose content all revisions share. Both sides check them: a path leads to the tree of a
//! revision and to the directory of shared content, and nowhere else.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::paths;
use crate::text::serde_as_text;

/// The longest part of a path, in bytes: what is kept beside a file needs a longer name than the file.
const LONGEST_PART: usize = 200;

/// The longest path, in bytes. It is one of many parts of a path on a target, which may have 4096.
const LONGEST: usize = 1000;

/// Directories of control files, which every revision has of its own.
const CONTROL: [&str; 2] = ["hoist", "scap"];

/// A path below the top of a working tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedPath(String);

impl SharedPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Whether one of the two is the other, or a directory around it.
    pub fn overlaps(&self, other: &Path) -> bool {
        self.as_path().starts_with(other) || other.starts_with(self.as_path())
    }
}

impl fmt::Display for SharedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SharedPath {
    type Err = String;

    fn from_str(text: &str) -> Result<SharedPath, String> {
        let wrong = |why: &str| Err(format!("{text:?} is not a path in the working tree: {why}"));
        if let Err(why) = paths::check_relative(text) {
            return wrong(why);
        }
        if text.len() > LONGEST || text.split('/').any(|part| part.len() > LONGEST_PART) {
            return wrong(&format!("it has more than {LONGEST} bytes, or a part of it more than {LONGEST_PART}"));
        }
        if !paths::is_plain_relative(text) {
            return wrong("no part of it can begin with `-`, like an option");
        }
        // `.gitattributes` and the like rule over the checkout of a revision.
        let is_gits = |part: &str| part.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(".git"));
        if text.split('/').any(is_gits) {
            return Err(format!("{text:?} cannot be shared: git keeps its own files there"));
        }
        let path = SharedPath(text.to_owned());
        if CONTROL.iter().any(|control| path.overlaps(Path::new(control))) {
            return Err(format!("{text:?} cannot be shared: the control files of each revision are there"));
        }
        Ok(path)
    }
}

serde_as_text!(SharedPath);

/// What a shared path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedKind {
    Dir,
    File,
}

impl SharedKind {
    /// The key that configures such paths.
    pub fn key(self) -> &'static str {
        match self {
            SharedKind::Dir => "shared_dirs",
            SharedKind::File => "shared_files",
        }
    }

    /// `directory`, `file`
    pub fn noun(self) -> &'static str {
        match self {
            SharedKind::Dir => "directory",
            SharedKind::File => "file",
        }
    }
}

/// All paths that revisions share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPaths {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<SharedPath>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<SharedPath>,
}

impl SharedPaths {
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.files.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&SharedPath, SharedKind)> {
        let dirs = self.dirs.iter().map(|path| (path, SharedKind::Dir));
        dirs.chain(self.files.iter().map(|path| (path, SharedKind::File)))
    }

    /// Adds a path.
    pub fn push(&mut self, path: &SharedPath, kind: SharedKind) {
        match kind {
            SharedKind::Dir => self.dirs.push(path.clone()),
            SharedKind::File => self.files.push(path.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_path_stays_in_the_tree_and_away_from_git_and_the_control_files() {
        for good in ["log", "public/uploads", "config/database.yml", ".bundle", "tmp/a b", "hoist-data", "lib/hoist"] {
            assert_eq!(good.parse::<SharedPath>().unwrap().as_str(), good);
        }
        let long = "x".repeat(LONGEST_PART + 1);
        for bad in [
            "",
            "/etc",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            ".",
            "a\nb",
            "-rf",
            "a/-b",
            ".git",
            "a/.GIT/hooks",
            "x/.gitmodules",
            ".gitattributes",
            "hoist",
            "hoist/checks.yaml",
            "scap",
            &long,
            &"a/".repeat(600),
        ] {
            assert!(bad.parse::<SharedPath>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<SharedPath>(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_overlap_where_one_is_in_the_other() {
        let path: SharedPath = "a/b".parse().unwrap();
        assert!(["a", "a/b", "a/b/c"].iter().all(|other| path.overlaps(Path::new(other))));
        assert!(!["a/bc", "b", "a/c"].iter().any(|other| path.overlaps(Path::new(other))));
    }
}
