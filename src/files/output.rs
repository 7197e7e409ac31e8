//! Files that the operator names for output: plans, reports.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes a whole file, or leaves what is there as it is: nobody reads the half of it, and a full disk costs nothing. A
/// link is followed. What is no regular file, such as a pipe or `/dev/stdout`, is written to as it stands.
///
/// # Errors
/// Those of the system.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let (place, mode) = match fs::metadata(path) {
        Ok(about) if !about.is_file() => return fs::write(path, text),
        Ok(about) => (fs::canonicalize(path)?, Some(about.permissions())),
        // A link whose end is missing, too: what it leads to is made.
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => return fs::write(path, text),
        Err(error) if error.kind() == ErrorKind::NotFound => (PathBuf::from(path), None),
        Err(error) => return Err(error),
    };
    // A file that may not be written to stays, although its folder would let it be replaced.
    if mode.is_some() {
        fs::OpenOptions::new().write(true).open(&place)?;
    }
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = tempfile::Builder::new().prefix(".hoist-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut new = match new {
        Ok(new) => new,
        // A folder in which this account makes no files may hold one that it writes to.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && mode.is_some() => return fs::write(path, text),
        Err(error) => return Err(error),
    };
    new.write_all(text.as_bytes())?;
    if let Some(mode) = mode {
        new.as_file().set_permissions(mode)?;
    }
    new.as_file().sync_all()?;
    new.persist(place).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_mode_and_the_links_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("plan.json"), folder.path().join("link"));
        write(&file, "one").unwrap();
        let umask = rustix::process::umask(rustix::fs::Mode::empty());
        rustix::process::umask(umask);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o666 & !umask.bits(), "as any new file");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("plan.json", &link).unwrap();
        let reader = fs::File::open(&file).unwrap();
        write(&link, "two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(io::read_to_string(reader).unwrap(), "one", "who reads the old one reads it to its end");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_and_devices_are_written_to() {
        let folder = tempfile::tempdir().unwrap();
        write(Path::new("/dev/null"), "gone").unwrap();
        assert!(fs::metadata("/dev/null").is_ok_and(|about| !about.is_file()));
        assert!(write(folder.path(), "text").is_err(), "a folder");
        assert!(write(&folder.path().join("missing/file"), "text").is_err());
        let missing = folder.path().join("link");
        std::os::unix::fs::symlink("later", &missing).unwrap();
        write(&missing, "text").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("later")).unwrap(), "text");
    }
}
