//! Settings of a comparison: which hosts are compared, and what counts as a difference.

use crate::named::named;
use crate::targets::Target;

use super::template::{HostsByRevision, Subject};

named! {
    /// Which direction is a regression.
    pub enum Worse: "direction" {
        Higher = "higher",
        Lower = "lower",
    }
}

/// The hosts that those on the new revision are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Control {
    /// The rest of the group; if the whole group is on the new revision, the hosts of the other groups.
    #[default]
    Nearest,
    /// Only the rest of the group.
    Group,
    /// All hosts of the deployment that are still on the old revision.
    Fleet,
}

impl Control {
    /// The subject with only these hosts as the old ones.
    pub fn choose(self, subject: &Subject) -> Subject {
        let HostsByRevision { old: group, elsewhere, .. } = &subject.hosts;
        let old: Vec<Target> = match self {
            Control::Nearest if group.is_empty() => elsewhere.clone(),
            Control::Nearest | Control::Group => group.clone(),
            Control::Fleet => group.iter().chain(elsewhere).cloned().collect(),
        };
        let hosts = HostsByRevision { old, ..subject.hosts.clone() };
        Subject { hosts, ..subject.clone() }
    }
}

/// When two sets of values are considered different.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub control: Control,
    /// The label that names the host.
    pub host_label: String,
    pub worse: Worse,
    /// The allowed probability of a false alarm over a whole look.
    pub significance: f64,
    /// The minimum effect size, from 0.5 to 1.
    pub effect: f64,
    /// The minimum difference of the medians, relative to the old one.
    pub difference: f64,
    /// The minimum number of values on each side.
    pub samples: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_hosts_on_the_old_revision_are_the_control() {
        let hosts = |names: &[&str]| -> Vec<Target> { names.iter().map(|name| name.parse().unwrap()).collect() };
        let subject = |old: &[&str], elsewhere: &[&str]| {
            let hosts = HostsByRevision { new: Vec::new(), old: hosts(old), elsewhere: hosts(elsewhere) };
            Subject { hosts, ..Subject::default() }
        };
        let controls = [Control::Nearest, Control::Group, Control::Fleet];
        let of = |subject: &Subject| controls.map(|control| control.choose(subject).hosts.old);
        assert_eq!(of(&subject(&["a"], &["b", "c"])), [hosts(&["a"]), hosts(&["a"]), hosts(&["a", "b", "c"])]);
        assert_eq!(of(&subject(&[], &["b"])), [hosts(&["b"]), hosts(&[]), hosts(&["b"])]);
        assert_eq!(of(&subject(&[], &[])), [hosts(&[]), hosts(&[]), hosts(&[])]);
    }
}
