//! What `hoist run` shows: the lines of the hosts, each under its host's name, and at the end which hosts failed.

use std::io::Write;

use super::bar::Bar;
use super::causes::{Cause, Causes};
use super::event::Note;
use super::gate_news::GateNews;
use super::output_buffer::{HostOutput, OutputBuffer};
use super::render_options::{RenderOptions, Verbosity};
use super::sink::{Form, Sink};
use super::words::{heading, hosts, soak, stopping, took};
use super::{Event, HostRow, Reporter, table};
use crate::exit_code::ExitCode;
use crate::targets::Target;
use crate::terminal::{Style, Styled, Theme};
use crate::wire::{Fault, Level, Outcome};

/// Lines of standard output go to `out`, those of standard error, and remarks, to `err`.
pub struct Output<O, E> {
    out: Sink<O>,
    err: Sink<E>,
    /// How each of the two looks.
    looks: [RenderOptions; 2],
    /// Remarks on hosts that were told at once, and those on further hosts of which the same is to be said.
    remarks: [Causes<Level>; 2],
    /// With folding, what the hosts have said so far; `None`: it is shown at once.
    kept: Option<OutputBuffer>,
    /// What was told of health gates.
    gates: GateNews,
    /// On a terminal, how far it is.
    bar: Option<Bar>,
}

/// Which of the two streams a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl From<Level> for Stream {
    /// A host's line of standard output is an `Info`, one of standard error a `Warning`.
    fn from(level: Level) -> Stream {
        if level >= Level::Warning { Stream::Err } else { Stream::Out }
    }
}

impl<O: Write, E: Write> Output<O, E> {
    /// Shows lines as they come or, with `fold`, at the end: equal output with an equal end once, under the folded
    /// names. `bar` is for the terminal that `err` is.
    pub(super) fn new(out: O, err: E, looks: [RenderOptions; 2], fold: bool, bar: Option<Bar>) -> Output<O, E> {
        let forms = looks.map(|look| Form::Text(look.theme));
        Output {
            out: Sink::new(out, forms[0]),
            err: Sink::new(err, forms[1]),
            looks,
            remarks: Default::default(),
            kept: fold.then(OutputBuffer::default),
            gates: GateNews::default(),
            bar,
        }
    }

    fn look(&self, stream: Stream) -> RenderOptions {
        self.looks[stream as usize]
    }

    /// Has a line written soon. Lines of the two streams keep their order, as a terminal shows both.
    fn show(&mut self, stream: Stream, line: impl Into<Styled>) {
        let other_holds = match stream {
            Stream::Out => self.err.holds(),
            Stream::Err => self.out.holds(),
        };
        if other_holds {
            self.write();
        }
        match stream {
            Stream::Out => self.out.hold(line),
            Stream::Err => self.err.hold(line),
        }
    }

    /// Writes what is held.
    fn write(&mut self) {
        let Output { out, err, bar, .. } = self;
        if !out.holds() && !err.holds() {
            return;
        }
        let mut write = || {
            out.flush();
            err.flush();
        };
        match bar {
            Some(bar) => bar.above(write),
            None => write(),
        }
    }

    /// A line under the name of its host, or hosts. It is not cut, as lines of reports are: it is what was asked for.
    fn host_line(&mut self, stream: Stream, name: &str, text: &str) {
        self.show(stream, Style::Dim.of(format!("{name}:")).with(format!(" {text}")));
    }

    fn remark(&mut self, note: &Note) {
        let least = match note.level {
            Level::Debug => Verbosity::Verbose,
            Level::Info => Verbosity::Normal,
            Level::Warning | Level::Error => Verbosity::Quiet,
        };
        if self.look(Stream::Err).verbosity < least {
            return;
        }
        let host = note.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
        if let Some(host) = note.host.as_ref().filter(|_| note.level >= Level::Warning) {
            let [told, rest] = &mut self.remarks;
            if !told.add(note.level, &note.message, host) {
                rest.add(note.level, &note.message, host);
                return;
            }
        }
        self.show(Stream::Err, format!("hoist run: {}{host}{}", heading(note.level), note.message));
    }

    /// Tells of the remarks on further hosts.
    fn remarks(&mut self) {
        let look = self.look(Stream::Err);
        for Cause { key: level, text, hosts } in self.remarks[1].take() {
            self.show(Stream::Err, format!("hoist run: {}{}: {text}", heading(level), look.folded(&hosts)));
        }
    }

    fn warn(&mut self, message: impl Into<String>) {
        self.remark(&Note::new(Level::Warning, message));
    }

