//! Files and links that are replaced in one step, so that nobody ever meets half of one, and a power cut loses none.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use super::deadline::Deadline;
use super::dir::Entry;
use crate::local::fault::{Fault, Tried};
use crate::timings;
use crate::timings::Part;

/// What is not yet, or no longer, in its place has this in its name, behind the name of that place.
pub const TEMPORARY: &str = ".tmp-";

/// How much of a file is in memory at once.
const PIECE: usize = 256 << 10;

/// Waits until a file, or the names in a directory, are on the disk.
pub fn sync(file: &File) -> io::Result<()> {
    let _timed = timings::during(Part::Sync);
    file.sync_all()
}

/// Makes the names in a directory last.
pub fn sync_dir(dir: &Path) -> Result<(), Fault> {
    File::open(dir).and_then(|dir| sync(&dir)).tried("sync", dir)
}

/// Looks at what is at a path, as [`Entry::of`] finds it.
pub fn look(path: &Path) -> io::Result<Metadata> {
    Entry::of(path)?.metadata()
}

/// Reads a whole file, as [`Entry::of`] finds it, and nothing that stands in its place.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    Entry::of(path)?.read()
}

/// Makes a directory and those above it.
pub fn make_dir(dir: &Path) -> Result<(), Fault> {
    let Err(error) = fs::create_dir_all(dir) else { return Ok(()) };
    // The system says of it that the file exists.
    let leads_nowhere = |folder: &&Path| folder.is_symlink() && !folder.exists();
    match dir.ancestors().find(leads_nowhere) {
        Some(link) => Err(Fault::failed(format!(
            "cannot create {}: {} is a link to {}, which does not exist; a disk may not be mounted",
            dir.display(),
            link.display(),
            fs::read_link(link).unwrap_or_default().display()
        ))),
        None => Err(error).tried("create", dir),
    }
}

/// The folder that holds `path`.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("/"))
}

/// The one name that the next content of an entry is prepared under. It does not vary, so what a killed process left is
/// taken away by the next one.
pub fn prepared(entry: &Entry) -> Entry {
    entry.beside(format!(".{}.hoist-tmp", entry.name().to_string_lossy()))
}

/// Whether a file name is one of a preparation.
pub fn is_preparation(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".hoist-tmp")
}

/// Writes a whole file, or leaves what was there. `mode` is subject to the umask.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Fault> {
    let entry = Entry::of(path).tried("write", path)?;
    replace(&entry, "write", |temporary| write_new(temporary, content, mode, |_| Ok(())))
}

/// As [`write`], but after a power cut the file may be what it was before. It is whole in any case.
pub fn write_or_keep(path: &Path, content: &[u8], mode: u32) -> Result<(), Fault> {
    write_entry_or_keep(&Entry::of(path).tried("write", path)?, content, mode)
}

/// As [`write_or_keep`], in a directory that is held open.
pub fn write_entry_or_keep(entry: &Entry, content: &[u8], mode: u32) -> Result<(), Fault> {
    put(entry, "write", |temporary| write_new(temporary, content, mode, |_| Ok(())))
}

/// Whose a file is to be, and who may do what with it, whatever the umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belongs {
    pub mode: u32,
    /// `None`: this process's own.
    pub owner: Option<u32>,
    pub group: Option<u32>,
}

impl Belongs {
    /// Makes it so. The file has been its owner's alone so far: it is given away before anybody else may read it.
    fn apply(self, file: &File) -> io::Result<()> {
        if self.owner.is_some() || self.group.is_some() {
            fchown(file, self.owner, self.group)?;
        }
        file.set_permissions(fs::Permissions::from_mode(self.mode))
    }
}

/// As [`write`], belonging to somebody. There is no moment in which others may read it.
pub fn write_as(path: &Path, content: &[u8], belongs: Belongs) -> Result<(), Fault> {
    let entry = Entry::of(path).tried("write", path)?;
    replace(&entry, "write", |temporary| write_new(temporary, content, 0o600, |file| belongs.apply(file)))
}

/// As [`write_as`], in a directory that is held open. The content is prepared at `aside`, so that a process that is killed
/// leaves nothing of it beside the file; only where that is another file system it is prepared there.
pub fn write_entry_as(entry: &Entry, aside: &Entry, content: &[u8], belongs: Belongs) -> Result<(), Fault> {
    let make = |temporary: &Entry| write_new(temporary, content, 0o600, |file| belongs.apply(file));
    match by_way_of(aside, entry, make) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => replace(entry, "write", make),
        moved => {
            moved.tried("write", &entry.path())?;
            entry.dir().sync().tried("sync", entry.dir().path())
        }
    }
}

