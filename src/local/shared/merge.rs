//! Moving content into `shared/` where there is some already. What is missing there is moved, what is there byte for byte
//! is dropped, and what differs is kept beside it under another name.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::text;

use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::mounts::Mounts;
use crate::local::os::sys;

/// The longest name of a file, in bytes.
const LONGEST: usize = 255;

/// Pieces that files are compared in.
const PIECE: usize = 64 << 10;

/// One merge.
pub struct Merge {
    pub deadline: Deadline,
    /// Ends the names of what is kept beside other content: `from-abc1234`.
    pub suffix: String,
    /// What was kept so.
    pub kept: Vec<PathBuf>,
}

impl Merge {
    /// Moves everything in the directory `from` to `to`, and removes the empty directories.
    pub fn directory(&mut self, from: &Path, to: &Path) -> Result<(), Fault> {
        for name in entries(from).tried("read", from)? {
            self.deadline.check()?;
            self.entry(&from.join(&name), &to.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), Fault> {
        let is_dir = |path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if move_new(from, to).tried("move", from)? {
            return Ok(());
        }
        if is_dir(from) && is_dir(to) {
            self.directory(from, to)?;
            return fs::remove_dir(from).tried("remove", from);
        }
        if is_identical(from, to, self.deadline)? {
            return fs::remove_file(from).tried("remove", from);
        }
        loop {
            let place = self.place_beside(from, to)?;
            if place.exists {
                return fs::remove_file(from).tried("remove", from);
            }
            if move_new(from, &place.path).tried("move", from)? {
                self.kept.push(place.path);
                return Ok(());
            }
        }
    }

    /// The name beside `to` for what is at `from`; it may be there already, byte for byte.
    pub fn place_beside(&self, from: &Path, to: &Path) -> Result<Beside, Fault> {
        let name = to.file_name().unwrap_or_default().as_bytes();
        for count in 1.. {
            let number = if count == 1 { String::new() } else { format!("-{count}") };
            let end = format!(".{}{number}", self.suffix);
            let kept = [&name[..name.len().min(LONGEST - end.len())], end.as_bytes()].concat();
            let path = files::parent(to).join(OsString::from_vec(kept));
            if fs::symlink_metadata(&path).is_err() {
                return Ok(Beside { path, exists: false });
            }
            if is_identical(from, &path, self.deadline)? {
                return Ok(Beside { path, exists: true });
            }
        }
        Err(Fault::failed(format!("no name is left beside {}", to.display())))
    }
}

/// A name beside other content.
pub struct Beside {
    pub path: PathBuf,
    /// It is there, with the very content.
    pub exists: bool,
}

fn entries(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names: Vec<OsString> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Whether the very file at `from` has a name beside `to` that begins with the name of `to` and this suffix.
pub fn has_name_beside(from: &Path, to: &Path, suffix: &str) -> bool {
    let inode = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let start = [to.file_name().unwrap_or_default().as_bytes(), b".", suffix.as_bytes()].concat();
    let folder = files::parent(to);
    let names = entries(folder).unwrap_or_default().into_iter().filter(|name| name.as_bytes().starts_with(&start));
    inode(from).is_some() && names.into_iter().any(|name| inode(&folder.join(name)) == inode(from))
}

/// Whether something is an empty directory, and no file system of its own.
pub fn is_removable(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir())
        && fs::read_dir(folder).is_ok_and(|mut names| names.next().is_none())
        && !Mounts::read().is_at(folder)
}

/// Renames unless something has the new name; tells whether it did.
pub fn move_new(from: &Path, to: &Path) -> io::Result<bool> {
    match sys::rename_new(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether two files hold the same bytes, or two links say the same.
pub fn is_identical(one: &Path, other: &Path, deadline: Deadline) -> Result<bool, Fault> {
    let look = |path: &Path| fs::symlink_metadata(path).tried("look at", path);
    let (a, b) = (look(one)?, look(other)?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return Ok(true);
    }
    if a.is_symlink() && b.is_symlink() {
        return Ok(fs::read_link(one).tried("read", one)? == fs::read_link(other).tried("read", other)?);
    }
    if !a.is_file() || !b.is_file() || a.len() != b.len() {
        return Ok(false);
    }
    let open = |path: &Path| File::open(path).tried("read", path);
    let (mut a, mut b) = (open(one)?, open(other)?);
    let (mut piece_a, mut piece_b) = (Vec::new(), Vec::new());
    loop {
        deadline.check()?;
        piece_a.clear();
        piece_b.clear();
        let next = |file: &mut File, piece: &mut Vec<u8>, path: &Path| {
            file.take(PIECE as u64).read_to_end(piece).tried("read", path)
        };
        let length = next(&mut a, &mut piece_a, one)?;
        next(&mut b, &mut piece_b, other)?;
        if piece_a != piece_b || length == 0 {
            return Ok(piece_a == piece_b);
        }
    }
}

/// Why the content of `from` cannot be moved to `to`, if it cannot; both are directories. Nothing is changed.
///
/// # Errors
/// The time limit.
pub fn obstacle(from: &Path, to: &Path, mounts: &Mounts, deadline: Deadline) -> Result<Option<Fault>, Fault> {
    let look = || may_move(from, &fs::symlink_metadata(from).tried("look at", from)?, mounts);
    match look().and_then(|()| obstacle_in(from, to, mounts, deadline)) {
        Err(fault @ Fault::TimedOut { .. }) => Err(fault),
        Err(fault) => Ok(Some(fault)),
        Ok(()) => Ok(None),
    }
}

fn obstacle_in(from: &Path, to: &Path, mounts: &Mounts, deadline: Deadline) -> Result<(), Fault> {
    deadline.check()?;
    let names = entries(from).tried("read", from)?;
    if names.is_empty() {
        return Ok(());
    }
    one_file_system(from, to, mounts, (from, to))?;
    may_change(to)?;
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        let meta = fs::symlink_metadata(&from).tried("look at", &from)?;
        may_move(&from, &meta, mounts)?;
        if meta.is_dir() && fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir()) {
            obstacle_in(&from, &to, mounts, deadline)?;
        }
    }
    Ok(())
}

/// Fails if names in a directory, or its parent, cannot be changed.
fn may_change(folder: &Path) -> Result<(), Fault> {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from).tried("write to", folder)
}

/// Fails if something cannot be given another directory.
pub fn may_move(path: &Path, meta: &Metadata, mounts: &Mounts) -> Result<(), Fault> {
    let shown = path.display();
    if sys::is_fixed(path) {
        return Err(Fault::failed(format!(
            "{shown} cannot be moved, because it is immutable or append-only: run `chattr -ia {}`",
            text::quoted(&path.to_string_lossy())
        )));
    }
    if !meta.is_dir() {
        return Ok(());
    }
    if mounts.is_at(path) {
        return Err(Fault::failed(format!(
            "{shown} cannot be moved, because a file system is mounted there: mount it in shared/ instead"
        )));
    }
    // A directory that gets another parent is written to.
    may_change(path)
}

/// Fails if nothing can be moved from the directory `from` to the directory `to`. `what` is the pair that the message
/// names.
pub fn one_file_system(from: &Path, to: &Path, mounts: &Mounts, what: (&Path, &Path)) -> Result<(), Fault> {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).tried("look at", path);
    if device(from)? != device(to)? || mounts.of(from) != mounts.of(to) {
        return Err(other_disk(what.0, what.1));
    }
    Ok(())
}

/// What is on one file system cannot be moved to another one in one step.
pub fn other_disk(from: &Path, to: &Path) -> Fault {
    Fault::failed(format!(
        "{} cannot be moved to {}, which is on another file system: copy it there, and remove it",
        from.display(),
        to.display()
    ))
}
