//! Symbolic links that lead out of where a file belongs. A repository is not trusted with the operator's other files: a
//! link that was committed must neither have one of them read into what is deployed, nor written over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::problem::Problem;

/// Where a file of a working tree is in truth; links within the tree are followed.
///
/// # Errors
/// When it cannot be looked at, or is not in the working tree `top`, or is git's own. Messages call it `name`.
pub fn resolve(top: &Path, path: &Path, name: &str) -> Result<PathBuf, Problem> {
    let cannot = |error: io::Error| Problem::cannot_read(name, &error);
    let real = path.canonicalize().map_err(cannot)?;
    let top = top.canonicalize().map_err(cannot)?;
    let why = match real.strip_prefix(&top) {
        Err(_) => {
            format!("{name} is a link out of the repository, to {}: replace the link with the file", real.display())
        }
        Ok(below) if below.starts_with(".git") => {
            format!("{name} is a link into git's own directory: {}", real.display())
        }
        Ok(_) => return Ok(real),
    };
    Err(Problem::of_file(name, why))
}

/// Reads a file as [`resolve`] finds it.
///
/// # Errors
/// Those of [`resolve`], and of reading.
pub fn read(top: &Path, path: &Path, name: &str) -> Result<Vec<u8>, Problem> {
    fs::read(resolve(top, path, name)?).map_err(|error| Problem::cannot_read(name, &error))
}

/// Fails when `path` is a symbolic link: what Hoist writes for itself stands where it is meant to stand. It is fine when
/// there is nothing.
pub fn refuse_link(path: &Path) -> io::Result<()> {
    match fs::read_link(path) {
        Ok(to) => Err(io::Error::other(format!(
            "{} is a symbolic link, to {}, and is not followed: remove it",
            path.display(),
            to.display()
        ))),
        Err(_) => Ok(()),
    }
}

/// Options that neither follow a link in the last place of a path nor wait at a pipe there. [`refuse_link`] and
/// [`plain_file`] have the better messages.
pub fn no_link() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// Opens a file to read it, or whatever a link there leads to, without waiting at a pipe for a writer. The caller looks at
/// what it is.
///
/// # Errors
/// It cannot be opened.
pub fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// The file, unless it is something else.
pub fn plain_file(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file; remove it")),
    }
}

/// Opens what Hoist wrote for itself, to read it: a file, and nothing that stands in its place.
pub fn open_own(path: &Path) -> io::Result<File> {
    refuse_link(path)?;
    no_link().read(true).open(path).and_then(plain_file)
}

/// All of it.
pub fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_own(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A repository's folder, with a file of its own and what is not to be read in and beside it.
    fn repository() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("repo");
        fs::create_dir_all(top.join("hoist/environments")).unwrap();
        fs::create_dir_all(top.join(".git")).unwrap();
        fs::write(top.join("hoist/a"), "ours").unwrap();
        fs::write(top.join(".git/config"), "password").unwrap();
        fs::write(dir.path().join("private"), "secret").unwrap();
        (dir, top)
    }

    #[test]
    fn links_within_the_repository_are_followed_and_no_others() {
        let (_dir, top) = repository();
        symlink("../a", top.join("hoist/environments/in")).unwrap();
        symlink(top.join("hoist/a"), top.join("hoist/absolute")).unwrap();
        symlink("../../private", top.join("hoist/out")).unwrap();
        symlink("..", top.join("hoist/up")).unwrap();
        symlink("../.git/config", top.join("hoist/git")).unwrap();
        let read = |name: &str| read(&top, &top.join(name), name);
        for name in ["hoist/a", "hoist/environments/in", "hoist/absolute"] {
            assert_eq!(read(name).unwrap(), b"ours", "{name}");
        }
        for name in ["hoist/out", "hoist/up/../private", "hoist/git"] {
            let error = format!("{:#}", read(name).unwrap_err());
            assert!(error.starts_with(name) && !error.contains("secret"), "{error}");
        }
    }
}
