//! Clearing a target's locks for a person who has seen whose they are. A lock dies with its process, so what can be in
//! the way is a process: a lock holder whose deployer was cut off, or a stage that hangs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::RunId;

use super::fault::{Fault, plain};
use super::os::sys::Process;
use super::out::Out;
use super::state::claim;
use super::state::fence;
use super::state::layout::Layout;
use super::state::lock;
use super::state::lock::Found;

/// How long a process may take to end when it is asked to; then it is killed.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a killed one may take to be gone.
const DEATH: Duration = Duration::from_secs(3);
/// Holders of one lock that are ended one after the other: lock holders of a run inherit it from each other.
const MOST: usize = 100;

/// Ends the processes of run `held` that hold this target's locks, and forgets the newest run. Another run's lock that
/// has come meanwhile is left alone.
pub fn run(layout: &Layout, held: Option<&RunId>, out: &Out) -> Result<(), Fault> {
    for path in [lock::run_path(layout), lock::stage_path(layout)] {
        let mut ended = None;
        for _ in 0..MOST {
            let note = match lock::look(&path) {
                Found::Nobody => break,
                Found::Stranger(who) => return Err(Fault::failed(format!("{who}; nothing was ended"))),
                Found::Run(note) => note,
            };
            let holder = &note.holder;
            if held != Some(&holder.run) {
                return Err(Fault::failed(format!("now locked by {holder}; run unlock again to clear it")));
            }
            if ended.replace(note.process) == Some(note.process) {
                let (lock, process) = (path.display(), note.process);
                return Err(Fault::failed(format!(
                    "process {process} was ended, but {lock} is still locked in its name"
                )));
            }
            end(&path, note.process)?;
            out.info(format!("process {} of run {} was ended", note.process, holder.run));
        }
    }
    if let Some(by) = claim::holder(layout) {
        if held != Some(&by.run) {
            return Err(Fault::failed(format!("now locked by {by}; run unlock again to clear it")));
        }
        claim::give_up(layout, &by.run)?;
        out.info(format!("the note of run {} was removed", by.run));
    }
    if fence::newest(layout).is_some() {
        fence::forget(layout)?;
        out.info("older runs are accepted again");
    }
    Ok(())
}

/// Ends a process that holds a lock, and no other that may have its id by now.
fn end(path: &Path, id: u32) -> Result<(), Fault> {
    let cannot = |why: String| {
        let lock = path.display();
        Fault::failed(format!("cannot end process {id}, which holds {lock}: {why}; end it on that host"))
    };
    // From here on the handle means this one process, even when its id is given to another.
    let process = match Process::open(id) {
        Ok(Some(process)) => process,
        Ok(None) => return Ok(()),
        Err(error) => return Err(cannot(plain(&error))),
    };
    match is_ours(path, id) {
        Ok(true) => {}
        Ok(false) => return Err(cannot("it is not a hoist deploy-local that has this lock open".into())),
        Err(error) => return Err(cannot(plain(&error))),
    }
    for (signal, patience) in [("TERM", PATIENCE), ("KILL", DEATH)] {
        process.signal(signal == "KILL").map_err(|error| cannot(plain(&error)))?;
        let until = Instant::now() + patience;
        while process.is_there() {
            if Instant::now() >= until {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        if !process.is_there() {
            return Ok(());
        }
    }
    Err(cannot("it does not end".into()))
}

/// Whether a process was called as `deploy-local` and has the lock's file open.
pub(super) fn is_ours(path: &Path, id: u32) -> std::io::Result<bool> {
    let lock = fs::metadata(path)?;
    let words = fs::read(format!("/proc/{id}/cmdline"))?;
    if !words.split(|byte| *byte == 0).any(|word| word == b"deploy-local") {
        return Ok(false);
    }
    let open = fs::read_dir(format!("/proc/{id}/fd"))?;
    let same = |entry: fs::DirEntry| {
        let found = fs::metadata(entry.path());
        found.is_ok_and(|found| (found.dev(), found.ino()) == (lock.dev(), lock.ino()))
    };
    Ok(open.flatten().any(same))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::state::lock::{Note, RunLock};
    use crate::local::tests::{layout, who};

    /// Why the lock of this run, or of whoever holds it, is not ended.
    fn refused(layout: &Layout, held: Option<&str>) -> String {
        let held: Option<RunId> = held.map(|run| run.parse().unwrap());
        run(layout, held.as_ref(), &Out::nowhere()).unwrap_err().reason()
    }

    #[test]
    fn a_process_that_is_no_deploy_local_is_never_ended() {
        let (_dir, layout) = layout();
        // This very test holds the lock.
        let held = RunLock::take(&layout, &who("one"), false).unwrap();
        let why = refused(&layout, Some("one"));
        assert!(why.contains("not a hoist deploy-local"), "{why}");
        // A note that names another process, which does not have the lock open.
        let mut sleeper = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let note = Note { process: sleeper.id(), ..Note::new(&who("one"), None) };
        fs::write(lock::run_path(&layout), serde_json::to_string(&note).unwrap()).unwrap();
        refused(&layout, Some("one"));
        assert!(sleeper.try_wait().unwrap().is_none(), "a stranger was ended");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        drop(held);
    }

    #[test]
    fn a_lock_that_went_to_another_run_meanwhile_is_left_alone() {
        let (_dir, layout) = layout();
        let _held = RunLock::take(&layout, &who("two"), false).unwrap();
        for held in [Some("one"), None] {
            let why = refused(&layout, held);
            assert!(why.contains("now locked by ada on deploy1"), "{why}");
        }
    }
}
