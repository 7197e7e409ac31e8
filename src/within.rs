//! Symbolic links that lead out of where a file belongs. A repository is not trusted with the operator's other files: a
//! link that was committed must neither have one of them read into what is deployed, nor written over.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

/// Where a file of a working tree is in truth; links within the tree are followed.
///
/// # Errors
/// When it cannot be looked at, or is not in the working tree `top`, or is git's own. Messages call it `name`.
pub fn resolve(top: &Path, path: &Path, name: &str) -> Result<PathBuf> {
    let cannot = || format!("cannot read {name}");
    let real = path.canonicalize().with_context(cannot)?;
    let top = top.canonicalize().with_context(cannot)?;
    match real.strip_prefix(&top) {
        Err(_) => bail!(
            "{name} leads out of the repository, to {}: links may lead to files of the repository alone; put the file \
             itself there",
            real.display()
        ),
        Ok(below) if below.starts_with(".git") => bail!("{name} leads into git's own folder: {}", real.display()),
        Ok(_) => Ok(real),
    }
}

/// Reads a file as [`resolve`] finds it.
///
/// # Errors
/// Those of [`resolve`], and of reading.
pub fn read(top: &Path, path: &Path, name: &str) -> Result<Vec<u8>> {
    fs::read(resolve(top, path, name)?).with_context(|| format!("cannot read {name}"))
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

/// Options that do not follow a link in the last place of a path. [`refuse_link`] has the better message.
pub fn no_link() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_within_the_repository_are_followed_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("repo");
        fs::create_dir_all(top.join("hoist/environments")).unwrap();
        fs::create_dir_all(top.join(".git")).unwrap();
        fs::write(top.join("hoist/a"), "ours").unwrap();
        fs::write(top.join(".git/config"), "password").unwrap();
        fs::write(dir.path().join("private"), "secret").unwrap();
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
