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

/// The first `most` names, and how many more there are: `a, b and 2 more`.
pub fn some(names: &[String], most: usize) -> String {
    let more = if names.len() > most { format!(" and {} more", names.len() - most) } else { String::new() };
    names[..names.len().min(most)].join(", ") + &more
}

/// The first `most` of `count` names, and a mark if there are more: `a, b, …`.
pub fn first(names: &[String], count: usize, most: usize) -> String {
    let more = if count > most { ", …" } else { "" };
    names[..names.len().min(most)].join(", ") + more
}

/// The words of a command line, quoted as for a POSIX shell; nothing is expanded. `None` when a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_first_few_are_counted() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!((some(&names, 3), some(&names, 2)), ("a, b, c".into(), "a, b and 1 more".into()));
        assert_eq!((first(&names, 3, 3), first(&names, 9, 2)), ("a, b, c".into(), "a, b, …".into()));
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".into(), "0 files".into()));
    }
}
