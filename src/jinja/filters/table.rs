//! The table of filters: Jinja2's, and none that it does not have.

use super::{json, lists, numbers, text};
use crate::jinja::error::Error;
use crate::jinja::values::arguments::Arguments;
use crate::jinja::values::python::str;
use crate::jinja::values::{Value, subscript};

pub type Filter = fn(&Value, &Arguments) -> Result<Value, Error>;

/// Filters by name, with the names of their arguments in order.
const FILTERS: &[(&str, &[&str], Filter)] = &[
    ("abs", &[], numbers::abs),
    ("attr", &["name"], attr),
    ("batch", &["linecount", "fill_with"], lists::batch),
    ("capitalize", &[], text::capitalized),
    ("center", &["width"], text::center),
    ("count", &[], lists::length),
    ("d", &["default_value", "boolean"], default),
    ("default", &["default_value", "boolean"], default),
    ("dictsort", &["case_sensitive", "by", "reverse"], lists::dictsort),
    ("e", &[], text::escape),
    ("escape", &[], text::escape),
    ("filesizeformat", &["binary"], numbers::filesizeformat),
    ("first", &[], lists::first),
    ("float", &["default"], numbers::float),
    ("forceescape", &[], text::forceescape),
    ("groupby", &["attribute", "default", "case_sensitive"], lists::groupby),
    ("indent", &["width", "first", "blank"], text::indent),
    ("int", &["default", "base"], numbers::int),
    ("items", &[], lists::pairs),
    ("join", &["d", "attribute"], lists::join),
    ("last", &[], lists::last),
    ("length", &[], lists::length),
    ("list", &[], lists::list),
    ("lower", &[], text::lower),
    ("max", &["case_sensitive", "attribute"], lists::max),
    ("min", &["case_sensitive", "attribute"], lists::min),
    ("pprint", &[], json::pprint),
    ("replace", &["old", "new", "count"], text::replace),
    ("reverse", &[], lists::reverse),
    ("round", &["precision", "method"], numbers::round),
    ("safe", &[], |value, _| str(value).map(Value::markup)),
    ("slice", &["slices", "fill_with"], lists::slice),
    ("sort", &["reverse", "case_sensitive", "attribute"], lists::sort),
    ("string", &[], text::string),
    ("striptags", &[], text::striptags),
    ("sum", &["attribute", "start"], lists::sum),
    ("title", &[], text::title),
    ("tojson", &["indent"], json::tojson),
    ("trim", &["chars"], text::trim),
    ("truncate", &["length", "killwords", "end", "leeway"], text::truncate),
    ("unique", &["case_sensitive", "attribute"], lists::unique),
    ("upper", &[], text::upper),
    ("urlencode", &[], text::urlencode),
    ("wordcount", &[], text::wordcount),
    ("wordwrap", &["width", "break_long_words", "wrapstring", "break_on_hyphens"], text::wordwrap),
    ("xmlattr", &["autospace"], text::xmlattr),
];

/// Filters that take any arguments, which `filters::apply` knows.
const FREE: [&str; 6] = ["format", "map", "select", "reject", "selectattr", "rejectattr"];

/// Filters that Jinja2 has and Hoist has not.
pub const MISSING: [&str; 2] = ["random", "urlize"];

/// Whether Jinja2 has a filter of that name.
pub fn known(name: &str) -> bool {
    FILTERS.iter().any(|(known, ..)| *known == name) || FREE.contains(&name) || MISSING.contains(&name)
}

/// The filter of a name and its parameters; `None` for those that take any arguments.
pub fn find(name: &str) -> Option<(&'static str, &'static [&'static str], Filter)> {
    FILTERS.iter().find(|(known, ..)| *known == name).copied()
}

fn default(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    Ok(match value.is_undefined() || arguments.truth(1, false)? && !value.is_true()? {
        true => arguments.get(0).cloned().unwrap_or_else(|| Value::text("")),
        false => value.clone(),
    })
}

/// An attribute of Python's, and never an entry.
fn attr(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let name = arguments.required(0)?;
    let Some(name) = name.as_str() else { return Err(name.unfit("attr")) };
    Ok(subscript::python_attribute(value, name)?.unwrap_or(Value::Undefined(None)))
}
