//! Symbolic links that lead out of where a file belongs. A repository is not trusted with the operator's other files: a
//! link that was committed must neither have one of them read into what is deployed, nor written over.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::problem::Problem;
use crate::text;

/// The most that is read of a file, in bytes: several times what the longest request makes Hoist write into one.
pub const LARGEST: u64 = 256_000_000;

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
    read_named(&resolve(top, path, name)?, name)
}

/// Reads a file that people write, wherever it is. Nobody waits at a pipe, or reads a device without an end.
///
/// # Errors
/// When it cannot be read, or is something else. Messages call it `name`.
pub fn read_named(path: &Path, name: &str) -> Result<Vec<u8>, Problem> {
    let cannot = |error: io::Error| Problem::cannot_read(name, &error);
    let file = open_at_once(path).map_err(cannot)?;
    check_kind(&file.metadata().map_err(cannot)?, name)?;
    whole(file).map_err(cannot)
}

/// Fails when this is no regular file, nor `/dev/null`, which stands for an empty one. Messages call it `name`.
pub fn check_kind(meta: &Metadata, name: &str) -> Result<(), Problem> {
    let is_null = meta.file_type().is_char_device() && meta.rdev() == rustix::fs::makedev(1, 3);
    match meta.is_file() || is_null {
        true => Ok(()),
        false => Err(Problem::of_file(name, format!("{name} is not a regular file"))),
    }
}

/// Fails when `path` is a symbolic link: what Hoist writes for itself stands where it is meant to stand. It is fine when
/// there is nothing.
pub fn refuse_link(path: &Path) -> io::Result<()> {
    let Ok(to) = fs::read_link(path) else { return Ok(()) };
    // What a link to a directory leads to may be all that is known of past deployments.
    let advice = match path.is_dir() {
        true => "replace it with a directory that has the same content",
        false => "remove it",
    };
    let (path, to) = (path.display(), to.display());
    Err(io::Error::other(format!("{path} is a symbolic link, to {to}, and is not followed: {advice}")))
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
    open_own(path).and_then(whole)
}

/// All of it as text.
pub fn read_own_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_own(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a file of somebody else, or the one that a link there leads to. It may be anything: a pipe that nobody writes to.
pub fn read_other(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_at_once(path)?;
    match file.metadata()?.is_file() {
        true => whole(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// All that is in a file.
///
/// # Errors
/// It cannot be read, or is larger than [`LARGEST`]: a file with holes may be larger than the memory, on a full disk too.
pub fn whole(file: File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length <= LARGEST {
        bytes.reserve_exact(usize::try_from(length).unwrap_or_default());
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    }
    match length.max(bytes.len() as u64) > LARGEST {
        true => Err(io::Error::other(format!("it is larger than {}, as no such file is", text::bytes(LARGEST)))),
        false => Ok(bytes),
    }
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
