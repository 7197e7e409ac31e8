//! What `hoist run` shows: the lines of the hosts, each under its host's name, and at the end who is not well.

use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;

use super::folded::Folded;
use super::safe::safe;
use super::sink::Sink;
use super::style::Theme;
use super::text::{Look, Verbosity};
use super::words::{hosts, took};
use super::{Event, HostRow, Reporter, table};
use crate::fleet::Outcome;
use crate::targets::Target;
use crate::wire::{Level, Line};

/// Bytes of output that are kept of one host for folding, over both streams.
pub const KEPT: usize = 1024 * 1024;

/// Lines of standard output go to `out`, those of standard error, and remarks, to `err`.
pub struct Output<O, E> {
    out: Sink<O>,
    err: Sink<E>,
    /// How each of the two looks.
    looks: [Look; 2],
    /// With folding, what the hosts have said so far; `None`: it is shown at once.
    kept: Option<Kept>,
}

/// What the hosts have said.
#[derive(Default)]
struct Kept {
    under_way: HashMap<Target, Said>,
    /// Of hosts that have ended; equal ones are kept once.
    ended: Folded<Rc<Said>>,
}

/// All that one host said, and how its command ended.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Said {
    out: Vec<String>,
    err: Vec<String>,
    bytes: usize,
    /// Lines that were not kept.
    dropped: usize,
    /// Empty when all went well.
    end: String,
}

impl<O: Write, E: Write> Output<O, E> {
    /// Shows lines as they come or, with `fold`, at the end: equal output with an equal end once, under the folded names.
    pub fn new(out: O, err: E, looks: [Look; 2], fold: bool) -> Output<O, E> {
        Output { out: Sink::new(out), err: Sink::new(err), looks, kept: fold.then(Kept::default) }
    }

    fn quiet(&self) -> bool {
        self.looks[1].verbosity == Verbosity::Quiet
    }

    fn host_said(&mut self, host: &Target, line: &Line) {
        if let Some(kept) = &mut self.kept {
            return kept.said(host, line);
        }
        let name = host.to_string();
        match line.level {
            Level::Debug | Level::Info => {
                let line = prefixed(&self.looks[0], &name, &line.message);
                self.out.lines([line.as_str()]);
            }
            Level::Warning | Level::Error => {
                let line = prefixed(&self.looks[1], &name, &line.message);
                self.err.lines([line.as_str()]);
            }
        }
    }

    fn remark(&mut self, level: Level, message: &str) {
        let least = match level {
            Level::Debug => Verbosity::Verbose,
            Level::Info => Verbosity::Normal,
            Level::Warning | Level::Error => Verbosity::Quiet,
        };
        if self.looks[1].verbosity >= least {
            let word = match level {
                Level::Debug | Level::Info => "",
                Level::Warning => "warning: ",
                Level::Error => "error: ",
            };
            let line = format!("hoist run: {word}{}", self.looks[1].safe(message));
            self.err.lines([line.as_str()]);
        }
    }

    /// The blocks of folded output, in the order of the first host of each.
    fn unfold(&mut self, rows: &[HostRow]) {
        let Some(kept) = &mut self.kept else { return };
        let place: HashMap<&Target, usize> = rows.iter().enumerate().map(|(place, row)| (&row.host, place)).collect();
        let first = |hosts: &[Target]| hosts.iter().filter_map(|host| place.get(host)).min().copied();
        let mut blocks = kept.ended.take();
        blocks.sort_by_key(|(_, members)| first(members));
        for (said, members) in blocks {
            if said.out.is_empty() && said.err.is_empty() {
                continue;
            }
            let names = self.looks[0].folded(&members);
            if !said.out.is_empty() {
                let mut title = format!("{names} ({})", hosts(members.len()));
                if !said.end.is_empty() {
                    title.push_str(&format!(": {}", self.looks[0].safe(&said.end)));
                }
                let rule = self.looks[0].theme.sign("─", "-");
                let title = self.looks[0].theme.strong(&format!("{} {title} {}", rule.repeat(2), rule.repeat(2)));
                self.out.lines([title.as_str()]);
                for line in &said.out {
                    self.out.lines([safe(line, self.looks[0].theme.unicode).as_ref()]);
                }
            }
            for line in &said.err {
                let line = prefixed(&self.looks[1], &names, line);
                self.err.lines([line.as_str()]);
            }
            if said.dropped > 0 {
                let cut = format!("{names}: {} more lines were not kept", said.dropped);
                self.remark(Level::Warning, &cut);
            }
        }
    }

