//! Which hosts: target files, groups, patterns, failure limits, and names folded for people.

mod details;
mod file;
mod fold;
mod group;
mod host;
mod limit;
mod list;
mod names;
mod pattern;
mod range;
mod share;
mod steps;
mod term;
pub mod written;

pub use details::Details;
pub use file::{SYSTEM_FOLDER, TargetFile, parse_targets, read_target_file, read_targets};
pub use fold::fold;
pub use group::{FailedTargets, Group};
pub use host::Target;
pub use limit::FailureLimit;
pub use list::parse_list;
pub use names::{check_user, is_name_character};
pub use pattern::{HostPattern, limit_to};
pub use share::Share;
pub use steps::Steps;
