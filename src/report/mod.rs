//! Showing what happens: one event type, and the readers of it.

mod event;

pub use event::{Event, GroupHead, HostRow};

/// Anyone who is told what happens. A reporter never fails: what it cannot write, a closed pipe say, is let go.
pub trait Reporter {
    fn event(&mut self, event: &Event);
}
