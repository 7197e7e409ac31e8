//! Makes text from elsewhere safe for the operator's terminal.
//!
//! A host's output may hold anything: escape sequences that repaint the screen or rename the window, control characters
//! that hide what came before, marks that turn the order of reading around. None of that reaches the terminal; each such
//! character is shown as an escape, `\x1b` or `\u{202e}`, so that the operator sees that it was there.

use std::borrow::Cow;
use std::fmt::Write;

use super::guard::{guarded, guarded_json};

/// The most characters of one line that the operator's text shows. The log and the JSON keep the line whole.
const MAX_LINE: usize = 1000;

/// The text as one line that is safe to print. Tabs are kept. With `unicode` off, the terminal is not one for UTF-8, and
/// everything beyond ASCII is escaped too: a terminal that reads single bytes could take parts of it for controls.
pub fn sanitize(text: &str, unicode: bool) -> Cow<'_, str> {
    let hostile = |c: char| is_hostile(c) || (!unicode && !c.is_ascii());
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hostile(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Lines of text, each made safe; they stay lines.
pub fn sanitize_lines(text: &str, unicode: bool) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let text = line.strip_suffix('\n').unwrap_or(line);
            guarded(sanitize(text, unicode).into_owned()) + &line[text.len()..]
        })
        .collect()
}

/// A line without the carriage return that ends lines of some programs, and cut at [`MAX_LINE`] characters. It is cut
/// before it is made safe: an escape is longer than what it stands for, and must not be cut in two.
pub fn cut_line(text: &str) -> Cow<'_, str> {
    let text = text.trim_end_matches(['\r', '\n']);
    match text.char_indices().nth(MAX_LINE) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let left = text[end..].chars().count();
            Cow::Owned(format!("{} [{left} more characters]", &text[..end]))
        }
    }
}

/// A line of JSON in which what is unsafe for a terminal is written in JSON's own escapes. It means the same.
pub fn sanitize_json(json: String) -> String {
    // Such characters stand only inside strings there, where an escape may stand for them.
    let json = guarded_json(json);
    if !json.contains(is_hostile) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn escape(c: char, out: &mut String) {
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        c if (c as u32) < 0x100 => write!(out, "\\x{:02x}", c as u32),
        c => write!(out, "\\u{{{:x}}}", c as u32),
    };
}

fn is_hostile(c: char) -> bool {
    // C0 with escape, delete, and C1, where U+009B alone begins an escape sequence.
    (c.is_control() && c != '\t')
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // bidirectional marks
            | '\u{00ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' // not to be seen
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' // annotations, tags
            | '\u{fffe}' | '\u{ffff}') // no characters; XML cannot have them
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(sanitize("\x1b[2J\x1b]0;owned\x07hi", true), "\\x1b[2J\\x1b]0;owned\\x07hi");
        assert_eq!(sanitize("\u{9b}31mred\u{7f}", true), "\\x9b31mred\\x7f");
        assert_eq!(sanitize("50%\r100%\nnext\0", true), "50%\\r100%\\nnext\\x00");
    }

    #[test]
    fn marks_that_turn_or_hide_text_are_shown() {
        for (text, shown) in [
            ("evil\u{202e}txt.exe", "evil\\u{202e}txt.exe"),
            ("a\u{2066}b\u{200b}c\u{feff}\u{2028}", "a\\u{2066}b\\u{200b}c\\u{feff}\\u{2028}"),
        ] {
            assert_eq!(sanitize(text, true), shown);
        }
    }

    #[test]
    fn honest_text_passes_as_it_is() {
        for text in ["plain", "a\ttab", "Grüße, 東京 ✓", "back\\slash"] {
            assert!(matches!(sanitize(text, true), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_terminal_without_utf8_gets_nothing_but_ascii() {
        assert_eq!(sanitize("Grüße ✓", false), "Gr\\xfc\\xdfe \\u{2713}");
    }

    #[test]
    fn no_character_at_all_gets_through_as_a_control() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let shown = sanitize(&text, true);
            assert!(shown.chars().all(|c| c == '\t' || !c.is_control()), "{c:?}");
            let shown = sanitize(&text, false);
            assert!(shown.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b)), "{c:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_says_how_much_is_left() {
        let line = cut_line(&"é".repeat(MAX_LINE + 7)).into_owned();
        assert!(line.ends_with("é [7 more characters]"));
        assert_eq!(cut_line("just ended\r\n"), "just ended");
        assert_eq!(cut_line(&"x".repeat(MAX_LINE)).len(), MAX_LINE);
    }

    #[test]
    fn lines_stay_lines_and_each_is_safe() {
        assert_eq!(sanitize_lines("a\x1b[2J\nb\r\n\nc", true), "a\\x1b[2J\nb\\r\n\nc");
        assert_eq!(sanitize_lines("é\n", false), "\\xe9\n");
    }

    #[test]
    fn json_made_safe_reads_back_the_same() {
        let hostile = "\x1b[31m \u{9b}2J \u{7f} \u{202e} \u{e0041} é \" \\";
        let line = sanitize_json(serde_json::to_string(hostile).unwrap());
        assert!(!line.contains(is_hostile));
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), hostile);
    }
}
