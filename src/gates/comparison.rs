//! Which hosts are compared, and what counts as a difference between them.

use crate::targets::Target;

use super::template::{HostsByRevision, Subject};

/// The direction that hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    Higher,
    Lower,
}

/// Which hosts those on the new revision are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Control {
    /// The rest of the group; where the whole group is on the new revision, the hosts of the other groups.
    #[default]
    Nearest,
    /// The rest of the group alone.
    Group,
    /// All hosts of the deployment that are still on the old revision.
    Fleet,
}

impl Control {
    /// The same subject, with the hosts to compare with as its old ones.
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

/// What is a difference, and what is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub control: Control,
    /// The label that names the host.
    pub host_label: String,
    pub worse: Worse,
    /// How likely a false alarm may be, over a whole look.
    pub significance: f64,
    /// The least effect size, from 0.5 to 1.
    pub effect: f64,
    /// The least difference of the medians, as a share of the old one.
    pub difference: f64,
    /// The least number of values on each side.
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
