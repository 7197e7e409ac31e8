//! How a target stands: all that its links say, read from the disk.

use crate::wire::State;

use super::drained;
use super::layout::{Layout, Link};
use super::links;

/// Reads it.
pub fn state(layout: &Layout) -> State {
    let current = layout.read(Link::Current);
    let stray_links = links::stray(layout, current.as_ref());
    let (done, in_progress) = (layout.read(Link::Done), layout.read(Link::InProgress));
    let drained = drained::read(layout).map(|record| Box::new(record.drained));
    State { current, done, in_progress, stray_links, drained }
}
