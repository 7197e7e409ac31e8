//! Whose a file is, for whoever was denied it.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::procfs::user_name;

/// What stands behind an error on a path: where permission was denied, whose the file or the folder is that is in the
/// way, its mode, and what mends it. Empty for every other error.
pub fn explain(error: &io::Error, path: &Path) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let closed = |path: &&Path| access(*path, Access::WRITE_OK) == Err(rustix::io::Errno::ACCESS);
    let stands = |path: &&Path| path.symlink_metadata().is_ok();
    // Of a file in a folder that cannot even be looked into, the folder is in the way.
    let place = path.ancestors().filter(stands).find(closed);
    let Some((place, found)) = place.and_then(|place| Some((place, place.metadata().ok()?))) else {
        return String::new();
    };
    let (owner, us) = (user_name(found.uid()), user_name(rustix::process::geteuid().as_raw()));
    let mut text = format!(" ({} belongs to {owner}, with mode {:04o}", place.display(), found.mode() & 0o7777);
    let _ = write!(text, ", and this is {us}: use chown or chmod, or be {owner})");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_not_about_permission_is_left_alone() {
        assert_eq!(explain(&io::ErrorKind::NotFound.into(), Path::new("/")), "");
    }
}
