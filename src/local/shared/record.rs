//! What a working tree says of shared paths: which it has links for, and which it has for itself.

use std::path::{Path, PathBuf};

use crate::wire::{SharedKind, SharedPath, SharedPaths};

use crate::local::fault::Fault;
use crate::local::os::files;

/// The record of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub links: SharedPaths,
    /// Paths that were shared in the revision before, and that this revision has files at.
    pub own: Vec<SharedPath>,
    /// Files that differed from the shared ones when they became shared. The tree has them, so that a rollback to it
    /// finds what it had.
    pub kept: Vec<SharedPath>,
    /// Links that are being made for the first time.
    pub new: Vec<SharedPath>,
}

fn file(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-shared")
}

impl Record {
    /// Reads it. A tree without one shares nothing; a line that cannot be read is passed over.
    pub fn of(tree: &Path) -> Record {
        let mut record = Record::default();
        let bytes = files::read(&file(tree)).unwrap_or_default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Some((kind, Ok(path))) = line.split_once(' ').map(|(kind, path)| (kind, path.parse())) else {
                continue;
            };
            match kind {
                "dir" => record.link(&path, SharedKind::Dir),
                "file" => record.link(&path, SharedKind::File),
                "kept" => record.kept.push(path),
                "new" => record.new.push(path),
                _ => record.own.push(path),
            }
        }
        record
    }

    /// Writes it.
    pub fn save(&self, tree: &Path) -> Result<(), Fault> {
        let dirs = self.links.dirs.iter().map(|path| ("dir", path));
        let files = self.links.files.iter().map(|path| ("file", path));
        let all = dirs.chain(files).chain(self.own.iter().map(|path| ("own", path)));
        let all = all.chain(self.kept.iter().map(|path| ("kept", path)));
        let all = all.chain(self.new.iter().map(|path| ("new", path)));
        let text: String = all.map(|(kind, path)| format!("{kind} {path}\n")).collect();
        files::write(&file(tree), text.as_bytes(), 0o666)
    }

    /// Adds a link.
    pub fn link(&mut self, path: &SharedPath, kind: SharedKind) {
        self.own.retain(|own| own != path);
        self.kept.retain(|kept| kept != path);
        self.links.dirs.retain(|dir| dir != path);
        self.links.files.retain(|file| file != path);
        self.links.push(path, kind);
    }

    /// Forgets the links below a path, and returns them.
    pub fn unlink_below(&mut self, path: &SharedPath) -> Vec<(SharedPath, SharedKind)> {
        let is_below = |other: &SharedPath| other != path && other.as_path().starts_with(path.as_path());
        let below = self.links.iter().filter(|(other, _)| is_below(other));
        let below = below.map(|(other, kind)| (other.clone(), kind)).collect();
        self.links.dirs.retain(|dir| !is_below(dir));
        self.links.files.retain(|file| !is_below(file));
        below
    }

    /// Whether it says anything of a path.
    pub fn knows(&self, path: &SharedPath) -> bool {
        self.own.contains(path) || self.kept.contains(path) || self.links.iter().any(|(other, _)| other == path)
    }

    /// Whether a file of the tree is at a link, or behind one: it is none of the revision's then.
    pub fn covers(&self, file: &Path) -> bool {
        self.links.iter().any(|(path, _)| file.starts_with(path.as_path()))
    }
}
