//! Events as lines of JSON.

use std::io::Write;

use serde::Serialize;

use super::sink::{Form, Sink};
use super::{Event, Reporter};
use crate::clock;

/// An event and its time.
#[derive(Serialize)]
struct Timed<'a> {
    time: String,
    #[serde(flatten)]
    event: &'a Event,
    /// An earlier deployer told it first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

/// The time of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    time: String,
    replayed: bool,
}

impl Moment {
    /// This moment, or the one of an event that is told again.
    pub fn of(replayed: &Option<Option<String>>) -> Moment {
        let time = replayed.clone().flatten().unwrap_or_else(clock::rfc3339_utc);
        Moment { time, replayed: replayed.is_some() }
    }
}

/// The event as one line without its newline: an object whose first key is `time` (RFC 3339, UTC) and whose second is
/// `event`. `None` for an event that is for the operator's eyes only.
pub(super) fn line(event: &Event, moment: Moment) -> Option<String> {
    if matches!(event, Event::HostDiff { .. }) {
        return None;
    }
    let Moment { time, replayed } = moment;
    let line = serde_json::to_string(&Timed { time, event, replayed });
    // An event is plain data, so this cannot fail; were it to, the record should still say that something is missing.
    Some(line.unwrap_or_else(|error| format!("{{\"event\":\"unwritable\",\"reason\":{:?}}}", error.to_string())))
}

/// One event a line; those of a batch are written in one piece.
pub struct Json<W> {
    sink: Sink<W>,
    replayed: Option<Option<String>>,
}

impl<W: Write> Json<W> {
    pub fn new(writer: W) -> Self {
        Json { sink: Sink::new(writer, Form::Json), replayed: None }
    }
}

impl<W: Write> Reporter for Json<W> {
    fn event(&mut self, event: &Event) {
        if let Some(line) = line(event, Moment::of(&self.replayed)) {
            self.sink.hold(line);
        }
        if !event.comes_in_batches() {
            self.sink.flush();
        }
    }

    fn flush(&mut self) {
        self.sink.flush();
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.replayed = at.map(|at| at.map(str::to_owned));
    }

    fn broken(&self) -> Option<&std::io::Error> {
        self.sink.broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Step;
    use crate::wire::{Fault, Level, Line, Stage};

    fn at_noon(event: &Event) -> Option<String> {
        line(event, Moment { time: "2026-11-23T12:00:00.000Z".into(), replayed: false })
    }

    #[test]
    fn a_line_begins_with_its_time_and_its_event() {
        let event = Event::note(Level::Info, "hello\nworld");
        assert_eq!(
            at_noon(&event).unwrap(),
            r#"{"time":"2026-11-23T12:00:00.000Z","event":"note","level":"info","message":"hello\nworld"}"#
        );
        assert_eq!(
            at_noon(&Event::Interrupted).unwrap(),
            r#"{"time":"2026-11-23T12:00:00.000Z","event":"interrupted"}"#
        );
    }

    #[test]
    fn every_kind_of_event_reads_back_as_it_was() {
        let host: crate::targets::Target = "web1".parse().unwrap();
        let tail = vec![Line { level: Level::Error, message: "no\u{1b}[2J".into() }];
        let ended = |outcome| Event::HostEnded {
            host: host.clone(),
            step: Step::Run(Stage::Fetch),
            outcome,
            tail: tail.clone(),
            seconds: 1.5,
            timings: None,
        };
        for event in [
            ended(Ok(())),
            ended(Err(Fault::TimedOut { seconds: 30 })),
            ended(Err(Fault::Failed { reason: "r".into(), status: Some(255) })),
            Event::HostLine { host: host.clone(), line: tail[0].clone() },
            Event::StepStarted { step: Step::Probe, label: String::new(), hosts: 3 },
            Event::Ended {
                verdict: "v".into(),
                ways_out: vec!["w".into()],
                owed: Vec::new(),
                status: 3,
                rows: Vec::new(),
                seconds: 0.1,
            },
            Event::Interrupted,
        ] {
            let line = at_noon(&event).unwrap();
            assert!(!line.contains('\u{1b}'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event, "{line}");
        }
    }

    #[test]
    fn a_difference_of_a_configuration_file_is_never_written() {
        let diff = Event::HostDiff { host: "web1".parse().unwrap(), file: "/etc/x".into(), diff: "+password".into() };
        assert_eq!(at_noon(&diff), None);
        let mut json = Json::new(Vec::new());
        json.event(&diff);
        assert_eq!(json.sink.into_inner().unwrap(), b"");
    }
}
