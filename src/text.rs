//! Text that people wrote: its encoding, and command lines in words.

/// `bytes` as text, without a byte-order mark.
///
/// # Errors
/// The line, from 1, of the first byte that is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, usize> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => Err(1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count()),
    }
}

/// A name with `_` for each character that is no letter, digit or `_`, as Scap has the names of keys in file names.
pub fn word_characters(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// `1 host`, `2 hosts`.
pub fn hosts(count: usize) -> String {
    counted(count, "host")
}

/// The count and the noun, in the plural but for one.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The words of a command line, quoted as for a POSIX shell; nothing is expanded. `None` when a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}
