//! One deployment of a repository at a time on the deploy host.
//!
//! The lock is `flock`'s on a file, so it ends with the process that holds it, however that ends. The file holds who has
//! the lock, for the one who does not get it, and it stays when the lock is let go: to remove it would let two processes
//! hold locks on two files of the same name.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::owner::LockOwner;
use crate::files::ownership;
use crate::files::ownership::MeantFor;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct DeployLock {
    file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockHolder {
    Nobody,
    /// Somebody who left no name.
    Nameless,
    By(Box<LockOwner>),
}

impl LockHolder {
    /// The holder who left a name.
    pub fn named(self) -> Option<LockOwner> {
        match self {
            LockHolder::By(owner) => Some(*owner),
            LockHolder::Nobody | LockHolder::Nameless => None,
        }
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it; who, where that could be read.
    Held(Option<Box<LockOwner>>),
    /// The file could not be opened or locked.
    Io(PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held(Some(owner)) => write!(f, "it {owner}"),
            LockError::Held(None) => write!(f, "it is locked by an unknown process"),
            LockError::Io(path, error) => {
                let whose = ownership::explain(error, path, MeantFor::Account);
                write!(
                    f,
                    "cannot lock {}: {error}{whose}; lock_file or lock_dir can name another place",
                    path.display()
                )
            }
        }
    }
}

/// Without a source: what the system said is in the words already.
impl std::error::Error for LockError {}

/// Where a repository's lock stands when the configuration names no file.
pub fn default_lock_path(lock_dir: &Path, repo: &str) -> PathBuf {
    lock_dir.join(format!("hoist-{}.lock", repo.replace('/', "_")))
}

/// The file of a lock is for everybody: who cannot read it could not see who has the lock, and who cannot write it could
/// not leave a name. It protects nothing by that, since whoever can read it can lock it too.
const MODE: u32 = 0o666;

/// How many more looks, of a tenth of a second each, a lock gets that no living process has put its name to.
const NAMELESS: usize = 30;

impl DeployLock {
    /// Takes the lock at once or not at all, and leaves the owner's name in it.
    pub fn acquire(path: &Path, owner: &LockOwner) -> Result<DeployLock, LockError> {
        let io = |error: io::Error| LockError::Io(path.to_owned(), error);
        // A file that is replaced while we look is looked at again; that does not go on for ever.
        for attempt in 0..100 {
            let Some((file, writable)) = open(path).map_err(io)? else { continue };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => match read_holder(&file) {
                    // A child that a killed deployer was just starting has its lock until it is started.
                    None if attempt < NAMELESS => continue,
                    by => return Err(LockError::Held(by.map(Box::new))),
                },
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(io(errno.into())),
            }
            if !stands_at(&file, path) {
                continue;
            }
            if !is_lock(&file).map_err(io)? {
                return Err(io(io::Error::other("it is not a lock file, and was not changed")));
            }
            let mut lock = DeployLock { file };
            if writable {
                lock.write_holder(owner).map_err(io)?;
            }
            return Ok(lock);
        }
        Err(io(io::Error::other("it keeps being replaced")))
    }

    /// Who holds the lock now, found without making or changing anything.
    pub fn holder(path: &Path) -> io::Result<LockHolder> {
        let file = match open_to_look(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LockHolder::Nobody),
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(LockHolder::Nobody),
            Err(Errno::WOULDBLOCK) => {
                Ok(read_holder(&file).map_or(LockHolder::Nameless, |by| LockHolder::By(Box::new(by))))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn write_holder(&mut self, holder: &LockOwner) -> io::Result<()> {
        let mut text = serde_json::to_vec(holder)?;
        text.push(b'\n');
        self.file.set_len(0)?;
        self.file.rewind()?;
        // The name is a courtesy: a full disk must not keep a deployment, a rollback say, from its lock.
        if let Err(error) = self.file.write_all(&text) {
            log::debug!("cannot write the name of the lock's holder: {error}");
        }
        Ok(())
    }
}

impl Drop for DeployLock {
    fn drop(&mut self) {
        // The next holder may be unable to write; nobody should then be told that it was us. Best effort, like the name.
        let _ = self.file.set_len(0);
    }
}

/// Opens the file to see who has it.
pub(in crate::locks) fn open_to_look(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens the file, making it where it is missing; also whether it can be written. `None`: it came or went meanwhile.
fn open(path: &Path) -> io::Result<Option<(File, bool)>> {
    let options = |write: bool| {
        let mut options = OpenOptions::new();
        // Never through a link, nor waiting at a pipe, that somebody else has put in a folder open to all.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.read(true).write(write).mode(MODE).custom_flags(flags.cast_signed());
        options
    };
    // Without O_CREAT first: with it the kernel refuses the file of another user in a sticky folder (protected_regular).
    let found = match options(true).open(path) {
        Ok(file) => Some((file, true)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // Another user's file. What can be read can be locked.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some((options(false).open(path)?, false)),
        Err(error) => return Err(error),
    };
    let (file, writable) = match found {
        Some(found) => found,
        None => match options(true).create_new(true).open(path) {
            Ok(file) => {
                // However strict the umask.
                file.set_permissions(fs::Permissions::from_mode(MODE))?;
                (file, true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(Some((file, writable)))
}

/// Whether nothing would be lost if a name were left in this file: it is empty, or holds what Hoist or Scap leave there. A
/// full disk may have kept half of our own name.
fn is_lock(mut file: &File) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(1 << 20).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    let ours = "{\"run\":";
    let object = || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let scaps = |object: &serde_json::Map<_, _>| {
        object.is_empty() || ["locker", "pid", "reason", "timestamp_utc"].iter().any(|key| object.contains_key(*key))
    };
    Ok(text.is_empty() || text.starts_with(ours) || ours.starts_with(text) || object().is_ok_and(|it| scaps(&it)))
}

/// Whether the path still leads to this file.
fn stands_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Who holds the lock. The holder writes its name just after it took the lock, so it gets a moment for that. A name left
/// by a process that has died, or does not have the lock, is not the holder's.
fn read_holder(file: &File) -> Option<LockOwner> {
    let holders = crate::procfs::lock_holders(file);
    let has_it = |owner: &LockOwner| holders.is_empty() || holders.iter().any(|it| it.id == owner.holder.pid);
    let alive = |owner: &LockOwner| {
        let pid = i32::try_from(owner.holder.pid).ok().and_then(Pid::from_raw)?;
        (test_kill_process(pid) != Err(Errno::SRCH)).then_some(())
    };
    for attempt in 0..5 {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut text = String::new();
        let mut file = file;
        // More than any holder's name: what somebody else wrote there must not fill our memory.
        let read = file.rewind().and_then(|()| file.take(1 << 20).read_to_string(&mut text));
        if read.is_ok()
            && let Ok(owner) = serde_json::from_str::<LockOwner>(&text)
            && alive(&owner).is_some()
            && has_it(&owner)
        {
            return Some(LockOwner { holder: owner.holder.bounded(), ..owner });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::wire::Holder;

    fn holder(message: &str) -> LockOwner {
        LockOwner::from(Holder {
            run: "20261123T144552.123Z-4711-7d3f".parse().unwrap(),
            user: "alice".into(),
            host: "deploy1".into(),
            pid: std::process::id(),
            since: "2026-11-23T14:45:52Z".into(),
            message: message.into(),
        })
    }

    fn of_process(pid: u32, message: &str) -> LockOwner {
        LockOwner::from(Holder { pid, ..holder(message).holder })
    }

    fn held_by(result: Result<DeployLock, LockError>) -> Option<LockOwner> {
        match result {
            Err(LockError::Held(holder)) => holder.map(|holder| *holder),
            other => panic!("expected a held lock, got {other:?}"),
        }
    }

    #[test]
    fn a_look_at_the_lock_names_its_holder_and_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(DeployLock::holder(&path).unwrap(), LockHolder::Nobody);
        assert!(!path.exists());
        let lock = DeployLock::acquire(&path, &holder("why")).unwrap();
        assert_eq!(DeployLock::holder(&path).unwrap().named(), Some(holder("why")));
        drop(lock);
        assert_eq!(DeployLock::holder(&path).unwrap(), LockHolder::Nobody);
    }

    #[test]
    fn a_lock_that_a_dead_deployer_leaves_to_a_child_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let name = of_process(dead.id(), "dead");
        fs::write(&path, serde_json::to_string(&name).unwrap()).unwrap();
        let child = File::open(&path).unwrap();
        rustix::fs::flock(&child, FlockOperation::NonBlockingLockExclusive).unwrap();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(child);
        });
        DeployLock::acquire(&path, &holder("next")).unwrap();
        ends.join().unwrap();
    }

    #[test]
    fn the_second_deployment_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = default_lock_path(folder.path(), "web/site");
        assert!(path.ends_with("hoist-web_site.lock"));
        let first = DeployLock::acquire(&path, &holder("first")).unwrap();
        let error = DeployLock::acquire(&path, &holder("second")).unwrap_err();
        assert!(error.to_string().contains("alice on deploy1") && error.to_string().contains("first"), "{error}");
        drop(first);
        let second = DeployLock::acquire(&path, &holder("second")).unwrap();
        assert_eq!(held_by(DeployLock::acquire(&path, &holder("third"))), Some(holder("second")));
        assert_eq!(DeployLock::holder(&path).unwrap().named(), Some(holder("second")));
        drop(second);
        assert!(path.exists(), "the file of a lock stays");
        assert_eq!(DeployLock::holder(&path).unwrap(), LockHolder::Nobody);
    }

    #[test]
    fn the_lock_dies_with_its_process_and_a_dead_holder_is_not_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut child = Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "echo held; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        let gone = {
            let mut other = Command::new("true").spawn().unwrap();
            other.wait().unwrap();
            of_process(other.id(), "of a process that has gone")
        };
        fs::write(&path, serde_json::to_string(&gone).unwrap()).unwrap();
        assert_eq!(held_by(DeployLock::acquire(&path, &holder("x"))), None);
        // flock(1) waits for its child; both end when the pipe does.
        drop(child.stdin.take());
        child.wait().unwrap();
        DeployLock::acquire(&path, &holder("x")).unwrap();
    }

    #[test]
    fn others_may_read_the_lock_and_leave_their_name_in_it_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _lock = DeployLock::acquire(&path, &holder("x")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    }

    /// A lock's path in a folder as `/var/lock` is: open to all, where none may remove another's file. `None`: only root
    /// can play two users.
    fn open_to_all() -> Option<(tempfile::TempDir, PathBuf)> {
        rustix::process::geteuid().is_root().then(|| {
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
            let path = folder.path().join("lock");
            (folder, path)
        })
    }

    #[test]
    fn the_file_of_another_user_in_a_folder_open_to_all_can_be_locked() {
        let Some((_folder, path)) = open_to_all() else { return };
        fs::write(&path, "").unwrap();
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
        let _lock = DeployLock::acquire(&path, &holder("x")).unwrap();
        assert_eq!(held_by(DeployLock::acquire(&path, &holder("y"))), Some(holder("x")));
    }

    #[test]
    fn a_lock_that_can_only_be_read_still_keeps_two_apart() {
        let Some((_folder, path)) = open_to_all() else { return };
        drop(DeployLock::acquire(&path, &holder("by root, who has gone")).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: it changes the user that this one thread, which ends with the test, opens files as.
                unsafe { libc::setfsuid(65534) };
                let lock = DeployLock::acquire(&path, &holder("by nobody")).unwrap();
                assert_eq!(held_by(DeployLock::acquire(&path, &holder("x"))), None);
                drop(lock);
                DeployLock::acquire(&path, &holder("by nobody")).unwrap();
            });
        });
    }

    #[test]
    fn a_link_or_a_folder_in_the_locks_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let path = folder.path().join("lock");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(matches!(DeployLock::acquire(&path, &holder("x")), Err(LockError::Io(..))));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        let error = DeployLock::acquire(folder.path(), &holder("x")).unwrap_err();
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
        assert!(matches!(
            DeployLock::acquire(&folder.path().join("no/such/folder"), &holder("x")),
            Err(LockError::Io(..))
        ));
    }

    #[test]
    fn of_many_that_try_at_once_on_a_new_file_one_gets_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| DeployLock::acquire(&path, &holder("x")))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    }
}
