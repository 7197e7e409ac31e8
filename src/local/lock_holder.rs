//! The newest lock holder of a run replaces the ones before it.
//!
//! A connection can be dead without the target's sshd knowing, for hours: behind a router that forgot it, say. Its lock holder
//! would hold the lock for as long, though the deployer has connected again and has long ended its run. So the lock holder
//! that takes the lock says so in a file, and an older one of the same run that reads it there ends by itself.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::files::no_links;
use crate::threads;
use crate::wire::RunId;

use super::state::hoist_dir;
use super::state::layout::Layout;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(250);

fn path(layout: &Layout) -> PathBuf {
    // Builds of either name share the file.
    layout.own().join("keeper")
}

/// Says that this process is the run's lock holder from now on, and ends this process when a newer one says so.
///
/// A disk that cannot be written costs only this: an older lock holder stays until its connection ends.
pub fn take_over(layout: &Layout, run: &RunId) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name = format!("{run} {}.{since}", std::process::id());
    if hoist_dir::write(&path(layout), name.as_bytes()).is_err() {
        return;
    }
    let (path, run) = (path(layout), run.clone());
    // Without a thread this one stays too, when there is a newer one.
    let _ = threads::start(move || {
        while !is_replaced(&path, &run, &name) {
            thread::sleep(LOOK);
        }
        std::process::exit(0);
    });
}

/// Whether another lock holder of the same run has come.
fn is_replaced(path: &Path, run: &RunId, name: &str) -> bool {
    let newest = no_links::read_own_text(path).unwrap_or_default();
    newest != name && newest.split(' ').next() == Some(run.as_str())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_newer_lock_holder_of_the_same_run_replaces_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, run) = (dir.path().join("keeper"), "one".parse().unwrap());
        let replaced = |text: &str| {
            fs::write(&path, text).unwrap();
            is_replaced(&path, &run, "one 7.100")
        };
        assert!(!replaced("one 7.100"));
        assert!(replaced("one 8.200"));
        assert!(!replaced("two 8.200"));
        assert!(!replaced(""));
        fs::remove_file(&path).unwrap();
        assert!(!is_replaced(&path, &run, "one 7.100"));
    }
}
