//! How `hoist log` looks.

use serde::Serialize;

use crate::cli::out::{answer_json, answer_json_line};
use crate::cli::show::Format;
use crate::logs::{Filter, LogEntry, LogLine};
use crate::terminal::{Page, Style, Styled, cut_line};

/// Which entries are shown, and how.
pub struct LogView {
    pub filter: Filter,
    /// Entries whose level is lower are left out; those without any are not.
    pub least: u32,
    pub format: Format,
}

impl LogView {
    /// Whether an entry is wanted.
    pub fn wants(&self, entry: &LogEntry) -> bool {
        entry.level.is_none_or(|level| level >= self.least) && self.filter.matches(entry)
    }

    /// Shows an entry, if it is wanted; false when there is nobody to show it to.
    pub fn entry(&self, entry: &LogEntry) -> bool {
        if !self.wants(entry) {
            return true;
        }
        match self.format {
            Format::Text => text(entry).answer(),
            Format::Json => match &entry.line {
                LogLine::Json(line) => answer_json_line(line.clone()),
                LogLine::Plain(message) => answer_json(&PlainLine { message }).unwrap_or(false),
            },
        }
    }
}

/// What is shown for a line of a log that is no JSON.
#[derive(Serialize)]
struct PlainLine<'a> {
    message: &'a str,
}

/// `21:58:30 [web-10] Rolling back …`; further lines of a message are indented, so that none looks like an entry.
fn text(entry: &LogEntry) -> Page {
    let style = match entry.level {
        Some(40..) => Style::Bad,
        Some(30..) => Style::Warning,
        Some(..20) => Style::Dim,
        _ => Style::Plain,
    };
    let mut head = Styled::default();
    if let Some(clock) = entry.time.as_ref().and_then(|time| time.clock.as_ref()) {
        head.push(Style::Dim.of(clock));
        head.push(" ");
    }
    if let Some(host) = &entry.about.host {
        head.push(format!("[{}] ", cut_line(host)));
    }
    let mut page = Page::default();
    for line in entry.message.trim_end().split('\n') {
        page.line(std::mem::replace(&mut head, "    ".into()).with(style.of(cut_line(line))));
    }
    page
}
