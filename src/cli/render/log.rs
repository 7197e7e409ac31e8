//! How `hoist log` looks.

use crate::cli::out::{answer, answer_json};
use crate::cli::show::Format;
use crate::logs::{Filter, LogEntry};
use crate::terminal::{Theme, safe_line};

/// Which entries are shown, and how.
pub struct LogView {
    pub filter: Filter,
    /// Entries whose level is lower are left out; those without any are not.
    pub least: u32,
    pub format: Format,
    pub theme: Theme,
}

impl LogView {
    /// Shows an entry, if it is wanted; false when there is nobody to show it to.
    pub fn entry(&self, entry: &LogEntry) -> bool {
        if entry.level.is_some_and(|level| level < self.least) || !self.filter.matches(entry) {
            return true;
        }
        match self.format {
            Format::Json if entry.json => answer_json(entry.line.clone()),
            Format::Json => answer_json(serde_json::json!({ "message": entry.line }).to_string()),
            Format::Text => answer(&self.text(entry)),
        }
    }

    /// `21:58:30 [web-10] Rolling back …`; further lines of a message are indented, so that none looks like an entry.
    fn text(&self, entry: &LogEntry) -> String {
        let theme = self.theme;
        let mut head = String::new();
        if let Some(clock) = &entry.clock {
            head += &format!("{} ", theme.dim(clock));
        }
        if let Some(host) = &entry.host {
            head += &format!("[{}] ", safe_line(host, theme.unicode));
        }
        let mut text = String::new();
        for (number, line) in entry.message.trim_end().split('\n').enumerate() {
            let line = safe_line(line, theme.unicode);
            let line = match entry.level {
                Some(40..) => theme.bad(&line),
                Some(30..) => theme.warn(&line),
                Some(..20) => theme.dim(&line),
                _ => line.into_owned(),
            };
            text += if number == 0 { &head } else { "    " };
            text += &line;
            text.push('\n');
        }
        text
    }
}