/// Copies a file with its mode, its owner and its group to where there is none.
pub fn copy_whole(from: &Entry, to: &Entry) -> io::Result<()> {
    let mut from = from.open_file()?;
    let found = from.metadata()?;
    let mut file = to.create(0o600)?;
    io::copy(&mut from, &mut file)?;
    let own = file.metadata()?;
    let belongs = Belongs {
        mode: found.permissions().mode() & 0o7777,
        owner: Some(found.uid()).filter(|owner| *owner != own.uid()),
        group: Some(found.gid()).filter(|group| *group != own.gid()),
    };
    belongs.apply(&file)?;
    sync(&file)
}

fn write_new(entry: &Entry, content: &[u8], mode: u32, then: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let mut file = entry.create(mode)?;
    file.write_all(content)?;
    then(&file)?;
    sync(&file)
}

/// Makes `link` a symbolic link to `target`, in one step whatever was there; a directory is refused.
pub fn point(link: &Path, target: &Path) -> Result<(), Fault> {
    point_entry(&Entry::of(link).tried("link", link)?, target)
}

/// As [`point`], and removes `other` of the same folder. One sync makes both last.
pub fn point_and_remove(link: &Path, target: &Path, other: &Path) -> Result<(), Fault> {
    let entry = Entry::of(link).tried("link", link)?;
    put(&entry, "link", |temporary| temporary.make_link(target))?;
    let other = Entry::of(other).tried("remove", other)?;
    let removed = other.remove_if_there().tried("remove", &other.path()).map(drop);
    // The link is to last whatever became of the other.
    let synced = entry.dir().sync().tried("sync", entry.dir().path());
    removed.and(synced)
}

/// Gives what stands at `from` the name `to` in the same folder, in one step, and makes that last.
pub fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to).tried("rename", from)?;
    sync_dir(parent(to))
}

/// As [`point`], in a directory that is held open.
pub fn point_entry(link: &Entry, target: &Path) -> Result<(), Fault> {
    replace(link, "link", |temporary| temporary.make_link(target))
}

/// Puts what `make` makes in the place of an entry, in one step whatever was there, and makes that last.
fn replace(entry: &Entry, verb: &'static str, make: impl Fn(&Entry) -> io::Result<()>) -> Result<(), Fault> {
    put(entry, verb, make)?;
    entry.dir().sync().tried("sync", entry.dir().path())
}

/// Puts what `make` makes in the place of an entry, whose directory the caller syncs. `verb` is for the error: what could
/// not be done.
fn put(entry: &Entry, verb: &'static str, make: impl Fn(&Entry) -> io::Result<()>) -> Result<(), Fault> {
    by_way_of(&prepared(entry), entry, make).tried(verb, &entry.path())
}

/// Puts what `make` makes at `temporary` in the place of an entry.
fn by_way_of(temporary: &Entry, entry: &Entry, make: impl Fn(&Entry) -> io::Result<()>) -> io::Result<()> {
    let result = temporary.remove_if_there().and_then(|_| make(temporary)).and_then(|()| temporary.rename(entry));
    if result.is_err() {
        let _ = temporary.remove();
    }
    result
}

