//! R13: how many hosts of a group may be out of service at a time, and when each host rolls back by itself if its lease
//! expires.

use std::time::Duration;

use crate::targets::{Group, Target, fold};

use super::plan::{GroupId, Plan};

/// How many hosts of a group may be out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    most: usize,
    /// Whether `max_unavailable` is set. If not, a subgroup may be out of service, and failures always leave room for
    /// one host, so that only the failure limit halts the run.
    is_set: bool,
}

impl Capacity {
    /// The capacity of a group with subgroups of this size.
    pub fn of(group: &Group, subgroup: usize) -> Capacity {
        match group.max_unavailable {
            Some(share) => Capacity { most: share.of(group.whole()), is_set: true },
            None => Capacity { most: subgroup, is_set: false },
        }
    }

    /// How many more hosts may go out of service if `out` already are.
    pub fn room(self, out: usize) -> usize {
        let room = self.most.saturating_sub(out);
        if self.is_set { room } else { room.max(1) }
    }
}

/// The message for a group without room: `max_unavailable of web (2) is used up: web03, web07 are out of service`.
pub fn used_up(group: &Group, out: &[&Target]) -> String {
    let verb = if out.len() == 1 { "is" } else { "are" };
    format!(
        "max_unavailable of {} ({}) is used up: {} {verb} out of service",
        group.name,
        resolved(group).unwrap_or_default(),
        fold(out.iter().copied())
    )
}

/// `max_unavailable` and the number of hosts that it stands for; `None`: it is not set.
pub fn resolved(group: &Group) -> Option<String> {
    group.max_unavailable.map(|share| share.resolved(group.whole()))
}

/// Contradictions between the limits of a group.
pub fn contradictions(group: &Group) -> Option<String> {
    let most = group.max_unavailable?.of(group.whole());
    let limit = group.limit.of(group.targets.len());
    (limit >= most).then(|| {
        format!(
            "failure_limit of {} ({}) is not below its max_unavailable ({}): the run halts as soon as so many hosts are \
             out of service, whatever failure_limit allows",
            group.name,
            group.limit.resolved(group.targets.len()),
            resolved(group).unwrap_or_default()
        )
    })
}

/// How long after the end of its lease a host rolls back by itself: in turns, in the order of a rollback, so that no
/// more hosts of the group are out of service than allowed. Hosts that are already out of service go back at once, and
/// nobody else is in the first turn.
pub fn lease_delay(plan: &Plan, group: GroupId, place: usize) -> Duration {
    let turn = turn(plan.group(group), place);
    let slot = if plan.lease_slot.is_zero() { plan.rollback.timeout } else { plan.lease_slot };
    // Leases are renewed three times within their time, so they do not all end at the same moment.
    turn * (slot + plan.confirm_timeout / 3 + Duration::from_secs(1))
}

fn turn(group: &Group, place: usize) -> u32 {
    let size = group.targets.len();
    let turn = match group.max_unavailable.map(|share| share.of(group.whole())) {
        Some(most) if most < size => 1 + (size - 1 - place) / most,
        Some(_) => 0,
        None => {
            let subgroups = group.subgroups();
            let own = subgroups.iter().position(|(_, range)| range.contains(&place)).unwrap_or_default();
            if subgroups.len() > 1 { subgroups.len() - own } else { 0 }
        }
    };
    u32::try_from(turn).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Steps;

    fn group(hosts: usize, steps: &str, most: Option<&str>) -> Group {
        Group {
            name: "web".into(),
            targets: (0..hosts).map(|n| format!("web{n:02}").parse().unwrap()).collect(),
            steps: steps.parse::<Steps>().unwrap(),
            max_unavailable: most.map(|most| most.parse().unwrap()),
            ..Group::default()
        }
    }

    #[test]
    fn what_is_set_holds_whatever_failed_and_a_subgroup_leaves_room_for_one_host_at_least() {
        let set = Capacity::of(&group(10, "5", Some("20%")), 5);
        assert_eq!([0, 1, 2, 3].map(|out| set.room(out)), [2, 1, 0, 0]);
        let unset = Capacity::of(&group(10, "5", None), 5);
        assert_eq!([0, 1, 4, 5, 9].map(|out| unset.room(out)), [5, 4, 1, 1, 1]);
    }

    #[test]
    fn a_share_is_of_the_whole_group_also_where_only_some_of_its_hosts_are_deployed_to() {
        let some = Group { whole: 40, ..group(4, "all", Some("10%")) };
        assert_eq!(Capacity::of(&some, 4).room(1), 3);
        assert_eq!(resolved(&some).unwrap(), "10% of 40 = 4");
    }

    #[test]
    fn in_each_turn_no_more_hosts_go_back_by_themselves_than_may_be_out_of_service() {
        for (hosts, steps, most) in [(7, "2", None), (7, "all", Some("2")), (7, "3", Some("1")), (12, "1, 25%", None)] {
            let group = group(hosts, steps, most);
            let turns: Vec<u32> = (0..hosts).map(|place| turn(&group, place)).collect();
            assert!(turns.windows(2).all(|pair| pair[0] >= pair[1]), "the last host goes first: {turns:?}");
            assert!(turns.iter().all(|turn| *turn > 0), "the first turn is for those that are out anyway: {turns:?}");
            for turn in &turns {
                let at_once: Vec<usize> = (0..hosts).filter(|place| turns[*place] == *turn).collect();
                let may = match most {
                    Some(most) => most.parse().unwrap(),
                    None => group.subgroups().iter().find(|(_, it)| it.contains(&at_once[0])).unwrap().1.len(),
                };
                assert!(at_once.len() <= may, "{turns:?}");
            }
        }
        assert_eq!((turn(&group(3, "all", None), 0), turn(&group(3, "1", Some("3")), 0)), (0, 0));
    }

    #[test]
    fn limits_that_contradict_each_other_are_told() {
        let limited = |limit: &str| Group { limit: limit.parse().unwrap(), ..group(10, "all", Some("2")) };
        assert_eq!(contradictions(&limited("1")), None);
        assert!(contradictions(&limited("20%")).unwrap().starts_with("failure_limit of web (20% of 10 = 2) is not"));
        assert_eq!(contradictions(&Group { max_unavailable: None, ..limited("5") }), None);
        let out: Vec<Target> = ["web03", "web07"].map(|name| name.parse().unwrap()).into();
        let out: Vec<&Target> = out.iter().collect();
        let said = used_up(&limited("1"), &out);
        assert_eq!(said, "max_unavailable of web (2) is used up: web[03,07] are out of service");
    }
}
