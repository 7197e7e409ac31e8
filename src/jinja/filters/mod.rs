//! Jinja2's filters and tests. Some filters take the name of another filter or of a test.

pub mod is_test;
mod json;
mod lists;
mod numbers;
mod table;
mod text;

pub use table::known;

use super::error::{Error, refuse};
use super::values::arguments::{Arguments, Named};
use super::values::format::printf::printf;
use super::values::python::str;
use super::values::{Value, functions};
use table::MISSING;

/// Applies a filter.
///
/// # Errors
/// As Jinja2: unknown filters, wrong arguments, and values that a filter cannot take.
pub fn apply(name: &str, value: &Value, positional: &[Value], named: &Named) -> Result<Value, Error> {
    if let Some((name, names, filter)) = table::find(name) {
        return filter(value, &Arguments::bind(name, names, positional, named)?);
    }
    let select = |attribute, wanted| lists::select(value, positional, named, is_test::by_name, attribute, wanted);
    match name {
        "format" => match (positional.is_empty(), named.is_empty()) {
            _ if matches!(value, Value::Markup(_)) => Err(refuse("format of escaped text: escape it afterwards")),
            (_, true) => printf(&str(value)?, &Value::tuple(positional.to_vec())).map(Value::text),
            (true, false) => {
                let entries = functions::dict(&[], named.to_vec())?;
                printf(&str(value)?, &Value::dict(entries)).map(Value::text)
            }
            _ => Err(refuse("format takes values either by place or by name")),
        },
        "map" => Ok(lists::map(value, positional, named, by_name)),
        "select" => Ok(select(false, true)),
        "reject" => Ok(select(false, false)),
        "selectattr" => Ok(select(true, true)),
        "rejectattr" => Ok(select(true, false)),
        _ if MISSING.contains(&name) => Err(refuse(format!("the filter {name} is not supported"))),
        _ => Err(refuse(format!("unknown filter {name}"))),
    }
}

/// As [`apply`], of a filter whose name is a value.
fn by_name(name: &str, value: &Value, positional: &[Value], named: &Named) -> Result<Value, Error> {
    match known(name) {
        true => apply(name, value, positional, named),
        false => Err(refuse("unknown filter in map")),
    }
}
