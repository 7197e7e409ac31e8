//! Lines broken between words, for a terminal that would break them anywhere.

use super::style::Theme;
use super::styled::Styled;

/// A remark in parentheses of fewer bytes is kept whole.
const REMARK: usize = 48;

impl Styled {
    /// The line in lines of so many columns, all but the first indented. It is broken at blanks alone, and not inside
    /// backquotes: whoever copies a command must get one line. Short remarks in parentheses are kept whole too. What is too
    /// wide by itself the terminal breaks.
    pub fn wrapped(self, theme: Theme, columns: usize, indent: usize) -> Vec<Styled> {
        let text = self.text();
        // So little room makes nothing easier to read.
        if theme.width(&text) <= columns || columns <= indent * 2 {
            return vec![self];
        }
        let mut lines: Vec<(usize, usize)> = Vec::new();
        for (start, end) in words(&text) {
            let room = if lines.len() > 1 { columns - indent } else { columns };
            match lines.last_mut().filter(|line| theme.width(&text[line.0..end]) <= room) {
                Some(line) => line.1 = end,
                None => lines.push((start, end)),
            }
        }
        let blanks = || Styled::from(" ".repeat(indent));
        let line = |(number, (start, end))| match number {
            0 => self.part(start, end),
            _ => blanks().with(self.part(start, end)),
        };
        lines.into_iter().enumerate().map(line).collect()
    }
}

/// Where the words begin and end. Blanks ahead of the first one are part of it.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let blanks = text[at..].len() - text[at..].trim_start_matches(' ').len();
        let start = if found.is_empty() { at } else { at + blanks };
        let mut end = at + blanks;
        while let Some(next) = text[end..].chars().next().filter(|c| *c != ' ') {
            let after = end + next.len_utf8();
            let rest = &text[after..];
            // A quotation without an end is none.
            let close = match next {
                '`' => rest.find('`'),
                '(' => rest.find(['(', ')']).filter(|end| rest[*end..].starts_with(')') && *end < REMARK),
                _ => None,
            };
            end = close.map_or(after, |close| after + close + 1);
        }
        if end > start {
            found.push((start, end));
        }
        at = end.max(at + 1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    fn shown(text: impl Into<Styled>, columns: usize, indent: usize) -> Vec<String> {
        let theme = Theme::plain(true);
        text.into().wrapped(theme, columns, indent).iter().map(|line| line.render(theme)).collect()
    }

    #[test]
    fn a_line_is_broken_between_words_and_a_command_is_not_broken_at_all() {
        assert_eq!(shown("one two three", 13, 2), ["one two three"]);
        assert_eq!(shown("one two three four", 9, 2), ["one two", "  three", "  four"]);
        assert_eq!(shown("  é two three", 8, 2), ["  é two", "  three"]);
        assert_eq!(
            shown("undo it with `hoist rollback -l a`, or", 20, 2),
            ["undo it with", "  `hoist rollback -l a`,", "  or"]
        );
        assert_eq!(shown("one two (a b)", 10, 2), ["one two", "  (a b)"]);
        assert_eq!(shown("it's ` one two", 8, 2), ["it's `", "  one", "  two"]);
        assert_eq!(shown("averylongword two", 8, 2), ["averylongword", "  two"]);
        assert_eq!(shown("one two three", 4, 2), ["one two three"], "no room");
    }

    #[test]
    fn each_part_keeps_its_style() {
        let line = Style::Dim.of("00:00 ").with(Style::Bad.of("one two"));
        let lines = line.wrapped(Theme::plain(true), 10, 2);
        assert_eq!(
            lines,
            [Style::Dim.of("00:00 ").with(Style::Bad.of("one")), Styled::from("  ").with(Style::Bad.of("two"))]
        );
    }
}
