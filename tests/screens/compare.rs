//! What a terminal shows, without what differs from run to run, beside what is expected.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::common::Ran;
use super::common::terminal::Terminal;

/// Rows of the emulated screen: a whole run stands on it, scrolled off or not.
const ROWS: u16 = 400;

/// Compares a terminal's screen with the expected one.
#[track_caller]
pub fn screen(name: &str, terminal: &Terminal, columns: u16) {
    compare(&format!("{name}.{columns}"), &rows(terminal, columns));
}

/// The same of a screen that changes, once it shows these words: it is as expected sooner or later.
#[track_caller]
pub fn at_last(name: &str, terminal: &Terminal, columns: u16, words: &str) {
    terminal.wait_for(words);
    let name = format!("{name}.{columns}");
    for _ in 0..100 {
        let shown = rows(terminal, columns);
        if is_expected(&name, &shown) && !updates() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        if updates() && shown.contains(words) {
            break;
        }
    }
    compare(&name, &rows(terminal, columns));
}

/// Compares what a pipe got with the expected text.
#[track_caller]
pub fn text(name: &str, ran: &Ran) {
    compare(name, &sorted(&normal(&format!("{}{}", ran.out, ran.err)).lines().map(str::to_owned).collect::<Vec<_>>()));
}

#[track_caller]
fn rows(terminal: &Terminal, columns: u16) -> String {
    let mut parser = vt100::Parser::new(ROWS.try_into().unwrap(), columns.try_into().unwrap(), 0);
    parser.process(terminal.shows().as_bytes());
    // A line that is wider than the screen is kept together.
    let mut rows: Vec<String> = Vec::new();
    let mut goes_on = false;
    for (number, row) in (0..).zip(parser.screen().rows(0, columns)) {
        match rows.last_mut().filter(|_| goes_on) {
            Some(line) => *line += &format!("\n{}", row.trim_end()),
            None => rows.push(row.trim_end().to_owned()),
        }
        goes_on = parser.screen().row_wrapped(number);
    }
    assert!(parser.screen().cursor_position().0 < ROWS - 1, "more than {ROWS} rows");
    let rows = normal(&rows.join("\n"));
    sorted(&rows.lines().map(str::to_owned).collect::<Vec<_>>())
}

fn updates() -> bool {
    std::env::var_os("HOIST_UPDATE_SCREENS").is_some()
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(format!("{name}.txt"))
}

fn is_expected(name: &str, shown: &str) -> bool {
    std::fs::read_to_string(path(name)).unwrap_or_default().trim_end() == shown.trim_end()
}

#[track_caller]
fn compare(name: &str, shown: &str) {
    let path = path(name);
    if updates() {
        std::fs::write(&path, shown.trim_end().to_owned() + "\n").unwrap();
    }
    let what = path.display();
    assert!(is_expected(name, shown), "{what} is not what is shown (HOIST_UPDATE_SCREENS=1 writes it):\n{shown}");
}

/// What differs from run to run, replaced by text of the same width where a column hangs on it.
pub fn normal(text: &str) -> String {
    static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?P<run>\d{8}T\d{6}Z?(?:\.\d+Z?)?-\d+(?:-\w+)?)",
            r"|(?P<time>\d\d:\d\d:\d\d)",
            r"|(?P<date>\b\d{4}-\d\d-\d\d \d\d:\d\d\b)",
            r"|(?P<ago>\bjust now\b|\b\d+ (?:min|h) ago\b)",
            r"|(?P<slow> in (?:\d+ min \d\d s|\d+(?:\.\d+)? (?:ms|s|min))\b)",
            // In a column of a table the spaces behind it hang on the longest one: `9.1 s`, `12 s`, `1 min 02 s`.
            r"|(?P<took> *\b(?:\d+ min \d\d s|\d+(?:\.\d+)? (?:ms|s|min))\b)(?P<column> {2,})?",
            r"|(?P<heading>\btook {2,})",
            r"|(?P<elapsed>\b\d+s\b)",
            r"|(?P<size>\b\d+(?:\.\d+)? (?:bytes|kB)\b)",
            r"|(?P<port>\]:\d+\b|-p \d+\b)",
            r"|(?P<key>SHA256:[\w+/]{43})",
            r"|(?P<folder>/tmp/hoist-(?:farm|repo)-\w+)",
            r"|\b(?P<revision>[0-9a-f]{40}|[0-9a-f]{10})\b",
        ))
        .unwrap()
    });
    let mut revisions: Vec<String> = Vec::new();
    let replaced = CHANGING.replace_all(text, |found: &Captures<'_>| {
        let is = |name| found.name(name).is_some();
        if is("run") {
            "RUN".to_owned()
        } else if is("time") {
            "00:00:00".to_owned()
        } else if is("date") {
            "0000-00-00 00:00".to_owned()
        } else if is("ago") {
            "N min ago".to_owned()
        } else if is("slow") {
            // Only what took a second or more is said to have taken it.
            String::new()
        } else if is("took") {
            let indent = if found[0].starts_with(' ') { " " } else { "" };
            format!("{indent}N s{}", if is("column") { "  " } else { "" })
        } else if is("heading") {
            "took  ".to_owned()
        } else if is("elapsed") {
            "Ns".to_owned()
        } else if is("size") {
            "N bytes".to_owned()
        } else if is("port") {
            format!(
                "{}PORT",
                &found[0][..found[0].len() - found[0].trim_start_matches(|c: char| !c.is_ascii_digit()).len()]
            )
        } else if is("key") {
            "SHA256:KEY".to_owned()
        } else if is("folder") {
            "/tmp/FOLDER".to_owned()
        } else {
            let revision = &found["revision"];
            let number = revisions.iter().position(|seen| *seen == revision[..10]).unwrap_or_else(|| {
                revisions.push(revision[..10].to_owned());
                revisions.len() - 1
            });
            let letter = char::from(b'a' + u8::try_from(number).unwrap());
            letter.to_string().repeat(revision.len())
        }
    });
    replaced.into_owned()
}

/// Rows, with those of hosts that were at work at once in the order of the hosts.
fn sorted(rows: &[String]) -> String {
    let of_host = |row: &String| row.starts_with("00:00:00 [");
    let mut rows = rows.to_vec();
    for group in rows.chunk_by_mut(|one, two| of_host(one) && of_host(two)) {
        group.sort_by_key(|row| (row.find(']'), row.clone()));
    }
    rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n")
}
