//! One line of a log, whoever wrote it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::printf;
use crate::clock;
use crate::report;
use crate::report::Event;
use crate::wire::Level;

/// The levels by name, with the numbers that Python's logging gives them.
const LEVELS: [(&str, u32); 5] = [("DEBUG", 10), ("INFO", 20), ("WARNING", 30), ("ERROR", 40), ("CRITICAL", 50)];

/// The number of a level's name, in any case; Python's other two names are known too.
pub fn level_number(name: &str) -> Option<u32> {
    let name = match name.to_ascii_uppercase().as_str() {
        "WARN" => "WARNING".to_owned(),
        "FATAL" => "CRITICAL".to_owned(),
        name => name.to_owned(),
    };
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn number_of(level: Level) -> u32 {
    match level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warning => 30,
        Level::Error => 40,
    }
}

/// What a line says. Nothing in it is safe for a terminal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogEntry {
    pub line: LogLine,
    pub time: Option<LogTime>,
    pub about: Subject,
    /// In Python's numbers, 10 to 50.
    pub level: Option<u32>,
    pub message: String,
    /// The event in Hoist's logs, the logger in Scap's.
    pub name: Option<String>,
}

/// A line as it was read, without its end; what is not UTF-8 is replaced.
#[derive(Debug, Clone, PartialEq)]
pub enum LogLine {
    /// An object.
    Json(String),
    Plain(String),
}

impl Default for LogLine {
    fn default() -> LogLine {
        LogLine::Plain(String::new())
    }
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Subject {
    pub host: Option<String>,
    pub stage: Option<String>,
    pub group: Option<String>,
}

/// When a line was written.
#[derive(Debug, Clone, PartialEq)]
pub struct LogTime {
    /// As the log has it.
    pub text: String,
    /// `HH:MM:SS`, local time; `None`: the text is no time.
    pub clock: Option<String>,
}

/// Reads the lines of one log, in their order: what an earlier line says of hosts holds for those behind it.
#[derive(Debug, Default)]
pub struct LogReader {
    deploy_host: Option<String>,
    /// Which group a host belongs to.
    groups: HashMap<String, String>,
}

impl LogReader {
    /// What a line says; `None` for one without any text.
    pub fn read(&mut self, line: &[u8]) -> Option<LogEntry> {
        let line = String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned();
        if line.trim().is_empty() {
            return None;
        }
        let Ok(Value::Object(object)) = serde_json::from_str::<Value>(&line) else {
            return Some(LogEntry { message: line.clone(), line: LogLine::Plain(line), ..LogEntry::default() });
        };
        let mut entry = match serde_json::from_value::<Event>(Value::Object(object.clone())) {
            Ok(event) => self.of_event(&event),
            Err(_) => of_record(&object),
        };
        let time = ["time", "created", "asctime", "timestamp", "@timestamp"]
            .into_iter()
            .find_map(|key| object.get(key))
            .and_then(text_of);
        // Python's number of seconds is the exact one, wherever it stands.
        let seconds = object.get("created").and_then(Value::as_f64).and_then(clock::hms_at);
        entry.time = time.map(|text| LogTime { clock: seconds.or_else(|| clock::hms_of(&text)), text });
        if object.contains_key("event") {
            entry.name = object.get("event").and_then(text_of);
            entry.about.host = entry.about.host.or_else(|| self.deploy_host.clone());
        }
        let about = &mut entry.about;
        about.group = about.group.take().or_else(|| self.groups.get(about.host.as_ref()?).cloned());
        Some(LogEntry { line: LogLine::Json(line), ..entry })
    }

    fn of_event(&mut self, event: &Event) -> LogEntry {
        match event {
            Event::Started { by, .. } => {
                *self = LogReader { deploy_host: Some(by.deploy_host.clone()), groups: HashMap::new() };
            }
            Event::Subgroup { group, hosts, .. } => {
                self.groups.extend(hosts.iter().map(|host| (host.to_string(), group.clone())));
            }
            _ => {}
        }
        let said = report::said(event);
        LogEntry {
            level: Some(number_of(said.level)),
            message: said.message,
            about: Subject {
                host: said.host.map(|host| host.to_string()),
                stage: said.step.map(|step| report::name_of_step(step).to_owned()),
                group: said.group,
            },
            ..LogEntry::default()
        }
    }
}

/// A record of Python's logging, or an event that this version does not know.
fn of_record(object: &Map<String, Value>) -> LogEntry {
    let field = |keys: &[&str]| keys.iter().find_map(|key| object.get(*key)).and_then(text_of);
    let level = ["levelno", "levelname", "level"].into_iter().find_map(|key| match object.get(key)? {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(name) => level_number(name),
        _ => None,
    });
    // What else there is to say of such a line is the line.
    let formatted = || printf::format(object.get("msg")?.as_str()?, object.get("args").filter(|it| has_any(it))?);
    // Of a configuration file's difference Scap's text has but the place where it goes.
    let difference = || field(&["output"]).filter(|_| object.get("type") == Some(&json!("config_diff")));
    let message = field(&["message"]).or_else(difference).or_else(formatted).or_else(|| field(&["msg"]));
    let mut message = message.unwrap_or_else(|| Value::Object(object.clone()).to_string());
    if let Some(trace) = field(&["exc_text"]) {
        message = format!("{}\n{trace}", message.trim_end());
    }
    LogEntry {
        level,
        message,
        name: field(&["name"]),
        about: Subject { host: field(&["host"]), stage: field(&["stage"]), group: field(&["group"]) },
        ..LogEntry::default()
    }
}

/// Whether there is any argument: without one, logging leaves its text as it is.
fn has_any(arguments: &Value) -> bool {
    match arguments {
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}

/// A value as text; `None` for null.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
