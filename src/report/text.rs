//! The operator's text: events in, lines out.
//!
//! A line begins with the local time and, where it is about hosts, their name in brackets. What goes wrong is told once:
//! at once of the first host, and of the others with the same cause in one line, under a folded name, when the step has
//! ended. What hosts say while all is well is shown on request only.

use std::fmt::Display;

use super::causes::{Cause, Causes};
use super::event::Note;
use super::folded::Folded;
use super::gate_news::GateNews;
use super::render_options::{RenderOptions, Verbosity};
use super::words::{
    counted, gate_failed, heading, hosts, limit_exceeded, once, soak, step_name, stopping, took, used_up, waiting,
};
use super::{Event, GroupHead, table};
use crate::clock;
use crate::fleet::Step;
use crate::once::OnceEnd;
use crate::targets::Target;
use crate::terminal::{Style, Styled, cut_line};
use crate::wire::{Fault, Level, Line};

/// What a run does that passes over what would hold it back.
const GLASS_BROKEN: &str = "break glass: health gates and soaks are skipped";

/// Who answers at a terminal.
const OPERATOR: &str = "operator";

/// How far a subgroup's header reaches.
const HEADER_WIDTH: usize = 60;

/// What can go wrong on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wrong {
    /// The step failed.
    Failed(Step),
    /// It said so, or somebody said so of it.
    Said(Level),
}

/// Turns events into lines. It remembers what it needs to tell equal things once.
pub(super) struct Text {
    pub look: RenderOptions,
    now: fn() -> String,
    /// What stands in place of the time of what an earlier deployer told first.
    replayed: Option<String>,
    /// The subgroup whose header was the last.
    label: String,
    /// Whether a step runs, at whose end what went wrong is told of the further hosts. Between steps that is so as soon
    /// as something else happens.
    in_step: bool,
    /// An interrupt was acknowledged.
    is_stopping: bool,
    /// What went wrong, as told at once of the first host.
    told: Causes<Wrong>,
    /// The same of the further hosts, by the first one.
    rest: Causes<(Wrong, Target)>,
    /// Differences of configuration files, by file and text.
    diffs: Folded<(String, String)>,
    /// What was told of health gates.
    gates: GateNews,
}

impl Text {
    pub fn new(look: RenderOptions) -> Text {
        Text {
            look,
            now: clock::hms,
            replayed: None,
            label: String::new(),
            in_step: false,
            is_stopping: false,
            told: Causes::default(),
            rest: Causes::default(),
            diffs: Folded::default(),
            gates: GateNews::default(),
        }
    }

    /// The same, with another clock.
    #[cfg(test)]
    pub fn at(look: RenderOptions, now: fn() -> String) -> Text {
        Text { now, ..Text::new(look) }
    }

