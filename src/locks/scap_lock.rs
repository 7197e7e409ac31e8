//! The locks that Scap takes on the deploy host, so that it and Hoist do not deploy one repository at once.
//!
//! Scap locks its files with POSIX record locks (lockf), which flock's do not see. A deployment shares the global file
//! and has its repository's to itself; `scap lock --all` has the global file to itself. Who has a file to himself says in
//! it who he is, which those who wait are told, and leaves `{}` when he is done. A file that nobody has locked says
//! nothing.
//!
//! A record lock belongs to the process and ends as soon as that closes *any* descriptor of the file: nothing else here
//! may open these files while a lock is held.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};
use serde::Serialize;

use super::LockOwner;
use crate::clock;

/// Where Scap keeps its locks, whatever `lock_dir` says.
const FOLDER: &str = "/var/lock";

/// The file that every deployment of Scap's shares.
const GLOBAL: &str = "scap-global-lock";

/// Scap's files are for everybody.
const MODE: u32 = 0o666;

/// A folder that is made for them is the operators'.
const FOLDER_MODE: u32 = 0o775;

/// More of a file is not read.
const LONGEST: usize = 64 * 1024;

/// Scap's files for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScapFiles {
    /// The repository's: what `lock_file` names, or one of its own.
    pub own: PathBuf,
    /// That of all repositories.
    pub global: PathBuf,
}

impl ScapFiles {
    pub fn new(lock_file: Option<&Path>, repo: &str) -> ScapFiles {
        let own = || Path::new(FOLDER).join(format!("scap.{}.lock", repo.replace('/', "_")));
        ScapFiles { own: lock_file.map_or_else(own, Path::to_owned), global: Path::new(FOLDER).join(GLOBAL) }
    }
}

/// What the holder of a lock writes into its file, with the keys and the form that Scap reads.
#[derive(Debug, Serialize)]
struct Note<'a> {
    locker: &'a str,
    pid: u32,
    timestamp_utc: String,
    reason: &'a str,
}

impl Note<'_> {
    fn text(owner: &LockOwner) -> io::Result<Vec<u8>> {
        let holder = &owner.holder;
        let reason = if holder.message.is_empty() { "no reason given" } else { &holder.message };
        let timestamp_utc = crate::clock::asctime_utc();
        let note = Note { locker: &holder.user, pid: std::process::id(), timestamp_utc, reason };
        let mut text = Vec::new();
        let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        note.serialize(&mut serde_json::Serializer::with_formatter(&mut text, form))?;
        Ok(text)
    }
}

/// A lock on a file of Scap's, until it is dropped.
#[derive(Debug)]
pub struct ScapLock {
    file: File,
    /// The file holds our note.
    noted: bool,
}

/// Somebody has the lock: Scap, or a Hoist that has other locks of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct ScapHolds {
    pub path: PathBuf,
    pub pid: Option<i32>,
    /// What the file says about that.
    pub about: String,
}

impl fmt::Display for ScapHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "locked with Scap's lock file {}", self.path.display())?;
        if let Some(pid) = self.pid {
            write!(f, " (process {pid})")?;
        }
        if self.about.is_empty() { Ok(()) } else { write!(f, ": {}", self.about) }
    }
}

/// Why there is no lock of Scap's.
#[derive(Debug)]
pub enum ScapLockError {
    Held(ScapHolds),
    /// The file could not be opened or locked.
    Io(io::Error),
}

impl From<io::Error> for ScapLockError {
    fn from(error: io::Error) -> ScapLockError {
        ScapLockError::Io(error)
    }
}

