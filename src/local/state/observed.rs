//! How a target stands: all that its links say, read from the disk.

use crate::wire::State;

use super::layout::{Layout, Link};
use super::links;

/// Reads it.
pub fn state(layout: &Layout) -> State {
    let current = layout.read(Link::Current);
    let stray_links = links::stray(layout, current.as_ref());
    State { current, done: layout.read(Link::Done), in_progress: layout.read(Link::InProgress), stray_links }
}
