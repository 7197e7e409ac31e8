//! What a run came to, collected from its events for whoever reports of it at the end.

use std::collections::HashMap;

use super::event::Note;
use super::words::{gate_failed, limit_exceeded, once, step_name, used_up};
use super::{Causes, Event, HostRow, Sample};
use crate::clock;
use crate::fleet::Step;
use crate::once::OnceEnd;
use crate::targets::{Target, fold};
use crate::terminal::cut_line;
use crate::wire::{Level, Stage};

/// Lines of a host's output that are kept of one failure.
const MOST_LINES: usize = 100;

/// The end of a run, as its last event tells it.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    pub verdict: &'a str,
    pub ways_out: &'a [String],
    pub status: u8,
    pub rows: &'a [HostRow],
    pub seconds: f64,
}

impl End<'_> {
    /// The end, if this event is it.
    pub fn of(event: &Event) -> Option<End<'_>> {
        let Event::Ended { verdict, ways_out, status, rows, seconds, .. } = event else { return None };
        Some(End { verdict, ways_out, status: *status, rows, seconds: *seconds })
    }

    /// The verdict with the exit status.
    pub fn text(&self) -> String {
        format!("{} (exit status {})", self.verdict, self.status)
    }
}

/// The same, to be kept.
pub struct OwnEnd {
    pub verdict: String,
    ways_out: Vec<String>,
    status: u8,
    rows: Vec<HostRow>,
    seconds: f64,
}

impl OwnEnd {
    pub fn of(end: &End) -> OwnEnd {
        OwnEnd {
            verdict: end.verdict.to_owned(),
            ways_out: end.ways_out.to_vec(),
            status: end.status,
            rows: end.rows.to_vec(),
            seconds: end.seconds,
        }
    }

    pub fn end(&self) -> End<'_> {
        let OwnEnd { verdict, ways_out, status, rows, seconds } = self;
        End { verdict, ways_out, status: *status, rows, seconds: *seconds }
    }
}

/// What a run is about, by the names that reports have for it.
pub type About = [(&'static str, String); 5];

/// What was seen of a run so far.
#[derive(Default)]
pub struct Collected {
    /// Of the last run.
    pub about: Option<About>,
    /// Of those before it in one command, the first one first.
    pub earlier: Vec<About>,
    /// When the first run began, in RFC 3339.
    pub began: Option<String>,
    hosts: HashMap<Target, HostSteps>,
    /// The last sample of each gate for each label, in the order of the first; group, label, sample.
    pub gates: Vec<(String, String, Sample)>,
    /// What stopped the run, beside hosts.
    pub halts: Vec<String>,
    /// Warnings, equal ones of several hosts once.
    pub warnings: Causes<()>,
    /// Warnings that are about no host.
    pub remarks: Vec<String>,
}

/// What the steps on one host came to.
#[derive(Default, Clone)]
pub struct HostSteps {
    /// Time that its steps took, without its rollback.
    pub seconds: f64,
    pub failures: Vec<Failed>,
    /// How its rollback ended, if there was one, and how long it took.
    pub rollback: Option<(Option<Failed>, f64)>,
}

/// A step that failed on a host.
#[derive(Clone)]
pub struct Failed {
    /// `promote failed: exit status 1`
    pub text: String,
    /// The last lines that the host said.
    pub tail: Vec<String>,
}

impl Failed {
    /// Text and lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.text.clone()).chain(self.tail.iter().map(|line| format!("  {line}")))
    }
}

impl Collected {
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Started { run, by, repo, revision, message, .. } => {
                let about =
                    [repo.clone(), revision.to_string(), run.to_string(), by.to_string(), cut_line(message).into()];
                let mut values = about.into_iter();
                self.began.get_or_insert_with(clock::rfc3339_utc);
                self.earlier.extend(self.about.take());
                self.about = Some(
                    ["repository", "revision", "run", "operator", "message"]
                        .map(|name| (name, values.next().unwrap_or_default())),
                );
            }
            Event::Note(Note { level: Level::Warning | Level::Error, message, host, .. }) => match host {
                Some(host) => drop(self.warnings.add((), message, host)),
                None => self.remarks.push(message.clone()),
            },
            Event::HostEnded { host, step, outcome, tail, seconds, .. } if *step != Step::Release => {
                let failed = outcome.as_ref().err().map(|fault| Failed {
                    text: format!("{} failed: {}", step_name(*step), cut_line(&fault.to_string())),
                    tail: tail[tail.len().saturating_sub(MOST_LINES)..]
                        .iter()
                        .map(|line| cut_line(&line.message).into_owned())
                        .collect(),
                });
                let steps = self.hosts.entry(host.clone()).or_default();
                match step {
                    Step::Run(Stage::Rollback) => steps.rollback = Some((failed, *seconds)),
                    _ => {
                        steps.seconds += seconds;
                        steps.failures.extend(failed);
                    }
                }
            }
            Event::LimitExceeded { group, failed, limit } => self.halts.push(limit_exceeded(group, *failed, limit)),
            Event::CapacityUsedUp { group, max_unavailable, hosts } => {
                self.halts.push(used_up(group, max_unavailable, &fold(hosts), hosts.len()));
            }
            Event::GateFailed { gate, reason, inconclusive, .. } => {
                self.halts.push(gate_failed(gate, reason, *inconclusive));
            }
            Event::OnceEnded { name, on, undo, end, .. } if *end != OnceEnd::Done => {
                self.halts.push(format!("{}: {end}", once(name, on, *undo)));
            }
            Event::Interrupted => self.halts.push("interrupted".to_owned()),
            Event::Gate { group, label, sample, .. } => {
                let same =
                    |it: &&mut (String, String, Sample)| it.0 == *group && it.1 == *label && it.2.gate == sample.gate;
                match self.gates.iter_mut().find(same) {
                    Some((_, _, last)) => *last = sample.clone(),
                    None => self.gates.push((group.clone(), label.clone(), sample.clone())),
                }
            }
            _ => {}
        }
    }

    /// What the steps on a host came to.
    pub fn steps(&self, host: &Target) -> HostSteps {
        self.hosts.get(host).cloned().unwrap_or_default()
    }
}
