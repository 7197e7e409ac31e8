//! Collecting where the time of each host goes from the events of a run, and telling it at the end.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::timings::{GroupTimings, HostTimings, PartTimings, RunTimings};
use super::words::step_name;
use super::{Event, Reporter};
use crate::fleet::Step;
use crate::targets::{Group, Target};
use crate::timings::{Part, Parts, Timings};

/// The slowest hosts that are listed.
const LISTED: usize = 10;

/// A reporter that is also told, ahead of the last event, where the time went, if that was measured.
pub struct WithTimings<R> {
    inner: R,
    began: Instant,
    /// Groups in their order, and the hosts of each.
    groups: Vec<(String, Vec<Target>)>,
    hosts: HashMap<Target, Host>,
    /// The events that come now were told before.
    replays: bool,
}

#[derive(Default)]
struct Host {
    parts: Parts,
    bytes: u64,
    round_trip: Option<f64>,
    /// What took place in this process.
    live: Duration,
    slowest: Option<(Step, Duration)>,
}

impl<R> WithTimings<R> {
    /// For a run on these groups that begins now.
    pub fn new(inner: R, groups: &[Group]) -> WithTimings<R> {
        let groups = groups.iter().map(|group| (group.name.clone(), group.targets.clone())).collect();
        WithTimings { inner, began: Instant::now(), groups, hosts: HashMap::new(), replays: false }
    }

    /// What was measured; `None`: nothing.
    fn summary(&self) -> Option<RunTimings> {
        let WithTimings { began, groups, hosts, .. } = self;
        if hosts.is_empty() {
            return None;
        }
        let of_group = |(name, members): &(String, Vec<Target>)| {
            let measured: Vec<&Host> = members.iter().filter_map(|target| hosts.get(target)).collect();
            (!measured.is_empty()).then(|| group(name, &measured))
        };
        let wall = began.elapsed();
        let members = groups.iter().flat_map(|(_, members)| members);
        let mut slowest: Vec<_> = members.filter_map(|target| Some((target, hosts.get(target)?))).collect();
        slowest.sort_by_key(|(_, host)| Reverse(host.parts.whole()));
        Some(RunTimings {
            groups: groups.iter().filter_map(of_group).collect(),
            slowest: slowest.into_iter().take(LISTED).map(|(target, host)| host.timings(target, wall)).collect(),
        })
    }
}

impl<R: Reporter> Reporter for WithTimings<R> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::HostEnded { host, step, timings: Some(timings), .. } => {
                self.hosts.entry(host.clone()).or_default().add(*step, timings, self.replays);
            }
            Event::Ended { .. } => {
                if let Some(timings) = self.summary() {
                    self.inner.event(&Event::Timings(timings));
                }
            }
            _ => {}
        }
        self.inner.event(event);
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.replays = at.is_some();
        self.inner.replays(at);
    }

    super::left_to!(inner);
}

impl Host {
    fn add(&mut self, step: Step, timings: &Timings, replays: bool) {
        let whole = timings.parts.whole();
        self.parts.add_all(&timings.parts);
        self.bytes += timings.bytes;
        self.round_trip = [self.round_trip, timings.round_trip_seconds].into_iter().flatten().reduce(f64::min);
        if !replays {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Json, RenderOptions, Verbosity};
    use crate::terminal::Theme;
    use crate::wire::Stage;

    fn ended(host: &str, step: Step, parts: &[(Part, u64)]) -> Event {
        let mut timings = Timings { bytes: 1000, round_trip_seconds: Some(0.05), ..Timings::default() };
        parts.iter().for_each(|(part, millis)| timings.parts.add(*part, Duration::from_millis(*millis)));
        let (host, timings) = (host.parse().unwrap(), Some(Box::new(timings)));
        Event::HostEnded { host, step, outcome: Ok(()), tail: Vec::new(), seconds: 1.0, timings }
    }

    fn summary(events: &[Event]) -> RunTimings {
        let group = |name: &str, from: u32, to: u32| {
            let targets = (from..=to).map(|n| format!("web{n:02}").parse().unwrap()).collect();
            Group { name: name.to_owned(), targets, ..Group::default() }
        };
        let groups = [group("canary", 1, 1), group("default", 2, 20)];
        let mut report = WithTimings::new(Json::new(Vec::new()), &groups);
        assert_eq!(report.summary(), None);
        events.iter().for_each(|event| report.event(event));
        report.summary().unwrap()
    }

    #[test]
    fn the_parts_of_each_group_are_in_the_order_of_what_they_took() {
        let fetch = Step::Run(Stage::Fetch);
        let mut events = vec![ended("web01", fetch, &[(Part::Git, 300), (Part::Connect, 100)])];
        events.push(ended("web01", Step::Run(Stage::Promote), &[(Part::Checks, 1600)]));
        events.extend((2..=20).map(|n| ended(&format!("web{n:02}"), fetch, &[(Part::Git, n * 100)])));
        let timings = summary(&events);
        let [canary, default] = &timings.groups[..] else { panic!("{timings:?}") };
        let parts: Vec<(Part, f64)> = canary.parts.iter().map(|it| (it.part, it.share)).collect();
        assert_eq!(parts, [(Part::Checks, 0.8), (Part::Git, 0.15), (Part::Connect, 0.05)]);
        assert_eq!((canary.hosts, canary.median, canary.bytes), (1, 2.0, 2000));
        assert_eq!((default.hosts, default.median, default.p95), (19, 1.1, 2.0));
        assert_eq!(timings.slowest.len(), LISTED);
        let [first, second, ..] = &timings.slowest[..] else { panic!("{timings:?}") };
        assert_eq!((first.host.to_string().as_str(), first.slowest_step.as_str()), ("web01", "promote"));
        assert_eq!((second.host.to_string().as_str(), second.seconds), ("web20", 2.0));
        let line = "where the time went: canary: 1 host, median 2.000 s, mostly checks (80%); default: 19 hosts, \
                    median 1.100 s, mostly git (100%)";
        assert_eq!(timings.to_string(), line);
    }

    #[test]
    fn the_tables_say_which_part_dominates_and_fit_80_columns() {
        let parts = Part::ALL.into_iter().filter(|part| *part != Part::Input);
        let all: Vec<(Part, u64)> = parts.zip(1001..).collect();
        let events: Vec<Event> =
            (1..=20).map(|n| ended(&format!("web{n:02}"), Step::Run(Stage::ConfigDeploy), &all)).collect();
        let (theme, verbosity) = (Theme::plain(true), Verbosity::Normal);
        let look = RenderOptions { theme, verbosity, fold: |_| String::new(), columns: || Some(80) };
        let lines: Vec<String> = summary(&events).lines(&look).iter().map(|line| line.text().clone()).collect();
        let text = lines.join("\n");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("canary: 1 host, median 19.2 s, mostly other (5%)"), "{text}");
        assert!(text.contains("20 kB sent") || text.contains("19 kB sent"), "{text}");
        assert!(text.contains("target: git") && text.contains("waiting for a slot"), "{text}");
    }
}
