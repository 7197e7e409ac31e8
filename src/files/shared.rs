//! Files that all operators of a repository share: journals, logs and what is remembered of targets.
//!
//! Whoever may write the folder may go on with what another operator began. The key `umask`, which a command sets for
//! itself as soon as it knows it, decides who that is; the group is that of the folder, setgid or not.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::no_links;
use super::ownership::Denied;

/// The mode of a new file, less what the umask takes: nobody but the repository's operators has any business there.
pub const MODE: u32 = 0o660;

/// The bit that hands a folder's group on to what is made in it.
const SETGID: u32 = 0o2000;

/// Makes a folder in the control folder, where it is missing. A new one ignores itself, so that nobody commits what is in
/// it.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    no_links::refuse_link(folder)?;
    match fs::create_dir(folder) {
        Ok(()) => {
            take_group(folder);
            // Whoever may not do this still has a folder of their own.
            let _ = hand_on_group(folder);
        }
        // Whoever made it may want it committed, as Scap's logs are.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    ignore(folder)
}

/// Keeps a folder out of the repository.
pub fn ignore(folder: &Path) -> io::Result<()> {
    let file = folder.join(".gitignore");
    if fs::symlink_metadata(&file).is_ok_and(|about| about.len() > 0) {
        return Ok(());
    }
    // Nothing is written through a link.
    let mut file = no_links::no_link().write(true).create(true).truncate(true).mode(0o664).open(file)?;
    file.write_all(b"*\n")
}

fn hand_on_group(folder: &Path) -> io::Result<()> {
    let mode = fs::metadata(folder)?.permissions().mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode | SETGID))
}

/// Gives what was just made the group of the folder that it lies in, as git does for a shared repository. Only members
/// of that group can; for others nothing changes.
pub fn take_group(path: &Path) {
    let group = |path: &Path| fs::metadata(path).ok().map(|about| about.gid());
    let wanted = path.parent().and_then(group);
    if wanted.is_some() && group(path) != wanted {
        let _ = std::os::unix::fs::chown(path, None, wanted);
    }
}

/// Writes a file in place of the one that is there, in one step; it is on the disk when this returns. Two who do so at
/// the same time have to keep each other out.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Denied> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let attempt = || -> io::Result<()> {
        // One that a killed process left, or a link that somebody put there.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = no_links::no_link().write(true).create_new(true).mode(MODE).open(&new)?;
        take_group(&new);
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_folder(path.parent().unwrap_or(path))
    };
    attempt().map_err(|error| Denied::new(&new, error))
}

/// Syncs a folder, so that what was made or renamed in it survives a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_where_a_link_leads() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, victim) = (dir.path().join("state"), dir.path().join("victim"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&victim, folder.join(".gitignore")).unwrap();
        ignore(&folder).unwrap();
        assert!(!victim.exists(), "through a link that dangles");
        std::os::unix::fs::symlink(&folder, dir.path().join("link")).unwrap();
        let error = make_folder(&dir.path().join("link")).unwrap_err().to_string();
        assert!(error.contains("link is a symbolic link") && error.contains("not followed"), "{error}");
    }

    #[test]
    fn a_folder_keeps_itself_out_of_the_repository_and_hands_its_group_on() {
        let control = tempfile::tempdir().unwrap();
        let folder = control.path().join("state");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & SETGID, SETGID);
        assert!(make_folder(&control.path().join("missing/state")).is_err());
    }
}
