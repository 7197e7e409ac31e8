//! Ending the stage that works here, because the operator of its run aborts it.

use crate::wire::{RunId, Stage};

use super::os::sys::Process;
use super::state::layout::Layout;
use super::state::lock;
use super::unlock;

/// Asks a stage of a run to end, if that one is at work: it ends what it runs, and records and tells its end itself. One
/// that cannot be asked goes on to its time limit.
pub fn run(layout: &Layout, run: &RunId, at: (Stage, u32)) {
    let path = lock::stage_path(layout);
    let works = || lock::holder(&path).filter(|note| note.holder.run == *run && note.at == Some(at));
    let Some(note) = works() else { return };
    let Ok(Some(process)) = Process::open(note.process) else { return };
    // From here on the handle means one process; it is the stage if that still has its lock.
    if works().as_ref() == Some(&note) && unlock::is_ours(&path, note.process).unwrap_or(false) {
        let _ = process.abort();
    }
}
