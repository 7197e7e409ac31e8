//! Directories that are held open, and names in them. A path is resolved anew by every system call, and whoever may write
//! to a directory on the way can lead it elsewhere with a link in between; what is done to a name in a directory that is
//! held open is done there.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::files::no_links;

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir {
    handle: OwnedFd,
    /// How it was found, for messages.
    path: PathBuf,
}

impl Dir {
    /// Opens a directory. Links are followed: the path has to be one that only trusted users can change.
    pub fn open(path: &Path) -> io::Result<Rc<Dir>> {
        let handle = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Rc::new(Dir { handle, path: path.to_owned() }))
    }

    /// A name in it.
    pub fn at(self: &Rc<Dir>, name: impl AsRef<OsStr>) -> Entry {
        Entry { dir: self.clone(), name: name.as_ref().to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn readable(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.handle, ".", flags, Mode::empty())?.into())
    }

    /// All names in it, sorted.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(OwnedFd::from(self.readable()?))? {
            let name = entry?.file_name().to_bytes().to_owned();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes the names in it last.
    pub fn sync(&self) -> io::Result<()> {
        self.readable()?.sync_all()
    }

    /// Writes everything that its file system still holds in memory to the disk.
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self.readable()?)?)
    }

    /// Fails if names in it cannot be changed.
    pub fn may_change(&self) -> io::Result<()> {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        Ok(rustix::fs::accessat(&self.handle, ".", access, AtFlags::empty())?)
    }
}

/// A name in a directory that is held open. There may be nothing of that name.
#[derive(Debug, Clone)]
pub struct Entry {
    dir: Rc<Dir>,
    name: OsString,
}

/// What an entry was when it was looked at.
pub struct Seen {
    handle: OwnedFd,
    pub meta: Metadata,
}

impl Seen {
    /// What the link says that was looked at.
    pub fn link(&self) -> io::Result<PathBuf> {
        let text = rustix::fs::readlinkat(&self.handle, "", Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(text.into_bytes())))
    }
}

impl Entry {
    /// The entry at a path. Links on the way are followed, but neither one in the last part nor one that has the place of
    /// git's own directory in a working tree, where Hoist's records are, or of a directory below that.
    pub fn of(path: &Path) -> io::Result<Entry> {
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let above = path.parent().unwrap_or(Path::new("/"));
        if !above.iter().any(|part| part == ".git") {
            return Ok(Dir::open(above)?.at(name));
        }
        match Entry::of(above)?.open_dir()? {
            Some(folder) => Ok(folder.at(name)),
            None => Err(io::Error::other(format!("{} is not a directory; remove it", above.display()))),
        }
    }

    pub fn dir(&self) -> &Rc<Dir> {
        &self.dir
    }

    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// For messages.
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// Another name in the same directory.
    pub fn beside(&self, name: impl AsRef<OsStr>) -> Entry {
        self.dir.at(name)
    }

