//! Hoist's own folder on a target, `.hoist`: locks, records, the lease, the last request.
//!
//! Whoever can open a lock's file can take the lock, and with it keep every deployment out; so the folder is for the
//! account that deploys here and for nobody else. Where several accounts deploy here as one group, which the setgid bit of
//! the repository's folder says, or files of several owners, it is for that group. An older build left everything
//! readable to all: that is put right when the folder is next used.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use crate::files::no_links;
use crate::files::ownership;
use crate::files::ownership::MeantFor;
use crate::local::fault::{Fault, Tried, plain};
use crate::local::os::files;
use crate::local::os::sys;

const ALONE: u32 = 0o700;
const SHARED: u32 = 0o770;
const SETGID: u32 = 0o2000;
const GROUP_WRITES: u32 = 0o020;

/// Makes the folder, and those above it, where it is missing, and takes away what others may do there.
pub fn prepare(folder: &Path) -> Result<(), Fault> {
    match fs::symlink_metadata(folder) {
        Ok(found) => tighten(folder, &found),
        // What stands in the way is named by whatever is made first.
        Err(_) => make(folder),
    }
}

fn make(folder: &Path) -> Result<(), Fault> {
    let above = files::parent(folder);
    files::make_dir(above)?;
    match DirBuilder::new().mode(ALONE).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).tried("create", folder),
        _ => {}
    }
    if fs::metadata(above).is_ok_and(|above| is_for_a_group(&above)) {
        fs::set_permissions(folder, Permissions::from_mode(SETGID | SHARED)).tried("share", folder)?;
    }
    give(&File::open(folder).tried("open", folder)?, above).tried("give away", folder)
}

/// Whether several accounts deploy to a repository's folder, as one group.
pub fn is_for_a_group(folder: &Metadata) -> bool {
    folder.mode() & (SETGID | GROUP_WRITES) == SETGID | GROUP_WRITES
}

/// Best effort: only the owner may, and what others find open here they could find open before.
fn tighten(folder: &Path, found: &Metadata) -> Result<(), Fault> {
    if found.mode() & 0o077 == 0 || !found.is_dir() {
        return Ok(());
    }
    let entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let stranger = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|it| it.uid() != found.uid() && it.uid() != 0 && found.uid() != 0)
    };
    let above = fs::metadata(files::parent(folder)).is_ok_and(|above| is_for_a_group(&above));
    let shared = found.mode() & GROUP_WRITES != 0 && (above || entries.iter().any(|path| stranger(path)));
    let most = if shared { SHARED } else { ALONE };
    if found.mode() & 0o777 & !most == 0 {
        return Ok(());
    }
    for path in entries.iter().map(|path| &**path).chain([folder]) {
        let Ok(about) = fs::symlink_metadata(path) else { continue };
        if !about.is_symlink() {
            let _ = fs::set_permissions(path, Permissions::from_mode(about.mode() & (0o7000 | most)));
        }
    }
    Ok(())
}

/// What a new file in the folder may be to others.
fn mode_in(folder: &Path) -> u32 {
    let shared = fs::metadata(folder).is_ok_and(|found| found.mode() & GROUP_WRITES != 0);
    if shared { SHARED & 0o666 } else { ALONE & 0o666 }
}

/// Writes a whole file of the folder, which is there, or of a folder within it.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Fault> {
    write_by(files::write, path, content)
}

/// As [`write`], but after a power cut the file may be what it was before.
pub fn write_or_keep(path: &Path, content: &[u8]) -> Result<(), Fault> {
    write_by(files::write_or_keep, path, content)
}

fn write_by(write: fn(&Path, &[u8], u32) -> Result<(), Fault>, path: &Path, content: &[u8]) -> Result<(), Fault> {
    let folder = files::parent(path);
    write(path, content, mode_in(folder))?;
    match sys::is_root() {
        true => File::open(path).and_then(|file| give(&file, folder)).tried("give away", path),
        false => Ok(()),
    }
}

/// Opens a file of the folder to read and write, and makes it where it is missing.
pub fn open(path: &Path) -> Result<File, Fault> {
    let folder = files::parent(path);
    let options = |create: bool| {
        let mut options = no_links::no_link();
        options.read(true).write(true).create_new(create).mode(0o600);
        options
    };
    let attempt = || -> io::Result<File> {
        no_links::refuse_link(path)?;
        match options(false).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            done => return done.and_then(no_links::plain_file),
        }
        match options(true).open(path) {
            Ok(file) => {
                // However strict the umask.
                file.set_permissions(Permissions::from_mode(mode_in(folder)))?;
                give(&file, folder)?;
                Ok(file)
            }
            // Another process was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => options(false).open(path),
            Err(error) => Err(error),
        }
    };
    attempt().map_err(|error| {
        let whose = ownership::explain(&error, path, MeantFor::Deployers);
        Fault::failed(format!("cannot open {}: {}{whose}", path.display(), plain(&error)))
    })
}

/// What root makes in the folder of another account is that account's: it deploys here next.
fn give(file: &File, folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    if sys::is_root() && owner.uid() != 0 { fchown(file, Some(owner.uid()), None) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_folder_and_its_files_are_for_the_account_alone() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("app-cache/.hoist");
        prepare(&own).unwrap();
        write(&own.join("record"), b"x").unwrap();
        open(&own.join("lock")).unwrap();
        assert_eq!((mode(&own), mode(&own.join("record")), mode(&own.join("lock"))), (0o700, 0o600, 0o600));
    }

    #[test]
    fn what_an_older_build_left_open_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join(".hoist");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("lock"), "").unwrap();
        fs::set_permissions(own.join("lock"), Permissions::from_mode(0o666)).unwrap();
        for before in [0o755, 0o775, 0o777] {
            fs::set_permissions(&own, Permissions::from_mode(before)).unwrap();
            prepare(&own).unwrap();
            assert_eq!((mode(&own), mode(&own.join("lock"))), (0o700, 0o600), "{before:o}");
        }
    }

    #[test]
    fn a_folder_that_a_group_shares_stays_the_groups() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("app-cache");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, Permissions::from_mode(0o2775)).unwrap();
        let own = root.join(".hoist");
        prepare(&own).unwrap();
        open(&own.join("lock")).unwrap();
        assert_eq!((mode(&own), mode(&own.join("lock"))), (0o2770, 0o660));
        fs::set_permissions(&own, Permissions::from_mode(0o2777)).unwrap();
        prepare(&own).unwrap();
        assert_eq!(mode(&own), 0o2770);
    }
}
