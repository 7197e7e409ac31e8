//! One shared path of one working tree, and what is there.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::wire::{SharedKind, SharedPath};

use super::merge;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::state::layout::Layout;

/// The way from a tree to the repository's directory.
const ROOT_FROM_TREE: &str = "../..";

pub struct Place<'a> {
    pub path: &'a SharedPath,
    pub kind: SharedKind,
    tree: PathBuf,
    /// In the tree.
    pub here: PathBuf,
    /// In `shared/`.
    pub there: PathBuf,
    /// What the link says, from the tree.
    pub link: PathBuf,
}

/// What a tree has at a shared path.
pub enum Found {
    /// A link to the shared content.
    Ours,
    Nothing,
    /// A link to something else.
    Foreign(PathBuf),
    /// A file, a directory, or something of another type.
    Real(Metadata),
    /// What is in the place of a directory above the path, and is none.
    Blocked(PathBuf),
}

impl<'a> Place<'a> {
    pub fn new(layout: &Layout, tree: &Path, path: &'a SharedPath, kind: SharedKind) -> Place<'a> {
        let there = layout.shared().join(path.as_path());
        let link = match layout.revs_are_inside() {
            true => {
                let up: PathBuf = path.as_path().components().skip(1).map(|_| "..").collect();
                up.join(ROOT_FROM_TREE).join("shared").join(path.as_path())
            }
            false => there.clone(),
        };
        Place { path, kind, tree: tree.to_owned(), here: tree.join(path.as_path()), there, link }
    }

    /// The same link in words that nobody else writes: what is found with them in `shared/` is ours, and was on its way
    /// to the tree.
    pub fn marked(&self) -> PathBuf {
        let text = self.link.display();
        if self.link.is_absolute() { PathBuf::from(format!("/.{text}")) } else { PathBuf::from(format!("./{text}")) }
    }

    /// Removes from `shared/` a link that a killed process left there.
    pub fn clear_mark(&self) -> Result<(), Fault> {
        if fs::read_link(&self.there).is_ok_and(|text| text == self.marked()) {
            files::remove(&self.there)?;
        }
        Ok(())
    }

    /// The directory of all trees.
    pub fn trees(&self) -> &Path {
        files::parent(&self.tree)
    }

    /// Looks at the tree. Nothing is followed: neither a link at the path, nor one in the place of a directory above it.
    pub fn found(&self) -> Result<Found, Fault> {
        if let Some(found) = self.above()? {
            return Ok(found);
        }
        let meta = match fs::symlink_metadata(&self.here) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            found => found.tried("look at", &self.here)?,
        };
        if !meta.is_symlink() {
            return Ok(Found::Real(meta));
        }
        let text = fs::read_link(&self.here).tried("read", &self.here)?;
        let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
        let is_ours = [&self.link, &self.marked()].contains(&&text) || same(&self.here, &self.there);
        Ok(if is_ours { Found::Ours } else { Found::Foreign(text) })
    }

    /// Looks at the directories above the path: `None` if all of them exist in the tree.
    fn above(&self) -> Result<Option<Found>, Fault> {
        let mut folder = self.tree.clone();
        for part in self.path.as_path().parent().unwrap_or(Path::new("")).components() {
            folder.push(part);
            let found = match fs::symlink_metadata(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Found::Nothing)),
                found => found.tried("look at", &folder)?,
            };
            if !found.is_dir() {
                return Ok(Some(Found::Blocked(folder)));
            }
        }
        Ok(None)
    }

    /// Whether the tree has a file of its own beside another one that is shared.
    pub fn is_other_file(&self, deadline: Deadline) -> Result<bool, Fault> {
        let is_file = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file());
        if self.kind != SharedKind::File || !is_file(&self.there) || !matches!(self.found()?, Found::Real(_)) {
            return Ok(false);
        }
        Ok(!merge::is_identical(&self.here, &self.there.canonicalize().tried("find", &self.there)?, deadline)?)
    }

    /// Whether something is what the path should be. A link is followed.
    pub fn is_of_kind(&self, meta: &Metadata) -> bool {
        match self.kind {
            SharedKind::Dir => meta.is_dir(),
            SharedKind::File => meta.is_file(),
        }
    }

    /// Says what is in the place of a directory above the path.
    pub fn blocked(&self, by: &Path) -> String {
        let (key, path) = (self.kind.key(), self.path);
        format!("{key}: {path} cannot be linked: {} is not a directory; move it away, or correct {key}", by.display())
    }

    /// Says that something is not what the path should be.
    pub fn wrong_kind(&self, what: &Path, meta: &Metadata) -> String {
        let is = match meta {
            meta if meta.is_dir() => "a directory",
            meta if meta.is_file() => "a file",
            _ => "neither a file nor a directory",
        };
        let (key, noun) = (self.kind.key(), self.kind.noun());
        format!(
            "{key}: {} should be a {noun}, but {} is {is}: move it away, or correct {key}",
            self.path,
            what.display()
        )
    }
}
