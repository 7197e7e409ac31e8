//! Collecting where the time of each host goes from the events of a run, and telling it at the end.

use std::time::Instant;

use super::timings::Tally;
use super::{Event, Reporter};
use crate::targets::Group;

/// A reporter that is also told, ahead of the last event, where the time went, if that was measured.
pub struct WithTimings<R> {
    inner: R,
    began: Instant,
    tally: Tally,
    /// The events that come now were told before.
    replays: bool,
}

impl<R> WithTimings<R> {
    /// For a run on these groups that begins now.
    pub fn new(inner: R, groups: &[Group]) -> WithTimings<R> {
        let groups = groups.iter().map(|group| (group.name.clone(), group.targets.clone())).collect();
        WithTimings { inner, began: Instant::now(), tally: Tally::new(groups), replays: false }
    }
}

impl<R: Reporter> Reporter for WithTimings<R> {
    fn event(&mut self, event: &Event) {
        match event {
            // What an earlier deployer saw took no time of this one.
            Event::HostEnded { host, step, timings: Some(timings), .. } => {
                self.tally.add(host, *step, timings, !self.replays);
            }
            Event::Ended { .. } => {
                if let Some(timings) = self.tally.timings(self.began.elapsed()) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::Step;
    use crate::report::Json;
    use crate::report::timings::{LISTED, RunTimings};
    use crate::terminal::Theme;
    use crate::timings::{Part, Timings};
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
        assert_eq!(report.tally.timings(Duration::ZERO), None);
        events.iter().for_each(|event| report.event(event));
        report.tally.timings(Duration::ZERO).unwrap()
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
        let lines = summary(&events).lines(Theme::plain(true), Some(80));
        let lines: Vec<String> = lines.iter().map(|line| line.text().clone()).collect();
        let text = lines.join("\n");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("canary: 1 host, median 19.2 s, mostly other (5%)"), "{text}");
        assert!(text.contains("20 kB sent") || text.contains("19 kB sent"), "{text}");
        assert!(text.contains("target: git") && text.contains("waiting for a slot"), "{text}");
    }
}
