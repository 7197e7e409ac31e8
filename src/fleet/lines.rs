//! What is said to a target, as lines.

use crate::wire::{FIRST_LINE, Request};

/// One line of JSON.
pub(super) fn line_of(message: &impl serde::Serialize) -> Vec<u8> {
    // These types can always be written as JSON; if one could not, the target would report an empty line.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The request of a command, preceded by the line that ends a shell which runs in place of Hoist.
pub(super) fn lines_of(request: &Request) -> Vec<u8> {
    let mut lines = format!("{FIRST_LINE}\n").into_bytes();
    lines.extend(line_of(request));
    lines
}
