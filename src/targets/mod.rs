//! Which hosts: target files, groups, patterns, failure limits, and names folded for people.

mod group;
mod host;
mod limit;

pub use group::{FailedTargets, Group};
pub use host::Target;
pub use limit::FailureLimit;
