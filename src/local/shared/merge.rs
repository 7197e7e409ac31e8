//! Moving content into `shared/` where there is some already. What is missing there is moved, what is there byte for byte
//! is dropped, and what differs is kept beside it under another name.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::text;

use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::dir;
use crate::local::os::dir::{Dir, Entry};
use crate::local::os::files;
use crate::local::os::mounts::Mounts;

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
    /// Moves to `to` what the directory at `from` has and `to` has not, and leaves links to it: everything is at its path
    /// at every moment. What both have stays, and so does what cannot be moved in one step. `link` is what a link in the
    /// place of `from` says to lead to `to`. Tells how much was moved.
    pub fn bring(&self, from: &Entry, to: &Rc<Dir>, link: &Path) -> Result<usize, Fault> {
        let folder = opened(from)?;
        let mut count = 0;
        for name in folder.names().tried("read", folder.path())? {
            self.deadline.check()?;
            let (from, to, link) = (folder.at(&name), to.at(&name), link_below(link, &name));
            let is_dir = from.metadata().is_ok_and(|meta| meta.is_dir());
            count += match to.open_dir() {
                Ok(Some(to)) if is_dir => self.bring(&from, &to, &link)?,
                _ => usize::from(bring_one(&from, &to, &link)?),
            };
        }
        Ok(count)
    }

    /// Moves everything in the directory at `from` to `to`, but for links that lead there already.
    fn content(&mut self, from: &Entry, to: &Rc<Dir>, link: &Path) -> Result<(), Fault> {
        let folder = opened(from)?;
        for name in folder.names().tried("read", folder.path())? {
            self.deadline.check()?;
            self.entry(&folder.at(&name), &to.at(&name), &link_below(link, &name))?;
        }
        Ok(())
    }

    /// Moves everything in the directory at `from` to `to`, and removes it. `link` as for [`Merge::bring`].
    pub fn directory(&mut self, from: &Entry, to: &Rc<Dir>, link: &Path) -> Result<(), Fault> {
        loop {
            self.content(from, to, link)?;
            match from.remove_dir() {
                // Somebody wrote to it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => self.deadline.check()?,
                other => return other.tried("remove", &from.path()),
            }
        }
    }

    fn entry(&mut self, from: &Entry, to: &Entry, link: &Path) -> Result<(), Fault> {
        let shown = from.path();
        if says(from, link) {
            return from.remove().tried("remove", &shown);
        }
        clear_mark(to, &marked(link))?;
        if from.rename_new(to).tried("move", &shown)? {
            return Ok(());
        }
        if from.metadata().is_ok_and(|meta| meta.is_dir())
            && let Some(to) = to.open_dir().tried("open", &to.path())?
        {
            return self.directory(from, &to, link);
        }
        if is_identical(from, to, self.deadline)? {
            return from.remove().tried("remove", &shown);
        }
        loop {
            let place = self.place_beside(from, to)?;
            if place.exists {
                return from.remove().tried("remove", &shown);
            }
            if from.rename_new(&place.entry).tried("move", &shown)? {
                self.kept.push(place.entry.path());
                return Ok(());
            }
        }
    }

    /// The name beside `to` for what is at `from`; it may be there already, byte for byte.
    pub fn place_beside(&self, from: &Entry, to: &Entry) -> Result<Beside, Fault> {
        let name = to.name().as_bytes();
        for count in 1.. {
            let number = if count == 1 { String::new() } else { format!("-{count}") };
            let end = format!(".{}{number}", self.suffix);
            let kept = [&name[..name.len().min(LONGEST - end.len())], end.as_bytes()].concat();
            let entry = to.beside(OsStr::from_bytes(&kept));
            if !entry.exists() {
                return Ok(Beside { entry, exists: false });
            }
            if is_identical(from, &entry, self.deadline)? {
                return Ok(Beside { entry, exists: true });
            }
        }
        Err(Fault::failed(format!("no name is left beside {}", to.path().display())))
    }
}

fn opened(folder: &Entry) -> Result<Rc<Dir>, Fault> {
    let opened = folder.open_dir().and_then(|folder| folder.ok_or(io::ErrorKind::NotADirectory.into()));
    opened.tried("open", &folder.path())
}

/// What a link to a name in a directory says, if it is in a directory that itself has the place of a link which says `link`.
fn link_below(link: &Path, name: &OsStr) -> PathBuf {
    if link.is_absolute() { link.join(name) } else { Path::new("..").join(link).join(name) }
}

/// The same link in words that nobody else writes: what is found with them in `shared/` is ours, and was on its way to the
/// tree.
pub fn marked(link: &Path) -> PathBuf {
    let text = link.display();
    if link.is_absolute() { PathBuf::from(format!("/.{text}")) } else { PathBuf::from(format!("./{text}")) }
}

/// Whether there is a link of ours that says this.
fn says(entry: &Entry, link: &Path) -> bool {
    entry.read_link().is_ok_and(|text| text == link || text == marked(link))
}

/// Removes a link that a killed process left in `shared/`.
pub fn clear_mark(there: &Entry, mark: &Path) -> Result<(), Fault> {
    if there.read_link().is_ok_and(|text| text == mark) {
        files::remove_entry(there)?;
    }
    Ok(())
}

