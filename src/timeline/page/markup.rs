//! The one door that text goes through into the page.
//!
//! Names of elements and attributes are literals of this program. All else is escaped, whoever wrote it, so no text of a
//! host, a repository or an operator can end the element that it stands in. What would steer or hide text is shown as an
//! escape, as at a terminal.

use std::fmt::{Display, Write};

use crate::terminal::html;

/// HTML that is being written.
#[derive(Debug, Default)]
pub struct Markup(String);

/// An attribute: its name, and its value before it is escaped.
pub type Attribute<'a> = (&'static str, &'a dyn Display);

/// Elements that have no content and no end.
const VOID: [&str; 2] = ["br", "meta"];

impl Markup {
    /// Writes an element with what `content` writes into it.
    pub fn element(&mut self, name: &'static str, attributes: &[Attribute], content: impl FnOnce(&mut Markup)) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"");
            self.0.push_str(&html(&value.to_string()));
            self.0.push('"');
        }
        self.0.push('>');
        if VOID.contains(&name) {
            return;
        }
        content(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// An element with a class, and text in it.
    pub fn of_class(&mut self, name: &'static str, class: &'static str, text: &str) {
        self.element(name, &[("class", &class)], |inner| inner.text(text));
    }

    /// An element with nothing but text in it.
    pub fn plain(&mut self, name: &'static str, text: &str) {
        self.element(name, &[], |inner| inner.text(text));
    }

    /// One line of text.
    pub fn text(&mut self, text: &str) {
        self.0.push_str(&html(text));
    }

    /// Text whose line ends are its own. Where it stands, they have to be shown as such.
    pub fn lines(&mut self, text: &str) {
        for (number, line) in text.trim_end_matches('\n').split('\n').enumerate() {
            if number > 0 {
                self.0.push('\n');
            }
            self.0.push_str(&html(line));
        }
    }

    /// A line end, for whoever reads the source.
    pub fn newline(&mut self) {
        self.0.push('\n');
    }

    /// What this program brings itself: the doctype, the style sheet.
    pub fn literal(&mut self, literal: &'static str) {
        self.0.push_str(literal);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_element_and_nothing_steers_the_reader() {
        let mut page = Markup::default();
        let hostile = "</p><script>x()</script>\" onclick='y' ]]>--> & \u{1b}[2J\0\u{202e}\u{ffff}\u{fdd0}\n";
        page.element("p", &[("title", &hostile)], |inner| inner.text(hostile));
        let text = page.finish();
        assert_eq!(text.matches('<').count(), 2, "{text}");
        assert_eq!(text.matches('"').count(), 2, "{text}");
        assert!(text.chars().all(|c| !c.is_control() && !"'\u{202e}\u{ffff}\u{fdd0}".contains(c)), "{text}");
        assert!(text.contains("\\x1b[2J\\x00\\u{202e}"), "{text}");
    }

    #[test]
    fn lines_stay_lines_and_void_elements_have_no_end() {
        let mut page = Markup::default();
        page.element("pre", &[], |inner| inner.lines("a<\nb\n"));
        page.element("br", &[], |_| ());
        assert_eq!(page.finish(), "<pre>a&lt;\nb</pre><br>");
    }
}
