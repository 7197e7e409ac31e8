//! The file that stands while a revision is going live and until its services have been restarted. Whoever finds it knows
//! that the links alone do not tell what runs.

use std::path::PathBuf;

use super::layout::Layout;
use crate::local::fault::Fault;
use crate::local::os::files;
use crate::wire::Revision;

fn marker(layout: &Layout) -> PathBuf {
    layout.own().join("going-live")
}

/// Notes that a revision is going live.
pub fn mark(layout: &Layout, revision: &Revision) -> Result<(), Fault> {
    files::make_dir(&layout.own())?;
    files::write(&marker(layout), revision.as_str().as_bytes(), 0o666)
}

/// Notes that it has gone live, services and checks included.
pub fn unmark(layout: &Layout) -> Result<(), Fault> {
    files::remove(&marker(layout)).map(drop)
}

/// The revision that is noted as going live.
pub fn marked(layout: &Layout) -> Option<Revision> {
    std::fs::read_to_string(marker(layout)).ok()?.trim().parse().ok()
}

/// Whether what is live never came to its end.
pub fn is_marked(layout: &Layout) -> bool {
    marker(layout).exists()
}
