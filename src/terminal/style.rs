//! How the operator's text looks: colours and line drawing, and when neither is wanted.

use std::io::IsTerminal;

use console::Style;

/// Every sequence that [`Theme`] writes.
pub(super) const STYLES: [&str; 6] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];

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

    pub fn good(self, text: &str) -> String {
        self.paint(Style::new().green(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.paint(Style::new().red().bold(), text)
    }

    pub fn warn(self, text: &str) -> String {
        self.paint(Style::new().yellow(), text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint(Style::new().dim(), text)
    }

    pub fn strong(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() {
            style.force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    /// One of two spellings of a sign.
    pub fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

/// How many columns the text takes on a terminal.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// The text with blanks after it, up to `columns`.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
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
        assert_eq!(coloured.bad("x"), "\x1b[31m\x1b[1mx\x1b[0m");
        assert_eq!(Theme::plain(true).bad("x"), "x");
        assert_eq!(padded(&coloured.bad("x"), 3), "\x1b[31m\x1b[1mx\x1b[0m  ");
    }
}
