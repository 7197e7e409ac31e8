//! What a deployment did, on disk, so that whoever comes after a dead deployer can go on where it stopped.
//!
//! One file a deployment, `state/<run id>.journal` in the control folder: JSON lines, written one behind the other, and
//! synced to disk before the story acts on what they hold. A journal that ends with [`Record::Closed`] is finished.
//! Resuming runs the same story over a fleet and an operator that answer from the journal first: there is no second state
//! machine. What a journal lacks, the targets' own records of the run have.

mod durations;
mod fate;
mod file;
mod gates;
mod history;
mod looks;
mod once;
mod operator;
mod parse;
mod past;
mod read;
mod record;
mod replay;
mod room;
mod stack;
mod steps_left;
mod times;
mod told;
mod unfinished;
mod unreadable;
mod whole;

pub use durations::{PastDuration, durations};
pub use fate::{Fate, fate};
pub use file::{Journal, make_folder};
pub use history::{History, PastRun, deployments_of, environments_of, history, in_another_environment, stayed};
pub use looks::{PastLook, PastLooks, past_looks};
pub use once::{PastOnce, past_steps};
pub use parse::{Parsed, ReadRecords, Wrong, parse};
pub use past::{Past, PastJournal, PastLinks, PastResult, PastStep, PastTime, past};
pub use read::{UNTOUCHED, abandoned, close_untouched, open_run, prune, unfinished};
pub use record::{FORMAT, Opened, Record, once_of};
pub use replay::{AtTheEnd, Replay};
pub use room::Space;
pub use steps_left::{LeftState, LeftStep, RunSteps, UndoneSince, left_by};
pub use times::Times;
pub use told::{Told, first_seen};
pub use unfinished::Unfinished;
pub use unreadable::Unreadable;
pub use whole::{Choice, Progress, WholeRun, newest_id, whole_run};
