//! What was seen of a run, as far as announcements need it.

use std::collections::HashMap;

use crate::deploy::Plan;
use crate::hooks::Counts;
use crate::targets::Target;

/// Names of hosts that an announcement has.
const MOST_NAMES: usize = 100;

/// What was seen of a run so far.
pub struct Watched {
    /// The group of each target.
    pub groups: HashMap<Target, String>,
    /// The targets of each group.
    pub sizes: HashMap<String, usize>,
    /// The group whose subgroups are under way.
    pub group: Option<String>,
    /// Whether the last stage of a host went well.
    pub hosts: HashMap<Target, bool>,
    pub halted: bool,
    pub went_back: bool,
    /// What each gate said last of each group, and how often that has changed.
    pub gates: HashMap<(String, String), (String, usize)>,
    /// What most hosts ran before, as the probe found it.
    pub previous: Option<Box<dyn Fn() -> Option<String>>>,
}

impl Watched {
    /// Nothing yet.
    pub fn of(plan: &Plan) -> Watched {
        let groups = plan.targets().map(|(group, target)| (target.clone(), plan.group(group).name.clone()));
        Watched {
            groups: groups.collect(),
            sizes: plan.groups.iter().map(|group| (group.name.clone(), group.targets.len())).collect(),
            group: None,
            hosts: HashMap::new(),
            halted: false,
            went_back: false,
            gates: HashMap::new(),
            previous: None,
        }
    }

    /// How the hosts of a group are, and those that failed.
    pub fn counts(&self, group: &str) -> (Counts, Vec<String>) {
        let of_group = |target: &&Target| self.groups.get(*target).is_some_and(|own| own == group);
        let failed: Vec<&Target> =
            self.hosts.iter().filter(|(_, ok)| !**ok).map(|(target, _)| target).filter(of_group).collect();
        let ok = self.hosts.iter().filter(|(target, ok)| **ok && of_group(target)).count();
        let hosts = self.sizes.get(group).copied().unwrap_or_default();
        (Counts { hosts, ok, failed: failed.len() }, names(failed))
    }
}

/// The first names, sorted.
pub fn names(mut hosts: Vec<&Target>) -> Vec<String> {
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    hosts.into_iter().take(MOST_NAMES).map(|host| host.host.clone()).collect()
}
