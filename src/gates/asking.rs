//! Asking a gate's source for one reading.

use super::compare::Pool;
use super::gate::{Gate, Source};
use super::reading::Reading;
use super::stop::Stop;
use super::template::Subject;
use super::{alertmanager, command, http, prometheus};

/// Who asks one gate in one look.
#[derive(Debug)]
pub struct Asker {
    gate: Gate,
    /// What a comparison has gathered.
    pool: Pool,
}

impl Asker {
    /// For a look that begins.
    pub fn new(gate: Gate) -> Asker {
        Asker { gate, pool: Pool::default() }
    }

    /// Takes a reading, now, or of a time in seconds since 1970 where the source remembers one.
    pub fn ask(&mut self, subject: &Subject, time: Option<f64>, stop: &Stop) -> Reading {
        let timeout = self.gate.timeout;
        match &self.gate.source {
            Source::Command { command: line, shell, require, folder } => {
                command::ask((line, *shell, folder), require.as_ref(), subject, timeout, stop)
            }
            Source::Http { endpoint, statuses, body, json } => {
                http::ask(endpoint, (statuses, body.as_deref(), json.as_ref()), subject, timeout)
            }
            Source::Prometheus { endpoint, query, require } => {
                prometheus::ask(endpoint, query, require, subject, time, timeout)
            }
            Source::Alertmanager { endpoint, matchers } => alertmanager::ask(endpoint, matchers, subject, timeout),
            Source::Compare { .. } if subject.hosts.new.is_empty() => {
                Reading::Moot("no host is on the new revision: nothing to compare".into())
            }
            Source::Compare { .. } if subject.hosts.old.is_empty() => {
                Reading::Moot("no host is on the old revision: nothing to compare with".into())
            }
            Source::Compare { endpoint, query, comparison } => {
                match prometheus::query(endpoint, query, subject, time, timeout) {
                    Ok(series) => self.pool.take(&series, subject, comparison),
                    Err(why) => Reading::NoAnswer(why),
                }
            }
        }
    }
}
