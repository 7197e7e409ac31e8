//! Jinja2's tests: what stands behind `is`.

use super::table;
use crate::jinja::error::{Error, refuse};
use crate::jinja::values::arguments::{Arguments, Named};
use crate::jinja::values::comparison::{Comparison, contains, same};
use crate::jinja::values::object::Object;
use crate::jinja::values::operators::Operator;
use crate::jinja::values::python::str;
use crate::jinja::values::text::cased;
use crate::jinja::values::{Key, Value};

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
pub fn apply(name: &str, value: &Value, positional: &[Value], named: &Named) -> Result<bool, Error> {
    let Some((_, count)) = TESTS.iter().find(|(known, _)| *known == name) else {
        return Err(refuse(format!("unknown test {name}")));
    };
    let parameter = match name {
        "divisibleby" => "num",
        "in" => "seq",
        _ => "other",
    };
    // Python's own operators take no names.
    if !named.is_empty() && !["divisibleby", "sameas", "in"].contains(&name) {
        return Err(refuse(format!("the test {name} takes no keyword arguments")));
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
            Key::of(value)?;
            let known = if name == "filter" { table::known } else { known };
            value.as_str().is_some_and(known)
        }
        "lower" => cased(&str(value)?, false),
        "upper" => cased(&str(value)?, true),
        // What is refused here, a `loop`, Python could go through.
        "iterable" => value.try_source().map_or(true, |source| source.is_some()),
        "sequence" => match value {
            Value::Object(object) => matches!(&**object, Object::Range(_)),
            _ => value.length()?.is_some(),
        },
        "sameas" => same(value, other()?)?,
        "in" => contains(other()?, value)?,
        "==" | "eq" | "equalto" => Comparison::Equal.holds(value, other()?)?,
        "!=" | "ne" => Comparison::NotEqual.holds(value, other()?)?,
        "<" | "lt" | "lessthan" => Comparison::Less.holds(value, other()?)?,
        "<=" | "le" => Comparison::LessOrEqual.holds(value, other()?)?,
        ">" | "gt" | "greaterthan" => Comparison::Greater.holds(value, other()?)?,
        _ => Comparison::GreaterOrEqual.holds(value, other()?)?,
    })
}

/// As [`apply`], of a test whose name is a value.
pub fn by_name(name: &str, value: &Value, positional: &[Value], named: &Named) -> Result<bool, Error> {
    match known(name) {
        true => apply(name, value, positional, named),
        false => Err(refuse("unknown test in select, reject, selectattr or rejectattr")),
    }
}

/// `value % divisor == wanted`.
fn remainder(value: &Value, divisor: &Value, wanted: i128) -> Result<bool, Error> {
    Ok(Operator::Modulo.apply(value, divisor)?.equals(&Value::Int(wanted)))
}
