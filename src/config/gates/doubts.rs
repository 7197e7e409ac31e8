//! Gates that cannot do what they are there for, as far as the configuration shows.

use std::time::Duration;

use crate::gates::{Control, Gate, Moment, Source};
use crate::targets::Group;

/// What to say of gates that have too little time in the soaks of these groups; of each gate once.
pub fn doubts(gates: &[Gate], groups: &[Group]) -> Vec<String> {
    let of_gate = |gate: &Gate| groups.iter().find_map(|group| too_short(gate, group, groups));
    gates.iter().filter(|gate| gate.scope.at.contains(&Moment::Soak)).filter_map(of_gate).collect()
}

fn too_short(gate: &Gate, group: &Group, all: &[Group]) -> Option<String> {
    let (name, soak) = (&gate.name, group.soak_time);
    if soak.is_zero() || !gate.scope.has_group(&group.name) {
        return None;
    }
    let of_group = format!("the soak of {} is {}", group.name, seconds(soak));
    if gate.delay >= soak {
        let delay = seconds(gate.delay);
        return Some(format!(
            "gate {name}: its delay is {delay} and {of_group}: it is asked only once, after the soak"
        ));
    }
    let Source::Compare { comparison, .. } = &gate.source else { return None };
    let new = group.subgroups().first().map_or(0, |(_, range)| range.len());
    let rest = group.targets.len() - new;
    let elsewhere: usize =
        all.iter().skip_while(|it| it.name != group.name).skip(1).map(|later| later.targets.len()).sum();
    let old = match comparison.control {
        Control::Nearest if rest == 0 => elsewhere,
        Control::Nearest | Control::Group => rest,
        Control::Fleet => rest + elsewhere,
    };
    let least = new.min(old);
    if least == 0 {
        return None;
    }
    let rounds = u32::try_from(comparison.samples.div_ceil(least)).unwrap_or(u32::MAX);
    let needed = gate.delay.saturating_add(gate.interval.saturating_mul(rounds - 1));
    (needed > soak.saturating_add(gate.within)).then(|| {
        let (values, needed) = (comparison.samples, seconds(needed));
        format!(
            "gate {name}: {values} values of each side take at least {needed} and {of_group}, so the gate will be \
             inconclusive: set a longer soak_time, a shorter interval, or fewer samples"
        )
    })
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
