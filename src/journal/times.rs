//! When the records of a journal were written, for whoever is told of them again.

use std::collections::HashMap;
use std::time::Instant;

use crate::clock;
use crate::fleet::{HostEvent, HostId};
use crate::report::{Event, Reporter};

use super::{Record, Unfinished};

/// The times of records by their place in the journal, behind its first line. Unknown where an earlier build wrote it.
#[derive(Debug, Default)]
pub struct Times(Vec<Option<String>>);

impl Times {
    /// Those of an unfinished journal.
    pub fn of(unfinished: &Unfinished) -> Times {
        Times(unfinished.read.times.clone())
    }

    fn at(&self, place: usize) -> Past {
        Past(self.0.get(place).cloned().flatten())
    }
}

/// A moment of an earlier deployer's, as far as it is known.
#[derive(Debug, Clone)]
struct Past(Option<String>);

/// What of a journal the story is being told right now.
#[derive(Debug, Default)]
pub(super) struct Telling {
    times: Times,
    /// The record that was told last, unless something has happened since.
    now: Option<Past>,
    /// When the step began that it belongs to.
    began: Option<Past>,
    /// How long its host was at work, where it tells of the end of a step on a host.
    took: Option<f64>,
}

impl Telling {
    pub fn new(times: Times) -> Telling {
        Telling { times, ..Telling::default() }
    }

    /// A record of the past is told.
    pub fn tells(&mut self, place: usize, record: &Record) {
        let at = self.times.at(place);
        if matches!(record, Record::Called { .. }) {
            self.began = Some(at.clone());
        }
        self.took = match record {
            Record::Ended { took_seconds, .. } => *took_seconds,
            _ => None,
        };
        self.now = Some(at);
    }

    /// When the record that was told last was written, as far as it is known.
    pub fn time(&self) -> Option<String> {
        self.now.as_ref()?.0.clone()
    }

    /// Something happens now.
    pub fn happens(&mut self) {
        self.now = None;
    }

    /// Tells an event with its own time. `next`: the record that will be told next.
    pub fn report(&self, event: &Event, next: Option<&(usize, Record)>, report: &mut dyn Reporter) {
        let next_at = || next.map(|(place, _)| self.times.at(*place));
        let past = match (event, next) {
            // It goes ahead of the record of its call.
            (Event::StepStarted { step, .. }, Some((_, Record::Called { call, .. }))) if call.step == *step => {
                next_at()
            }
            (Event::SoakStarted { .. }, Some((_, Record::LookBegun { .. }))) => next_at(),
            (Event::StepStarted { .. } | Event::SoakStarted { .. }, _) => None,
            (Event::Stopping { .. } | Event::Aborting { .. }, _) => None,
            (Event::Subgroup { .. } | Event::Note { .. }, _) => next_at(),
            _ => self.now.clone(),
        };
        let Some(past) = past else { return report.event(event) };
        report.replays(Some(past.0.as_deref()));
        let mut event = event.clone();
        let of_host = self.took.filter(|_| matches!(event, Event::HostEnded { .. }));
        if let Event::HostEnded { seconds, .. } | Event::StepEnded { seconds, .. } = &mut event {
            let began = self.began.as_ref().and_then(|began| began.0.as_deref());
            let took = began.zip(past.0.as_deref()).and_then(|(began, ended)| clock::seconds_between(began, ended));
            *seconds = of_host.or(took).unwrap_or(*seconds);
        }
        report.event(&event);
        report.replays(None);
    }
}

/// When the hosts of a call began.
#[derive(Default)]
pub(super) struct Clocks(HashMap<HostId, Instant>);

impl Clocks {
    /// The record of an event, if it has one. `watches`: the step is seen from its beginning to its end, and not found out
    /// about afterwards.
    pub fn record(&mut self, event: &HostEvent, watches: bool) -> Option<Record> {
        match event {
            HostEvent::Started(host) => drop(self.0.insert(*host, Instant::now())),
            HostEvent::Ended(host, result) => {
                let began = self.0.remove(host).filter(|_| watches);
                let took_seconds = began.map(|began| (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0);
                return Some(Record::Ended { host: *host, result: result.clone(), took_seconds });
            }
            _ => {}
        }
        None
    }
}
