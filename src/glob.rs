//! Globs, in the two dialects that others have defined. Host patterns, which have ranges, are `targets::pattern`.

/// Whether a pattern of OpenSSH's matches the whole text: `*` is any number of characters, `?` is one, and nothing else
/// is special.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// A pattern of Python's fnmatch as a regular expression for the whole text: it has character classes too.
pub fn expression(text: &str) -> String {
    let mut pattern = r"(?s)\A".to_owned();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            '[' => match class(rest) {
                Some((class, length)) => {
                    pattern.push_str(&class);
                    rest = &rest[length..];
                }
                None => pattern.push_str(r"\["),
            },
            c => pattern.push_str(&escaped(c)),
        }
    }
    pattern + r"\z"
}

/// A shell's character class whose bracket has been opened, as an expression, and how many bytes it takes; `None`: the
/// bracket is never closed, and stands for itself.
fn class(text: &str) -> Option<(String, usize)> {
    let negated = text.starts_with('!');
    let begin = usize::from(negated);
    // A bracket right at the beginning is one of the characters.
    let first = text[begin..].chars().next()?.len_utf8();
    let end = begin + first + text[begin + first..].find(']')?;
    let chars: Vec<char> = text[begin..end].chars().collect();
    let mut class = if negated { "[^".to_owned() } else { "[".to_owned() };
    let mut at = 0;
    while at < chars.len() {
        let range = chars.get(at + 1) == Some(&'-') && chars.get(at + 2).is_some_and(|last| chars[at] <= *last);
        class.push_str(&escaped(chars[at]));
        if range {
            class.push('-');
            class.push_str(&escaped(chars[at + 2]));
        }
        at += if range { 3 } else { 1 };
    }
    Some((class + "]", end + 1))
}

/// A character that stands for itself, in a class too.
fn escaped(c: char) -> String {
    if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_the_whole_text_in_either_dialect() {
        let fits = |pattern: &str, text: &str| {
            let fits = matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(regex::Regex::new(&expression(pattern)).unwrap().is_match(text), fits, "{pattern} {text}");
            fits
        };
        assert!(fits("", "") && fits("*", ""));
        assert!(fits("a*c", "abbc") && !fits("a*c", "abbcd"));
        assert!(fits("a?c", "abc") && !fits("a?c", "ac"));
        assert!(fits("*.x.*", "a.x.x.b") && !fits("a.c", "abc"));
        assert!(fits("**a*b*", "xaxbx"));
        assert!(matches(b"[ab]", b"[ab]") && !matches(b"[ab]", b"a"));
        assert!(regex::Regex::new(&expression("[!a-c]x")).unwrap().is_match("dx"));
    }
}
