//! How far the running step is.

use std::collections::BTreeSet;

use super::words::{step_name, took, waiting};
use super::{Event, SampleVerdict};
use crate::fleet::Step;
use crate::gates::Pending;
use crate::targets::Target;

/// How far the run is with what takes time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Step(StepProgress),
    /// Seconds that are left of a soak, and those of the whole.
    Soak {
        left: u64,
        whole: u64,
        /// The gates that cannot tell at the moment.
        unclear: BTreeSet<String>,
    },
}

/// The counts of the step that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProgress {
    pub step: Step,
    pub hosts: usize,
    pub ok: usize,
    pub failed: usize,
    started: usize,
    /// Hosts at work, in the order in which they began, and what they wait for.
    running: Vec<(Target, Option<String>)>,
}

/// So many hosts that are still at work are named.
const NAMED: usize = 3;

impl Progress {
    /// Follows an event; `current` is `None` between steps.
    pub fn follow(current: &mut Option<Progress>, event: &Event) {
        match (event, current.as_mut()) {
            (Event::StepStarted { step, hosts, .. }, _) => {
                *current = Some(Progress::Step(StepProgress {
                    step: *step,
                    hosts: *hosts,
                    ok: 0,
                    failed: 0,
                    started: 0,
                    running: Vec::new(),
                }));
            }
            (Event::SoakStarted { seconds, .. }, _) => {
                *current = Some(Progress::Soak { left: *seconds, whole: *seconds, unclear: BTreeSet::new() });
            }
            (Event::Soaking { left_seconds, .. }, Some(Progress::Soak { left, .. })) => *left = *left_seconds,
            (Event::Gate { sample, .. }, Some(Progress::Soak { unclear, .. })) => {
                let is_unclear = sample.verdict == SampleVerdict::Inconclusive && !sample.observe;
                if is_unclear && sample.pending != Some(Pending::Gathering) {
                    unclear.insert(sample.gate.clone());
                } else {
                    unclear.remove(&sample.gate);
                }
            }
            // What can be typed now stands alone.
            (Event::Stopping { .. } | Event::StepEnded { .. } | Event::SoakEnded { .. } | Event::Ended { .. }, _) => {
                *current = None;
            }
            (_, Some(Progress::Step(step))) => step.follow(event),
            _ => {}
        }
    }

    /// What the whole of it is: hosts, or seconds.
    pub fn whole(&self) -> u64 {
        match self {
            Progress::Step(step) => step.hosts as u64,
            Progress::Soak { whole, .. } => *whole,
        }
    }

    /// How much of that is done.
    pub fn done(&self) -> u64 {
        match self {
            Progress::Step(step) => step.ended() as u64,
            Progress::Soak { left, whole, .. } => whole.saturating_sub(*left),
        }
    }

    /// The step's name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Progress::Step(step) => step_name(step.step),
            Progress::Soak { .. } => "soak",
        }
    }
}

impl Progress {
    /// For people: `5 ok, 1 failed, 3 running, 88 left`; of the last hosts, which ones. `fold` makes one name of many.
    pub fn text(&self, fold: impl Fn(&[&Target]) -> String) -> String {
        match self {
            Progress::Step(step) => step.text(fold),
            Progress::Soak { left, unclear, .. } => {
                // Whole seconds go by, and are shown as such.
                let left = if *left < 60 { format!("{left} s") } else { took(*left as f64) };
                let left = format!("{left} left");
                let names: Vec<&str> = unclear.iter().map(String::as_str).collect();
                if names.is_empty() { left } else { format!("{left}; inconclusive: {}", names.join(", ")) }
            }
        }
    }
}

impl StepProgress {
    fn follow(&mut self, event: &Event) {
        match event {
            Event::HostStarted { host, .. } => {
                self.started += 1;
                self.running.push((host.clone(), None));
            }
            Event::HostWaiting { host, what, seconds, limit } => {
                if let Some(found) = self.running.iter_mut().find(|(running, _)| running == host) {
                    found.1 = Some(waiting(what, *seconds, *limit));
                }
            }
            Event::HostEnded { host, outcome, .. } => {
                self.running.retain(|(running, _)| running != host);
                if outcome.is_ok() { self.ok += 1 } else { self.failed += 1 }
            }
            _ => {}
        }
    }

    /// Hosts that have ended.
    fn ended(&self) -> usize {
        self.ok + self.failed
    }

    fn text(&self, fold: impl Fn(&[&Target]) -> String) -> String {
        let running = self.started.saturating_sub(self.ended());
        let left = self.hosts.saturating_sub(self.started.max(self.ended()));
        let counts = format!("{} ok, {} failed", self.ok, self.failed);
        let waits = self.running.iter().find_map(|(host, what)| Some((host, what.as_ref()?)));
        let named: Vec<&Target> = self.running.iter().map(|(host, _)| host).collect();
        let is_last = left == 0 && (1..=NAMED).contains(&named.len()) && named.len() == running;
        match (is_last, waits) {
            (true, Some((host, what))) if running == 1 => format!("{counts}; {host}: {what}"),
            (true, Some((host, what))) => format!("{counts}; {} ({host}: {what})", fold(&named)),
            (true, None) => format!("{counts}; waiting for {}", fold(&named)),
            (false, Some((host, what))) => format!("{counts}, {running} running, {left} left; {host}: {what}"),
            (false, None) => format!("{counts}, {running} running, {left} left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stage;

    #[test]
    fn the_last_three_hosts_are_named_with_what_one_of_them_waits_for() {
        let step = Step::Run(Stage::Promote);
        let host = |n: usize| format!("web{n}").parse::<Target>().unwrap();
        let mut progress = None;
        Progress::follow(&mut progress, &Event::StepStarted { step, label: String::new(), hosts: 5 });
        let mut say = |event: Event| {
            Progress::follow(&mut progress, &event);
            let fold = |hosts: &[&Target]| crate::targets::fold(hosts.iter().copied());
            progress.as_ref().unwrap().text(fold)
        };
        let ended = |n| Event::HostEnded {
            host: host(n),
            step,
            outcome: Ok(()),
            tail: Vec::new(),
            seconds: 0.1,
            timings: None,
        };
        for n in 1..5 {
            say(Event::HostStarted { host: host(n), step });
        }
        assert_eq!(say(ended(4)), "1 ok, 0 failed, 3 running, 1 left");
        say(Event::HostStarted { host: host(5), step });
        assert_eq!(say(ended(5)), "2 ok, 0 failed; waiting for web[1-3]");
        let waits = |n| Event::HostWaiting { host: host(n), what: "port 8080".into(), seconds: 12, limit: 120 };
        assert_eq!(say(waits(2)), "2 ok, 0 failed; web[1-3] (web2: port 8080, 12 of 120 s)");
        assert_eq!(say(ended(1)), "3 ok, 0 failed; web[2-3] (web2: port 8080, 12 of 120 s)");
        assert_eq!(say(ended(3)), "4 ok, 0 failed; web2: port 8080, 12 of 120 s");
    }
}
