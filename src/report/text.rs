//! The operator's text: events in, lines out.
//!
//! A line begins with the local time and, where it is about hosts, their name in brackets. What goes wrong on many hosts
//! in the same way is told once, under one folded name, when the step has ended; its first host is told at once.

use super::folded::Folded;
use super::words::{counted, hosts, step_name, stopping, took, waiting};
use super::{Event, GroupHead, table};
use crate::clock;
use crate::fleet::{Outcome, Step};
use crate::targets::Target;
use crate::terminal::{Theme, safe, safe_line, width};
use crate::wire::{Level, Line};

/// How much the operator wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// What went wrong, and the verdict.
    Quiet,
    #[default]
    Normal,
    /// Every host's begin and end as well, and what is for finding faults.
    Verbose,
}

/// How the text looks.
#[derive(Clone, Copy)]
pub struct RenderOptions {
    pub theme: Theme,
    pub verbosity: Verbosity,
    /// Makes one name of many hosts, `web[01-97]`.
    pub fold: fn(&[&Target]) -> String,
}

impl RenderOptions {
    pub(super) fn folded(&self, hosts: &[Target]) -> String {
        (self.fold)(&hosts.iter().collect::<Vec<_>>())
    }

    /// Text from elsewhere, as it may be shown.
    pub(super) fn safe(&self, text: &str) -> String {
        safe(text, self.theme.unicode).into_owned()
    }
}

/// How far a subgroup's header reaches.
const HEADER_WIDTH: usize = 60;

/// Turns events into lines. It remembers what it needs to tell equal things once.
pub(super) struct Text {
    pub look: RenderOptions,
    now: fn() -> String,
    /// What stands in place of the time of what an earlier deployer told first.
    replayed: Option<String>,
    /// The subgroup whose header was the last.
    label: String,
    /// Failures of the running step, by what is shown of them.
    failures: Folded<(String, Vec<String>)>,
    /// What was told at once of the running step: how a host failed, and which host was the first to fail so.
    told: Vec<(String, Target)>,
    /// Differences of configuration files, by file and text.
    diffs: Folded<(String, String)>,
}

impl Text {
    pub fn new(look: RenderOptions) -> Text {
        Text {
            look,
            now: clock::hms,
            replayed: None,
            label: String::new(),
            failures: Folded::default(),
            told: Vec::new(),
            diffs: Folded::default(),
        }
    }

    /// The same, with another clock.
    #[cfg(test)]
    pub fn at(look: RenderOptions, now: fn() -> String) -> Text {
        Text { now, ..Text::new(look) }
    }

