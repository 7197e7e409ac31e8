//! Passes on the output of a host in one step, within limits. Keeps the last lines, and shows nothing that may be secret.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::noise::{Noise, StrayOutput, presentable};
use super::ssh::OutputChunk;
use super::{HostEvent, HostId, HostResult, TAIL_LINES};
use crate::timings;
use crate::wire::limits;
use crate::wire::limits::{HOST_OUTPUT, RUN_OUTPUT, TAIL_LINE};
use crate::wire::{LONGEST_EVENT, Level, Line, TargetEvent};

/// The beginning of a protocol line: the kind of the event is its first key.
const EVENT: &[u8] = b"{\"event\":\"";

/// How much output of all hosts of a run was passed on, by [`limits::weight`].
#[derive(Debug, Default)]
pub(super) struct RunOutput(AtomicUsize);

/// How much output is passed on.
#[derive(Clone, Copy)]
enum Limit<'a> {
    /// Up to the limits of a host and of a run.
    Run(&'a RunOutput),
    /// All of it, since the operator asked for it.
    None,
}

/// Passes on the output of a host, and keeps its last lines.
pub(super) struct OutputSink<'a> {
    host: HostId,
    tell: &'a dyn Fn(HostEvent),
    tail: VecDeque<Line>,
    output: Limit<'a>,
    passed: usize,
    /// How many lines and bytes were not passed on.
    dropped: (usize, usize),
    /// Lines that are not Hoist's, each of which is reported once; `None`: every line is reported.
    noise: Option<&'a Noise>,
    /// The time limit of the step, for messages.
    pub limit: Duration,
    /// Output of the current command that was not understood.
    pub words: StrayOutput,
    /// The beginning of an event that arrives in pieces.
    pieces: String,
}

impl<'a> OutputSink<'a> {
    /// For a step of a deployment.
    pub fn new(
        host: HostId,
        limit: Duration,
        tell: &'a dyn Fn(HostEvent),
        run: &'a RunOutput,
        noise: Option<&'a Noise>,
    ) -> OutputSink<'a> {
        OutputSink { output: Limit::Run(run), noise, ..OutputSink::unlimited(host, limit, tell) }
    }

    /// For a command whose output the operator asked for.
    pub fn unlimited(host: HostId, limit: Duration, tell: &'a dyn Fn(HostEvent)) -> OutputSink<'a> {
        OutputSink {
            host,
            tell,
            tail: VecDeque::new(),
            output: Limit::None,
            limit,
            passed: 0,
            dropped: (0, 0),
            noise: None,
            words: StrayOutput::default(),
            pieces: String::new(),
        }
    }

    /// A new command begins.
    pub fn begin(&mut self) {
        (self.words, self.pieces) = (StrayOutput::default(), String::new());
    }

    fn line(&mut self, mut line: Line) {
        if matches!(self.output, Limit::Run(_)) {
            line.message = limits::cut_line(line.message, limits::LINE);
        }
        if line.level > Level::Debug {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            let message = limits::cut_line(line.message.clone(), TAIL_LINE);
            self.tail.push_back(Line { message, ..line });
        }
        if self.may_pass(&line.message) {
            (self.tell)(HostEvent::Line(self.host, line));
        }
    }

    /// Whether the text is within the limits; if not, it is counted.
    fn may_pass(&mut self, text: &str) -> bool {
        let Limit::Run(run) = self.output else { return true };
        let weight = limits::weight(text);
        let fits = self.passed + weight <= HOST_OUTPUT && run.0.load(Ordering::Relaxed) + weight <= RUN_OUTPUT;
        if fits {
            self.passed += weight;
            run.0.fetch_add(weight, Ordering::Relaxed);
        } else {
            self.dropped = (self.dropped.0 + 1, self.dropped.1 + text.len());
        }
        fits
    }

    /// Processes a line that is not part of the protocol.
    pub fn text(&mut self, level: Level, text: &[u8]) {
        let text = presentable(text);
        self.words.add(&text);
        let is_new = self.noise.is_none_or(|noise| noise.is_new(&text));
        let level = if is_new { level } else { Level::Debug };
        self.line(Line { level, message: String::from_utf8_lossy(&text).into_owned() });
    }

    /// Processes a line of output; returns an event if it is an answer.
    pub fn said(&mut self, said: OutputChunk) -> Option<TargetEvent> {
        let text = match said {
            OutputChunk::Err(text) if place_of(EVENT, text).is_some() => {
                self.words.astray = true;
                self.withhold("a protocol line of the target arrived on standard error", text.len());
                return None;
            }
            OutputChunk::Err(text) => {
                self.text(Level::Warning, text);
                return None;
            }
            // A target ends an incomplete line of a start-up file.
            OutputChunk::Out(b"") => return None,
            OutputChunk::Out(text) => text,
        };
        let Some(place) = place_of(EVENT, text) else {
            // For example a login shell's greeting.
            self.text(Level::Info, text);
            return None;
        };
        match serde_json::from_slice(&text[place..]).map(TargetEvent::bounded) {
            Ok(event) => {
                // It may be preceded by output without a newline.
                if place > 0 {
                    self.text(Level::Info, &text[..place]);
                }
                self.event(event)
            }
            Err(_) => {
                self.withhold("a protocol line of the target cannot be parsed", text.len());
                None
            }
        }
    }

    fn event(&mut self, event: TargetEvent) -> Option<TargetEvent> {
        self.words.understood = true;
        match event {
            TargetEvent::Alive => {}
            TargetEvent::Timings { parts } => timings::told(parts),
            TargetEvent::Waiting { what, seconds, limit } => {
                (self.tell)(HostEvent::Waiting { host: self.host, what, seconds, limit });
            }
            TargetEvent::Piece { json, last } => {
                if self.pieces.len() + json.len() <= LONGEST_EVENT {
                    self.pieces.push_str(&json);
                }
                if last {
                    let json = std::mem::take(&mut self.pieces);
                    return match serde_json::from_str(&json).map(TargetEvent::bounded) {
                        Ok(whole) if !matches!(whole, TargetEvent::Piece { .. }) => self.event(whole),
                        // An event that is too long cannot be parsed.
                        _ => {
                            self.withhold("a response of the target cannot be parsed", json.len());
                            None
                        }
                    };
                }
            }
            TargetEvent::Line(line) => self.line(line),
            TargetEvent::Diff { file, diff } => {
                if self.may_pass(&diff) {
                    (self.tell)(HostEvent::Diff { host: self.host, file, diff });
                }
            }
            answer => return Some(answer),
        }
        None
    }

    /// Reports a line without its contents, which may be a diff of a configuration file or template variables.
    fn withhold(&mut self, what: &str, bytes: usize) {
        let message = format!("{what} ({bytes} bytes): it may contain secrets and is not shown");
        self.line(Line { level: Level::Warning, message });
    }

    /// Adds the last lines to the result of a host that failed.
    pub fn complete(self, mut result: HostResult) -> HostResult {
        let (lines, bytes) = self.dropped;
        if lines > 0 {
            let lines = crate::text::counted(lines, "line");
            let message = format!("… {bytes} more bytes of output, in {lines}, dropped");
            (self.tell)(HostEvent::Line(self.host, Line { level: Level::Warning, message }));
        }
        if result.outcome.is_err() {
            result.tail = self.tail.into();
        }
        result
    }

    pub fn last_words(&self) -> String {
        self.words.last()
    }
}

