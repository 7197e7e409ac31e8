//! How the operator's text looks: colours and line drawing, and when neither is wanted.

use std::io::IsTerminal;

use super::sanitize::sanitize;

/// What a piece of text is to the reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Style {
    #[default]
    Plain,
    Good,
    Bad,
    Warning,
    /// Of less weight than what stands beside it.
    Dim,
    Strong,
}

/// What the terminal, or the file in its place, can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub colour: bool,
    /// Whether UTF-8 is understood; else ASCII only.
    pub unicode: bool,
    /// Whether a line can be drawn over and over: a terminal, and not a dumb one.
    pub live: bool,
}

impl Theme {
    /// No colour, no live bar.
    #[cfg(test)]
    pub fn plain(unicode: bool) -> Theme {
        Theme { colour: false, unicode, live: false }
    }

    /// What standard output can show, judged by it and by the environment.
    pub fn of_stdout() -> Theme {
        Theme::of(&std::io::stdout())
    }

    /// The same of any stream.
    pub fn of(stream: &impl IsTerminal) -> Theme {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Theme::from_environment(stream.is_terminal(), variable)
    }

    /// `NO_COLOR` of any text takes the colours (no-color.org); `TERM` of `dumb`, or none, takes the live bar too; the
    /// locale decides about UTF-8 in POSIX's order: `LC_ALL`, `LC_CTYPE`, `LANG`, the first that is not empty.
    pub fn from_environment(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Theme {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let live = terminal && value("TERM").is_some_and(|term| term != "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Theme {
            colour: live && value("NO_COLOR").is_none(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
            live,
        }
    }

    /// Text that was made safe, in a style.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        let plain = console::Style::new();
        let look = match style {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Good => plain.green(),
            Style::Bad => plain.red().bold(),
            Style::Warning => plain.yellow(),
            Style::Dim => plain.dim(),
            Style::Strong => plain.bold(),
        };
        look.force_styling(true).apply_to(text).to_string()
    }

    /// How many columns the text takes when it is shown.
    pub fn width(self, text: &str) -> usize {
        console::measure_text_width(&sanitize(text, self.unicode))
    }

    /// The text with blanks after it, up to so many columns.
    pub fn padded(self, text: &str, columns: usize) -> String {
        format!("{text}{}", " ".repeat(columns.saturating_sub(self.width(text))))
    }

    /// One of two spellings of a sign.
    pub fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(terminal: bool, variables: &[(&str, &str)]) -> Theme {
        Theme::from_environment(terminal, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn a_pipe_gets_neither_colour_nor_a_bar() {
        let pipe = theme(false, &[("TERM", "xterm"), ("LANG", "en_GB.UTF-8")]);
        assert_eq!(pipe, Theme { colour: false, unicode: true, live: false });
    }

    #[test]
    fn no_color_takes_the_colour_and_a_dumb_terminal_both() {
        let utf8 = ("LANG", "C.utf8");
        assert_eq!(theme(true, &[("TERM", "xterm"), utf8]), Theme { colour: true, unicode: true, live: true });
        assert!(!theme(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]).colour);
        assert!(theme(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]).live);
        assert!(theme(true, &[("TERM", "xterm"), ("NO_COLOR", "")]).colour);
        assert_eq!(theme(true, &[("TERM", "dumb"), utf8]), Theme::plain(true));
        assert_eq!(theme(true, &[utf8]), Theme::plain(true));
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides_about_utf8() {
        assert!(!theme(true, &[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]).unicode);
        assert!(theme(true, &[("LC_ALL", ""), ("LANG", "en_GB.UTF-8")]).unicode);
        assert!(!theme(true, &[]).unicode);
    }

    #[test]
    fn paint_is_there_with_colour_only() {
        let coloured = Theme { colour: true, unicode: true, live: true };
        assert_eq!(Style::Bad.of("x").render(coloured), "\x1b[31m\x1b[1mx\x1b[0m");
        assert_eq!(Style::Bad.of("x").render(Theme::plain(true)), "x");
    }

    #[test]
    fn columns_are_counted_as_the_text_is_shown() {
        let utf8 = Theme::plain(true);
        assert_eq!((utf8.padded("é", 3), Theme::plain(false).padded("é", 5)), ("é  ".into(), "é ".into()));
        assert_eq!((utf8.width("東"), utf8.width("\x1b[31m")), (2, 8));
    }
}
