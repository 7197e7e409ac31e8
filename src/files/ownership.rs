//! Whose a file is, for whoever was denied it: the one place that explains that.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::procfs::{group_name, user_name};

/// Whose the files are meant to be, and so what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeantFor {
    /// One account.
    Account,
    /// The account that a deployer logs in with, on a target.
    RemoteUser,
    /// All operators of a repository, on the deploy host.
    Operators,
    /// The account that deploys here; `repository` is the folder that several of them would have to share.
    Deployers,
}

/// An error at a file or folder. Where permission was denied it says what is in the way, whose that is, and what repairs it.
#[derive(Debug)]
pub struct Denied {
    path: PathBuf,
    error: io::Error,
}

impl Denied {
    /// At a file or folder that all operators share.
    pub fn new(path: &Path, error: io::Error) -> Denied {
        Denied { path: path.to_owned(), error }
    }

    /// Whether it was permission that was denied.
    pub fn is_permission(&self) -> bool {
        self.error.kind() == io::ErrorKind::PermissionDenied
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.error, explain(&self.error, &self.path, MeantFor::Operators))
    }
}

impl std::error::Error for Denied {}

/// What stands behind an error on a path: what is in the way, whose it is, its mode, and what repairs it. Empty for every
/// error but a denied permission.
pub fn explain(error: &io::Error, path: &Path, meant_for: MeantFor) -> String {
    if Errno::from_io_error(error) == Some(Errno::PERM) {
        // No mode does that; who may do it at all, the system does not say.
        return match rustix::process::geteuid().is_root() {
            true => {
                "; see the attributes of it and of its folder (lsattr), and remove those that forbid it (chattr -ia)"
            }
            false => "; see whose it is, and its attributes and those of its folder (lsattr)",
        }
        .to_owned();
    }
    match in_the_way(path).filter(|_| error.kind() == io::ErrorKind::PermissionDenied) {
        Some((place, found)) => describe(place, &found, meant_for),
        None => String::new(),
    }
}

/// The file or folder that is closed to this user. What is missing could not be made in the folder above it.
fn in_the_way(path: &Path) -> Option<(&Path, Metadata)> {
    let mut there = path.ancestors().filter_map(|place| Some((place, place.symlink_metadata().ok()?)));
    let first = there.next()?;
    let is_closed = |place: &Path| access(place, Access::WRITE_OK) == Err(rustix::io::Errno::ACCESS);
    if is_closed(first.0) {
        return Some(first);
    }
    // A file that may be written may still not be removed, or replaced, in a folder that may not.
    Some(there.find(|(place, _)| is_closed(place)).unwrap_or(first))
}

fn describe(place: &Path, found: &Metadata, meant_for: MeantFor) -> String {
    let (owner, us) = (user_name(found.uid()), user_name(rustix::process::geteuid().as_raw()));
    let (group, mode) = (group_name(found.gid()), found.mode() & 0o7777);
    let folder = if found.is_dir() { place } else { place.parent().unwrap_or(place) };
    let whom = if owner == "root" { "root".to_owned() } else { format!("{owner} or root") };
    let (more, cure) = match meant_for {
        MeantFor::Account => (format!(", and you are {us}"), format!("use chown or chmod, or run this as {owner}")),
        MeantFor::RemoteUser => {
            (format!(", and the remote user is {us}"), format!("use chown or chmod there, or set ssh_user to {owner}"))
        }
        MeantFor::Operators => (
            String::new(),
            format!(
                "ask {whom} to run `chmod -R g+rwX {0}`, and `chgrp -R GROUP {0}` if {group} is not the operators' group",
                folder.display()
            ),
        ),
        MeantFor::Deployers => (
            String::new(),
            format!(
                "deploy as {owner}, or let {owner} share {} with a group that has both accounts (chgrp -R GROUP, \
                 chmod -R g+rwX, chmod g+s on its directories)",
                folder.parent().unwrap_or(folder).display()
            ),
        ),
    };
    let group = if meant_for == MeantFor::Operators { format!(", group {group}") } else { String::new() };
    format!(" ({} belongs to {owner}{group}, mode {mode:04o}{more}): {cure}", place.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_error_that_is_not_about_permission_is_left_alone() {
        assert_eq!(explain(&io::ErrorKind::NotFound.into(), Path::new("/"), MeantFor::Account), "");
        let other = Denied::new(Path::new("/"), io::ErrorKind::StorageFull.into()).to_string();
        assert!(!other.contains("belongs to"), "{other}");
    }

    #[test]
    fn what_attributes_forbid_is_not_blamed_on_the_mode() {
        for meant_for in [MeantFor::Account, MeantFor::RemoteUser, MeantFor::Operators, MeantFor::Deployers] {
            let denied = explain(&io::Error::from_raw_os_error(libc::EPERM), Path::new("/"), meant_for);
            assert!(denied.contains("lsattr") && !denied.contains("belongs to"), "{denied}");
        }
    }

    #[test]
    fn what_permissions_forbid_is_told_with_the_owner_and_the_cure() {
        let control = tempfile::tempdir().unwrap();
        let path = control.path().join("state/run.journal");
        let owner = user_name(fs::metadata(control.path()).unwrap().uid());
        for (meant_for, whose, cure) in [
            (MeantFor::Account, ", mode ", "use chown or chmod"),
            (MeantFor::RemoteUser, ", mode ", "or set ssh_user to"),
            (MeantFor::Operators, ", group ", "chmod -R g+rwX"),
            (MeantFor::Deployers, ", mode ", "deploy as"),
        ] {
            let denied = explain(&io::ErrorKind::PermissionDenied.into(), &path, meant_for);
            let wanted = format!("{} belongs to {owner}{whose}", control.path().display());
            assert!(denied.contains(&wanted) && denied.contains(cure), "{denied}");
            assert!(!denied.contains("root or root"), "{denied}");
        }
    }
}
