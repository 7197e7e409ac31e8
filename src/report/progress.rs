//! How far the running step is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::words::{step_name, took, waiting};
use super::{Event, SampleVerdict};
use crate::fleet::Step;
use crate::gates::Pending;

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
    /// Hosts that wait for something, and for what.
    waiting: BTreeMap<String, String>,
}

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
                    waiting: BTreeMap::new(),
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

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Step(step) => step.fmt(f),
            Progress::Soak { left, unclear, .. } => {
                // Whole seconds go by, and are shown as such.
                let left = if *left < 60 { format!("{left} s") } else { took(*left as f64) };
                write!(f, "{left} left")?;
                if unclear.is_empty() {
                    return Ok(());
                }
                let names: Vec<&str> = unclear.iter().map(String::as_str).collect();
                write!(f, "; inconclusive: {}", names.join(", "))
            }
        }
    }
}

impl StepProgress {
    fn follow(&mut self, event: &Event) {
        match event {
            Event::HostStarted { .. } => self.started += 1,
            Event::HostWaiting { host, what, seconds, limit } => {
                self.waiting.insert(host.to_string(), waiting(what, *seconds, *limit));
            }
            Event::HostEnded { host, outcome, .. } => {
                self.waiting.remove(&host.to_string());
                if outcome.is_ok() { self.ok += 1 } else { self.failed += 1 }
            }
            _ => {}
        }
    }

    /// Hosts that have ended.
    fn ended(&self) -> usize {
        self.ok + self.failed
    }
}

/// `5 ok, 1 failed, 3 running, 88 left`.
impl fmt::Display for StepProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.started.saturating_sub(self.ended());
        let left = self.hosts.saturating_sub(self.started.max(self.ended()));
        write!(f, "{} ok, {} failed, {running} running, {left} left", self.ok, self.failed)?;
        match self.waiting.iter().next() {
            Some((host, what)) => write!(f, "; {host}: {what}"),
            None => Ok(()),
        }
    }
}
