//! When a gate is evaluated, or a hook is told, and for which group.

use serde::{Deserialize, Serialize};

/// When, and for which group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope<T> {
    /// The moments of a gate, the events of a hook; never empty.
    pub at: Vec<T>,
    /// Only for this group; `None`: for every group.
    pub group: Option<String>,
}

impl<T> Default for Scope<T> {
    fn default() -> Scope<T> {
        Scope { at: Vec::new(), group: None }
    }
}

impl<T: PartialEq> Scope<T> {
    /// Whether it has this group. An empty name stands for all groups, or for none: before the first host and before
    /// finalize there is no group.
    pub fn has_group(&self, group: &str) -> bool {
        group.is_empty() || self.group.as_ref().is_none_or(|own| own == group)
    }

    /// Whether it has this moment, or event, for a group.
    pub fn has(&self, at: T, group: &str) -> bool {
        self.at.contains(&at) && self.has_group(group)
    }
}
