//! How far the running step is.

use std::collections::BTreeMap;
use std::fmt;

use super::Event;
use super::words::{step_name, waiting};
use crate::fleet::Step;

/// The counts of the step that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
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
                *current = Some(Progress {
                    step: *step,
                    hosts: *hosts,
                    ok: 0,
                    failed: 0,
                    started: 0,
                    waiting: BTreeMap::new(),
                });
            }
            (Event::HostStarted { .. }, Some(progress)) => progress.started += 1,
            (Event::HostWaiting { host, what, seconds, limit }, Some(progress)) => {
                progress.waiting.insert(host.to_string(), waiting(what, *seconds, *limit));
            }
            (Event::HostEnded { host, outcome, .. }, Some(progress)) => {
                progress.waiting.remove(&host.to_string());
                if outcome.is_ok() { progress.ok += 1 } else { progress.failed += 1 }
            }
            // What can be typed now stands alone.
            (Event::Stopping { .. } | Event::StepEnded { .. } | Event::Ended { .. }, _) => *current = None,
            _ => {}
        }
    }

    /// Hosts that have ended.
    pub fn ended(&self) -> usize {
        self.ok + self.failed
    }

    /// The step's name for people.
    pub fn name(&self) -> &'static str {
        step_name(self.step)
    }
}

/// `5 ok, 1 failed, 3 running, 88 left`.
impl fmt::Display for Progress {
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
