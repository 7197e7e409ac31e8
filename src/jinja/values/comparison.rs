//! How Python compares values: its operators of comparison, `in`, the order of values, and identity.

use std::cmp::Ordering;
use std::rc::Rc;

use super::object::{Object, Part};
use super::{Key, Value};
use crate::jinja::error::{Error, refuse, undefined};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

impl Comparison {
    /// # Errors
    /// When Python refuses to compare the two.
    pub fn holds(self, a: &Value, b: &Value) -> Result<bool, Error> {
        let ordered = |wanted: fn(Ordering) -> bool| Ok(order(a, b)?.is_some_and(wanted));
        match self {
            Comparison::Equal => Ok(a.equals(b)),
            Comparison::NotEqual => Ok(!a.equals(b)),
            Comparison::Less => ordered(Ordering::is_lt),
            Comparison::LessOrEqual => ordered(Ordering::is_le),
            Comparison::Greater => ordered(Ordering::is_gt),
            Comparison::GreaterOrEqual => ordered(Ordering::is_ge),
            Comparison::In => contains(b, a),
            Comparison::NotIn => contains(b, a).map(|there| !there),
        }
    }
}

/// How Python orders two values; `None` where one of them is not a number (NaN).
///
/// # Errors
/// For values that Python cannot order.
pub fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    no_sets(a, b)?;
    if a.is_number() && b.is_number() {
        return Ok(match (a, b) {
            (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
            (Value::Float(real), whole) => whole_to_real(whole.whole()?, *real).map(Ordering::reverse),
            (whole, Value::Float(real)) => whole_to_real(whole.whole()?, *real),
            _ => Some(a.whole()?.cmp(&b.whole()?)),
        });
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(Some(a.cmp(b)));
    }
    let in_order = |a: &[Value], b: &[Value]| {
        // Python compares the first items that are not equal.
        match a.iter().zip(b).find(|(a, b)| !a.equals(b)) {
            Some((a, b)) => order(a, b),
            None => Ok(Some(a.len().cmp(&b.len()))),
        }
    };
    match (a, b) {
        (Value::List(a), Value::List(b)) => in_order(&a.borrow(), &b.borrow()),
        (Value::Tuple(a), Value::Tuple(b)) => in_order(&a.items, &b.items),
        (Value::Undefined(name), _) | (_, Value::Undefined(name)) => Err(undefined(name.as_ref())),
        (Value::Object(a), Value::Object(b)) => match (&**a, &**b) {
            // Only for dates without a time the text sorts as the dates do.
            (Object::Date(a), Object::Date(b)) if a.len() == 10 && b.len() == 10 => Ok(Some(a.cmp(b))),
            (Object::Date(_), Object::Date(_)) => Err(refuse("times cannot be compared: put them in quotes")),
            _ => Err(refuse(format!("{} and {} cannot be compared", a.type_name(), b.type_name()))),
        },
        _ => Err(refuse(format!("{} and {} cannot be compared", a.type_name(), b.type_name()))),
    }
}

fn whole_to_real(whole: i128, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    if real.abs() >= 1e38 {
        return Some(if real > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let cut = real.trunc() as i128;
    Some(whole.cmp(&cut).then_with(|| 0.0.partial_cmp(&real.fract()).unwrap_or(Ordering::Equal)))
}

/// Python's `in`.
///
/// # Errors
/// When Python refuses.
pub fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    match container {
        Value::Text(text) | Value::Markup(text) => match item.as_str() {
            Some(part) => Ok(text.contains(part)),
            None => Err(refuse(format!("{} cannot be searched for in text", item.type_name()))),
        },
        Value::Dict(entries) => Ok(entries.borrow().contains_key(&Key::of(item)?)),
        Value::Object(object) => match &**object {
            Object::Range(range) => Ok(match item {
                Value::Float(real) if real.fract() != 0.0 => false,
                Value::Float(real) => range.place(*real as i128).is_some(),
                _ => item.whole().is_ok_and(|number| range.place(number).is_some()),
            }),
            Object::View(view) if view.part == Part::Keys => Ok(view.of.borrow().contains_key(&Key::of(item)?)),
            _ => among(container, item),
        },
        Value::Undefined(_) | Value::List(_) | Value::Tuple(_) => among(container, item),
        _ => Err(refuse(format!("{} does not support `in`", container.type_name()))),
    }
}

fn among(container: &Value, item: &Value) -> Result<bool, Error> {
    let mut source = container.source()?;
    while let Some(found) = source()? {
        if found.equals(item) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Keys and items of a dictionary are sets to Python.
pub fn no_sets(a: &Value, b: &Value) -> Result<(), Error> {
    let set = |value: &Value| matches!(value, Value::Object(object) if object.is_set());
    match set(a) || set(b) {
        true => Err(refuse("keys and items of a dictionary are not supported as sets: write `|list` after them")),
        false => Ok(()),
    }
}

/// A sort key, and the value.
pub type Keyed = (Value, Value);

/// Sorts values by their keys; the sort is stable.
pub fn sorted(mut keyed: Vec<Keyed>, reverse: bool) -> Result<Vec<Value>, Error> {
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        if failed.is_some() {
            return Ordering::Equal;
        }
        let order = order(a, b).and_then(|order| order.ok_or_else(|| refuse("NaN cannot be compared")));
        let order = order.unwrap_or_else(|error| {
            failed = Some(error);
            Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(keyed.into_iter().map(|(_, value)| value).collect()),
    }
}

/// Python's `is`, where the answer can be known here.
pub fn same(a: &Value, b: &Value) -> Result<bool, Error> {
    match (a, b) {
        (Value::List(a), Value::List(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::Dict(a), Value::Dict(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::Object(a), Value::Object(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::None, Value::None) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        // Python keeps one of each small number.
        (Value::Int(a), Value::Int(b)) if a != b || (-5..=256).contains(a) => Ok(a == b),
        _ if a.type_name() != b.type_name() || !a.equals(b) => Ok(false),
        _ => Err(refuse("sameas of values that may be different objects in Python: write `==`")),
    }
}