    /// Output of several hosts that is the same.
    fn block(&mut self, said: &HostOutput, members: &[Target]) {
        let look = self.look(Stream::Out);
        let names = look.folded(members);
        if !said.out.is_empty() {
            let end = if said.end.is_empty() { String::new() } else { format!(": {}", said.end) };
            let rule = look.theme.sign("─", "-").repeat(2);
            self.show(Stream::Out, Style::Strong.of(format!("{rule} {names} ({}){end} {rule}", hosts(members.len()))));
        }
        for line in said.out.split_terminator('\n') {
            self.show(Stream::Out, line);
        }
        for line in said.err.split_terminator('\n') {
            self.host_line(Stream::Err, &names, line);
        }
        if said.dropped > 0 {
            self.warn(format!("{names}: {} more lines were dropped", said.dropped));
        }
        self.write();
    }

    /// What it all came to: nothing when it is to be quiet and all is well.
    fn end(&mut self, verdict: &str, status: u8, rows: &[HostRow], seconds: f64) {
        let look = self.look(Stream::Err);
        let well = status == 0 && rows.iter().all(|row| row.ok);
        if well && look.verbosity == Verbosity::Quiet {
            return;
        }
        let style = match status {
            0 if well => Style::Good,
            0 => Style::Warning,
            _ => Style::Bad,
        };
        // Whoever asked for the output has not got it, and that is how the command ends.
        let (lost, style, status) = match self.out.broken() {
            Some(_) => ("; not all output was written", Style::Bad, ExitCode::Interrupted.status()),
            None => ("", style, status),
        };
        let end = format!("{lost} (exit status {status}, {})", took(seconds));
        self.show(Stream::Err, Styled::from("hoist run: ").with(style.of(verdict)).with(end));
        for (names, text) in table::not_ok(&look, rows) {
            self.show(Stream::Err, Styled::from(format!("  {names}: ")).with(Style::Bad.of(text)));
        }
    }
}

impl<O: Write, E: Write> Reporter for Output<O, E> {
    fn event(&mut self, event: &Event) {
        if let Some(bar) = &mut self.bar {
            bar.follow(event);
        }
        match event {
            // What Hoist itself says there, around a command whose host is drained.
            Event::HostLine { host, line } if line.level == Level::Debug => {
                self.remark(&Note { host: Some(host.clone()), ..Note::new(Level::Debug, line.message.as_str()) });
            }
            Event::HostLine { host, line } => match &mut self.kept {
                Some(kept) => kept.line(host, line),
                None => self.host_line(line.level.into(), &host.to_string(), &line.message),
            },
            Event::HostEnded { host, outcome, .. } => {
                if let Some(kept) = &mut self.kept {
                    kept.ended(host, how(outcome));
                }
            }
            Event::Note(note) => self.remark(note),
            Event::SoakStarted { label, seconds, .. } => self.remark(&Note::new(Level::Info, soak(label, *seconds))),
            Event::SoakEnded { label, left_seconds: 1.., .. } => self.warn(format!("{label}: the soak was cut short")),
            Event::Gate { moment, label, sample, .. } => {
                let level = self.gates.of(*moment, label, sample).level;
                self.remark(&Note::new(level, sample.to_string()));
            }
            Event::Stopping { step, hosts: members, stops, seconds, limit, advice } => {
                let names = self.look(Stream::Err).folded(members);
                self.warn(stopping(*step, &names, members.len(), *stops, (*seconds, *limit)));
                self.warn(advice.as_str());
            }
            Event::Timings(timings) if self.look(Stream::Err).verbosity >= Verbosity::Normal => {
                let look = self.look(Stream::Err);
                let lines = timings.lines(look.theme, (look.columns)());
                lines.into_iter().for_each(|line| self.show(Stream::Err, line));
            }
            Event::Ended { verdict, status, rows, seconds, .. } => {
                for (said, members) in self.kept.as_mut().map(|kept| kept.take(rows)).unwrap_or_default() {
                    self.block(&said, &members);
                }
                self.remarks();
                self.write();
                self.end(verdict, *status, rows, *seconds);
            }
            _ => {}
        }
        // Lines of hosts come in numbers, and are written together.
        if !matches!(event, Event::HostLine { .. }) {
            self.flush();
        }
    }

    fn tick(&mut self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    fn flush(&mut self) {
        self.write();
        if let Some(bar) = &mut self.bar {
            bar.draw();
        }
    }

    fn broken(&self) -> Option<&std::io::Error> {
        self.out.broken()
    }
}

/// How a command ended, for people; empty when all went well.
fn how(outcome: &Outcome) -> String {
    match outcome {
        Ok(()) => String::new(),
        // The status is the whole of the reason here.
        Err(Fault::Failed { reason, .. }) => reason.clone(),
        Err(fault) => fault.to_string(),
    }
}

/// How lines look on a stream.
pub fn look_of(
    stream: &impl std::io::IsTerminal,
    verbosity: Verbosity,
    fold: fn(&[&Target]) -> String,
) -> RenderOptions {
    RenderOptions { theme: Theme::of(stream).or_any_unicode(stream), verbosity, fold, columns: || None }
}
