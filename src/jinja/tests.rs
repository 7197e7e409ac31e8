//! Jinja2's tests: what stands behind `is`.

use std::rc::Rc;

use super::arguments::Arguments;
use super::ast::Comparison;
use super::error::{Error, refuse};
use super::eval::{holds, remainder, same};
use super::objects::Object;
use super::operators::contains;
use super::python::str;
use super::value::Value;
use super::{filters, text_methods};

/// Tests by name, with how many arguments they take.
const TESTS: &[(&str, usize)] = &[
    ("!=", 1),
    ("<", 1),
    ("<=", 1),
    ("==", 1),
    (">", 1),
    (">=", 1),
    ("boolean", 0),
    ("callable", 0),
    ("defined", 0),
    ("divisibleby", 1),
    ("eq", 1),
    ("equalto", 1),
    ("escaped", 0),
    ("even", 0),
    ("false", 0),
    ("filter", 0),
    ("float", 0),
    ("ge", 1),
    ("greaterthan", 1),
    ("gt", 1),
    ("in", 1),
    ("integer", 0),
    ("iterable", 0),
    ("le", 1),
    ("lessthan", 1),
    ("lower", 0),
    ("lt", 1),
    ("mapping", 0),
    ("ne", 1),
    ("none", 0),
    ("number", 0),
    ("odd", 0),
    ("sameas", 1),
    ("sequence", 0),
    ("string", 0),
    ("test", 0),
    ("true", 0),
    ("undefined", 0),
    ("upper", 0),
];

pub fn known(name: &str) -> bool {
    TESTS.iter().any(|(known, _)| *known == name)
}

/// Asks a test.
///
/// # Errors
/// As Jinja2: unknown tests, wrong arguments, and values that cannot be asked.
pub fn apply(name: &str, value: &Value, positional: &[Value], named: &[(Rc<str>, Value)]) -> Result<bool, Error> {
    let Some((_, count)) = TESTS.iter().find(|(known, _)| *known == name) else {
        return Err(refuse(format!("there is no test {name}")));
    };
    let parameter = match name {
        "divisibleby" => "num",
        "in" => "seq",
        _ => "other",
    };
    // Python's own operators take no names.
    if !named.is_empty() && !["divisibleby", "sameas", "in"].contains(&name) {
        return Err(refuse(format!("the test {name} takes no named arguments")));
    }
    let arguments = Arguments::bind("the test", &[parameter][..*count], positional, named)?;
    let other = || arguments.required(0);
    Ok(match name {
        "boolean" => matches!(value, Value::Bool(_)),
        "callable" => match value {
            Value::Object(object) => object.callable(),
            _ => value.is_undefined(),
        },
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "divisibleby" => remainder(value, other()?, 0)?,
        "odd" => remainder(value, &Value::Int(2), 1)?,
        "even" => remainder(value, &Value::Int(2), 0)?,
        "escaped" => matches!(value, Value::Markup(_)),
        "false" => matches!(value, Value::Bool(false)),
        "true" => matches!(value, Value::Bool(true)),
        "none" => value.is_none(),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.is_number(),
        "string" => value.as_str().is_some(),
        "mapping" => matches!(value, Value::Dict(_)),
        "filter" | "test" => {
            super::value::Key::of(value)?;
            let known = if name == "filter" { filters::known } else { known };
            value.as_str().is_some_and(known)
        }
        "lower" => text_methods::cased(&str(value)?, false),
        "upper" => text_methods::cased(&str(value)?, true),
        "iterable" => match value {
            Value::Object(object) if matches!(&**object, Object::Loop(_)) => true,
            _ => value.try_source()?.is_some(),
        },
        "sequence" => match value {
            Value::Object(object) => matches!(&**object, Object::Range(_)),
            _ => value.length()?.is_some(),
        },
        "sameas" => same(value, other()?)?,
        "in" => contains(other()?, value)?,
        "==" | "eq" | "equalto" => holds(Comparison::Equal, value, other()?)?,
        "!=" | "ne" => holds(Comparison::NotEqual, value, other()?)?,
        "<" | "lt" | "lessthan" => holds(Comparison::Less, value, other()?)?,
        "<=" | "le" => holds(Comparison::LessOrEqual, value, other()?)?,
        ">" | "gt" | "greaterthan" => holds(Comparison::Greater, value, other()?)?,
        _ => holds(Comparison::GreaterOrEqual, value, other()?)?,
    })
}
