//! Announcements of deployments, and their delivery.
//!
//! An [`Announcement`] describes an event, as JSON. A [`Hook`] says which announcements go to which receiver. An
//! [`Outbox`] has a thread for each hook that has something to send, so that a slow receiver does not delay a
//! deployment. A [`Ledger`] records on disk what is to be sent and what was sent, in case the deployer dies. This
//! module does not depend on the story.

mod announcement;
mod body;
mod hook;
mod ledger;
mod mail;
mod outbox;
mod scap;
mod send;
mod sockets;
mod statsd;
mod variables;
mod webhook;

pub use announcement::{About, Announcement, Counts, EventKind, GateSample, GroupSize};
pub use body::{Body, ContentType};
pub use hook::{Action, Hook, Receiver, Webhook};
pub use ledger::{Ledger, Outcome, Queued, Written};
pub use outbox::{Outbox, Unsent};
pub use send::send;
pub use variables::VARIABLES;