/// The position of `what` in the part of a line that would be shown.
fn place_of(what: &[u8], text: &[u8]) -> Option<usize> {
    text[..text.len().min(limits::LINE + what.len())].windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn heard(hear: impl FnOnce(&mut OutputSink)) -> Vec<HostEvent> {
        let (told, run) = (RefCell::new(Vec::new()), RunOutput::default());
        let tell = |event| told.borrow_mut().push(event);
        let mut sink = OutputSink::new(HostId::new(0), Duration::ZERO, &tell, &run, None);
        hear(&mut sink);
        sink.complete(HostResult::ok());
        told.into_inner()
    }

    fn lines(events: &[HostEvent]) -> Vec<&str> {
        let message = |event: &HostEvent| match event {
            HostEvent::Line(_, line) => line.message.as_str().to_owned().leak() as &str,
            other => panic!("{other:?}"),
        };
        events.iter().map(message).collect()
    }

    #[test]
    fn a_line_of_the_protocol_that_was_cut_is_never_shown() {
        let diff = TargetEvent::Diff { file: "/etc/app".into(), diff: "+password: hunter2".into() };
        let whole = serde_json::to_string(&diff).unwrap();
        for end in EVENT.len()..whole.len() {
            for noise in ["", "Welcome! "] {
                let line = format!("{noise}{}", &whole[..end]);
                let events = heard(|sink| assert_eq!(sink.said(OutputChunk::Out(line.as_bytes())), None));
                let [told] = lines(&events)[..] else { panic!("{events:?}") };
                assert!(told.contains("cannot be parsed") && !told.contains("hunter2"), "{told}");
            }
        }
    }

    #[test]
    fn a_request_that_comes_back_is_never_shown_on_either_stream() {
        let line = br#"zsh: command not found: {"protocol":1,"vars":{"password":"hunter2"}}"#;
        for said in [OutputChunk::Out(line), OutputChunk::Err(line)] {
            let events = heard(|sink| assert_eq!(sink.said(said), None));
            assert!(lines(&events)[0].contains("sent the request back"), "{events:?}");
            assert!(!format!("{events:?}").contains("hunter2"));
        }
    }

    #[test]
    fn output_without_a_newline_does_not_hide_the_event_behind_it() {
        let events = heard(|sink| {
            assert_eq!(sink.said(OutputChunk::Out(br#"Welcome! {"event":"held"}"#)), Some(TargetEvent::Held));
        });
        assert_eq!(lines(&events), ["Welcome! "]);
    }

    #[test]
    fn a_host_that_floods_is_passed_on_to_its_limit_and_the_rest_is_counted() {
        let long = vec![b'x'; 64 << 10];
        let events = heard(|sink| (0..600).for_each(|_| drop(sink.said(OutputChunk::Out(&long)))));
        let lines = lines(&events);
        let bytes: usize = lines.iter().map(|line| line.len()).sum();
        assert!(bytes <= HOST_OUTPUT + 1000, "{bytes}");
        assert!(lines[0].ends_with("… [line cut]") && lines[0].len() <= limits::LINE);
        let last = lines.last().unwrap();
        assert!(last.ends_with(&format!("in {} lines, dropped", 600 - (lines.len() - 1))), "{last}");
    }

    #[test]
    fn all_hosts_of_a_run_share_a_limit() {
        let (told, run) = (RefCell::new(0), RunOutput::default());
        let tell = |event| {
            let HostEvent::Line(_, line) = event else { return };
            *told.borrow_mut() += limits::weight(&line.message);
        };
        let line = vec![b'x'; limits::LINE];
        for host in HostId::first(2 * RUN_OUTPUT / HOST_OUTPUT) {
            let mut sink = OutputSink::new(host, Duration::ZERO, &tell, &run, None);
            (0..HOST_OUTPUT / limits::LINE).for_each(|_| sink.text(Level::Info, &line));
        }
        let told = told.into_inner();
        assert!(told <= RUN_OUTPUT && told > RUN_OUTPUT / 2, "{told}");
    }
}