    /// What to show for one event.
    pub fn lines(&mut self, event: &Event) -> Vec<Styled> {
        let mut out = Vec::new();
        let theme = self.look.theme;
        let (normal, verbose) = (self.shows(Verbosity::Normal), self.shows(Verbosity::Verbose));
        if !matches!(event, Event::Note(Note { host: Some(_), .. })) {
            out.append(&mut self.held());
        }
        match event {
            Event::Started { run, by, repo, revision, origin, message, groups, break_glass, signed_by } => {
                if normal {
                    let what = Style::Strong.of(format!("{repo} {}", revision.short()));
                    out.push(self.line(what.with(format!(" by {by}, run {run}"))));
                    out.extend(origin.iter().map(|origin| self.line(origin.to_string())));
                    if !message.is_empty() {
                        out.push(self.line(message));
                    }
                    if !signed_by.is_empty() {
                        out.push(self.line(format!("signed by {}", signed_by.join(", "))));
                    }
                    out.extend(groups.iter().map(|group| self.group(group)));
                }
                out.extend(break_glass.iter().map(|_| self.line(Style::Warning.of(GLASS_BROKEN))));
            }
            // Only `hoist run` has it, whose text is another.
            Event::Command { .. } => {}
            Event::Note(note) => self.note(note, &mut out),
            Event::Subgroup { label, hosts: members, .. } => {
                self.label = label.clone();
                if normal {
                    out.push(self.header(&format!("{label} ({})", hosts(members.len()))));
                }
            }
            Event::StepStarted { step, label, hosts: count } => {
                self.in_step = true;
                // On a terminal the bar says so.
                if verbose && !theme.live && matches!(step, Step::Run(_)) {
                    out.push(self.line(format!("{}: started on {}", self.step_of(*step, label), hosts(*count))));
                }
            }
            Event::HostStarted { host, step } if verbose => {
                out.push(self.host_line(host, Style::Dim.of(format!("{} started", step_name(*step)))));
            }
            Event::HostLine { host, line } => self.host_said(host, line, &mut out),
            Event::HostWaiting { host, what, seconds, limit } if verbose && !theme.live => {
                out.push(self.host_line(host, Style::Dim.of(waiting(what, *seconds, *limit))));
            }
            Event::HostWaiting { .. } => {}
            Event::HostDiff { host, file, diff } if normal => {
                self.diffs.add((file.clone(), diff.clone()), host);
            }
            Event::HostEnded { host, step, outcome: Ok(()), seconds, .. } if verbose => {
                let text = Styled::from(format!("{}: ", step_name(*step))).with(Style::Good.of("ok"));
                out.push(self.host_line(host, text.with(format!(" in {}", took(*seconds)))));
            }
            Event::HostEnded { outcome: Ok(()), .. } => {}
            Event::HostEnded { host, step, outcome: Err(fault), tail, .. } => {
                self.failure(host, *step, fault, tail, &mut out);
            }
            Event::StepEnded { step, label, ok, failed, not_attempted, seconds } => {
                self.show_diffs(&mut out);
                self.in_step = false;
                out.append(&mut self.held());
                self.step_ended(*step, label, (*ok, *failed), not_attempted, *seconds, &mut out);
            }
            Event::LimitExceeded { group, failed, limit } => {
                out.push(self.line(Style::Bad.of(limit_exceeded(group, *failed, limit))));
            }
            Event::CapacityUsedUp { group, max_unavailable, hosts: out_of_service } => {
                let names = self.look.folded(out_of_service);
                let text = used_up(group, max_unavailable, &names, out_of_service.len());
                out.push(self.line(Style::Bad.of(text)));
            }
            Event::SoakStarted { label, seconds, .. } if normal => {
                out.push(self.line(soak(label, *seconds)));
            }
            Event::SoakEnded { label, left_seconds: 1.., .. } if normal => {
                out.push(self.line(Style::Warning.of(format!("{label}: the soak ended early"))));
            }
            Event::SoakStarted { .. } | Event::Soaking { .. } | Event::SoakEnded { .. } => {}
            Event::Gate { moment, label, sample, .. } => {
                let news = self.gates.of(*moment, label, sample);
                let style = self.style(news.level, false).map(|style| news.style.unwrap_or(style));
                out.extend(style.map(|style| self.line(style.of(cut_line(&sample.to_string())))));
            }
            Event::GateFailed { gate, reason, inconclusive, .. } => {
                out.push(self.line(Style::Bad.of(gate_failed(gate, reason, *inconclusive))));
            }
            Event::OnceStarted { name, on, undo, .. } if normal => {
                out.push(self.line(format!("{}: started", once(name, on, *undo))));
            }
            Event::OnceLine { name, line, .. } => {
                let style = self.style(line.level, false);
                out.extend(style.map(|style| self.host_line(name, style.of(cut_line(&line.message)))));
            }
            Event::OnceEnded { name, on, undo, end, seconds } => {
                let how = if *end == OnceEnd::Done { Style::Good } else { Style::Bad };
                if normal || *end != OnceEnd::Done {
                    let text = Styled::from(format!("{}: ", once(name, on, *undo))).with(how.of(end.to_string()));
                    out.push(self.line(text.with(format!(" after {}", took(*seconds)))));
                }
            }
            Event::Asked { question, answer, by } if normal => {
                let arrow = theme.sign("→", "->");
                // What could have been typed is of no more interest, and who has just typed it sees the question above.
                let is_above = theme.live && by == OPERATOR && self.replayed.is_none();
                let asked = question.rsplit_once(" [").map_or(question.as_str(), |(asked, _)| asked);
                let asked = if is_above { String::new() } else { format!("{asked} ") };
                let asked = Styled::from(format!("{asked}{arrow} ")).with(Style::Strong.of(answer));
                out.push(self.line(asked.with(format!(" ({by})"))));
            }
            // Who was told at once what that stops knows it.
            Event::Interrupted if self.is_stopping => {}
            Event::Interrupted => out.push(self.line(Style::Warning.of("interrupted"))),
            Event::Stopping { step, hosts: members, stops, seconds, limit, advice } => {
                self.is_stopping = true;
                let what = stopping(*step, &self.look.folded(members), members.len(), *stops, (*seconds, *limit));
                out.push(self.line(Style::Warning.of(what)));
                out.push(self.line(advice.as_str()));
            }
            Event::Aborting { step, hosts: members } => {
                let what = format!("aborting {} on {}", step_name(*step), self.look.folded(members));
                out.push(self.line(Style::Warning.of(what)));
            }
            Event::Timings(timings) if normal => {
                out.push(self.header("where the time went"));
                out.extend(timings.lines(self.look.theme, (self.look.columns)()));
            }
            Event::Timings(_) => {}
            Event::Ended { verdict, ways_out, status, rows, seconds, .. } => {
                if normal && !rows.is_empty() {
                    out.push(self.header("result"));
                    out.extend(table::rows(&self.look, rows));
                }
                let took = format!(" (exit status {status}, {})", took(*seconds));
                let style = match status {
                    0 if rows.iter().all(|row| row.ok) => Style::Good,
                    0 => Style::Warning,
                    _ => Style::Bad,
                };
                out.push(self.line(style.of(verdict).with(took)));
                out.extend(ways_out.iter().map(|way| self.line(format!("  {way}"))));
                // The table has them where there is one.
                let listed = if normal { Vec::new() } else { table::not_ok(&self.look, rows) };
                out.extend(listed.into_iter().map(|(names, text)| self.host_line(names, Style::Bad.of(text))));
            }
            Event::HostStarted { .. } | Event::HostDiff { .. } => {}
            Event::OnceStarted { .. } | Event::Asked { .. } => {}
        }
        out
    }

