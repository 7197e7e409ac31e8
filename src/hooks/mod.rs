//! Announcements: who is told what of a deployment, and how it gets there.
//!
//! An [`Announcement`] is what happened, as JSON. A [`Hook`] says which of them go where. An [`Outbox`] has a thread for
//! each hook that has something to send, so that nobody who listens, or does not, holds up a deployment. A [`Ledger`] keeps
//! on the disk what was to be sent and what was, for whoever comes after a dead deployer. Nothing here knows of a
//! deployment's story.

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
