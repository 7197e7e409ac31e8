//! The door to the operator's terminal: whatever a command writes to its two standard streams goes through here or
//! through a reporter's sink, and is made safe there. No caller has to know which text came from elsewhere.
//!
//! Writing never fails: a reader that has gone away ends nothing. What else kept an answer from standard output, such as a
//! full disk, is kept for the end of the command.

mod ci;
mod guard;
mod html;
mod sanitize;
mod style;
mod styled;
mod table;
mod wrap;

pub use ci::{Ci, Marker};
pub use html::html;
pub use sanitize::{cut_line, sanitize, sanitize_json, sanitize_lines};
pub use style::{Style, Theme};
pub use styled::Styled;
pub use table::{Table, TableRow};

use std::io;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use serde::Serialize;

/// What stands before the further lines of a complaint, so that none of them looks like one of its own.
const INDENT: &str = "  ";

/// Lines of a command's answer. Each is one line, whatever is in it.
#[derive(Debug, Default)]
pub struct Page(Vec<Styled>);

impl Page {
    /// Adds a line. A newline within it is shown as an escape.
    pub fn line(&mut self, text: impl Into<Styled>) {
        self.0.push(text.into());
    }

    /// Adds rows of three columns, the first two of them as wide as they need to be.
    pub fn columns(&mut self, rows: Vec<[String; 3]>) {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (one, two) = (width(0), width(1));
        for [first, second, third] in &rows {
            self.line(format!("{first:one$}  {second:two$}  {third}").trim_end());
        }
    }

    /// Writes the lines to standard output; whether there is somebody to read them.
    pub fn answer(&self) -> bool {
        let theme = answer_theme();
        let lines = self.0.iter().flat_map(|line| fitted(line.clone(), theme, columns()));
        let shown: String = lines.map(|line| line.render(theme) + "\n").collect();
        write_answer(&shown)
    }
}

/// Writes a command's answer to standard output; whether there is somebody to read it. Its lines are its own.
pub fn answer(text: &str) -> bool {
    write_answer(&sanitize_lines(text, answer_theme().unicode))
}

/// As [`answer`], of one line.
pub fn answer_line(text: &str) {
    let mut page = Page::default();
    page.line(text);
    page.answer();
}

/// Writes a value as one line of JSON to standard output; whether there is somebody to read it.
///
/// # Errors
/// A value that JSON has no form for.
pub fn answer_json(value: &impl Serialize) -> serde_json::Result<bool> {
    serde_json::to_string(value).map(answer_json_line)
}

/// Writes a line that is JSON already; whether there is somebody to read it.
pub fn answer_json_line(json: String) -> bool {
    write_answer(&(sanitize_json(json) + "\n"))
}

/// Writes a complaint, or a question, to standard error. Further lines of it are indented.
pub fn complain(text: &str) {
    let stderr = std::io::stderr();
    let theme = Theme::of(&stderr).or_any_unicode(&stderr);
    let mut shown = String::new();
    for (number, line) in text.split('\n').enumerate() {
        let indent = if number == 0 || line.is_empty() { "" } else { INDENT };
        for line in fitted(format!("{indent}{line}").into(), theme, columns_of(&console::Term::stderr(), theme)) {
            shown += &line.render(theme);
            shown.push('\n');
        }
    }
    write(&mut stderr.lock(), &shown);
}

/// Writes a line to standard error that is a command to the CI system, if it knows one of the kind.
pub fn mark(marker: Marker, ci: Ci) {
    if let Some(line) = marker.line(ci) {
        write(&mut std::io::stderr().lock(), &(line + "\n"));
    }
}

/// The line, broken between words where the terminal is too narrow for it.
fn fitted(line: Styled, theme: Theme, columns: Option<usize>) -> Vec<Styled> {
    let Some(columns) = columns else { return vec![line] };
    let text = line.text();
    let blanks = text.len() - text.trim_start_matches(' ').len();
    line.wrapped(theme, columns, blanks + INDENT.len())
}

/// The columns of the terminal that standard output is, if it is one.
pub fn columns() -> Option<usize> {
    columns_of(&console::Term::stdout(), Theme::of_stdout())
}

fn columns_of(terminal: &console::Term, theme: Theme) -> Option<usize> {
    let (_, columns) = terminal.size_checked()?;
    (columns > 0 && theme.live).then_some(columns.into())
}

/// Whether standard output is a terminal.
pub fn answers_at_a_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether standard error is a terminal, and standard output is none.
pub fn only_complaints_are_seen() -> bool {
    std::io::stderr().is_terminal() && !std::io::stdout().is_terminal()
}

/// As [`complain`], of one line: what a host says of itself may hold a newline.
pub fn complain_line(text: &str) {
    complain(&text.replace('\n', "\\n"));
}

/// Has the developers' log leave through this door: what `HOIST_LOG` asks for, in env_logger's notation (`debug`,
/// `hoist::fleet=trace`), and nothing unless it does. What an operator should know is an event.
pub fn log_to_stderr() {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(log::LevelFilter::Off).parse_env("HOIST_LOG");
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

/// What standard output shows of an answer.
fn answer_theme() -> Theme {
    Theme::of_stdout().or_any_unicode(&std::io::stdout())
}

/// Why a part of an answer is missing from standard output. A reader that has gone away wants no more of it.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// What kept an answer from standard output, if anything did.
pub fn lost_answer() -> Option<&'static io::Error> {
    LOST.get()
}

fn write_answer(text: &str) -> bool {
    write(&mut Stdout, text)
}

/// Standard output. What kept something from it is kept for the end of the command.
#[derive(Debug, Clone, Copy)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(lost)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(lost)
    }
}

fn lost(error: io::Error) -> io::Error {
    if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) {
        // The first one says why.
        let _ = LOST.set(io::Error::new(error.kind(), error.to_string()));
    }
    error
}

fn write(stream: &mut impl Write, text: &str) -> bool {
    try_write(stream, text).is_ok()
}

fn try_write(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush())
}

impl Theme {
    /// Where a stream is no terminal, UTF-8 passes whatever the locale: no terminal takes harm.
    pub fn or_any_unicode(self, stream: &impl IsTerminal) -> Theme {
        Theme { unicode: self.unicode || !stream.is_terminal(), ..self }
    }
}
