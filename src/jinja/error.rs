//! What stops a rendering.

use std::rc::Rc;

/// Why a template cannot be read or rendered. The text may be shown: it holds words of the template, and never a value or
/// a part of one, even where a value stands for a name (`map(x)`, `f(**x)`).
#[derive(Debug, Clone)]
pub struct Error {
    pub why: String,
    /// Template and line, from 1, once they are known.
    pub place: Option<(Rc<str>, usize)>,
    /// The template that was asked for does not exist, which `ignore missing` forgives.
    pub not_found: bool,
}

impl Error {
    /// The error with its place, unless it has one already: the innermost place is the one to correct.
    pub fn at(mut self, template: &Rc<str>, line: usize) -> Error {
        self.place.get_or_insert_with(|| (template.clone(), line));
        self
    }
}

/// An error with this text.
pub fn refuse(why: impl Into<String>) -> Error {
    Error { why: why.into(), place: None, not_found: false }
}

/// The error of an undefined value in a place that needs one; `name` is a word of the template.
pub fn undefined(name: Option<&Rc<str>>) -> Error {
    refuse(match name {
        Some(name) => format!("undefined value: {name} is not defined"),
        None => "undefined value".to_owned(),
    })
}
