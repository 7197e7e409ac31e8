//! R13: how many hosts of a group may be out of service at a time, and when each host rolls back by itself if its lease
//! expires.

use std::collections::HashMap;
use std::time::Duration;

use crate::targets::{Group, Target, fold};

use super::plan::{GroupId, Plan};

/// How many hosts of a group may be out of service, or of each part of it if `max_unavailable_by` is set.
#[derive(Debug, Clone, Copy)]
pub struct Capacity<'g> {
    group: &'g Group,
    /// How many hosts a subgroup has: that many may be out of service if `max_unavailable` is not set. Then failures always
    /// leave room for one host, so that only the failure limit halts the run.
    subgroup: usize,
}

impl<'g> Capacity<'g> {
    /// The capacity of a group with subgroups of this size.
    pub fn of(group: &'g Group, subgroup: usize) -> Capacity<'g> {
        Capacity { group, subgroup }
    }

    /// How many more hosts of a target's part of the group may go out of service if `out` already are.
    pub fn room(self, target: &Target, out: &[&Target]) -> usize {
        let Some(share) = self.group.max_unavailable else {
            return self.subgroup.saturating_sub(out.len()).max(1);
        };
        let part = self.group.part_of(target);
        let out = out.iter().filter(|target| self.group.part_of(target) == part).count();
        share.of(self.group.whole_part(part)).saturating_sub(out)
    }

    /// Which of the waiting hosts may go out of service now, how many of these at a time, and the others.
    pub fn admit<'t, H: Copy>(self, waiting: &[H], target: impl Fn(H) -> &'t Target, out: &[&Target]) -> Admitted<H> {
        let mut admitted = Admitted { now: Vec::new(), room: 0, later: Vec::new() };
        if self.group.max_unavailable.is_none() || self.group.max_unavailable_by.is_none() {
            // As one host comes back, the next one goes.
            admitted.room = waiting.first().map_or(0, |first| self.room(target(*first), out));
            admitted.now = waiting.to_vec();
            return admitted;
        }
        let mut rooms: HashMap<&str, usize> = HashMap::new();
        for host in waiting {
            let its = target(*host);
            let room = rooms.entry(self.group.part_of(its)).or_insert_with(|| self.room(its, out));
            match room.checked_sub(1) {
                Some(left) => {
                    *room = left;
                    admitted.now.push(*host);
                }
                None => admitted.later.push(*host),
            }
        }
        admitted.room = admitted.now.len();
        admitted
    }
}

/// Hosts that wait for room, as [`Capacity::admit`] divides them.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted<H> {
    pub now: Vec<H>,
    pub room: usize,
    pub later: Vec<H>,
}

/// The message for a group without room: `max_unavailable of web (2) is used up: web03, web07 are out of service`.
pub fn used_up(group: &Group, out: &[&Target]) -> String {
    let verb = if out.len() == 1 { "is" } else { "are" };
    format!(
        "max_unavailable of {} ({}) is used up: {} {verb} out of service",
        group.name,
        group.resolved_max_unavailable().unwrap_or_default(),
        fold(out.iter().copied())
    )
}

/// Contradictions between the limits of a group.
pub fn contradictions(group: &Group) -> Option<String> {
    // In parts, failures may lie in one of them or in several.
    let most = group.max_unavailable.filter(|_| group.max_unavailable_by.is_none())?.of(group.whole());
    let limit = group.limit.of(group.targets.len());
    (limit >= most).then(|| {
        format!(
            "failure_limit of {} ({}) is not below its max_unavailable ({}): the run halts as soon as so many hosts are \
             out of service, whatever failure_limit allows",
            group.name,
            group.limit.resolved(group.targets.len()),
            group.resolved_max_unavailable().unwrap_or_default()
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
    let part = group.targets.get(place).map_or("", |target| group.part_of(target));
    let in_part = |targets: &[Target]| targets.iter().filter(|target| group.part_of(target) == part).count();
    let (before, size) = (in_part(&group.targets[..place]), in_part(&group.targets));
    let turn = match group.max_unavailable.map(|share| share.of(group.whole_part(part))) {
        Some(most) if most < size => 1 + (size - 1 - before) / most,
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
    use crate::targets::{Details, Steps};

    fn group(hosts: usize, steps: &str, most: Option<&str>) -> Group {
        Group {
            name: "web".into(),
            targets: (0..hosts).map(|n| format!("web{n:02}").parse().unwrap()).collect(),
            steps: steps.parse::<Steps>().unwrap(),
            max_unavailable: most.map(|most| most.parse().unwrap()),
            ..Group::default()
        }
    }

    fn room(group: &Group, subgroup: usize, out: usize) -> usize {
        let out: Vec<&Target> = group.targets.iter().cycle().take(out).collect();
        Capacity::of(group, subgroup).room(&group.targets[0], &out)
    }

    #[test]
    fn what_is_set_holds_whatever_failed_and_a_subgroup_leaves_room_for_one_host_at_least() {
        let set = group(10, "5", Some("20%"));
        assert_eq!([0, 1, 2, 3].map(|out| room(&set, 5, out)), [2, 1, 0, 0]);
        let unset = group(10, "5", None);
        assert_eq!([0, 1, 4, 5, 9].map(|out| room(&unset, 5, out)), [5, 4, 1, 1, 1]);
    }

    #[test]
    fn a_share_is_of_the_whole_group_also_where_only_some_of_its_hosts_are_deployed_to() {
        let some = Group { whole: 40, ..group(4, "all", Some("10%")) };
        assert_eq!(room(&some, 4, 1), 3);
        assert_eq!(some.resolved_max_unavailable().unwrap(), "10% of 40 = 4");
    }

    /// Hosts in zones: `aab` are two in zone a, and one in zone b; `-` has none.
    fn zoned(zones: &str, most: &str) -> Group {
        let mut group = group(zones.len(), "all", Some(most));
        for (target, zone) in group.targets.iter_mut().zip(zones.chars()).filter(|(_, zone)| *zone != '-') {
            let labels = [("zone".to_owned(), zone.to_string())].into();
            target.details = Some(std::sync::Arc::new(Details { labels, ..Details::default() }));
        }
        group.max_unavailable_by = Some("zone".into());
        group.count_parts();
        group
    }

    #[test]
    fn each_zone_has_a_budget_of_its_own_and_so_have_hosts_without_a_zone() {
        let group = zoned("aaaabb--", "50%");
        let target = |host: usize| &group.targets[host];
        let admit = |out: &[usize]| {
            let out: Vec<&Target> = out.iter().map(|host| target(*host)).collect();
            let admitted = Capacity::of(&group, 8).admit(&[0, 1, 2, 3, 4, 5, 6, 7], target, &out);
            assert_eq!(admitted.room, admitted.now.len());
            admitted.now
        };
        assert_eq!(
            (admit(&[]), admit(&[0, 1]), admit(&[4]), admit(&[0, 1, 4, 6])),
            (vec![0, 1, 4, 6], vec![4, 6], vec![0, 1, 6], vec![])
        );
        assert_eq!(group.resolved_max_unavailable().unwrap(), "50% in each zone");
        let turns: Vec<u32> = (0..8).map(|place| turn(&group, place)).collect();
        assert_eq!(turns, [2, 2, 1, 1, 2, 1, 2, 1]);
        // Shares are of what each zone has in the configuration.
        let some = Group { targets: group.targets[..1].to_vec(), ..group.clone() };
        assert_eq!(Capacity::of(&some, 1).room(&some.targets[0], &[]), 2);
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
