//! Reads a directory.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use super::names::{parts, shown};
use super::stream::is_cut_off;
use super::unpack::Unpacker;

/// What changes when a file, a link or a directory changes: device, inode, mode, size, and times of change with their nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark([u64; 8]);

impl Mark {
    fn of(stat: &Stat) -> Mark {
        let times =
            [stat.st_mtime.cast_unsigned(), stat.st_mtime_nsec, stat.st_ctime.cast_unsigned(), stat.st_ctime_nsec];
        let [mtime, mtime_nsec, ctime, ctime_nsec] = times;
        let size = stat.st_size.cast_unsigned();
        Mark([stat.st_dev, stat.st_ino, stat.st_mode.into(), size, mtime, mtime_nsec, ctime, ctime_nsec])
    }
}

type Marks = HashMap<Vec<u8>, Mark>;

/// Hands over every entry. Names are taken in order, and no link is followed.
///
/// # Errors
/// The entry that is refused, and why; something that cannot be read, or that changed meanwhile.
pub fn read(top: &Path, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let mut marks = Marks::new();
    // The directory that was named may be a link; nothing below it is followed.
    let fd = File::open(top)?;
    let mut visit = |entry: Entry| {
        marks.insert(entry.path.to_vec(), Mark::of(entry.stat));
        hand_over(&entry, unpacker)
    };
    walk(fd.as_fd(), &[], &mut visit)?;
    let mut seen = 0;
    // What was added, removed or changed behind the back of the first walk.
    let mut compare = |entry: Entry| {
        seen += 1;
        unchanged(marks.get(entry.path) == Some(&Mark::of(entry.stat)), entry.path)
    };
    walk(fd.as_fd(), &[], &mut compare)?;
    ensure!(
        seen == marks.len(),
        "something was removed from it while it was read: deploy it once nothing writes to it"
    );
    Ok(())
}

/// One entry of a directory that is read.
struct Entry<'a> {
    folder: BorrowedFd<'a>,
    name: &'a CStr,
    /// Its path from the top.
    path: &'a [u8],
    stat: &'a Stat,
}

fn walk(folder: BorrowedFd, above: &[u8], visit: &mut dyn FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let cannot = |error| failed(error, above);
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    for name in names {
        let path = if above.is_empty() { name.as_bytes().to_vec() } else { [above, b"/", name.as_bytes()].concat() };
        let stat = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| failed(error, &path))?;
        visit(Entry { folder, name: &name, path: &path, stat: &stat })?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            // Refuses what is nested too deep, before there are too many open files.
            parts(&path).map_err(|why| anyhow::anyhow!("{} {why}", shown(&path)))?;
            let inner = open(folder, &name, OFlags::DIRECTORY).with_context(|| shown(&path))?;
            walk(inner.as_fd(), &path, visit)?;
        }
    }
    Ok(())
}

fn hand_over(entry: &Entry, unpacker: &mut Unpacker) -> anyhow::Result<()> {
    let (path, stat) = (entry.path, entry.stat);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => unpacker.directory(path),
        FileType::Symlink => {
            let to = readlinkat(entry.folder, entry.name, Vec::new()).map_err(|error| failed(error, path))?;
            unpacker.link(path, to.as_bytes())
        }
        FileType::RegularFile => {
            let mut file = File::from(open(entry.folder, entry.name, OFlags::NONBLOCK).with_context(|| shown(path))?);
            let before = Mark::of(&fstat(&file).map_err(|error| failed(error, path))?);
            unchanged(before == Mark::of(stat), path)?;
            let size = stat.st_size.cast_unsigned();
            let handed = unpacker.file(path, stat.st_mode, size, &mut file);
            if handed.as_ref().is_err_and(is_cut_off) {
                return unchanged(false, path);
            }
            handed?;
            unchanged(before == Mark::of(&fstat(&file).map_err(|error| failed(error, path))?), path)
        }
        FileType::Fifo => bail!("{} is a named pipe", shown(path)),
        FileType::Socket => bail!("{} is a socket", shown(path)),
        _ => bail!("{} is a device", shown(path)),
    }
}

/// Opens what is in a directory, and no link.
fn open(folder: BorrowedFd, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | flags, Mode::empty())?)
}

fn failed(error: rustix::io::Errno, path: &[u8]) -> anyhow::Error {
    let place = if path.is_empty() { "the directory".to_owned() } else { shown(path) };
    anyhow::Error::new(io::Error::from(error)).context(format!("cannot read {place}"))
}

fn unchanged(same: bool, path: &[u8]) -> anyhow::Result<()> {
    ensure!(same, "{} changed while it was read: deploy it once nothing writes to it", shown(path));
    Ok(())
}
