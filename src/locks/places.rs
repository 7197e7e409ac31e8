//! All locks that a deployment needs on the deploy host: the repository's own, nobody's lock on all repositories, and
//! Scap's.

use std::fmt;
use std::path::{Path, PathBuf};

use super::queue::Waiting;
use super::scap_lock::{ScapFiles, ScapHolds, ScapLock, ScapLockError, scap_holder};
use super::{DeployLock, LockError, LockHolder, LockOwner, Purpose, default_lock_path, nameless};

/// Where the locks of a repository are.
#[derive(Debug, Clone)]
pub struct LockPlaces {
    /// The repository's.
    pub own: PathBuf,
    /// That of all repositories.
    pub all: PathBuf,
    scap: ScapFiles,
    /// Scap may deploy this repository too: its locks are taken, and not only heeded.
    with_scap: bool,
}

impl LockPlaces {
    /// As the keys `lock_dir`, `lock_file` and `git_repo` say. Where Scap may deploy the repository too, `lock_file` is
    /// Scap's lock, and Hoist's own has its usual name.
    pub fn new(lock_dir: &Path, lock_file: Option<&Path>, repo: &str, with_scap: bool) -> LockPlaces {
        let own = lock_file.filter(|_| !with_scap);
        LockPlaces {
            own: own.map_or_else(|| default_lock_path(lock_dir, repo), Path::to_owned),
            // No repository's lock has this name: theirs begin with `hoist-`.
            all: lock_dir.join("hoist.lock"),
            scap: ScapFiles::new(lock_file, repo),
            with_scap,
        }
    }

    /// The locks of Scap's that somebody has to himself, on the repository or on all, and that are not a part of
    /// Hoist's own. Not for a process that holds one itself.
    pub fn held_elsewhere(&self, repo: &str) -> Vec<(String, ScapHolds)> {
        let names = [repo, "every repository on this host"];
        let looked = [(&self.scap.own, &self.own), (&self.scap.global, &self.all)];
        let ours = |path: &Path| match DeployLock::holder(path) {
            Ok(LockHolder::By(owner)) => i32::try_from(owner.holder.pid).ok(),
            _ => None,
        };
        let held = names.into_iter().zip(looked).filter_map(|(name, (scaps, own))| {
            let held = scap_holder(scaps)?;
            (held.pid != ours(own)).then(|| (name.to_owned(), held))
        });
        held.collect()
    }

    /// The deployments that are under way with a lock in the folder of [`LockPlaces::all`]: the names of their
    /// repositories, as their locks have them, and who deploys.
    pub fn under_way(&self) -> Vec<(String, LockOwner)> {
        let entries = self.all.parent().map(std::fs::read_dir).and_then(Result::ok).into_iter().flatten().flatten();
        let mut found: Vec<(String, LockOwner)> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let repo = name.strip_prefix("hoist-")?.strip_suffix(".lock")?.to_owned();
                let owner =
                    DeployLock::holder(&entry.path()).ok()?.named().filter(|by| by.purpose == Purpose::Deploy)?;
                Some((repo, owner))
            })
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }
}

/// The locks, held until they are dropped.
#[derive(Debug)]
pub struct Locks {
    _own: DeployLock,
    _scap: Vec<ScapLock>,
}

/// Whose lock is in the way. Written after the repository's name.
#[derive(Debug)]
pub enum Refusal {
    /// The repository's; who has it, where that could be read.
    Own(PathBuf, Option<Box<LockOwner>>),
    /// That of all repositories.
    All(PathBuf, Option<Box<LockOwner>>),
    Scap(ScapHolds),
    /// Nobody has it, and somebody else is first in the queue.
    Behind(Box<Waiting>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Own(path, None) => f.write_str(&nameless(path)),
            Refusal::Own(path, Some(owner)) => write!(f, "{owner} ({})", path.display()),
            Refusal::All(path, None) => write!(f, "{}, with every repository on this host", nameless(path)),
            Refusal::All(path, Some(owner)) => {
                write!(f, "{owner}, with every repository on this host ({})", path.display())
            }
            Refusal::Scap(held) => write!(f, "is {held}"),
            Refusal::Behind(first) => write!(f, "is waited for by {}, who asked first", first.holder),
        }
    }
}

/// Why the locks were not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// Somebody else has one of them.
    Refused(Refusal),
    /// A file cannot be locked: its name, and what to do.
    Failed(LockError),
}

impl From<LockError> for NotTaken {
    fn from(error: LockError) -> NotTaken {
        NotTaken::Failed(error)
    }
}

/// What is said of a lock of Scap's at `path` that was not taken.
fn scaps<T>(path: &Path, taken: Result<T, ScapLockError>) -> Result<T, NotTaken> {
    taken.map_err(|error| match error {
        ScapLockError::Held(held) => NotTaken::Refused(Refusal::Scap(held)),
        ScapLockError::Io(error) => LockError::Io(path.to_owned(), error).into(),
    })
}

impl Locks {
    /// Takes the locks at once or not at all, and leaves the owner's name in the repository's own.
    pub fn take(places: &LockPlaces, owner: &LockOwner) -> Result<Locks, NotTaken> {
        let own = DeployLock::acquire(&places.own, owner).map_err(|error| match error {
            LockError::Held(by) => NotTaken::Refused(Refusal::Own(places.own.clone(), by)),
            error => error.into(),
        })?;
        // After our own is taken: whoever takes that of all repositories then finds us under way, or we find it.
        if owner.purpose == Purpose::Deploy {
            let all = DeployLock::holder(&places.all).map_err(|error| LockError::Io(places.all.clone(), error))?;
            let refused = |by| Err(NotTaken::Refused(Refusal::All(places.all.clone(), by)));
            match all {
                LockHolder::Nobody => {}
                LockHolder::Nameless => return refused(None),
                LockHolder::By(owner) => return refused(Some(owner)),
            }
        }
        let (global, repo) = (&places.scap.global, &places.scap.own);
        let mut held = Vec::new();
        // In Scap's order.
        if places.with_scap {
            held.push(scaps(global, ScapLock::share(global))?);
            held.push(scaps(repo, ScapLock::take(repo, owner))?);
        } else {
            held.extend(scaps(global, ScapLock::share_if_there(global))?);
            held.extend(scaps(repo, ScapLock::share_if_there(repo))?);
        }
        // Scap lets go of the repository first.
        held.reverse();
        Ok(Locks { _own: own, _scap: held })
    }

    /// Takes Scap's lock on all repositories, where Scap may deploy this one; its deployments have to have ended.
    pub fn take_scaps_global(places: &LockPlaces, owner: &LockOwner) -> Result<Option<ScapLock>, NotTaken> {
        let path = &places.scap.global;
        if places.with_scap { scaps(path, ScapLock::take(path, owner)).map(Some) } else { Ok(None) }
    }
}