    /// What is held back between steps of further hosts.
    pub fn held(&mut self) -> Vec<Styled> {
        if self.in_step {
            return Vec::new();
        }
        self.told.take();
        let rest = self.rest.take();
        let told = |Cause { key: (what, first), text, hosts: members }: Cause<(Wrong, Target)>| {
            let text = match what {
                Wrong::Failed(step) => {
                    let more =
                        if members.len() == 1 { String::new() } else { format!(" on {} more hosts", members.len()) };
                    Style::Bad.of(format!("{} failed{more}, as on {first}", step_name(step)))
                }
                Wrong::Said(level) => self.style(level, true).unwrap_or_default().of(text),
            };
            self.host_line(self.look.folded(&members), text)
        };
        rest.into_iter().map(told).collect()
    }

    /// The events that follow were told before, at that time, or happen now.
    pub fn replays(&mut self, at: Option<Option<&str>>) {
        let time = |at: Option<&str>| at.and_then(clock::hms_of).unwrap_or_else(self.now);
        self.replayed = at.map(|at| format!("{} (replayed)", time(at)));
    }

    fn shows(&self, verbosity: Verbosity) -> bool {
        self.look.verbosity >= verbosity
    }

    /// A line of the text, without a host.
    pub fn line(&self, text: impl Into<Styled>) -> Styled {
        let time = self.replayed.clone().unwrap_or_else(self.now);
        Style::Dim.of(time).with(" ").with(text)
    }

    fn host_line(&self, name: impl Display, text: impl Into<Styled>) -> Styled {
        self.line(Styled::from(format!("[{name}] ")).with(text))
    }

    fn header(&self, title: &str) -> Styled {
        let rule = self.look.theme.sign("─", "-");
        let after = HEADER_WIDTH.saturating_sub(self.look.theme.width(title) + 4).max(2);
        Style::Strong.of(format!("{} {title} {}", rule.repeat(2), rule.repeat(after)))
    }

    fn group(&self, group: &GroupHead) -> Styled {
        let GroupHead { name, hosts: count, subgroups, limit, max_unavailable } = group;
        let parts = if *subgroups > 1 { format!(" in {}", counted(*subgroups, "subgroup")) } else { String::new() };
        let most = max_unavailable.as_ref().map(|most| format!(", at most {most} out of service")).unwrap_or_default();
        self.line(format!("  {name}: {}{parts}, failure limit {limit}{most}", hosts(*count)))
    }

    /// How text of a level looks; `None`: it is not shown. A host says more than others do of it.
    fn style(&self, level: Level, by_host: bool) -> Option<Style> {
        let info = if by_host { Verbosity::Verbose } else { Verbosity::Normal };
        match level {
            Level::Debug => self.shows(Verbosity::Verbose).then_some(Style::Dim),
            Level::Info => self.shows(info).then_some(Style::Plain),
            Level::Warning => Some(Style::Warning),
            Level::Error => Some(Style::Bad),
        }
    }

    fn note(&mut self, note: &Note, out: &mut Vec<Styled>) {
        let text = format!("{}{}", heading(note.level), note.message);
        match (&note.host, self.style(note.level, false)) {
            (_, None) => {}
            (Some(host), Some(style)) => self.said(host, note.level, &text, style, out),
            (None, Some(style)) => out.push(self.line(style.of(text))),
        }
    }

