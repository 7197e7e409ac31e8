//! When the records of a journal were written, for whoever is told of them again.

use crate::clock;
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
            (Event::Subgroup { .. } | Event::Note { .. }, _) => next_at(),
            _ => self.now.clone(),
        };
        let Some(past) = past else { return report.event(event) };
        report.replays(Some(past.0.as_deref()));
        let mut event = event.clone();
        if let Event::HostEnded { seconds, .. } | Event::StepEnded { seconds, .. } = &mut event {
            let began = self.began.as_ref().and_then(|began| began.0.as_deref());
            let took = began.zip(past.0.as_deref()).and_then(|(began, ended)| clock::seconds_between(began, ended));
            *seconds = took.unwrap_or(*seconds);
        }
        report.event(&event);
        report.replays(None);
    }
}
