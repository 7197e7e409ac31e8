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

/// The candidate that is nearest to `name`, when one is near enough to be what was meant. The first of equals.
pub fn nearest<S: AsRef<str>>(name: &str, candidates: impl IntoIterator<Item = S>) -> Option<S> {
    let near = 1 + name.chars().count() / 6;
    let measured = candidates.into_iter().map(|known| (distance(name, known.as_ref()), known));
    measured.filter(|(far, _)| *far <= near).min_by_key(|(far, _)| *far).map(|(_, known)| known)
}

/// Insertions, removals and replacements of a character, and swaps of two neighbours, that make `b` of `a` (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// `: did you mean NAME?` for the candidate that is nearest to `name`; empty when none is near.
pub fn did_you_mean<S: AsRef<str>>(name: &str, candidates: impl IntoIterator<Item = S>) -> String {
    nearest(name, candidates).map(|known| format!(": did you mean {}?", known.as_ref())).unwrap_or_default()
}

/// The words of a command line, quoted as for a POSIX shell; nothing is expanded. `None` when a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_whether_letters_are_wrong_missing_or_swapped() {
        let known = ["batch_size", "umask", "group"];
        for slip in ["bacth_size", "batchsize", "batch_sise", "batch_sizes"] {
            assert_eq!(nearest(slip, known), Some("batch_size"), "{slip}");
        }
        assert_eq!((nearest("umaks", known), nearest("gruop", known)), (Some("umask"), Some("group")));
        assert_eq!((nearest("colour", known), nearest("", known)), (None, None));
        assert_eq!(did_you_mean("gorup", known), ": did you mean group?");
        assert_eq!(did_you_mean("x", ["long"]), "");
    }

    #[test]
    fn names_beyond_the_first_few_are_counted() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!((some(&names, 3), some(&names, 2)), ("a, b, c".into(), "a, b and 1 more".into()));
        assert_eq!((first(&names, 3, 3), first(&names, 9, 2)), ("a, b, c".into(), "a, b, …".into()));
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".into(), "0 files".into()));
    }
}