    /// What to show for one event.
    pub fn lines(&mut self, event: &Event) -> Vec<String> {
        let mut out = Vec::new();
        let theme = self.look.theme;
        let (normal, verbose) = (self.shows(Verbosity::Normal), self.shows(Verbosity::Verbose));
        match event {
            Event::Started { run, user, deploy_host, repo, revision, message, groups } => {
                if normal {
                    let who = self.look.safe(&format!("{user}@{deploy_host}"));
                    let what = theme.strong(&self.look.safe(&format!("{repo} {}", revision.short())));
                    out.push(self.line(&format!("{what} by {who}, run {run}")));
                    if !message.is_empty() {
                        out.push(self.line(&self.look.safe(message)));
                    }
                    out.extend(groups.iter().map(|group| self.group(group)));
                }
            }
            // Only `hoist run` has it, whose text is another.
            Event::Command { .. } => {}
            Event::Note { level, message } => self.note(*level, message, &mut out),
            Event::Subgroup { label, hosts: members, .. } => {
                self.label = label.clone();
                if normal {
                    out.push(self.header(&format!("{} ({})", self.look.safe(label), hosts(members.len()))));
                }
            }
            Event::StepStarted { step, label, hosts: count } => {
                self.told.clear();
                // On a terminal the bar says so.
                if normal && !theme.live && matches!(step, Step::Run(_)) {
                    out.push(self.line(&format!("{}: started on {}", self.step_of(*step, label), hosts(*count))));
                }
            }
            Event::HostStarted { host, step } if verbose => {
                out.push(self.host_line(&host.to_string(), &theme.dim(&format!("{} started", step_name(*step)))));
            }
            Event::HostLine { host, line } => self.host_said(host, line, &mut out),
            Event::HostWaiting { host, what, seconds, limit } if verbose && !theme.live => {
                let text = self.look.safe(&waiting(what, *seconds, *limit));
                out.push(self.host_line(&host.to_string(), &theme.dim(&text)));
            }
            Event::HostWaiting { .. } => {}
            Event::HostDiff { host, file, diff } if normal => {
                self.diffs.add((file.clone(), diff.clone()), host);
            }
            Event::HostEnded { host, step, outcome: Outcome::Ok, seconds, .. } if verbose => {
                let text = format!("{}: {} in {}", step_name(*step), theme.good("ok"), took(*seconds));
                out.push(self.host_line(&host.to_string(), &text));
            }
            Event::HostEnded { outcome: Outcome::Ok, .. } => {}
            Event::HostEnded { host, step, outcome, tail, .. } => self.failure(host, *step, outcome, tail, &mut out),
            Event::StepEnded { step, label, ok, failed, not_attempted, seconds } => {
                self.flush(*step, &mut out);
                self.step_ended(*step, label, (*ok, *failed), not_attempted, *seconds, &mut out);
            }
            Event::LimitExceeded { group, failed, limit } => {
                let text = format!("{group}: {} failed, more than the failure limit ({limit})", hosts(*failed));
                out.push(self.line(&theme.bad(&self.look.safe(&text))));
            }
            Event::Asked { question, answer, by } if normal => {
                let arrow = theme.sign("→", "->");
                out.push(self.line(&format!(
                    "{} {arrow} {} ({})",
                    self.look.safe(question),
                    theme.strong(&self.look.safe(answer)),
                    self.look.safe(by)
                )));
            }
            Event::Interrupted => out.push(self.line(&theme.warn("interrupted"))),
            Event::Stopping { step, hosts: members, stops, seconds, limit, advice } => {
                let what = stopping(*step, &self.look.folded(members), members.len(), *stops, (*seconds, *limit));
                out.push(self.line(&theme.warn(&self.look.safe(&what))));
                out.push(self.line(&self.look.safe(advice)));
            }
            Event::Aborting { step, hosts: members } => {
                let names = self.look.folded(members);
                out.push(self.line(&theme.warn(&self.look.safe(&format!("aborting {} on {names}", step_name(*step))))));
            }
            Event::Ended { verdict, status, rows, seconds } => {
                if normal && !rows.is_empty() {
                    out.push(self.header("result"));
                    out.extend(table::rows(&self.look, rows));
                }
                let took = format!(" (exit status {status}, {})", took(*seconds));
                let verdict = self.look.safe(verdict);
                let verdict = match status {
                    0 if rows.iter().all(|row| row.happy) => theme.good(&verdict),
                    0 => theme.warn(&verdict),
                    _ => theme.bad(&verdict),
                };
                out.push(self.line(&format!("{verdict}{took}")));
                for (names, text) in table::unhappy(&self.look, rows) {
                    out.push(self.host_line(&names, &theme.bad(&text)));
                }
            }
            Event::HostStarted { .. } | Event::HostDiff { .. } | Event::Asked { .. } => {}
        }
        out
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
    pub fn line(&self, text: &str) -> String {
        let time = self.replayed.clone().unwrap_or_else(self.now);
        format!("{} {text}", self.look.theme.dim(&time))
    }

    fn host_line(&self, name: &str, text: &str) -> String {
        self.line(&format!("[{name}] {text}"))
    }

    fn header(&self, title: &str) -> String {
        let rule = self.look.theme.sign("─", "-");
        let after = HEADER_WIDTH.saturating_sub(width(title) + 4).max(2);
        self.look.theme.strong(&format!("{} {title} {}", rule.repeat(2), rule.repeat(after)))
    }

    fn group(&self, group: &GroupHead) -> String {
        let GroupHead { name, hosts: count, subgroups, limit } = group;
        let parts = if *subgroups > 1 { format!(" in {}", counted(*subgroups, "subgroup")) } else { String::new() };
        self.line(&self.look.safe(&format!("  {name}: {}{parts}, failure limit {limit}", hosts(*count))))
    }

    fn note(&self, level: Level, message: &str, out: &mut Vec<String>) {
        let theme = self.look.theme;
        let message = self.look.safe(message);
        match level {
            Level::Debug if !self.shows(Verbosity::Verbose) => {}
            Level::Info if !self.shows(Verbosity::Normal) => {}
            Level::Debug => out.push(self.line(&theme.dim(&message))),
            Level::Info => out.push(self.line(&message)),
            Level::Warning => out.push(self.line(&theme.warn(&format!("warning: {message}")))),
            Level::Error => out.push(self.line(&theme.bad(&format!("error: {message}")))),
        }
    }

    fn host_said(&self, host: &Target, line: &Line, out: &mut Vec<String>) {
        let theme = self.look.theme;
        let text = safe_line(&line.message, theme.unicode);
        let text = match line.level {
            Level::Debug if !self.shows(Verbosity::Verbose) => return,
            Level::Info if !self.shows(Verbosity::Normal) => return,
            Level::Debug => theme.dim(&text),
            Level::Info => text.into_owned(),
            Level::Warning => theme.warn(&text),
            Level::Error => theme.bad(&text),
        };
        out.push(self.host_line(&host.to_string(), &text));
    }

    /// Keeps the failure for the end of the step, and tells at once of the first host that failed so.
    fn failure(&mut self, host: &Target, step: Step, outcome: &Outcome, tail: &[Line], out: &mut Vec<String>) {
        let reason = safe_line(&outcome.to_string(), self.look.theme.unicode).into_owned();
        if !self.told.iter().any(|(told, _)| *told == reason) {
            let text = self.look.theme.bad(&format!("{} failed: {reason}", step_name(step)));
            out.push(self.host_line(&host.to_string(), &text));
            self.told.push((reason.clone(), host.clone()));
        }
        let tail = tail.iter().map(|line| safe_line(&line.message, self.look.theme.unicode).into_owned()).collect();
        self.failures.add((reason, tail), host);
    }

    /// Tells the failures and the differences of the step that ended, equal ones once.
    fn flush(&mut self, step: Step, out: &mut Vec<String>) {
        let theme = self.look.theme;
        for ((file, diff), members) in self.diffs.take() {
            let file = self.look.safe(&file);
            out.push(self.host_line(&self.look.folded(&members), &theme.strong(&format!("{file} would change:"))));
            out.extend(diff.lines().map(|line| {
                let text = safe_line(line, theme.unicode);
                let text = match line.as_bytes().first() {
                    Some(b'+') => theme.good(&text),
                    Some(b'-') => theme.bad(&text),
                    _ => text.into_owned(),
                };
                self.beneath(&text)
            }));
        }
        for ((reason, tail), members) in self.failures.take() {
            let told = |host| self.told.iter().any(|(why, first)| *why == reason && first == host);
            if tail.is_empty() && members.len() == 1 && members.iter().all(told) {
                continue;
            }
            let on = if members.len() == 1 { String::new() } else { format!(" on {}", hosts(members.len())) };
            let text = theme.bad(&format!("{} failed{on}: {reason}", step_name(step)));
            out.push(self.host_line(&self.look.folded(&members), &text));
            out.extend(tail.iter().map(|line| self.beneath(line)));
        }
    }

    /// A line that belongs to the one above it.
    fn beneath(&self, text: &str) -> String {
        format!("         {} {text}", self.look.theme.dim(self.look.theme.sign("│", "|")))
    }

    /// The step's name, with the subgroup's where the last header does not say it.
    fn step_of(&self, step: Step, label: &str) -> String {
        if label.is_empty() || label == self.label {
            step_name(step).to_owned()
        } else {
            format!("{} ({})", step_name(step), self.look.safe(label))
        }
    }

    fn step_ended(
        &self,
        step: Step,
        label: &str,
        (ok, failed): (usize, usize),
        not_attempted: &[Target],
        seconds: f64,
        out: &mut Vec<String>,
    ) {
        let theme = self.look.theme;
        let well = failed == 0 && not_attempted.is_empty();
        let least = match step {
            Step::Release if well => Verbosity::Verbose,
            _ if well => Verbosity::Normal,
            _ => Verbosity::Quiet,
        };
        if !self.shows(least) {
            return;
        }
        let failed_text = format!("{failed} failed");
        let failed_text = if failed > 0 { theme.bad(&failed_text) } else { failed_text };
        let mut text = match step {
            Step::Run(_) | Step::Command => format!("{ok} ok, {failed_text}"),
            // The small steps around a deployment say no more than they must.
            Step::Probe => format!("{} reachable", hosts(ok)),
            Step::Hold => format!("{} held", hosts(ok)),
            Step::Release => format!("{} let go", hosts(ok)),
        };
        if !matches!(step, Step::Run(_) | Step::Command) && failed > 0 {
            text.push_str(&format!(", {failed_text}"));
        }
        if !not_attempted.is_empty() {
            text.push_str(&theme.warn(&format!(", {} not attempted", not_attempted.len())));
        }
        if seconds >= 1.0 {
            text.push_str(&theme.dim(&format!(" in {}", took(seconds))));
        }
        out.push(self.line(&format!("{}: {text}", self.step_of(step, label))));
        if !not_attempted.is_empty() {
            out.push(self.host_line(&self.look.folded(not_attempted), "not attempted"));
        }
    }
}
