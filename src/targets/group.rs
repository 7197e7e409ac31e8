//! A group of targets and how it is cut into subgroups.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FailureLimit, Share, Steps, Target, written};

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
    #[serde(with = "written")]
    pub targets: Vec<Target>,
    /// The sizes of its subgroups.
    #[serde(default, alias = "size")]
    pub steps: Steps,
    pub limit: FailureLimit,
    /// Rounds in which the group's failed hosts are tried again.
    pub retry_failed: usize,
    pub failed_targets: FailedTargets,
    /// Hosts that may be out of service at a time, as a share of the whole group; `None`: as many as a subgroup has.
    #[serde(default)]
    pub max_unavailable: Option<Share>,
    /// The label whose values have a `max_unavailable` each; `None`: the whole group has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable_by: Option<String>,
    /// Hosts with each value of that label that the group has in the configuration; without a value: the empty one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub whole_by: BTreeMap<String, usize>,
    /// Hosts that the group has in the configuration, where the run leaves some of them alone; 0 in older journals.
    #[serde(default)]
    pub whole: usize,
    /// Hosts that the run leaves alone and that are known to be out of service.
    #[serde(default, with = "written")]
    pub out_elsewhere: Vec<Target>,
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
        let cut = self.steps.cut(self.targets.len());
        let label = |n: usize| if cut.len() == 1 { self.name.clone() } else { format!("{}{}", self.name, n + 1) };
        (0..cut.len()).map(|n| (label(n), cut[n].clone())).collect()
    }

    /// Hosts that the group has in the configuration: what a share of it is of.
    pub fn whole(&self) -> usize {
        self.whole.max(self.targets.len())
    }

    /// The part of the group that a target is counted in: the value of its label, which is empty where it has none, or
    /// where the group is counted as a whole.
    pub fn part_of<'t>(&self, target: &'t Target) -> &'t str {
        self.max_unavailable_by.as_ref().and_then(|label| target.label(label)).unwrap_or_default()
    }

    /// Hosts that a part of the group has in the configuration.
    pub fn whole_part(&self, part: &str) -> usize {
        match self.max_unavailable_by {
            None => self.whole(),
            Some(_) => {
                let here = self.targets.iter().filter(|target| self.part_of(target) == part).count();
                self.whole_by.get(part).copied().unwrap_or_default().max(here)
            }
        }
    }

    /// Counts the hosts of each part.
    pub fn count_parts(&mut self) {
        if self.max_unavailable_by.is_some() {
            let mut counts = BTreeMap::new();
            for target in &self.targets {
                *counts.entry(self.part_of(target).to_owned()).or_default() += 1;
            }
            self.whole_by = counts;
        }
    }

    /// `max_unavailable` and what it comes to: `10% of 25 = 2`, or `1 in each zone`; `None`: it is not set.
    pub fn resolved_max_unavailable(&self) -> Option<String> {
        let share = self.max_unavailable?;
        Some(match &self.max_unavailable_by {
            None => share.resolved(self.whole()),
            Some(label) => format!("{share} in each {label}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Details;

    fn group(targets: usize, size: Option<usize>) -> Group {
        let targets = (0..targets).map(|n| format!("web{n}").parse().unwrap()).collect();
        Group { name: "canary".into(), targets, steps: size.into(), ..Group::default() }
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

    #[test]
    fn targets_keep_their_details_in_a_journal_and_those_without_are_names_as_ever() {
        let mut group = group(2, None);
        let details = Details { address: Some("10.0.0.1".into()), port: Some(2222), ..Details::default() };
        group.targets[1].details = Some(details.into());
        let written = serde_json::to_value(&group).unwrap();
        assert_eq!((&written["targets"][0], &written["targets"][1]["target"]), (&"web0".into(), &"web1".into()));
        let read: Group = serde_json::from_value(written.clone()).unwrap();
        assert_eq!((read.targets[0].address(), read.targets[1].address()), ("web0", "10.0.0.1"));
        assert_eq!((read.targets[1].login_port(), &read), (Some(2222), &group));
        let mut evil = written;
        evil["targets"][1]["details"]["address"] = "-oProxyCommand=x".into();
        assert!(serde_json::from_value::<Group>(evil).is_err());
    }
}
