//! What a deployment did, on disk, so that whoever comes after a dead deployer can go on where it stopped.
//!
//! One file a deployment, `state/<run id>.journal` in the control folder: JSON lines, appended, and synced to disk
//! before the story acts on what they hold. A journal that ends with [`Record::Closed`] is finished. Resuming runs the
//! same story over a fleet and an operator that answer from the journal first: there is no second state machine.

mod file;
mod history;
mod replay;

pub use file::{Journal, Opened, Record, Unfinished, abandoned, make_folder, parse, prune, unfinished};
pub use history::{Finalized, done_before, history, open_run, stack};
pub use replay::{AtTheEnd, Tape};
