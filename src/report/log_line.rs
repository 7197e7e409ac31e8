//! An event as one line of a log: of whom, how heavy, and in which words.

use super::event::{Event, Note};
use super::words::{counted, gate_failed, hosts, once, soak, step_name, stopping, took, used_up, waiting};
use crate::fleet::Step;
use crate::gates::SampleVerdict;
use crate::once::OnceEnd;
use crate::targets::Target;
use crate::wire::Level;

/// What a line of the log says of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// `None`: the deploy host itself.
    pub host: Option<Target>,
    pub level: Level,
    /// Not yet safe for a terminal.
    pub message: String,
    pub step: Option<Step>,
    pub group: Option<String>,
}

impl LogLine {
    fn here(level: Level, message: String) -> LogLine {
        LogLine { host: None, level, message, step: None, group: None }
    }

    fn on(host: &Target, step: Option<Step>, level: Level, message: String) -> LogLine {
        LogLine { host: Some(host.clone()), step, ..LogLine::here(level, message) }
    }
}

/// The step's name for people, as logs and expressions have it.
pub fn name_of_step(step: Step) -> &'static str {
    step_name(step)
}

/// What a line of the log says of `event`.
pub fn said(event: &Event) -> LogLine {
    match event {
        Event::Started { run, by, repo, revision, origin, message, .. } => {
            let origin = origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
            let why = if message.is_empty() { String::new() } else { format!(": {message}") };
            LogLine::here(Level::Info, format!("{repo} {}{origin} by {by}, run {run}{why}", revision.short()))
        }
        Event::Command { command, by, .. } => LogLine::here(Level::Info, format!("{command} by {by}")),
        Event::Note(Note { level, message, host, step }) => {
            LogLine { host: host.clone(), step: *step, ..LogLine::here(*level, message.clone()) }
        }
        Event::Subgroup { group, label, hosts: members } => {
            let message = format!("{label} ({})", hosts(members.len()));
            LogLine { group: Some(group.clone()), ..LogLine::here(Level::Info, message) }
        }
        Event::StepStarted { step, label, hosts: count } => {
            let message = format!("{}: started on {}", of(label, *step), hosts(*count));
            LogLine { step: Some(*step), ..LogLine::here(Level::Info, message) }
        }
        Event::HostStarted { host, step } => {
            LogLine::on(host, Some(*step), Level::Debug, format!("{} started", step_name(*step)))
        }
        Event::HostLine { host, line } => LogLine::on(host, None, line.level, line.message.clone()),
        Event::HostDiff { host, file, .. } => LogLine::on(host, None, Level::Info, format!("{file} would change")),
        Event::HostWaiting { host, what, seconds, limit } => {
            LogLine::on(host, None, Level::Debug, waiting(what, *seconds, *limit))
        }
        Event::HostEnded { host, step, outcome, seconds, .. } => {
            let level = match (outcome, step) {
                (Ok(()), Step::Run(_)) => Level::Info,
                (Ok(()), _) => Level::Debug,
                _ => Level::Error,
            };
            let how = match outcome {
                Ok(()) => "ok".to_owned(),
                Err(fault) => fault.to_string(),
            };
            LogLine::on(host, Some(*step), level, format!("{}: {how}, after {}", step_name(*step), took(*seconds)))
        }
        Event::StepEnded { step, label, ok, failed, not_attempted, seconds } => {
            let left = not_attempted.len();
            let level = if failed + left == 0 { Level::Info } else { Level::Warning };
            let mut message = format!("{}: {ok} ok", of(label, *step));
            for (count, what) in [(*failed, "failed"), (left, "not attempted")] {
                if count > 0 {
                    message += &format!(", {count} {what}");
                }
            }
            message += &format!(", after {}", took(*seconds));
            LogLine { step: Some(*step), ..LogLine::here(level, message) }
        }
        Event::LimitExceeded { group, failed, limit } => {
            let message = format!("{} failed, more than the failure limit ({limit})", hosts(*failed));
            LogLine { group: Some(group.clone()), ..LogLine::here(Level::Error, format!("{group}: {message}")) }
        }
        Event::CapacityUsedUp { group, max_unavailable, hosts } => {
            of_group(group, Level::Error, used_up(group, max_unavailable, &names(hosts), hosts.len()))
        }
        Event::SoakStarted { group, label, seconds } => of_group(group, Level::Info, soak(label, *seconds)),
        Event::Soaking { group, label, left_seconds, .. } => {
            of_group(group, Level::Debug, format!("{label}: {left_seconds} s of the soak are left"))
        }
        Event::SoakEnded { group, label, left_seconds } => {
            let how = if *left_seconds == 0 { "is over" } else { "ended early" };
            of_group(group, Level::Info, format!("{label}: the soak {how}"))
        }
        Event::Gate { group, sample, .. } => {
            let level = match sample.verdict {
                SampleVerdict::Pass | SampleVerdict::Skipped => Level::Info,
                SampleVerdict::Fail | SampleVerdict::Inconclusive => Level::Warning,
            };
            of_group(group, level, sample.to_string())
        }
        Event::GateFailed { gate, group, reason, inconclusive, .. } => {
            of_group(group, Level::Error, gate_failed(gate, reason, *inconclusive))
        }
        Event::OnceStarted { name, on, undo, .. } => {
            LogLine::here(Level::Info, format!("{}: started", once(name, on, *undo)))
        }
        Event::OnceLine { name, line, .. } => LogLine::here(line.level, format!("{name}: {}", line.message)),
        Event::OnceEnded { name, on, undo, end, seconds } => {
            let level = if *end == OnceEnd::Done { Level::Info } else { Level::Error };
            LogLine::here(level, format!("{}: {end}, after {}", once(name, on, *undo), took(*seconds)))
        }
        Event::Asked { question, answer, by } => LogLine::here(Level::Info, format!("{question} {answer} ({by})")),
        Event::Interrupted => LogLine::here(Level::Warning, "interrupted".to_owned()),
        Event::Stopping { step, hosts, stops, seconds, limit, .. } => {
            let what = stopping(*step, &names(hosts), hosts.len(), *stops, (*seconds, *limit));
            LogLine { step: Some(*step), ..LogLine::here(Level::Warning, what) }
        }
        Event::Aborting { step, hosts } => {
            let what = format!("aborting {} on {}", step_name(*step), names(hosts));
            LogLine { step: Some(*step), ..LogLine::here(Level::Warning, what) }
        }
        Event::Ended { verdict, ways_out, status, rows, seconds, .. } => {
            let level = if *status == 0 { Level::Info } else { Level::Error };
            let not_ok = rows.iter().filter(|row| !row.ok).count();
            let rest = if not_ok == 0 { String::new() } else { format!(", {} not ok", counted(not_ok, "host")) };
            let verdict = [std::slice::from_ref(verdict), ways_out].concat().join("; ");
            LogLine::here(level, format!("{verdict} (exit status {status}, after {}{rest})", took(*seconds)))
        }
    }
}

/// A line about a group; it is empty where it is about all of them.
fn of_group(group: &str, level: Level, message: String) -> LogLine {
    LogLine { group: Some(group.to_owned()).filter(|group| !group.is_empty()), ..LogLine::here(level, message) }
}

fn names(hosts: &[Target]) -> String {
    crate::targets::fold(hosts)
}

fn of(label: &str, step: Step) -> String {
    let step = step_name(step);
    if label.is_empty() { step.to_owned() } else { format!("{label} {step}") }
}
