//! The deployments that wait for a repository's lock, in the order in which they were asked for.
//!
//! Each waits with a file of its own, which it holds an `flock` on: a file that nobody has locked is that of a process that
//! has ended, however that ended, and does not count.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::files::no_links;
use crate::procfs;
use crate::wire::{Holder, Revision};

/// Everybody who may deploy may wait, and nobody may remove the file of another: as in `/tmp`.
const FOLDER_MODE: u32 = 0o1777;

/// A file of this size lists more commits than any that is written here, in bytes.
const LONGEST: u64 = 1 << 20;

/// A deployment that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Who; the run's name says since when.
    #[serde(flatten)]
    pub holder: Holder,
    pub revision: Revision,
    /// The newest commits that the revision follows from.
    pub follows: Vec<Revision>,
    /// What it is about: the environment, the hosts and the stages. Only deployments of the same replace one another.
    pub about: String,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub struct Place {
    waiting: Waiting,
    path: PathBuf,
    /// Holds the lock that says that this process lives.
    _file: File,
}

impl Place {
    /// Queues for the lock at `lock`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn take(lock: &Path, waiting: Waiting) -> io::Result<Place> {
        let folder = lock.with_extension("queue");
        match DirBuilder::new().mode(FOLDER_MODE).create(&folder) {
            // However strict the umask.
            Ok(()) => fs::set_permissions(&folder, Permissions::from_mode(FOLDER_MODE))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => no_links::refuse_link(&folder)?,
            Err(error) => return Err(error),
        }
        tidy(&folder);
        let path = folder.join(waiting.holder.run.as_str());
        let new = folder.join(format!(".{}", waiting.holder.run));
        let mut file = no_links::no_link().write(true).create_new(true).open(&new)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&serde_json::to_vec(&waiting)?)?;
        // Whoever sees it sees it whole and locked.
        fs::rename(&new, &path)?;
        Ok(Place { waiting, path, _file: file })
    }

    /// The deployment of a newer revision that waits too, and that this one has to give way to.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn newer(&self) -> io::Result<Option<Waiting>> {
        Ok(newest(self.all()?, &self.waiting.about).filter(|newest| newest.holder.run != self.waiting.holder.run))
    }

    /// Whoever was here first, and is not stopped.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn first(&self) -> io::Result<Option<Waiting>> {
        let ahead = |other: &Waiting| other.holder.run < self.waiting.holder.run;
        Ok(self.all()?.into_iter().find(|it| ahead(it) && !procfs::is_stopped(it.holder.pid)))
    }

    /// Those that wait, in order.
    fn all(&self) -> io::Result<Vec<Waiting>> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut all = vec![self.waiting.clone()];
        for path in files(folder)?.filter(|path| *path != self.path && !is_new(path)) {
            // Another user's, or gone by now.
            let Ok(Some(file)) = open_live(&path) else { continue };
            let mut text = String::new();
            let read = file.take(LONGEST).read_to_string(&mut text);
            if let (Ok(_), Ok(found)) = (read, serde_json::from_str::<Waiting>(&text))
                && path.file_name().is_some_and(|name| name == found.holder.run.as_str())
            {
                all.push(Waiting { holder: found.holder.bounded(), ..found });
            }
        }
        all.sort_by(|a, b| a.holder.run.cmp(&b.holder.run));
        Ok(all)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The one of several that is to be deployed: the last, but for revisions that the one ahead of it follows from already.
/// All who look at the same queue find the same, so that not all of them give way.
fn newest(queue: Vec<Waiting>, about: &str) -> Option<Waiting> {
    let mut of_same = queue.into_iter().filter(|waiting| waiting.about == about);
    let first = of_same.next()?;
    Some(of_same.fold(first, |newest, next| if newest.follows.contains(&next.revision) { newest } else { next }))
}

fn files(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    Ok(fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()))
}

/// Whether it is still being written.
fn is_new(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The file of a process that still waits.
fn open_live(path: &Path) -> io::Result<Option<File>> {
    let file = no_links::plain_file(no_links::no_link().read(true).open(path)?)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(file)),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes what processes that were killed have left, as far as it may be removed.
fn tidy(folder: &Path) {
    for path in files(folder).into_iter().flatten().filter(|path| !is_new(path)) {
        if matches!(open_live(&path), Ok(None)) {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// The n-th that asked, for a revision that follows from others.
    fn waiting(n: u32, digit: char, follows: &str) -> Waiting {
        let holder = Holder {
            run: format!("20261123T14455{n}.123Z-4711-7d3f").parse().unwrap(),
            user: "alice".into(),
            host: "deploy1".into(),
            pid: std::process::id(),
            since: "2026-11-23T14:45:52Z".into(),
            message: String::new(),
        };
        let follows = follows.chars().map(revision).collect();
        Waiting { holder, revision: revision(digit), follows, about: "all".into() }
    }

    #[test]
    fn the_last_one_is_the_newest_unless_another_one_follows_from_it() {
        let newest = |queue: &[Waiting]| newest(queue.to_vec(), "all").map(|it| it.revision);
        let (one, two, three) = (waiting(1, '1', ""), waiting(2, '2', "1"), waiting(3, '3', "21"));
        assert_eq!(newest(&[one.clone(), two.clone(), three.clone()]), Some(revision('3')));
        // An old one that comes late.
        let late = waiting(4, '1', "");
        assert_eq!(newest(&[two.clone(), three.clone(), late]), Some(revision('3')));
        // A branch of its own: whoever asks last means it.
        assert_eq!(newest(&[three.clone(), waiting(5, '5', "1")]), Some(revision('5')));
        // The same once more, and something else.
        assert_eq!(newest(&[three.clone(), waiting(6, '3', "21")]), Some(revision('3')));
        assert_eq!(newest(&[three, Waiting { about: "canary".into(), ..waiting(7, '7', "321") }]), Some(revision('3')));
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn a_place_counts_as_long_as_it_is_held_and_what_a_killed_process_left_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("hoist-app.lock");
        let first = Place::take(&lock, waiting(1, '1', "")).unwrap();
        assert_eq!((first.newer().unwrap(), first.first().unwrap()), (None, None));
        let second = Place::take(&lock, waiting(2, '2', "1")).unwrap();
        assert_eq!(first.newer().unwrap(), Some(waiting(2, '2', "1")));
        assert_eq!((second.newer().unwrap(), second.first().unwrap()), (None, Some(waiting(1, '1', ""))));
        // As after kill -9: the file is there, and nobody holds it.
        let third = Place::take(&lock, waiting(3, '3', "21")).unwrap();
        let (path, left) = (third.path.clone(), fs::read(&third.path).unwrap());
        drop(third);
        fs::write(&path, left).unwrap();
        assert_eq!(second.newer().unwrap(), None);
        drop(first);
        assert_eq!(second.first().unwrap(), None);
        let fourth = Place::take(&lock, waiting(4, '4', "")).unwrap();
        assert!(!path.exists(), "whoever comes next removes it");
        drop((second, fourth));
        assert_eq!(files(&lock.with_extension("queue")).unwrap().count(), 0);
    }
}
