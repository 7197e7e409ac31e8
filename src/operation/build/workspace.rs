//! The temporary directory of a build. It goes with the build and with all that the build left running, however this
//! process ends.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, flock};

/// How the directories are named.
const PREFIX: &str = "hoist-build-";

/// Waits until its input ends, as it does when this process dies, and then ends the build and removes its directory. A
/// build may have made directories that cannot be written to.
const GUARD: &str = r#"cat >/dev/null
if read -r group <"$0/group"; then kill -KILL "-$group"; fi
rm -rf "$0" && exit
find "$0" -type d ! -perm -700 -exec chmod u+rwx {} \;
rm -rf "$0""#;

/// A directory for one build, with a guard that removes it.
pub struct Workspace {
    folder: PathBuf,
    guard: Child,
    /// Held as long as the directory is used.
    _lock: File,
}

impl Workspace {
    /// Makes one, and removes those whose builds were killed together with their guards.
    ///
    /// # Errors
    /// There is no room, or no shell.
    pub fn create() -> io::Result<Workspace> {
        let place = std::env::temp_dir().canonicalize()?;
        sweep(&place)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        let lock = File::open(folder.path())?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let guard = guard(folder.path())?;
        Ok(Workspace { folder: folder.keep(), guard, _lock: lock })
    }

    /// Where the commit is checked out.
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// A shell that runs a line, and that the guard knows.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo "$$" >"$0" && exec /bin/sh -c "$1""#]).arg(self.group()).arg(line);
        command
    }

    /// Ends it. Returns the directory where that could not be removed: a build may have made what this user may not touch.
    pub fn close(self) -> Option<PathBuf> {
        let folder = self.folder.clone();
        drop(self);
        folder.exists().then_some(folder)
    }

    /// The file with the process group of the build.
    fn group(&self) -> PathBuf {
        self.folder.join("group")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // The build is over; its number may be another process's by now.
        let _ = fs::remove_file(self.group());
        end(&mut self.guard);
    }
}

fn guard(folder: &Path) -> io::Result<Child> {
    let mut command = Command::new("/bin/sh");
    // What ends this process, Ctrl-C say, does not end the guard.
    command.args(["-c", GUARD]).arg(folder).current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn end(guard: &mut Child) {
    drop(guard.stdin.take());
    let _ = guard.wait();
}

/// Removes directories of this user that no build holds.
fn sweep(place: &Path) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place)?.flatten() {
        let is_ours = entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == own);
        if !is_ours || !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok(folder) = File::open(entry.path()) else { continue };
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(entry.path().join("group"));
            end(&mut guard(&entry.path())?);
        }
    }
    Ok(())
}