/// Moves one entry to where nothing is, and leaves a link to it, in one step. Tells whether that was done.
fn bring_one(from: &Entry, to: &Entry, link: &Path) -> Result<bool, Fault> {
    if says(from, link) {
        return Ok(false);
    }
    let mark = marked(link);
    clear_mark(to, &mark)?;
    // Something has the name, or there is no room for a link.
    if to.make_link(&mark).is_err() {
        return Ok(false);
    }
    let Err(error) = from.exchange(to) else { return Ok(true) };
    clear_mark(to, &mark)?;
    match error.kind() {
        // Somebody has removed it meanwhile.
        io::ErrorKind::NotFound => Ok(false),
        _ if dir::cannot_exchange(&error) => Ok(false),
        _ => Err(error).tried("move", &from.path()),
    }
}

/// A name beside other content.
pub struct Beside {
    pub entry: Entry,
    /// It is there, with the very content.
    pub exists: bool,
}

/// Whether the very file at `from` has a name beside `to` that begins with the name of `to` and this suffix.
pub fn has_name_beside(from: &Entry, to: &Entry, suffix: &str) -> bool {
    let inode = |entry: &Entry| entry.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    let start = [to.name().as_bytes(), b".", suffix.as_bytes()].concat();
    let names = to.dir().names().unwrap_or_default().into_iter().filter(|name| name.as_bytes().starts_with(&start));
    inode(from).is_some() && names.into_iter().any(|name| inode(&to.beside(name)) == inode(from))
}

/// Whether something is an empty directory, and no file system of its own.
pub fn is_removable(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir())
        && fs::read_dir(folder).is_ok_and(|mut names| names.next().is_none())
        && !Mounts::read().is_at(folder)
}

/// Whether two files hold the same bytes, or two links say the same.
pub fn is_identical(one: &Entry, other: &Entry, deadline: Deadline) -> Result<bool, Fault> {
    let (path, other_path) = (one.path(), other.path());
    let (a, b) = (one.metadata().tried("look at", &path)?, other.metadata().tried("look at", &other_path)?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return Ok(true);
    }
    if a.is_symlink() && b.is_symlink() {
        return Ok(one.read_link().tried("read", &path)? == other.read_link().tried("read", &other_path)?);
    }
    if !a.is_file() || !b.is_file() || a.len() != b.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (one.open_file().tried("read", &path)?, other.open_file().tried("read", &other_path)?);
    let (mut piece_a, mut piece_b) = (Vec::new(), Vec::new());
    loop {
        deadline.check()?;
        piece_a.clear();
        piece_b.clear();
        let next = |file: &mut File, piece: &mut Vec<u8>, path: &Path| {
            file.take(PIECE as u64).read_to_end(piece).tried("read", path)
        };
        let length = next(&mut a, &mut piece_a, &path)?;
        next(&mut b, &mut piece_b, &other_path)?;
        if piece_a != piece_b || length == 0 {
            return Ok(piece_a == piece_b);
        }
    }
}

/// Why the content of the directory `from` cannot be moved to the directory `to`, if it cannot. Nothing is changed.
///
/// # Errors
/// The time limit.
pub fn obstacle(from: &Entry, to: &Rc<Dir>, mounts: &Mounts, deadline: Deadline) -> Result<Option<Fault>, Fault> {
    let look = || may_move(from, &from.metadata().tried("look at", &from.path())?, mounts);
    match look().and_then(|()| obstacle_in(from, to, mounts, deadline)) {
        Err(fault @ Fault::TimedOut { .. }) => Err(fault),
        Err(fault) => Ok(Some(fault)),
        Ok(()) => Ok(None),
    }
}

fn obstacle_in(from: &Entry, to: &Rc<Dir>, mounts: &Mounts, deadline: Deadline) -> Result<(), Fault> {
    deadline.check()?;
    let Some(folder) = from.open_dir().tried("open", &from.path())? else { return Ok(()) };
    let names = folder.names().tried("read", folder.path())?;
    if names.is_empty() {
        return Ok(());
    }
    one_file_system(folder.path(), to.path(), mounts, (folder.path(), to.path()))?;
    to.may_change().tried("write to", to.path())?;
    for name in names {
        let (from, to) = (folder.at(&name), to.at(&name));
        let meta = from.metadata().tried("look at", &from.path())?;
        may_move(&from, &meta, mounts)?;
        if meta.is_dir()
            && let Ok(Some(to)) = to.open_dir()
        {
            obstacle_in(&from, &to, mounts, deadline)?;
        }
    }
    Ok(())
}

/// Fails if something cannot be given another directory.
pub fn may_move(entry: &Entry, meta: &Metadata, mounts: &Mounts) -> Result<(), Fault> {
    let path = entry.path();
    let shown = path.display();
    if (meta.is_file() || meta.is_dir()) && entry.is_fixed() {
        return Err(Fault::failed(format!(
            "{shown} cannot be moved, because it is immutable or append-only: run `chattr -ia {}`",
            text::quoted(&path.to_string_lossy())
        )));
    }
    if !meta.is_dir() {
        return Ok(());
    }
    if mounts.is_at(&path) {
        return Err(Fault::failed(format!(
            "{shown} cannot be moved, because a file system is mounted there: mount it in shared/ instead"
        )));
    }
    // A directory that gets another parent is written to.
    match entry.open_dir().tried("open", &path)? {
        Some(folder) => folder.may_change().tried("write to", &path),
        None => Ok(()),
    }
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
