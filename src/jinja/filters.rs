//! The table of filters: Jinja2's, and none that it does not have.

use std::rc::Rc;

use super::arguments::Arguments;
use super::error::{Error, refuse};
use super::python::str;
use super::subscript;
use super::value::Value;
use super::{format, json, lists, numbers, text};

type Filter = fn(&Value, &Arguments) -> Result<Value, Error>;

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

/// Filters that take any arguments.
const FREE: [&str; 6] = ["format", "map", "select", "reject", "selectattr", "rejectattr"];

/// Filters that Jinja2 has and Hoist has not.
const MISSING: [&str; 2] = ["random", "urlize"];

pub fn known(name: &str) -> bool {
    FILTERS.iter().any(|(known, ..)| *known == name) || FREE.contains(&name) || MISSING.contains(&name)
}

/// Applies a filter.
///
/// # Errors
/// As Jinja2: unknown filters, wrong arguments, and values that a filter cannot take.
pub fn apply(name: &str, value: &Value, positional: &[Value], named: &[(Rc<str>, Value)]) -> Result<Value, Error> {
    if let Some((name, names, filter)) = FILTERS.iter().find(|(known, ..)| *known == name) {
        return filter(value, &Arguments::bind(name, names, positional, named)?);
    }
    match name {
        "format" => match (positional.is_empty(), named.is_empty()) {
            _ if matches!(value, Value::Markup(_)) => Err(refuse("format of escaped text: escape it afterwards")),
            (_, true) => format::printf(&str(value)?, &Value::tuple(positional.to_vec())).map(Value::text),
            (true, false) => {
                let entries = super::objects::dict(&[], named.to_vec())?;
                format::printf(&str(value)?, &Value::dict(entries)).map(Value::text)
            }
            _ => Err(refuse("format takes values either by place or by name")),
        },
        "map" => Ok(lists::map(value, positional, named)),
        "select" => Ok(lists::select(value, positional, named, false, true)),
        "reject" => Ok(lists::select(value, positional, named, false, false)),
        "selectattr" => Ok(lists::select(value, positional, named, true, true)),
        "rejectattr" => Ok(lists::select(value, positional, named, true, false)),
        _ if MISSING.contains(&name) => Err(refuse(format!("the filter {name} is not supported"))),
        _ => Err(refuse(format!("there is no filter {name}"))),
    }
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
