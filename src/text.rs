//! Text: the encoding of what people wrote, command lines in words, and errors of the system.

/// Has serde read and write types as the text that they are parsed from and displayed as.
macro_rules! serde_as_text {
    ($($type:ty),+) => { $(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+ };
}
pub(crate) use serde_as_text;

/// An error of the system without the number that Rust puts behind it.
pub fn plain(error: &(impl std::fmt::Display + ?Sized)) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

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

/// A size for people: `312 bytes`, `4.1 kB`, `17 MB`.
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return counted(count as usize, "byte");
    }
    let (mut size, mut unit) = (count as f64 / 1000.0, "kB");
    for larger in ["MB", "GB", "TB"] {
        // What would be rounded up to 1000 is one of the larger unit.
        if size < 999.5 {
            break;
        }
        (size, unit) = (size / 1000.0, larger);
    }
    if size < 9.95 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
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

/// The words of a command line, quoted as for Python's `shlex.split`, which is what Scap runs commands by; nothing is
/// expanded, and `#` is a character like others. `None` when a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    split(line, false)
}

/// The same of a line that may end in a comment, which a `#` outside of quotes begins.
pub fn words_and_comment(line: &str) -> Option<Vec<String>> {
    split(line, true)
}

fn split(line: &str, comments: bool) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next()?;
                let word = word.get_or_insert_default();
                if next != '"' && next != '\\' {
                    word.push('\\');
                }
                word.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, '#') if comments => break,
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A word as a POSIX shell has to be given it.
pub fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

/// What may have been meant by a word that is not known: `: did you mean "x"?`, or nothing when no known word is near.
pub fn did_you_mean<T: AsRef<str>>(word: &str, known: impl IntoIterator<Item = T>) -> String {
    nearest(word, known).map(|near| format!(": did you mean {near:?}?")).unwrap_or_default()
}

/// As [`did_you_mean`]; where no known word is near, which there are: `; the groups are a, b`.
pub fn meant_or_known<T: AsRef<str>>(word: &str, what: &str, known: &[T]) -> String {
    match nearest(word, known) {
        Some(near) => format!(": did you mean {near:?}?"),
        None if known.is_empty() => format!("; there are no {what}"),
        None => format!("; the {what} are {}", known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")),
    }
}

/// The known word that is nearest to `word`, when one is near enough to be a slip of the finger. Letter case does not
/// count.
pub fn nearest<T: AsRef<str>>(word: &str, known: impl IntoIterator<Item = T>) -> Option<String> {
    let length = word.chars().count();
    let near = (1 + length / 6).min(length.saturating_sub(1));
    let lower = word.to_lowercase();
    let found = known.into_iter().map(|known| (distance(&lower, &known.as_ref().to_lowercase()), known));
    // Of words that are equally near, one of the same length: swapped letters are the commonest slip.
    let found = found.filter(|(far, _)| *far <= near).map(|(far, known)| {
        let known = known.as_ref().to_owned();
        (far, known.chars().count().abs_diff(length), known)
    });
    found.min().map(|(.., known)| known)
}

/// Insertions, removals and replacements of a character, and swaps of neighbours, that make `a` of `b` (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Each text is refused in one line that has this term and this reason.
#[cfg(test)]
#[track_caller]
pub fn told_with_term<T: std::fmt::Debug>(read: impl Fn(&str) -> Result<T, String>, refused: &[(&str, &str, &str)]) {
    for (text, term, why) in refused {
        let error = read(text).unwrap_err();
        assert!(error.contains(term) && error.contains(why) && !error.contains('\n'), "{text}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_python_s_shlex_splits_it() {
        let read = |line: &str| words_and_comment(line).map(|words| words.join("|"));
        assert_eq!(read("web1 a=b  c='d e' # f").as_deref(), Some("web1|a=b|c=d e"));
        assert_eq!(read(r#"w a="x \" y" b=\# c="\n""#).as_deref(), Some(r#"w|a=x " y|b=#|c=\n"#));
        assert_eq!(read("web1#x").as_deref(), Some("web1"));
        assert_eq!(read("a ''").as_deref(), Some("a|"));
        assert_eq!((read("a 'b"), read("a \\")), (None, None));
        let read = |line: &str| words(line).map(|words| words.join("|"));
        assert_eq!(read("a # b#c").as_deref(), Some("a|#|b#c"));
        assert_eq!(read(r#""\$x" "\`" \$y"#).as_deref(), Some(r"\$x|\`|$y"));
        assert_eq!(read("a\u{a0}b\r\nc").as_deref(), Some("a\u{a0}b|c"));
    }

    #[test]
    fn a_slip_of_the_finger_is_answered_with_the_nearest_word() {
        let commands = ["deploy", "status", "log", "lock", "config"];
        for (typed, meant) in [
            ("stauts", Some("status")),
            ("Deploi", Some("deploy")),
            ("lcok", Some("lock")),
            ("conifg", Some("config")),
            ("x", None),
            ("", None),
            ("launch", None),
        ] {
            assert_eq!(nearest(typed, commands).as_deref(), meant, "{typed}");
        }
        assert_eq!(did_you_mean("stauts", commands), ": did you mean \"status\"?");
        assert_eq!(did_you_mean("launch", commands), "");
    }

    #[test]
    fn names_beyond_the_first_few_are_counted() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!((some(&names, 3), some(&names, 2)), ("a, b, c".into(), "a, b and 1 more".into()));
        assert_eq!((first(&names, 3, 3), first(&names, 9, 2)), ("a, b, c".into(), "a, b, …".into()));
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".into(), "0 files".into()));
    }
}
