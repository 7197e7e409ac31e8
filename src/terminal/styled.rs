//! Text in styles. It holds no escape sequence of its own: the door writes those, around text that it has made safe.
//! So a style that stands in a host's text is shown as an escape, as everything else there that would steer a terminal.

use super::guard::guarded;
use super::sanitize::sanitize;
use super::style::{Style, Theme};

/// One line, in parts of different styles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Styled(Vec<(Style, String)>);

impl Styled {
    /// The line with more behind it.
    pub fn with(mut self, more: impl Into<Styled>) -> Styled {
        self.push(more);
        self
    }

    /// Adds to the line.
    pub fn push(&mut self, more: impl Into<Styled>) {
        self.0.append(&mut more.into().0);
    }

    /// What stands between two places of [`Styled::text`].
    pub(super) fn part(&self, start: usize, end: usize) -> Styled {
        let mut at = 0;
        let mut part = Vec::new();
        for (style, text) in &self.0 {
            let (from, to) = (start.clamp(at, at + text.len()) - at, end.clamp(at, at + text.len()) - at);
            if from < to {
                part.push((*style, text[from..to].to_owned()));
            }
            at += text.len();
        }
        Styled(part)
    }

    /// The text alone, as it came.
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// The line as a terminal of this theme may get it.
    pub fn render(&self, theme: Theme) -> String {
        let parts = self.0.iter().map(|(style, text)| theme.paint(*style, &sanitize(text, theme.unicode)));
        guarded(parts.collect())
    }
}

impl<T: Into<String>> From<T> for Styled {
    fn from(text: T) -> Styled {
        Style::Plain.of(text)
    }
}

impl Style {
    /// The text in this style.
    pub fn of(self, text: impl Into<String>) -> Styled {
        Styled(vec![(self, text.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLES: [Style; 5] = [Style::Good, Style::Bad, Style::Warning, Style::Dim, Style::Strong];

    #[test]
    fn our_own_styles_pass_where_there_are_colours_and_nothing_else_does() {
        let colours = Theme { colour: true, unicode: true, live: true };
        for style in STYLES {
            let painted = style.of("a").render(colours);
            assert!(painted.starts_with("\x1b[") && painted.ends_with("a\x1b[0m"), "{painted:?}");
            assert_eq!(style.of("a").render(Theme::plain(true)), "a");
            // Not even our own styles pass where they stand in text that came from elsewhere.
            let planted = Styled::from(painted.as_str()).with(style.of(&painted)).render(colours);
            assert_eq!(planted.matches('\x1b').count(), painted.matches('\x1b').count(), "{planted:?}");
        }
        let hostile = "\x1b[2J\x1b]0;x\x07\x1b[31;5m\x1b\u{9b}31m\n";
        assert_eq!(
            Style::Bad.of("é").with(hostile).render(colours),
            Style::Bad.of("é").render(colours) + "\\x1b[2J\\x1b]0;x\\x07\\x1b[31;5m\\x1b\\x9b31m\\n"
        );
    }
}
