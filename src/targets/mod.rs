//! Which hosts: target files, groups, patterns, failure limits, and names folded for people.

mod group;
mod host;
mod limit;

pub use group::Group;
pub use host::Target;
pub use limit::FailureLimit;
