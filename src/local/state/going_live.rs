//! The file that stands while a revision is going live, until its services have been restarted and its checks have passed.
//! Whoever finds it knows that the links alone do not tell what runs, and how well.

use std::path::PathBuf;

use super::layout::Layout;
use crate::files::no_links;
use crate::local::fault::Fault;
use crate::local::os::files;
use crate::wire::Revision;

/// What follows the revision in the file of a rollback.
const BACK: &str = "rollback";

fn marker(layout: &Layout) -> PathBuf {
    layout.own().join("going-live")
}

/// A revision that is noted as going live.
#[derive(Debug, PartialEq, Eq)]
pub struct GoingLive {
    pub revision: Revision,
    /// It went live before: a rollback brings it back.
    pub is_back: bool,
}

/// Notes that a revision is going live.
pub fn mark(layout: &Layout, revision: &Revision) -> Result<(), Fault> {
    note(layout, revision.as_str())
}

/// Notes that a rollback brings a revision back.
pub fn mark_back(layout: &Layout, revision: &Revision) -> Result<(), Fault> {
    note(layout, &format!("{revision} {BACK}"))
}

fn note(layout: &Layout, text: &str) -> Result<(), Fault> {
    files::make_dir(&layout.own())?;
    files::write(&marker(layout), text.as_bytes(), 0o666)
}

/// Notes that it has gone live, services and checks included; or that it is live again as it was when it had.
pub fn unmark(layout: &Layout) -> Result<(), Fault> {
    files::remove(&marker(layout)).map(drop)
}

/// What is noted as going live.
pub fn marked(layout: &Layout) -> Option<GoingLive> {
    let text = no_links::read_own_text(&marker(layout)).ok()?;
    let mut words = text.split_whitespace();
    let revision = words.next()?.parse().ok()?;
    Some(GoingLive { revision, is_back: words.next() == Some(BACK) })
}

/// Whether what is live never came to its end.
pub fn is_marked(layout: &Layout) -> bool {
    marker(layout).exists()
}
