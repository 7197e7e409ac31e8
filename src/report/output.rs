//! What `hoist run` shows: the lines of the hosts, each under its host's name, and at the end who is not well.

use std::collections::HashMap;
use std::io::Write;

use super::bar::Bar;
use super::event::Note;
use super::output_buffer::{HostOutput, OutputBuffer};
use super::render_options::{RenderOptions, Verbosity};
use super::sink::{Form, Sink};
use super::words::{heading, hosts, stopping, took};
use super::{Event, HostRow, Reporter, table};
use crate::targets::Target;
use crate::terminal::{Style, Styled, Theme};
use crate::wire::{Fault, Level, Outcome};

/// Lines of standard output go to `out`, those of standard error, and remarks, to `err`.
pub struct Output<O, E> {
    out: Sink<O>,
    err: Sink<E>,
    /// How each of the two looks.
    looks: [RenderOptions; 2],
    /// With folding, what the hosts have said so far; `None`: it is shown at once.
    kept: Option<OutputBuffer>,
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
            kept: fold.then(OutputBuffer::default),
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
        if self.look(Stream::Err).verbosity >= least {
            let host = note.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
            self.show(Stream::Err, format!("hoist run: {}{host}{}", heading(note.level), note.message));
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
        let end = format!(" (exit status {status}, {})", took(seconds));
        self.show(Stream::Err, Styled::from("hoist run: ").with(style.of(verdict)).with(end));
        for (names, text) in table::not_ok(&look, &alike(rows)) {
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
            Event::Stopping { step, hosts: members, stops, seconds, limit, advice } => {
                let names = self.look(Stream::Err).folded(members);
                self.warn(stopping(*step, &names, members.len(), *stops, (*seconds, *limit)));
                self.warn(advice.as_str());
            }
            Event::Ended { verdict, status, rows, seconds } => {
                for (said, members) in self.kept.as_mut().map(|kept| kept.take(rows)).unwrap_or_default() {
                    self.block(&said, &members);
                }
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

/// The rows with reasons that differ in nothing but the host's own name or address made equal, where there are several.
fn alike(rows: &[HostRow]) -> Vec<HostRow> {
    let general = |row: &HostRow| (row.state, row.reason.as_deref().map(|reason| nameless(reason, &row.host)));
    let mut count: HashMap<_, usize> = HashMap::new();
    for row in rows.iter().filter(|row| !row.ok) {
        *count.entry(general(row)).or_default() += 1;
    }
    let one = |row: &HostRow| {
        let key = general(row);
        let reason = if count.get(&key).is_some_and(|count| *count > 1) { key.1 } else { row.reason.clone() };
        HostRow { reason, ..row.clone() }
    };
    rows.iter().filter(|row| !row.ok).map(one).collect()
}

/// A reason with the host's name and any address taken out.
fn nameless(reason: &str, host: &Target) -> String {
    let word = |word: &str| {
        let edge = |c: char| !c.is_ascii_alphanumeric();
        let bare = word.trim_end_matches(edge).trim_start_matches(|c| c != ':' && edge(c));
        let what = match () {
            () if bare == host.host => "HOST",
            () if bare.parse::<std::net::IpAddr>().is_ok() => "ADDRESS",
            () => return word.to_owned(),
        };
        word.replacen(bare, what, 1)
    };
    reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// How lines look on a stream.
pub fn look_of(
    stream: &impl std::io::IsTerminal,
    verbosity: Verbosity,
    fold: fn(&[&Target]) -> String,
) -> RenderOptions {
    RenderOptions { theme: Theme::of(stream).or_any_unicode(stream), verbosity, fold }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::RowState;

    fn row(host: &str, state: RowState, reason: Option<&str>) -> HostRow {
        let (host, reason) = (host.parse().unwrap(), reason.map(str::to_owned));
        let ok = state == RowState::Ok;
        HostRow { host, group: "g".into(), state, stage: None, ok, current: None, reason }
    }

    #[test]
    fn what_differs_in_the_hosts_own_names_only_is_told_once_and_a_single_reason_as_it_is() {
        let rows = alike(&[
            row("web1", RowState::Unreachable, Some("cannot connect to web1 port 22 (10.0.0.1): no route to host")),
            row("web2", RowState::Unreachable, Some("cannot connect to web2 port 22 (fe80::2): no route to host")),
            row("web3", RowState::Unreachable, Some("cannot connect to web3 port 22 (10.0.0.3): connection refused")),
            row("web4", RowState::Ok, None),
            row("web5", RowState::NotAttempted, None),
        ]);
        let reasons: Vec<_> = rows.iter().map(|row| row.reason.as_deref()).collect();
        let same = Some("cannot connect to HOST port 22 (ADDRESS): no route to host");
        let alone = Some("cannot connect to web3 port 22 (10.0.0.3): connection refused");
        assert_eq!(reasons, [same, same, alone, None]);
    }
}
