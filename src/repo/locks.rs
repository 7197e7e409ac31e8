//! All locks that a deployment needs on the deploy host: the repository's own, nobody's lock on all repositories, and
//! Scap's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::scap_lock::{ScapHolds, ScapLock, scap_lock_paths};
use super::{DeployLock, Keeper, LockError, Purpose, default_lock_path, nameless};

/// Where the locks of a repository are.
#[derive(Debug, Clone)]
pub struct LockPlaces {
    /// The repository's.
    pub own: PathBuf,
    /// That of all repositories.
    pub all: PathBuf,
    scap: [PathBuf; 2],
}

impl LockPlaces {
    /// As the keys `lock_dir`, `lock_file` and `git_repo` say.
    pub fn new(lock_dir: &Path, lock_file: Option<&Path>, repo: &str) -> LockPlaces {
        LockPlaces {
            own: lock_file.map_or_else(|| default_lock_path(lock_dir, repo), Path::to_owned),
            // No repository's lock has this name: theirs begin with `hoist-`.
            all: lock_dir.join("hoist.lock"),
            scap: scap_lock_paths(lock_dir, lock_file, repo),
        }
    }

    /// The deployments that are under way with a lock in the folder of [`LockPlaces::all`]: the names of their
    /// repositories, as their locks have them, and who deploys.
    pub fn under_way(&self) -> Vec<(String, Keeper)> {
        let entries = self.all.parent().map(std::fs::read_dir).and_then(Result::ok).into_iter().flatten().flatten();
        let mut found: Vec<(String, Keeper)> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let repo = name.strip_prefix("hoist-")?.strip_suffix(".lock")?.to_owned();
                let keeper = DeployLock::holder(&entry.path()).ok()??.filter(|by| by.purpose == Purpose::Deploy)?;
                Some((repo, keeper))
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
pub enum Kept {
    /// The repository's; who has it, where that could be read.
    Own(PathBuf, Option<Box<Keeper>>),
    /// That of all repositories.
    All(PathBuf, Option<Box<Keeper>>),
    Scap(ScapHolds),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Own(path, None) => f.write_str(&nameless(path)),
            Kept::Own(path, Some(keeper)) => write!(f, "{keeper} ({})", path.display()),
            Kept::All(path, None) => write!(f, "{}, with all of this host", nameless(path)),
            Kept::All(path, Some(keeper)) => write!(f, "{keeper}, with all of this host ({})", path.display()),
            Kept::Scap(held) => write!(f, "is {held}"),
        }
    }
}

impl Locks {
    /// Takes the locks at once or not at all, and leaves the keeper's name in the repository's own.
    ///
    /// # Errors
    /// A file that cannot be locked, with its name and what to do.
    pub fn take(places: &LockPlaces, keeper: &Keeper) -> anyhow::Result<Result<Locks, Kept>> {
        let own = match DeployLock::acquire(&places.own, keeper) {
            Ok(lock) => lock,
            Err(LockError::Held(by)) => return Ok(Err(Kept::Own(places.own.clone(), by))),
            Err(error) => return Err(error.into()),
        };
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| LockError::Io(path, error)
        };
        // After our own is taken: whoever takes that of all repositories then finds us under way, or we find it.
        if keeper.purpose == Purpose::Deploy
            && let Some(by) = DeployLock::holder(&places.all).map_err(wrong(&places.all))?
        {
            return Ok(Err(Kept::All(places.all.clone(), by.map(Box::new))));
        }
        let mut scap = Vec::new();
        for path in &places.scap {
            match ScapLock::share(path).map_err(wrong(path))? {
                Ok(lock) => scap.extend(lock),
                Err(held) => return Ok(Err(Kept::Scap(held))),
            }
        }
        Ok(Ok(Locks { _own: own, _scap: scap }))
    }
}
