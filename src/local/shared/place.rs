//! One shared path of one working tree, and what is there.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::wire::{SharedKind, SharedPath};

use super::merge;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::dir::{Dir, Entry};
use crate::local::os::files;
use crate::local::os::way;
use crate::local::os::way::{Follow, Way};
use crate::local::state::layout::Layout;

/// The way from a tree to the repository's directory.
const ROOT_FROM_TREE: &str = "../..";

/// The way to shared content: the operator may have it on another disk.
const OPERATORS: Way = Way { follow: Follow::Operators, to_the_end: false, make: false };

pub struct Place<'a> {
    pub path: &'a SharedPath,
    pub kind: SharedKind,
    tree: PathBuf,
    /// The repository's directory.
    root: PathBuf,
    /// In the tree.
    pub here: PathBuf,
    /// In `shared/`.
    pub there: PathBuf,
    /// What the link says, from the tree.
    pub link: PathBuf,
}

/// Both sides of a shared path, in directories that are held open: services may write to directories above, and replace
/// those with links while content is moved.
pub struct Held {
    /// In the tree. No link is followed on the way.
    pub here: Entry,
    /// In `shared/`, where the operator's links are followed.
    pub there: Entry,
}

impl Held {
    /// What the operator's link at `there` leads to, or what is there itself.
    pub fn content(&self) -> Result<Entry, Fault> {
        let to_the_end = Way { to_the_end: true, ..OPERATORS };
        let found = way::find(self.there.dir(), Path::new(self.there.name()), to_the_end);
        found.tried("find", &self.there.path())
    }

    /// The same, if it is a directory.
    pub fn folder(&self) -> Result<Rc<Dir>, Fault> {
        let content = self.content()?;
        let folder = content.open_dir().and_then(|folder| folder.ok_or(io::ErrorKind::NotADirectory.into()));
        folder.tried("open", &content.path())
    }
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
        Place {
            path,
            kind,
            tree: tree.to_owned(),
            root: layout.root().to_owned(),
            here: tree.join(path.as_path()),
            there,
            link,
        }
    }

    /// The same link as [`merge::marked`] says it.
    pub fn marked(&self) -> PathBuf {
        merge::marked(&self.link)
    }

    /// Holds both sides open. Directories above the path are made where they are missing if `make` says so.
    pub fn hold(&self, make: bool) -> Result<Held, Fault> {
        Ok(Held { here: self.in_tree(make)?, there: self.in_shared(make)? })
    }

    /// The tree's side alone.
    pub fn in_tree(&self, make: bool) -> Result<Entry, Fault> {
        match self.above(make)? {
            Ok(above) => Ok(above.at(self.name())),
            Err(Found::Blocked(by)) => Err(Fault::failed(self.blocked(&by))),
            Err(_) => Err(io::ErrorKind::NotFound.into()).tried("open", files::parent(&self.here)),
        }
    }

    fn in_shared(&self, make: bool) -> Result<Entry, Fault> {
        let path = Path::new("shared").join(self.path.as_path());
        let found = Dir::open(&self.root).and_then(|root| way::find(&root, &path, Way { make, ..OPERATORS }));
        found.tried("open", files::parent(&self.there))
    }

    /// Makes an empty shared directory where there is none, and removes what a killed process left.
    pub fn prepare(&self) -> Result<(), Fault> {
        let make = self.kind == SharedKind::Dir;
        if !make && self.there.symlink_metadata().is_err() {
            return Ok(());
        }
        let there = self.in_shared(make)?;
        self.clear_mark(&there)?;
        if make && !there.exists() {
            there.make_dir().tried("create", &self.there)?;
        }
        Ok(())
    }

    fn name(&self) -> &OsStr {
        self.path.as_path().file_name().unwrap_or_default()
    }

    /// Removes from `shared/` a link that a killed process left there.
    pub fn clear_mark(&self, there: &Entry) -> Result<(), Fault> {
        merge::clear_mark(there, &self.marked())
    }

    /// Whether a process was killed when the tree had its link already, and its directory was still to be emptied.
    pub fn has_remainder(&self) -> bool {
        self.above(false).is_ok_and(|above| {
            above.is_ok_and(|above| files::prepared(&above.at(self.name())).metadata().is_ok_and(|meta| meta.is_dir()))
        })
    }

    /// The directory of all trees.
    pub fn trees(&self) -> &Path {
        files::parent(&self.tree)
    }

    /// Looks at the tree. Nothing is followed: neither a link at the path, nor one in the place of a directory above it.
    pub fn found(&self) -> Result<Found, Fault> {
        let here = match self.above(false)? {
            Ok(above) => above.at(self.name()),
            Err(found) => return Ok(found),
        };
        let meta = match here.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            found => found.tried("look at", &self.here)?,
        };
        if !meta.is_symlink() {
            return Ok(Found::Real(meta));
        }
        let text = here.read_link().tried("read", &self.here)?;
        let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
        let is_ours = [&self.link, &self.marked()].contains(&&text) || same(&self.here, &self.there);
        Ok(if is_ours { Found::Ours } else { Found::Foreign(text) })
    }

    /// Holds the directory above the path open, or tells what is there instead.
    fn above(&self, make: bool) -> Result<Result<Rc<Dir>, Found>, Fault> {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let mut folder = match Dir::open(&self.tree) {
            Err(error) if is_missing(&error) => return Ok(Err(Found::Nothing)),
            folder => folder.tried("open", &self.tree)?,
        };
        for part in self.path.as_path().parent().unwrap_or(Path::new("")).components() {
            let next = folder.at(part);
            folder = match next.open_dir() {
                Err(error) if is_missing(&error) && make => next.make_dir().tried("create", &next.path())?,
                Err(error) if is_missing(&error) => return Ok(Err(Found::Nothing)),
                found => match found.tried("look at", &next.path())? {
                    Some(folder) => folder,
                    None => return Ok(Err(Found::Blocked(next.path()))),
                },
            };
        }
        Ok(Ok(folder))
    }

    /// Whether the tree has a file of its own beside another one that is shared.
    pub fn is_other_file(&self, deadline: Deadline) -> Result<bool, Fault> {
        let is_file = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file());
        if self.kind != SharedKind::File || !is_file(&self.there) || !matches!(self.found()?, Found::Real(_)) {
            return Ok(false);
        }
        let held = self.hold(false)?;
        Ok(!merge::is_identical(&held.here, &held.content()?, deadline)?)
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