    fn ended(&mut self, verdict: &str, status: u8, rows: &[HostRow], seconds: f64) {
        self.unfold(rows);
        let well = status == 0 && rows.iter().all(|row| row.happy);
        if well && self.quiet() {
            return;
        }
        let Look { theme, .. } = self.looks[1];
        let verdict = self.looks[1].safe(verdict);
        let verdict = match status {
            0 if well => theme.good(&verdict),
            0 => theme.warn(&verdict),
            _ => theme.bad(&verdict),
        };
        let mut lines = vec![format!("hoist run: {verdict} (exit status {status}, {})", took(seconds))];
        for (names, text) in table::unhappy(&self.looks[1], &alike(rows)) {
            lines.push(format!("  {names}: {}", theme.bad(&text)));
        }
        self.err.lines(lines.iter().map(String::as_str));
    }
}

impl<O: Write, E: Write> Reporter for Output<O, E> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::HostLine { host, line } => self.host_said(host, line),
            Event::HostEnded { host, outcome, .. } => {
                if let Some(kept) = &mut self.kept {
                    kept.ended(host, end(outcome));
                }
            }
            Event::Note { level, message } => self.remark(*level, message),
            Event::Interrupted => self.remark(
                Level::Warning,
                "interrupted: no further host begins, and those under way are waited for; once more ends it at once",
            ),
            Event::Ended { verdict, status, rows, seconds } => self.ended(verdict, *status, rows, *seconds),
            _ => {}
        }
    }

    fn broken(&self) -> Option<&std::io::Error> {
        self.out.broken()
    }
}

impl Kept {
    fn said(&mut self, host: &Target, line: &Line) {
        let said = self.under_way.entry(host.clone()).or_default();
        if said.dropped > 0 || said.bytes + line.message.len() >= KEPT {
            said.dropped += 1;
            return;
        }
        said.bytes += line.message.len() + 1;
        match line.level {
            Level::Debug | Level::Info => said.out.push(line.message.clone()),
            Level::Warning | Level::Error => said.err.push(line.message.clone()),
        }
    }

    fn ended(&mut self, host: &Target, end: String) {
        let said = Said { end, ..self.under_way.remove(host).unwrap_or_default() };
        self.ended.add(Rc::new(said), host);
    }
}

/// How a command ended, for people; empty when all went well.
fn end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => String::new(),
        // The status is the whole of the reason here.
        Outcome::Failed { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// A line under the name of its host, or hosts.
fn prefixed(look: &Look, name: &str, text: &str) -> String {
    // Not cut, as lines of reports are: it is what was asked for.
    format!("{} {}", look.theme.dim(&format!("{name}:")), safe(text, look.theme.unicode))
}

/// The rows with reasons that differ in nothing but the host's own name or address made equal, where there are several.
fn alike(rows: &[HostRow]) -> Vec<HostRow> {
    let general = |row: &HostRow| (row.state.clone(), row.reason.as_deref().map(|reason| nameless(reason, &row.host)));
    let mut count: HashMap<_, usize> = HashMap::new();
    for row in rows.iter().filter(|row| !row.happy) {
        *count.entry(general(row)).or_default() += 1;
    }
    let one = |row: &HostRow| {
        let key = general(row);
        let reason = if count.get(&key).is_some_and(|count| *count > 1) { key.1 } else { row.reason.clone() };
        HostRow { reason, ..row.clone() }
    };
    rows.iter().filter(|row| !row.happy).map(one).collect()
}

/// A reason with the host's name and any address taken out.
fn nameless(reason: &str, host: &Target) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).trim_end_matches(':');
        let what = match () {
            () if bare == host.host => "HOST",
            () if bare.parse::<std::net::IpAddr>().is_ok() => "ADDRESS",
            () => return word.to_owned(),
        };
        word.replacen(bare, what, 1)
    };
    reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// How lines look on a stream. Where it is no terminal, UTF-8 passes whatever the locale: no terminal takes harm.
pub fn look_of(stream: &impl std::io::IsTerminal, verbosity: Verbosity, fold: fn(&[&Target]) -> String) -> Look {
    let theme = Theme::of(stream);
    let unicode = theme.unicode || !stream.is_terminal();
    Look { theme: Theme { unicode, ..theme }, verbosity, fold }
}
