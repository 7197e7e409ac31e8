//! Adding up what steps took on each host.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::super::words::step_name;
use super::{GroupTimings, HostTimings, PartTimings, RunTimings};
use crate::fleet::Step;
use crate::targets::Target;
use crate::timings::{Part, Parts, Timings};

/// The slowest hosts that are listed.
pub(in crate::report) const LISTED: usize = 10;

/// What the steps of a run took, as far as it was measured.
#[derive(Default)]
pub struct Tally {
    /// Groups in their order, and the hosts of each.
    groups: Vec<(String, Vec<Target>)>,
    hosts: HashMap<Target, Host>,
}

#[derive(Default)]
struct Host {
    parts: Parts,
    bytes: u64,
    round_trip: Option<f64>,
    /// What took place in the time that the whole is compared with.
    live: Duration,
    slowest: Option<(Step, Duration)>,
}

impl Tally {
    /// Of these groups, in their order, with the hosts of each.
    pub fn new(groups: Vec<(String, Vec<Target>)>) -> Tally {
        Tally { groups, hosts: HashMap::new() }
    }

    /// Adds a step on a host. `live`: it took place in the time of which [`Tally::timings`] is told.
    pub fn add(&mut self, host: &Target, step: Step, timings: &Timings, live: bool) {
        self.hosts.entry(host.clone()).or_default().add(step, timings, live);
    }

    /// All of it, in a run of this length; `None`: nothing was measured.
    pub fn timings(&self, wall: Duration) -> Option<RunTimings> {
        let Tally { groups, hosts } = self;
        if hosts.is_empty() {
            return None;
        }
        let of_group = |(name, members): &(String, Vec<Target>)| {
            let measured: Vec<&Host> = members.iter().filter_map(|target| hosts.get(target)).collect();
            (!measured.is_empty()).then(|| group(name, &measured))
        };
        let members = groups.iter().flat_map(|(_, members)| members);
        let mut slowest: Vec<_> = members.filter_map(|target| Some((target, hosts.get(target)?))).collect();
        slowest.sort_by_key(|(_, host)| Reverse(host.parts.whole()));
        Some(RunTimings {
            groups: groups.iter().filter_map(of_group).collect(),
            slowest: slowest.into_iter().take(LISTED).map(|(target, host)| host.timings(target, wall)).collect(),
        })
    }
}

impl Host {
    fn add(&mut self, step: Step, timings: &Timings, live: bool) {
        let whole = timings.parts.whole();
        self.parts.add_all(&timings.parts);
        self.bytes += timings.bytes;
        self.round_trip = [self.round_trip, timings.round_trip_seconds].into_iter().flatten().reduce(f64::min);
        if live {
            self.live += whole;
        }
        if self.slowest.is_none_or(|(_, slowest)| slowest < whole) {
            self.slowest = Some((step, whole));
        }
    }

    fn timings(&self, host: &Target, wall: Duration) -> HostTimings {
        let (step, slowest) = self.slowest.map_or(("", Duration::ZERO), |(step, time)| (step_name(step), time));
        HostTimings {
            host: host.clone(),
            seconds: self.parts.whole().as_secs_f64(),
            between_steps: wall.saturating_sub(self.live).as_secs_f64(),
            slowest_step: step.to_owned(),
            slowest_step_seconds: slowest.as_secs_f64(),
            parts: self.parts.clone(),
        }
    }
}

fn group(name: &str, hosts: &[&Host]) -> GroupTimings {
    let whole = Spread::of(hosts.iter().map(|host| host.parts.whole().as_secs_f64()));
    let part = |part: Part| {
        let Spread { median, p95, sum } = Spread::of(hosts.iter().map(|host| host.parts.of(part).as_secs_f64()));
        (sum > 0.0).then(|| PartTimings { part, median, p95, share: sum / whole.sum })
    };
    let mut parts: Vec<PartTimings> = Part::ALL.into_iter().filter_map(part).collect();
    parts.sort_by(|a, b| b.share.total_cmp(&a.share));
    let trips: Vec<f64> = hosts.iter().filter_map(|host| host.round_trip).collect();
    GroupTimings {
        group: name.to_owned(),
        hosts: hosts.len(),
        median: whole.median,
        p95: whole.p95,
        bytes: hosts.iter().map(|host| host.bytes).sum(),
        round_trip_seconds: (!trips.is_empty()).then(|| Spread::of(trips).median),
        parts,
    }
}

/// How values are spread, of which there is at least one.
struct Spread {
    median: f64,
    p95: f64,
    sum: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        // The smallest value that so many percent of all do not exceed.
        let at = |percent: usize| values.get((values.len() * percent).div_ceil(100).saturating_sub(1));
        let [median, p95] = [50, 95].map(|percent| at(percent).copied().unwrap_or_default());
        Spread { median, p95, sum: values.iter().sum() }
    }
}
