//! How a target stands: all that its links say, read from the disk.

use crate::local::fault::Fault;
use crate::wire::{Revision, State};

use super::drained;
use super::layout::{Layout, Link};
use super::links;
use super::service_path;

/// Reads it; what cannot be read is not there.
pub fn state(layout: &Layout) -> State {
    with(layout, layout.read(Link::Current), layout.read(Link::Done), layout.read(Link::InProgress))
}

/// Reads it for the deployer, which is told of nothing that was not read.
///
/// # Errors
/// A link cannot be read. That there is none is no error.
pub fn look(layout: &Layout) -> Result<State, Fault> {
    Ok(with(layout, layout.look(Link::Current)?, layout.look(Link::Done)?, layout.look(Link::InProgress)?))
}

fn with(layout: &Layout, current: Option<Revision>, done: Option<Revision>, in_progress: Option<Revision>) -> State {
    let stray_links = links::stray(layout, current.as_ref());
    let drained = drained::read(layout).map(|record| Box::new(record.drained));
    let occupant = service_path::occupant(layout).map(Box::new);
    State { current, done, in_progress, stray_links, drained, occupant }
}