/// The way from the folder of `link` to `target`, for a link that says so relatively. It goes by the folder's real place,
/// where the system follows it from.
pub fn relative(link: &Path, target: &Path) -> PathBuf {
    let place = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let from = place(parent(link));
    let to = place(parent(target)).join(target.file_name().unwrap_or_default());
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// Whether two paths lead to one place, which is there. Names that are alike need no look at the links on the way.
pub fn are_one(one: &Path, other: &Path) -> bool {
    if one == other {
        return fs::metadata(one).is_ok();
    }
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// What a look at a path found; `None` if there is nothing of the kind.
///
/// # Errors
/// It cannot be seen what is there.
pub fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    use rustix::io::Errno;
    match found {
        Ok(found) => Ok(Some(found)),
        // Of `readlink`: it is no link.
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Removes a file or link; it is fine when there is none. Tells whether there was one.
pub fn remove(path: &Path) -> Result<bool, Fault> {
    match Entry::of(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        entry => remove_entry(&entry.tried("remove", path)?),
    }
}

/// As [`remove`], in a directory that is held open.
pub fn remove_entry(entry: &Entry) -> Result<bool, Fault> {
    let there = entry.remove_if_there().tried("remove", &entry.path())?;
    if there {
        entry.dir().sync().tried("sync", entry.dir().path())?;
    }
    Ok(there)
}

/// Gives what stands at `path` another name beside it, `NAME.before-hoist-TIME`, which is returned. A plain file keeps
/// its old name too, so that whoever replaces it leaves no moment without one.
pub fn set_aside(path: &Path) -> Result<PathBuf, Fault> {
    let entry = Entry::of(path).tried("move aside", path)?;
    let aside = aside_of(&entry);
    set_entry_aside(&entry, &aside)?;
    Ok(parent(path).join(aside.name()))
}

/// A name that an entry can be given by [`set_entry_aside`]: nothing has it yet.
pub fn aside_of(entry: &Entry) -> Entry {
    let name = entry.name().to_string_lossy();
    let stamp = crate::clock::run_id_stamp();
    let mut aside = entry.beside(format!("{name}.before-hoist-{stamp}"));
    let mut count = 1;
    while aside.exists() {
        count += 1;
        aside = entry.beside(format!("{name}.before-hoist-{stamp}-{count}"));
    }
    aside
}

/// As [`set_aside`], in a directory that is held open, by a name of [`aside_of`].
pub fn set_entry_aside(entry: &Entry, aside: &Entry) -> Result<(), Fault> {
    let plain_file = entry.metadata().is_ok_and(|found| found.is_file());
    // One that has the name already keeps both.
    let has_both = || {
        let identity = |entry: &Entry| entry.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        entry.hard_link(aside).is_ok() || identity(aside).is_some_and(|there| Some(there) == identity(entry))
    };
    if !(plain_file && has_both()) {
        entry.rename(aside).tried("move aside", &entry.path())?;
    }
    entry.dir().sync().tried("sync", entry.dir().path())
}

/// Removes a tree that may be large: first its name, in one step, so that no half of it is taken for the whole.
pub fn remove_tree(path: &Path, tag: &str) -> Result<(), Fault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let doomed = parent(path).join(format!("{name}{TEMPORARY}removed-{tag}"));
    fs::rename(path, &doomed).tried("remove", path)?;
    remove_leftover(&doomed)
}

/// Reads a file whole, with little of it in memory at once.
pub fn read_in_pieces(path: &Path, deadline: Deadline, mut each: impl FnMut(&[u8])) -> Result<(), Fault> {
    let mut input = File::open(path).tried("read", path)?;
    let mut piece = vec![0; PIECE];
    loop {
        deadline.check()?;
        match input.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => each(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).tried("read", path),
        }
    }
}

/// Removes a tree that has no name to lose. A file or a link may stand in a tree's place, which goes like it: no link is
/// followed.
pub fn remove_leftover(path: &Path) -> Result<(), Fault> {
    match crate::files::remove_tree(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).tried("remove", path),
        _ => Ok(()),
    }
}

/// The names in a directory, sorted; empty when it cannot be read.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_without_a_moment_in_which_it_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        point(&link, Path::new("revs/0")).unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (seen, watched) = (stop.clone(), link.clone());
        let watcher = std::thread::spawn(move || {
            let mut looks = 0;
            while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                fs::read_link(&watched).expect("there is always a link");
                looks += 1;
            }
            looks
        });
        for turn in 0..500 {
            point(&link, &PathBuf::from(format!("revs/{turn}"))).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 0);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("revs/499"));
    }

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_was_and_the_error_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir_all(path.join("child")).unwrap();
        let error = write(&path, b"new", 0o644).unwrap_err().reason();
        assert!(error.starts_with(&format!("cannot write {}: ", path.display())), "{error}");
        assert!(!error.contains("os error"), "{error}");
        assert!(path.join("child").is_dir());
        assert_eq!(names(dir.path()), ["folder"]);
    }

    #[test]
    fn a_file_or_a_link_in_the_place_of_a_tree_is_removed_like_one_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let (file, link, tree) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("tree"));
        for remove in [remove_leftover, |path: &Path| remove_tree(path, "tag")] {
            fs::write(&file, "").unwrap();
            std::os::unix::fs::symlink(&outside, &link).unwrap();
            fs::create_dir_all(tree.join("inner")).unwrap();
            for path in [&file, &link, &tree] {
                remove(path).unwrap();
            }
            assert_eq!(names(dir.path()), ["outside"]);
        }
        assert_eq!(names(&outside), ["kept"]);
        remove_leftover(&file).unwrap();
    }

    #[test]
    fn what_a_killed_writer_left_does_not_hinder_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(dir.path().join(".file.hoist-tmp"), "half").unwrap();
        write(&path, b"whole", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        fs::write(dir.path().join(".file.hoist-tmp"), "half").unwrap();
        point(&path, Path::new("elsewhere")).unwrap();
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn what_is_set_aside_twice_keeps_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let first = set_aside(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "two").unwrap();
        let second = set_aside(&path).unwrap();
        assert_eq!(fs::read(first).unwrap(), b"one");
        assert_eq!(fs::read(second).unwrap(), b"two");
    }
}
