//! `value.name`, `value[key]` and `value[from:to]`.

use std::rc::Rc;

use super::methods::names;
use super::object::{Object, Range};
use super::{Key, Value};
use crate::jinja::error::{Error, refuse, undefined};

/// Python's `getattr`; `None` if there is no such attribute.
///
/// # Errors
/// For Python's internal attributes, and for those that are not supported here.
pub fn python_attribute(value: &Value, name: &str) -> Result<Option<Value>, Error> {
    if name.starts_with("__") && name.ends_with("__") {
        return Err(refuse("a name with two underscores on both sides is internal to Python"));
    }
    if let Value::Undefined(of) = value {
        return Err(undefined(of.as_ref()));
    }
    if let Value::Tuple(tuple) = value
        && tuple.group
        && let Some(at) = ["grouper", "list"].iter().position(|known| *known == name)
    {
        return Ok(tuple.items.get(at).cloned());
    }
    if let Value::Int(_) | Value::Bool(_) | Value::Float(_) = value {
        match name {
            "real" | "numerator" if !matches!(value, Value::Float(_)) => return Ok(Some(Value::Int(value.whole()?))),
            "real" => return Ok(Some(value.clone())),
            "imag" if matches!(value, Value::Float(_)) => return Ok(Some(Value::Float(0.0))),
            "imag" => return Ok(Some(Value::Int(0))),
            "denominator" if !matches!(value, Value::Float(_)) => return Ok(Some(Value::Int(1))),
            _ => {}
        }
    }
    if names::there_is(value, name) {
        return Ok(Some(Value::object(Object::Method(value.clone(), name.into()))));
    }
    match value {
        Value::Object(object) => object.attribute(name),
        _ => Ok(None),
    }
}

/// `value.name`: Python's attribute, or else the entry of that name.
///
/// # Errors
/// For undefined values, and as [`python_attribute`].
pub fn attribute(value: &Value, name: &Rc<str>) -> Result<Value, Error> {
    if let Some(found) = python_attribute(value, name)? {
        return Ok(found);
    }
    let entry = match value {
        Value::Dict(entries) => entries.borrow().get(&Key::text(name)).cloned(),
        _ => None,
    };
    Ok(entry.unwrap_or_else(|| Value::Undefined(Some(name.clone()))))
}

/// `value[key]`: the entry, or else Python's attribute of that name.
///
/// # Errors
/// As [`attribute`].
pub fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    let at = |length: usize| {
        let index = key.whole().ok()?;
        usize::try_from(if index < 0 { index + length as i128 } else { index }).ok()
    };
    let found = match value {
        Value::Undefined(name) => return Err(undefined(name.as_ref())),
        Value::Dict(entries) => Key::of(key).ok().and_then(|key| entries.borrow().get(&key).cloned()),
        Value::List(items) => {
            let items = items.borrow();
            at(items.len()).and_then(|at| items.get(at).cloned())
        }
        Value::Tuple(tuple) => at(tuple.items.len()).and_then(|at| tuple.items.get(at).cloned()),
        Value::Text(text) | Value::Markup(text) => match key.whole() {
            Ok(_) => {
                let c = at(text.chars().count()).and_then(|at| text.chars().nth(at)).map(|c| c.to_string());
                c.map(|c| if matches!(value, Value::Markup(_)) { Value::markup(c) } else { Value::text(c) })
            }
            Err(_) => None,
        },
        Value::Object(object) => match &**object {
            Object::Range(range) => match key.whole() {
                Ok(index) if index < 0 => range.at(index + range.length()).map(Value::Int),
                Ok(index) => range.at(index).map(Value::Int),
                Err(_) => None,
            },
            _ => None,
        },
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let Some(name) = key.as_str() else { return Ok(Value::Undefined(None)) };
    Ok(python_attribute(value, name)?.unwrap_or(Value::Undefined(None)))
}

/// `value[from:to:step]`.
///
/// # Errors
/// For values that cannot be sliced, and for indexes that are not whole numbers.
pub fn slice(value: &Value, parts: &[Option<Value>; 3]) -> Result<Value, Error> {
    let number = |place: usize| match &parts[place] {
        None | Some(Value::None) => Ok(None),
        Some(number) => number.whole().map(Some),
    };
    let range = |length: usize| -> Result<Range, Error> {
        let (length, step) = (length as i128, number(2)?.unwrap_or(1));
        if step == 0 {
            return Err(refuse("the step of a slice cannot be 0"));
        }
        let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let place = |given: Option<i128>, default: i128| match given {
            Some(at) if at < 0 => (at + length).clamp(lowest, highest),
            Some(at) => at.clamp(lowest, highest),
            None => default,
        };
        let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
        Ok(Range { start: place(number(0)?, first), stop: place(number(1)?, last), step })
    };
    let indexes = |length: usize| -> Result<Vec<usize>, Error> {
        let range = range(length)?;
        Ok((0..range.length()).filter_map(|at| usize::try_from(range.at(at)?).ok()).collect())
    };
    match value {
        Value::Text(text) | Value::Markup(text) => {
            let chars: Vec<char> = text.chars().collect();
            let part: String = indexes(chars.len())?.into_iter().map(|at| chars[at]).collect();
            Ok(if matches!(value, Value::Markup(_)) { Value::markup(part) } else { Value::text(part) })
        }
        Value::List(items) => {
            let items = items.borrow();
            Ok(Value::list(indexes(items.len())?.into_iter().map(|at| items[at].clone()).collect()))
        }
        Value::Tuple(tuple) => {
            Ok(Value::tuple(indexes(tuple.items.len())?.into_iter().map(|at| tuple.items[at].clone()).collect()))
        }
        Value::Object(object) => match &**object {
            Object::Range(of) => {
                let part = range(usize::try_from(of.length()).unwrap_or(usize::MAX))?;
                let at = |index: i128| of.start + index * of.step;
                Ok(Value::object(Object::Range(Range {
                    start: at(part.start),
                    stop: at(part.stop),
                    step: of.step * part.step,
                })))
            }
            _ => Err(value.unfit("a slice")),
        },
        _ => Err(value.unfit("a slice")),
    }
}