    fn host_said(&mut self, host: &Target, line: &Line, out: &mut Vec<Styled>) {
        if let Some(style) = self.style(line.level, true) {
            self.said(host, line.level, &cut_line(&line.message), style, out);
        }
    }

    /// Something about a host; what is wrong, once for all hosts of a step.
    fn said(&mut self, host: &Target, level: Level, text: &str, style: Style, out: &mut Vec<Styled>) {
        if level < Level::Warning || self.is_new(Wrong::Said(level), text, host) {
            out.push(self.host_line(host, style.of(text)));
        }
    }

    /// Whether it is told at once. Who wants every host told of gets that at once; else further hosts with the same cause
    /// are told of at the end of the step.
    fn is_new(&mut self, what: Wrong, text: &str, host: &Target) -> bool {
        let at_once = self.shows(Verbosity::Verbose) || self.told.add(what, text, host);
        if let (false, Some(first)) = (at_once, self.told.first(&what, text, host)) {
            self.rest.add((what, first.clone()), text, host);
        }
        at_once
    }

    fn failure(&mut self, host: &Target, step: Step, fault: &Fault, tail: &[Line], out: &mut Vec<Styled>) {
        let reason = cut_line(&fault.to_string()).into_owned();
        if !self.is_new(Wrong::Failed(step), &reason, host) {
            return;
        }
        out.push(self.host_line(host, Style::Bad.of(format!("{} failed: {reason}", step_name(step)))));
        // What the host said last, where that was not shown, and the reason does not say the same.
        let says = |line: &Line| {
            let end = line.message.split_once(": ").map_or(line.message.as_str(), |(_, end)| end).trim();
            end.is_empty() || reason.contains(end)
        };
        let shown = |line: &&Line| self.style(line.level, true).is_none() && !says(line);
        out.extend(tail.iter().filter(shown).map(|line| self.beneath(cut_line(&line.message))));
    }

    /// Shows the differences of the step that ended, equal ones once.
    fn show_diffs(&mut self, out: &mut Vec<Styled>) {
        for ((file, diff), members) in self.diffs.take() {
            out.push(self.host_line(self.look.folded(&members), Style::Strong.of(format!("{file} would change:"))));
            out.extend(diff.lines().map(|line| {
                let style = match line.as_bytes().first() {
                    Some(b'+') => Style::Good,
                    Some(b'-') => Style::Bad,
                    _ => Style::Plain,
                };
                self.beneath(style.of(cut_line(line)))
            }));
        }
    }

    /// A line that belongs to the one above it.
    fn beneath(&self, text: impl Into<Styled>) -> Styled {
        Styled::from("         ").with(Style::Dim.of(self.look.theme.sign("│", "|"))).with(" ").with(text)
    }

    /// The step's name, with the subgroup's where the last header does not say it.
    fn step_of(&self, step: Step, label: &str) -> String {
        if label.is_empty() || label == self.label {
            step_name(step).to_owned()
        } else {
            format!("{} ({label})", step_name(step))
        }
    }

    fn step_ended(
        &self,
        step: Step,
        label: &str,
        (ok, failed): (usize, usize),
        not_attempted: &[Target],
        seconds: f64,
        out: &mut Vec<Styled>,
    ) {
        let well = failed == 0 && not_attempted.is_empty();
        let least = match step {
            Step::Release if well => Verbosity::Verbose,
            _ if well => Verbosity::Normal,
            _ => Verbosity::Quiet,
        };
        if !self.shows(least) {
            return;
        }
        let failed_text = if failed > 0 { Style::Bad } else { Style::Plain }.of(format!("{failed} failed"));
        let mut text = Styled::from(format!("{}: ", self.step_of(step, label)));
        match step {
            Step::Run(_) | Step::Command => text.push(format!("{ok} ok")),
            // The small steps around a deployment say no more than they must.
            Step::Probe => text.push(format!("{} reachable", hosts(ok))),
            Step::Hold => text.push(format!("{} held", hosts(ok))),
            Step::Release => text.push(format!("{} released", hosts(ok))),
        }
        if matches!(step, Step::Run(_) | Step::Command) || failed > 0 {
            text.push(", ");
            text.push(failed_text);
        }
        if !not_attempted.is_empty() {
            text.push(Style::Warning.of(format!(", {} not attempted", not_attempted.len())));
        }
        if seconds >= 1.0 {
            text.push(Style::Dim.of(format!(" in {}", took(seconds))));
        }
        out.push(self.line(text));
        if !not_attempted.is_empty() {
            out.push(self.host_line(self.look.folded(not_attempted), "not attempted"));
        }
    }
}
