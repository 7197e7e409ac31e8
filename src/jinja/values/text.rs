//! Text as Python treats it: white space, lines, letter case, and what HTML escapes.

use crate::jinja::error::{Error, refuse};

/// Whether Python counts it as white space.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `<`, `>`, `&` and quotes as HTML writes them.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Python's `str.splitlines`.
pub fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends =
            |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        let end = if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        lines.push(&rest[..if keep_ends { at + end } else { at }]);
        rest = &rest[at + end..];
    }
    lines
}

/// Python's `strip`, at the start, at the end, or both.
pub fn strip(text: &str, chars: Option<&str>, start: bool, end: bool) -> String {
    let cut = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if start { text.trim_start_matches(cut) } else { text };
    if end { text.trim_end_matches(cut) } else { text }.to_owned()
}

/// Whether a letter is in title case.
pub fn is_title_case(c: char) -> bool {
    matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// A letter in title case: `ß` becomes `Ss`, and a digraph becomes the one with only its first part in upper case.
pub fn title_case(c: char) -> String {
    let digraphs = [
        ('\u{1c4}', '\u{1c6}', '\u{1c5}'),
        ('\u{1c7}', '\u{1c9}', '\u{1c8}'),
        ('\u{1ca}', '\u{1cc}', '\u{1cb}'),
        ('\u{1f1}', '\u{1f3}', '\u{1f2}'),
    ];
    if let Some((_, _, title)) =
        digraphs.into_iter().find(|(upper, lower, title)| [*upper, *lower, *title].contains(&c))
    {
        return title.to_string();
    }
    let mut upper = c.to_uppercase();
    upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
}

pub fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    match chars.next() {
        Some(first) => title_case(first) + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// Text without tags, and with runs of white space replaced by one blank.
pub fn stripped(text: &str) -> Result<String, Error> {
    let mut text = text.to_owned();
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        let mut from = 0;
        while let Some(start) = text[from..].find(open).map(|at| at + from) {
            let Some(end) = text[start..].find(close) else { break };
            text.replace_range(start..start + end + close.len(), "");
            from = start;
        }
    }
    unescape(&text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// Replaces HTML entities by their characters.
fn unescape(text: &str) -> Result<String, Error> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        rest = after;
        let name: &str = rest.split(';').next().unwrap_or_default();
        let known = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" | "#39" | "#x27" => Some('\''),
            "#34" | "#x22" => Some('"'),
            "nbsp" => Some('\u{a0}'),
            _ => None,
        };
        match known.filter(|_| rest.len() > name.len()) {
            Some(c) => {
                plain.push(c);
                rest = &rest[name.len() + 1..];
            }
            None if rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '#') => {
                return Err(refuse("striptags of text with an HTML entity that is not one of XML's own"));
            }
            None => plain.push('&'),
        }
    }
    plain.push_str(rest);
    Ok(plain)
}

/// Whether text has letters, all of them of one case.
pub fn cased(s: &str, upper: bool) -> bool {
    let wanted = |c: char| if upper { c.is_uppercase() } else { c.is_lowercase() };
    let other = |c: char| if upper { c.is_lowercase() } else { c.is_uppercase() };
    s.chars().any(wanted) && !s.chars().any(|c| other(c) || is_title_case(c))
}
