//! One gate while it is read, and what its type makes of its keys.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::endpoint::{Texts, at, endpoint};
use crate::config::entries::Entry;
use crate::gates::{Comparison, Control, Gate, NoData, Require, Scope, Source, Statuses, Template, Worse};
use crate::problem::Problem;

/// Between two samples, for one answer, and without a value, unless a gate says otherwise.
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(60);

/// A gate as far as it has been read.
pub struct Draft {
    pub gate: Gate,
    pub kind: &'static str,
    pub shell: bool,
    /// The keys that the type gives a meaning, as they stand.
    pub text: Texts,
    pub statuses: Statuses,
    pub matchers: Vec<Template>,
    pub comparison: Comparison,
}

impl Draft {
    /// One of this name, with the defaults; its commands run in this folder.
    pub fn new(name: &str, folder: PathBuf) -> Draft {
        let source = Source::Command { command: String::new(), shell: false, require: None, folder };
        Draft {
            gate: Gate {
                name: name.to_owned(),
                scope: Scope::default(),
                interval: INTERVAL,
                delay: Duration::ZERO,
                timeout: TIMEOUT,
                within: WITHIN,
                failures: 0,
                no_data: NoData::Wait,
                observe: false,
                source,
            },
            kind: "command",
            shell: false,
            text: Texts::new(),
            statuses: Statuses::Success,
            matchers: Vec::new(),
            comparison: Comparison {
                control: Control::default(),
                host_label: "instance".to_owned(),
                worse: Worse::Higher,
                significance: 0.001,
                effect: 0.7,
                difference: 0.05,
                samples: 10,
            },
        }
    }

    /// What its type makes of the keys.
    pub fn source(&mut self, entry: &Entry) -> Result<Source, Problem> {
        let kind = self.kind;
        let lacks = |what: &str| entry.itself(&format!("has no {what}"));
        let require: Option<Require> = match self.take("require") {
            Some((text, line)) => Some(text.parse().map_err(|why: String| at(entry, line, "require", why))?),
            None => None,
        };
        match kind {
            "http" => {
                let endpoint = endpoint(&mut self.text, kind != "http", entry)?;
                let json = match (self.take("json"), require) {
                    (Some((pointer, line)), Some(require)) => Some((json_pointer(pointer, line, entry)?, require)),
                    (Some(_), None) => {
                        return Err(lacks("requirement for the value: write `require: \"< 5\"`, for example"));
                    }
                    (None, Some(_)) => {
                        let why = "has a requirement, but no value for it: write `json:` and a JSON pointer";
                        return Err(entry.itself(why));
                    }
                    (None, None) => None,
                };
                let body = self.take("body").map(|(text, _)| text);
                Ok(Source::Http { endpoint, statuses: self.statuses.clone(), body, json })
            }
            "prometheus" => {
                let require = require.ok_or_else(|| lacks("requirement: write `require: \"< 0.01\"`, for example"))?;
                let (endpoint, query) = (endpoint(&mut self.text, kind != "http", entry)?, self.query(entry)?);
                if require.is_of_text() {
                    return Err(entry.itself("compares a value from Prometheus with text: write a number"));
                }
                Ok(Source::Prometheus { endpoint, query, require })
            }
            "alertmanager" => {
                let endpoint = endpoint(&mut self.text, kind != "http", entry)?;
                if self.matchers.is_empty() {
                    return Err(lacks("matchers: write `matchers: ['severity=\"page\"']`, for example"));
                }
                Ok(Source::Alertmanager { endpoint, matchers: std::mem::take(&mut self.matchers) })
            }
            "compare" => {
                let (worse, line) = self
                    .take("worse")
                    .ok_or_else(|| lacks("direction that is worse: write `worse: higher` or `lower`"))?;
                let worse = worse.trim().parse().map_err(|why: String| at(entry, line, "worse", why))?;
                let (endpoint, query) = (endpoint(&mut self.text, kind != "http", entry)?, self.query(entry)?);
                let label = self.take("host_label").map(|(label, _)| label);
                let host_label = label.unwrap_or_else(|| self.comparison.host_label.clone());
                Ok(Source::Compare {
                    endpoint,
                    query,
                    comparison: Comparison { host_label, worse, ..self.comparison.clone() },
                })
            }
            _ => {
                let (command, line) =
                    self.take("command").ok_or_else(|| lacks("command: write `command:` and the command"))?;
                let wrong = |why: String| Err(at(entry, line, "command", why));
                if !self.shell && crate::text::words(&command).is_none() {
                    return wrong(format!(
                        "{command:?} has a quote that is not closed: close it, or write `shell: true`"
                    ));
                }
                if command.contains("{{") {
                    let why = "variables of a command are in its environment: write $HOIST_REVISION, for example, with";
                    return wrong(format!("{why} `shell: true`"));
                }
                let Source::Command { folder, .. } = &self.gate.source else { return Err(lacks("command")) };
                Ok(Source::Command { command, shell: self.shell, require, folder: folder.clone() })
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<(String, usize)> {
        self.text.shift_remove(key)
    }

    fn query(&mut self, entry: &Entry) -> Result<Template, Problem> {
        let (text, line) =
            self.take("query").ok_or_else(|| entry.itself("has no query: write `query:` and a PromQL expression"))?;
        text.parse().map_err(|why: String| at(entry, line, "query", why))
    }
}

fn json_pointer(text: String, line: usize, entry: &Entry) -> Result<String, Problem> {
    match text.is_empty() || text.starts_with('/') {
        true => Ok(text),
        false => {
            let why = format!("{text:?} is not a JSON pointer: write the keys with / in front of each, /status/lag");
            Err(at(entry, line, "json", why))
        }
    }
}
