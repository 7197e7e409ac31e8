//! All locks that a deployment needs on the deploy host: the repository's own, nobody's lock on all repositories, and
//! Scap's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::scap_lock::{ScapFiles, ScapHolds, ScapLock, scap_holder};
use super::{DeployLock, LockError, LockOwner, Purpose, default_lock_path, nameless};

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
        let names = [repo, "every repository of this host"];
        let looked = [(&self.scap.own, &self.own), (&self.scap.global, &self.all)];
        let ours = |path: &Path| match DeployLock::holder(path) {
            Ok(Some(Some(keeper))) => i32::try_from(keeper.holder.pid).ok(),
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
pub enum Refusal {
    /// The repository's; who has it, where that could be read.
    Own(PathBuf, Option<Box<LockOwner>>),
    /// That of all repositories.
    All(PathBuf, Option<Box<LockOwner>>),
    Scap(ScapHolds),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Own(path, None) => f.write_str(&nameless(path)),
            Refusal::Own(path, Some(keeper)) => write!(f, "{keeper} ({})", path.display()),
            Refusal::All(path, None) => write!(f, "{}, with all of this host", nameless(path)),
            Refusal::All(path, Some(keeper)) => write!(f, "{keeper}, with all of this host ({})", path.display()),
            Refusal::Scap(held) => write!(f, "is {held}"),
        }
    }
}

impl Locks {
    /// Takes the locks at once or not at all, and leaves the keeper's name in the repository's own.
    ///
    /// # Errors
    /// A file that cannot be locked, with its name and what to do.
    pub fn take(places: &LockPlaces, keeper: &LockOwner) -> anyhow::Result<Result<Locks, Refusal>> {
        let own = match DeployLock::acquire(&places.own, keeper) {
            Ok(lock) => lock,
            Err(LockError::Held(by)) => return Ok(Err(Refusal::Own(places.own.clone(), by))),
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
            return Ok(Err(Refusal::All(places.all.clone(), by.map(Box::new))));
        }
        let (global, repo) = (&places.scap.global, &places.scap.own);
        // In Scap's order.
        let taken = match places.with_scap {
            true => ScapLock::share(global).map_err(wrong(global))?.map(Some),
            false => ScapLock::share_if_there(global).map_err(wrong(global))?,
        };
        let mut scap = Vec::new();
        match taken {
            Ok(lock) => scap.extend(lock),
            Err(held) => return Ok(Err(Refusal::Scap(held))),
        }
        let taken = match places.with_scap {
            true => ScapLock::take(repo, keeper).map_err(wrong(repo))?.map(Some),
            false => ScapLock::share_if_there(repo).map_err(wrong(repo))?,
        };
        match taken {
            Ok(lock) => scap.extend(lock),
            Err(held) => return Ok(Err(Refusal::Scap(held))),
        }
        // Scap lets go of the repository first.
        scap.reverse();
        Ok(Ok(Locks { _own: own, _scap: scap }))
    }
    /// Takes Scap's lock on all repositories, where Scap may deploy this one; its deployments have to have ended.
    ///
    /// # Errors
    /// As [`Locks::take`].
    pub fn take_scaps_global(
        places: &LockPlaces,
        keeper: &LockOwner,
    ) -> anyhow::Result<Result<Option<ScapLock>, Refusal>> {
        if !places.with_scap {
            return Ok(Ok(None));
        }
        let path = &places.scap.global;
        let taken = ScapLock::take(path, keeper).map_err(|error| LockError::Io(path.clone(), error))?;
        Ok(taken.map(Some).map_err(Refusal::Scap))
    }
}
