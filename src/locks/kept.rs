//! The lock that a rollback leaves on a repository, until somebody ends it. It is a file and no process's, so it outlives
//! the deployer and the host's next boot.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::owner::LockOwner;
use crate::files::shared;

/// More than any owner takes, in bytes.
const LONGEST: u64 = 1 << 20;

fn path(folder: &Path) -> PathBuf {
    folder.join("locked.json")
}

/// Locks the repository whose state is in `folder`. The lock of its deployments has to be held.
///
/// # Errors
/// The file cannot be written.
pub fn keep(folder: &Path, owner: &LockOwner) -> Result<()> {
    let mut text = serde_json::to_vec(owner)?;
    text.push(b'\n');
    let path = path(folder);
    shared::replace(&path, &text).with_context(|| format!("cannot write {}", path.display()))
}

/// The lock that stands, if there is one.
///
/// # Errors
/// A file that cannot be read; the message says how to get rid of it.
pub fn kept(folder: &Path) -> Result<Option<LockOwner>> {
    let path = path(folder);
    let read = || -> io::Result<LockOwner> {
        if fs::symlink_metadata(&path)?.len() > LONGEST {
            return Err(io::Error::other("it is too long"));
        }
        let owner: LockOwner = serde_json::from_slice(&fs::read(&path)?)?;
        Ok(LockOwner { holder: owner.holder.bounded(), ..owner })
    };
    match read() {
        Ok(owner) => Ok(Some(owner)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}, the lock after a rollback", path.display())),
    }
}

/// Ends the lock, readable or not. Says whether there was one.
///
/// # Errors
/// The file cannot be removed.
pub fn end_kept(folder: &Path) -> Result<bool> {
    let path = path(folder);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_kept_until_it_is_ended_even_if_it_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(kept(folder.path()).unwrap().is_none() && !end_kept(folder.path()).unwrap());
        let text = r#"{"run":"20261123T144552.123Z-4711-7d3f","user":"alice","host":"deploy1","pid":1,
            "since":"2026-11-23T14:45:52Z","message":"2 of 4 hosts failed","purpose":"rollback"}"#;
        let owner: LockOwner = serde_json::from_str(text).unwrap();
        keep(folder.path(), &owner).unwrap();
        let found = kept(folder.path()).unwrap().unwrap();
        assert_eq!(found, owner);
        assert!(found.to_string().starts_with("is locked after a rollback, by a run of alice on deploy1, "), "{found}");
        fs::write(path(folder.path()), "{").unwrap();
        let error = format!("{:#}", kept(folder.path()).unwrap_err());
        assert!(error.contains("locked.json, the lock after a rollback"), "{error}");
        assert!(end_kept(folder.path()).unwrap() && kept(folder.path()).unwrap().is_none());
    }
}
