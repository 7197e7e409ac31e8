//! A group of targets and how it is cut into subgroups.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FailureLimit, Target};

/// What happens to a host that failed within its group's limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedTargets {
    /// It stays as the failure left it.
    #[default]
    Leave,
    /// It is rolled back at once.
    Rollback,
}

/// An ordered group of targets. The order is the target file's, and never changes from run to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    pub targets: Vec<Target>,
    /// Targets in a subgroup; `None`: the whole group at once.
    pub size: Option<usize>,
    pub limit: FailureLimit,
    /// Rounds in which the group's failed hosts are tried again.
    pub retry_failed: usize,
    pub failed_targets: FailedTargets,
    /// How long the run soaks after each subgroup.
    #[serde(default)]
    pub soak_time: Duration,
    /// How long it soaks after the group.
    #[serde(default)]
    pub group_soak_time: Duration,
}

impl Group {
    /// The subgroups in order, each with its label: `canary` when there is one, else `canary1`, `canary2` …
    /// Ranges are indices into [`Group::targets`].
    pub fn subgroups(&self) -> Vec<(String, std::ops::Range<usize>)> {
        let whole = self.targets.len();
        let size = self.size.unwrap_or(whole).clamp(1, whole.max(1));
        let count = whole.div_ceil(size);
        (0..count)
            .map(|n| {
                let label = if count == 1 { self.name.clone() } else { format!("{}{}", self.name, n + 1) };
                (label, n * size..((n + 1) * size).min(whole))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(targets: usize, size: Option<usize>) -> Group {
        let targets = (0..targets).map(|n| format!("web{n}").parse().unwrap()).collect();
        Group { name: "canary".into(), targets, size, ..Group::default() }
    }

    #[test]
    fn subgroups_are_numbered_only_when_there_are_several() {
        assert_eq!(group(3, None).subgroups(), [("canary".into(), 0..3)]);
        assert_eq!(group(3, Some(3)).subgroups(), [("canary".into(), 0..3)]);
        assert_eq!(
            group(5, Some(2)).subgroups(),
            [("canary1".into(), 0..2), ("canary2".into(), 2..4), ("canary3".into(), 4..5)]
        );
        assert!(group(0, Some(2)).subgroups().is_empty());
    }
}
