//! Reading the logs of runs: Hoist's own, which are events in JSON, those that Scap left, which are Python's log records
//! in JSON, and whatever else lies in the folder, which is text.

mod entry;
mod filter;
mod follow;
mod printf;

pub use entry::{LogEntry, LogLine, LogReader, LogTime, Subject};
pub use filter::Filter;
pub use follow::{Follower, News, all, newest, read_whole};

#[cfg(test)]
mod tests;
