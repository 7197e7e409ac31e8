//! Which hosts: target files, groups, patterns, failure limits, and names folded for people.

mod file;
mod fold;
mod group;
mod host;
mod limit;
mod pattern;

pub use file::{SYSTEM_FOLDER, TargetFile, read_target_file, scan_target_file};
pub use fold::fold;
pub use group::{FailedTargets, Group};
pub use host::Target;
pub use limit::FailureLimit;
pub use pattern::HostPattern;