    fn open_with(&self, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir.handle, &self.name, flags, Mode::from_raw_mode(mode))
    }

    /// Looks at it. A link is not followed.
    pub fn look(&self) -> io::Result<Seen> {
        let file = File::from(self.open_with(OFlags::PATH, 0)?);
        Ok(Seen { meta: file.metadata()?, handle: file.into() })
    }

    pub fn metadata(&self) -> io::Result<Metadata> {
        Ok(self.look()?.meta)
    }

    pub fn exists(&self) -> bool {
        self.look().is_ok()
    }

    pub fn read_link(&self) -> io::Result<PathBuf> {
        self.look()?.link()
    }

    /// Holds it open if it is a directory, and no link to one.
    pub fn open_dir(&self) -> io::Result<Option<Rc<Dir>>> {
        match self.open_with(OFlags::PATH | OFlags::DIRECTORY, 0) {
            Ok(handle) => Ok(Some(Rc::new(Dir { handle, path: self.path() }))),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file to read it; neither a link is followed nor is waited for at a pipe.
    pub fn open_file(&self) -> io::Result<File> {
        no_links::plain_file(self.open_unless_pipe()?.into())
    }

    /// Opens it to read it without waiting for a pipe's other end. Where another process has a lease on a file (fcntl(2);
    /// file servers take them), opening waits until it gives it up or the kernel takes it away.
    fn open_unless_pipe(&self) -> Result<OwnedFd, Errno> {
        match self.open_with(OFlags::RDONLY | OFlags::NONBLOCK, 0) {
            Err(Errno::WOULDBLOCK) => {
                let handle = self.open_with(OFlags::PATH, 0)?;
                // Only a regular file has leases: nothing but one is waited for.
                if FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode) != FileType::RegularFile {
                    return Err(Errno::WOULDBLOCK);
                }
                let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
                rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            }
            opened => opened,
        }
    }

    /// Reads a whole file.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        self.open_file().and_then(no_links::whole)
    }

    /// Whether it is immutable or append-only (chattr(1)): it gets no other name then, whoever asks. False where the file
    /// system has no such flags.
    pub fn is_fixed(&self) -> bool {
        let flags = self.open_unless_pipe().and_then(rustix::fs::ioctl_getflags);
        flags.is_ok_and(|flags| flags.intersects(rustix::fs::IFlags::IMMUTABLE | rustix::fs::IFlags::APPEND))
    }

    /// Makes a file where there is nothing, to write to it. `mode` is subject to the umask.
    pub fn create(&self, mode: u32) -> io::Result<File> {
        Ok(self.open_with(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)?.into())
    }

    /// Makes a directory; it is fine if there is one.
    pub fn make_dir(&self) -> io::Result<Rc<Dir>> {
        match rustix::fs::mkdirat(&self.dir.handle, &self.name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => self.open_dir()?.ok_or_else(|| io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error.into()),
        }
    }

    pub fn make_link(&self, target: &Path) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.dir.handle, &self.name)?)
    }

    /// Removes a file or a link.
    pub fn remove(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir.handle, &self.name, AtFlags::empty())?)
    }

    /// Removes a file or a link, if there is one. Tells whether there was.
    pub fn remove_if_there(&self) -> io::Result<bool> {
        match self.remove() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir.handle, &self.name, AtFlags::REMOVEDIR)?)
    }

    /// Gives a file or a link a second name.
    pub fn hard_link(&self, to: &Entry) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.dir.handle, &self.name, &to.dir.handle, &to.name, AtFlags::empty())?)
    }

    pub fn rename(&self, to: &Entry) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir.handle, &self.name, &to.dir.handle, &to.name)?)
    }

    fn rename_with(&self, to: &Entry, flags: RenameFlags) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.dir.handle, &self.name, &to.dir.handle, &to.name, flags)
    }

    /// Renames it unless something has the new name, in one step where the file system can do that. Tells whether it was
    /// renamed.
    pub fn rename_new(&self, to: &Entry) -> io::Result<bool> {
        match self.rename_with(to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) if to.exists() => Ok(false),
            Err(Errno::INVAL | Errno::NOSYS) => self.rename(to).map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    /// Lets two names change places in one step. Some file systems cannot: see [`cannot_exchange`].
    pub fn exchange(&self, other: &Entry) -> io::Result<()> {
        Ok(self.rename_with(other, RenameFlags::EXCHANGE)?)
    }
}

/// Whether a file system, or the kernel, has no exchange of two names.
pub fn cannot_exchange(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_done_in_a_directory_is_done_there_though_a_link_has_its_name_now() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/real")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        let tree = Dir::open(&dir.path().join("tree")).unwrap();
        let held = tree.at("real").open_dir().unwrap().unwrap();
        fs::rename(tree.path().join("real"), tree.path().join("moved")).unwrap();
        symlink(dir.path().join("outside"), tree.path().join("real")).unwrap();
        held.at("file").create(0o600).unwrap();
        held.at("folder").make_dir().unwrap();
        held.at("link").make_link(Path::new("/etc")).unwrap();
        held.at("file").rename(&held.at("other")).unwrap();
        assert_eq!(held.names().unwrap(), ["folder", "link", "other"]);
        assert!(tree.path().join("moved/other").exists());
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
        // And a link is no directory, for whoever opens it now.
        assert!(tree.at("real").open_dir().unwrap().is_none());
        assert!(tree.at("real").open_file().is_err() && held.at("link").open_file().is_err());
        assert!(tree.at("real").metadata().unwrap().is_symlink());
    }

    #[test]
    fn a_link_in_the_place_of_gits_own_directory_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        let record = dir.path().join(".git/record");
        assert_eq!(Entry::of(&record).unwrap_err().kind(), io::ErrorKind::NotFound);
        symlink("outside", dir.path().join(".git")).unwrap();
        assert!(Entry::of(&record).unwrap_err().to_string().contains(".git is not a directory; remove it"));
        fs::remove_file(dir.path().join(".git")).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        Entry::of(&record).unwrap().create(0o600).unwrap();
        assert!(record.exists());
    }
}
