//! The locks that Scap takes on the deploy host, so that it and Hoist do not deploy one repository at once.
//!
//! Scap locks its files with POSIX record locks (lockf), which those of flock do not see. For its repository's file that
//! is an exclusive one; the global file is shared by deployments, and exclusive for `scap lock --all`. A shared lock of
//! ours on both keeps both away, and fails while one of them is there. Scap leaves its files behind: one that nobody has
//! locked says nothing.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

/// The global file's name in the folder of locks.
const GLOBAL: &str = "scap-global-lock";

/// Scap's files for a repository: that of the repository, or the one that the configuration names for it, and the global
/// one.
pub fn scap_lock_paths(lock_dir: &Path, lock_file: Option<&Path>, repo: &str) -> [PathBuf; 2] {
    let own = lock_dir.join(format!("scap.{}.lock", repo.replace('/', "_")));
    [lock_file.map_or(own, Path::to_owned), lock_dir.join(GLOBAL)]
}

/// A shared lock on a file of Scap's, until it is dropped.
#[derive(Debug)]
pub struct ScapLock {
    _file: File,
}

/// Scap has its lock.
#[derive(Debug, PartialEq, Eq)]
pub struct ScapHolds {
    pub path: PathBuf,
    pub pid: Option<i32>,
    /// What it says about that.
    pub about: String,
}

impl fmt::Display for ScapHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "locked by Scap ({}", self.path.display())?;
        if let Some(pid) = self.pid {
            write!(f, ", process {pid}")?;
        }
        if self.about.is_empty() { write!(f, ")") } else { write!(f, "): {}", self.about) }
    }
}

impl ScapLock {
    /// Shares the lock of a file, at once or not at all. `None`: there is no such file, so Scap never was here.
    pub fn share(path: &Path) -> io::Result<Result<Option<ScapLock>, ScapHolds>> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ok(None)),
            Err(error) => return Err(error),
        };
        match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Ok(Some(ScapLock { _file: file }))),
            Err(Errno::AGAIN | Errno::ACCESS) => {
                let asked = Flock::from(FlockType::ReadLock);
                let pid = fcntl_getlk(&file, &asked).ok().flatten().and_then(|lock| lock.pid);
                let mut text = String::new();
                let _ = (&mut file).take(64 * 1024).read_to_string(&mut text);
                let pid = pid.map(|pid| pid.as_raw_nonzero().get());
                Ok(Err(ScapHolds { path: path.to_owned(), pid, about: about(&text) }))
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What Scap wrote into its file: an object of JSON, or in older versions the reason alone.
fn about(text: &str) -> String {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else { return text.trim().to_owned() };
    let field = |key: &str| object.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let (who, since, why) = (field("locker"), field("timestamp_utc"), field("reason"));
    [("", who), ("since ", since), ("", why)]
        .into_iter()
        .filter(|(_, what)| !what.is_empty())
        .map(|(word, what)| format!("{word}{what}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scap_wrote_is_told_in_either_form() {
        let json = r#"{"locker": "alice", "pid": 1, "timestamp_utc": "Mon Nov 23 14:45:52 2026", "reason": "T1"}"#;
        assert_eq!(about(json), "alice, since Mon Nov 23 14:45:52 2026, T1");
        assert_eq!(
            (about("{}").as_str(), about("maintenance\n").as_str(), about("").as_str()),
            ("", "maintenance", "")
        );
    }

    #[test]
    fn scaps_own_names_are_looked_for_unless_the_configuration_has_one() {
        let folder = Path::new("/var/lock");
        let [own, global] = scap_lock_paths(folder, None, "parsoid/deploy");
        assert_eq!(own, Path::new("/var/lock/scap.parsoid_deploy.lock"));
        assert_eq!(global, Path::new("/var/lock/scap-global-lock"));
        assert_eq!(scap_lock_paths(folder, Some(Path::new("/x")), "a")[0], Path::new("/x"));
    }
}
