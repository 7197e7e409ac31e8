//! Gets one reading from the source of a gate.

use super::compare::Pool;
use super::comparison::Control;
use super::gate::{Gate, Source};
use super::reading::Reading;
use super::stop::Stop;
use super::template::Subject;
use super::{alertmanager, command, http, prometheus};

/// Queries one gate during one look.
#[derive(Debug)]
pub struct Asker {
    gate: Gate,
    /// The values that a comparison has collected.
    pool: Pool,
}

impl Asker {
    /// For a new look.
    pub fn new(gate: Gate) -> Asker {
        Asker { gate, pool: Pool::default() }
    }

    /// Takes a reading now, or of a time in the past (seconds since 1970) if the source keeps history.
    pub fn ask(&mut self, subject: &Subject, time: Option<f64>, stop: &Stop) -> Reading {
        let timeout = self.gate.timeout;
        match &self.gate.source {
            Source::Command { command: line, shell, require, folder } => {
                let command = command::CommandLine { line, shell: *shell, folder };
                command::ask(command, require.as_ref(), subject, timeout, stop)
            }
            Source::Http { endpoint, statuses, body, json } => {
                http::ask(endpoint, (statuses, body.as_deref(), json.as_ref()), subject, timeout)
            }
            Source::Prometheus { endpoint, query, require } => {
                prometheus::ask(endpoint, query, require, subject, time, timeout)
            }
            Source::Alertmanager { endpoint, matchers } => alertmanager::ask(endpoint, matchers, subject, timeout),
            Source::Compare { endpoint, query, comparison } => {
                if let Some(why) = nothing_to_compare(comparison.control, subject) {
                    return Reading::Skipped(why);
                }
                let subject = comparison.control.choose(subject);
                match prometheus::query(endpoint, query, &subject, time, timeout) {
                    Ok(series) => self.pool.take(&series, &subject, comparison),
                    Err(why) => Reading::NoAnswer(why),
                }
            }
        }
    }

    /// Whether there is nothing to query.
    pub fn skips(&self, subject: &Subject) -> bool {
        match &self.gate.source {
            Source::Compare { comparison, .. } => nothing_to_compare(comparison.control, subject).is_some(),
            _ => false,
        }
    }

    /// Collects again what an earlier deployer had collected at these times, as far as the source keeps history.
    pub fn recall(&mut self, subject: &Subject, times: &[f64], stop: &Stop) {
        if !matches!(self.gate.source, Source::Compare { .. }) {
            return;
        }
        for time in times {
            if stop.is_over() || matches!(self.ask(subject, Some(*time), stop), Reading::NoAnswer(_)) {
                return;
            }
        }
    }
}

/// Why one side of a comparison has no hosts; `None` if both have some.
fn nothing_to_compare(control: Control, subject: &Subject) -> Option<String> {
    if subject.hosts.new.is_empty() {
        return Some("no host is on the new revision, so there is nothing to compare".to_owned());
    }
    let of = if control == Control::Group { " of the group" } else { "" };
    let why = || format!("no host{of} is still on the old revision, so there is nothing to compare with");
    control.choose(subject).hosts.old.is_empty().then(why)
}
