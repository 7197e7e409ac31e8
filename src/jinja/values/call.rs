//! Calls of values.

use std::rc::Rc;

use super::object::{Object, no_arguments};
use super::{Value, functions, methods};
use crate::jinja::error::{Error, refuse, undefined};

/// Calls a value.
///
/// # Errors
/// For values that cannot be called, and those of the called value.
pub fn call(callee: &Value, positional: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, Error> {
    let object = match callee {
        Value::Object(object) => object,
        Value::Undefined(name) => return Err(undefined(name.as_ref())),
        _ => return Err(refuse(format!("{} cannot be called", callee.type_name()))),
    };
    match &**object {
        Object::Function(name) => functions::call(name, positional, named),
        Object::Method(of, name) => methods::call(of, name, &positional, &named),
        Object::Joiner(separator, used) => {
            no_arguments("a joiner", &positional, &named)?;
            Ok(if used.replace(true) { separator.clone() } else { Value::text("") })
        }
        Object::OfTemplate(it) if it.is_callable() => it.call(positional, named),
        other => Err(refuse(format!("{} cannot be called", other.type_name()))),
    }
}
