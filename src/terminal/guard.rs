//! Keeps GitHub's runner from finding commands in what it reads as the output of a job.
//!
//! It takes a line that begins with `::`, or that has `##[` anywhere, for a command to itself: such a line can set
//! variables, hide text, or switch commands off. Whatever leaves for it is changed until it is no command. What GitLab
//! would read needs an escape sequence, which is made safe as for any terminal.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether GitHub's runner reads what is written.
static GUARDED: AtomicBool = AtomicBool::new(false);

/// From now on it does.
pub fn on() {
    GUARDED.store(true, Ordering::Relaxed);
}

/// A line that leaves, such that GitHub's runner finds no command in it where it reads it.
pub fn guarded(line: String) -> String {
    if GUARDED.load(Ordering::Relaxed) { disarmed(line) } else { line }
}

/// As [`guarded`], for a line of JSON: it means the same.
pub fn guarded_json(line: String) -> String {
    if GUARDED.load(Ordering::Relaxed) { line.replace("##[", "\\u0023#[") } else { line }
}

fn disarmed(line: String) -> String {
    let line = if line.contains("##[") { line.replace("##[", "\\x23#[") } else { line };
    let text = line.trim_start();
    if !text.starts_with("::") {
        return line;
    }
    let mut out = line[..line.len() - text.len()].to_owned();
    let _ = write!(out, "\\x3a{}", &text[1..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the runner looks for commands: at the beginning of a line, blanks aside, and `##[` anywhere.
    fn is_command(line: &str) -> bool {
        line.trim_start().starts_with("::") || line.contains("##[")
    }

    #[test]
    fn no_line_from_elsewhere_is_a_command() {
        for (line, shown) in [
            ("::set-output name=x::y", "\\x3a:set-output name=x::y"),
            ("\t \u{a0}::stop-commands::x", "\t \u{a0}\\x3a:stop-commands::x"),
            ("web1: ##[add-mask]a", "web1: \\x23#[add-mask]a"),
            ("###[x]##[y]", "#\\x23#[x]\\x23#[y]"),
            ("::##[x]::", "\\x3a:\\x23#[x]::"),
        ] {
            assert!(is_command(line));
            let disarmed = disarmed(line.to_owned());
            assert_eq!(disarmed, shown);
            assert!(!is_command(&disarmed));
        }
        for line in ["", "a::b", ":x::", "## [x]", "#[x]"] {
            assert_eq!(disarmed(line.to_owned()), line);
        }
    }
}
