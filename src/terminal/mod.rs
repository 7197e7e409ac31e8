//! The door to the operator's terminal: whatever a command writes to its two standard streams goes through here or
//! through a reporter's sink, and is made safe there. No caller has to know which text came from elsewhere.
//!
//! Writing never fails: a reader that has gone away ends nothing.

mod safe;
mod style;

pub use safe::{safe, safe_json, safe_line, styled};
pub use style::{Theme, padded, width};

use std::io::{IsTerminal, Write};

/// What stands before the further lines of a complaint, so that none of them looks like one of its own.
const INDENT: &str = "  ";

/// Lines of a command's answer. Each is one line, whatever is in it.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Adds a line. A newline within it is shown as an escape.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(&text.as_ref().replace('\n', "\\n"));
        self.0.push('\n');
    }

    /// Writes the lines to standard output.
    pub fn answer(&self) {
        answer(&self.0);
    }
}

/// Writes a command's answer to standard output; whether there is somebody to read it. Its lines are its own.
pub fn answer(text: &str) -> bool {
    let theme = Theme::of_stdout().or_any_unicode(&std::io::stdout());
    let shown: String =
        text.split_inclusive('\n').map(|line| ended(&styled(line.trim_end_matches('\n'), theme), line)).collect();
    write(&mut std::io::stdout().lock(), &shown)
}

/// As [`answer`], of one line.
pub fn answer_line(text: &str) {
    let mut page = Page::default();
    page.line(text);
    page.answer();
}

/// Writes a line of JSON to standard output; whether there is somebody to read it.
pub fn answer_json(json: String) -> bool {
    write(&mut std::io::stdout().lock(), &(safe_json(json) + "\n"))
}

/// Writes a complaint, or a question, to standard error. Further lines of it are indented.
pub fn complain(text: &str) {
    let stderr = std::io::stderr();
    let theme = Theme { colour: false, ..Theme::of(&stderr).or_any_unicode(&stderr) };
    let mut shown = String::new();
    for (number, line) in text.split('\n').enumerate() {
        shown += if number == 0 || line.is_empty() { "" } else { INDENT };
        shown += &styled(line, theme);
        shown.push('\n');
    }
    write(&mut stderr.lock(), &shown);
}

/// Whether standard error is a terminal, and standard output is none.
pub fn only_complaints_are_seen() -> bool {
    std::io::stderr().is_terminal() && !std::io::stdout().is_terminal()
}

/// As [`complain`], of one line: what a host says of itself may hold a newline.
pub fn complain_line(text: &str) {
    complain(&text.replace('\n', "\\n"));
}

/// Has remarks from the depths of the program, and panics, leave through this door.
pub fn log_to_stderr(level: log::LevelFilter) {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(level).parse_env("HOIST_LOG");
    logger.format(|_, record| {
        complain_line(&format!("hoist: {}: {}", record.level().as_str().to_lowercase(), record.args()));
        Ok(())
    });
    // A second command in one process, in a test say, finds the first one's logger.
    let _ = logger.try_init();
}

/// Has panics told through this door.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let said = said.downcast_ref::<String>().map(String::as_str).or(said.downcast_ref::<&str>().copied());
        let said = said.unwrap_or("no message");
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        complain_line(&format!("hoist: internal error{place}: {said}"));
    }));
}

fn ended(shown: &str, line: &str) -> String {
    format!("{shown}{}", if line.ends_with('\n') { "\n" } else { "" })
}

fn write(stream: &mut impl Write, text: &str) -> bool {
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
}

impl Theme {
    /// Where a stream is no terminal, UTF-8 passes whatever the locale: no terminal takes harm.
    pub fn or_any_unicode(self, stream: &impl IsTerminal) -> Theme {
        Theme { unicode: self.unicode || !stream.is_terminal(), ..self }
    }
}