impl ScapLock {
    /// Shares the lock of a file that is there, at once or not at all; `None`: there is no such file.
    pub fn share_if_there(path: &Path) -> Result<Option<ScapLock>, ScapLockError> {
        match open(path, false) {
            Ok(file) => lock(file, path, FlockOperation::NonBlockingLockShared).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Shares the lock of a file, which is made where it is missing, at once or not at all.
    pub fn share(path: &Path) -> Result<ScapLock, ScapLockError> {
        lock(open_or_make(path, false)?, path, FlockOperation::NonBlockingLockShared)
    }

    /// Takes the lock of a file, which is made where it is missing, at once or not at all, and says in it who has it.
    pub fn take(path: &Path, owner: &LockOwner) -> Result<ScapLock, ScapLockError> {
        let file = match open_or_make(path, true) {
            Ok(file) => file,
            // What cannot be written cannot be locked for writing. To share it keeps everybody out who would have it alone.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return ScapLock::share(path),
            Err(error) => return Err(error.into()),
        };
        let mut lock = lock(file, path, FlockOperation::NonBlockingLockExclusive)?;
        // The note is a courtesy: a full disk must not keep a deployment, a rollback say, from its lock.
        match lock.write(&Note::text(owner)?) {
            Ok(()) => lock.noted = true,
            Err(error) => log::debug!("cannot write {}: {error}", path.display()),
        }
        Ok(lock)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(text, 0)?;
        self.file.flush()
    }
}

impl Drop for ScapLock {
    fn drop(&mut self) {
        if self.noted {
            let _ = self.write(b"{}");
        }
    }
}

/// Who has a file to himself, found without locking anything. Not for a process that holds one of these locks.
pub fn scap_holder(path: &Path) -> Option<ScapHolds> {
    let file = open(path, false).ok()?;
    let pid = holder_of(&file, FlockType::ReadLock)?;
    Some(ScapHolds { path: path.to_owned(), pid: Some(pid), about: about(&read(&file)) })
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    options(write).open(path)
}

fn options(write: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    // Never through a link, nor waiting at a pipe, that somebody else has put in a folder open to all.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    options.read(true).write(write).mode(MODE).custom_flags(flags);
    options
}

/// Opens a file, without O_CREAT first: with it the kernel refuses another user's file in a sticky folder
/// (protected_regular).
fn open_or_make(path: &Path, write: bool) -> io::Result<File> {
    for _ in 0..100 {
        match open(path, write) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
        match options(true).create_new(true).open(path) {
            Ok(file) => {
                // However strict the umask.
                file.set_permissions(Permissions::from_mode(MODE))?;
                return Ok(file);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // Below /run folders are gone after a reboot; Scap makes that of its lock again.
            Err(error) if error.kind() == ErrorKind::NotFound => make_folder_of(path)?,
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("it keeps being removed and created"))
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir());
    let folder = folder.ok_or(ErrorKind::NotFound)?;
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

fn lock(file: File, path: &Path, how: FlockOperation) -> Result<ScapLock, ScapLockError> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file").into());
    }
    match fcntl_lock(&file, how) {
        Ok(()) => Ok(ScapLock { file, noted: false }),
        Err(Errno::AGAIN | Errno::ACCESS) => {
            let wanted = match how {
                FlockOperation::NonBlockingLockExclusive => FlockType::WriteLock,
                _ => FlockType::ReadLock,
            };
            let pid = holder_of(&file, wanted);
            Err(ScapLockError::Held(ScapHolds { path: path.to_owned(), pid, about: about(&read(&file)) }))
        }
        Err(errno) => Err(io::Error::from(errno).into()),
    }
}

/// The process in the way of such a lock.
fn holder_of(file: &File, wanted: FlockType) -> Option<i32> {
    let found = fcntl_getlk(file, &Flock::from(wanted)).ok().flatten()?;
    found.pid.map(|pid| pid.as_raw_nonzero().get())
}

fn read(file: &File) -> String {
    let mut text = vec![0; LONGEST];
    let length = file.read_at(&mut text, 0).unwrap_or_default();
    text.truncate(length);
    String::from_utf8_lossy(&text).into_owned()
}

/// What a file says, `alice, 3 min ago: 'T1'`: it is an object of JSON, or in older versions of Scap the reason alone.
fn about(text: &str) -> String {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else { return text.trim().to_owned() };
    let field = |key: &str| object.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let (who, since, why) = (field("locker"), field("timestamp_utc"), field("reason"));
    let when = clock::rfc3339_of_asctime(since).map_or_else(|| since.to_owned(), |time| clock::ago(&time));
    let by: Vec<&str> = [who, &when].into_iter().filter(|what| !what.is_empty()).collect();
    let why = if why.is_empty() { String::new() } else { format!("'{why}'") };
    [by.join(", "), why].into_iter().filter(|what| !what.is_empty()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(message: &str) -> LockOwner {
        LockOwner::from(crate::wire::Holder {
            run: "20261123T144552.123Z-4711-7d3f".parse().unwrap(),
            user: "alice".into(),
            host: "deploy1".into(),
            pid: 1,
            since: "2026-11-23T14:45:52Z".into(),
            message: message.into(),
        })
    }

    #[test]
    fn what_scap_wrote_is_told_in_either_form() {
        let json = r#"{"locker": "alice", "pid": 1, "timestamp_utc": "Mon Nov 23 14:45:52 2026", "reason": "T1"}"#;
        let told = about(json);
        assert!(told.starts_with("alice, ") && told.ends_with(": 'T1'") && !told.contains("14:45"), "{told}");
        assert_eq!(about(r#"{"locker": "alice", "timestamp_utc": "soon"}"#), "alice, soon");
        assert_eq!(
            (about("{}").as_str(), about("maintenance\n").as_str(), about("").as_str()),
            ("", "maintenance", "")
        );
    }

    #[test]
    fn scaps_own_names_are_looked_for_where_scap_looks_unless_the_configuration_has_one() {
        let files = ScapFiles::new(None, "parsoid/deploy");
        assert_eq!(files.own, Path::new("/var/lock/scap.parsoid_deploy.lock"));
        assert_eq!(files.global, Path::new("/var/lock/scap-global-lock"));
        assert_eq!(ScapFiles::new(Some(Path::new("/x")), "a").own, Path::new("/x"));
    }

    #[test]
    fn a_lock_is_filled_as_scap_fills_it_and_says_nothing_once_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scap.app.lock");
        std::fs::write(
            &path,
            "an older and much longer text than what is written now, up to here and then some more of it",
        )
        .unwrap();
        let lock = ScapLock::take(&path, &owner("why \"not\"")).unwrap();
        // Through the lock's own descriptor: another one, closed, would end the lock.
        let text = read(&lock.file);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["{", "    \"locker\": \"alice\","], "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["pid"], &read["reason"]), (&std::process::id().into(), &"why \"not\"".into()));
        drop(lock);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
    }

    #[test]
    fn a_file_that_is_made_is_for_everybody_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("global");
        drop(ScapLock::share(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert!(ScapLock::share_if_there(&folder.path().join("none")).unwrap().is_none());
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(ScapLock::take(&link, &owner("")).is_err() && ScapLock::share(&link).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}
