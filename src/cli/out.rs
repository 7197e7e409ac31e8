//! Writing to the two standard streams without ever failing: a reader that has gone away ends nothing.

use std::io::Write;

/// Writes a command's answer to standard output.
pub fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line for the operator to standard error.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
