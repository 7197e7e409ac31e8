//! Python's operators.

use std::cmp::Ordering;

use super::error::{Error, refuse, undefined};
use super::format;
use super::objects::{Object, Part};
use super::python::{escaped, is_space};
use super::value::{Key, LARGEST, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideWhole,
    Modulo,
    Power,
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::DivideWhole => "//",
            Operator::Modulo => "%",
            Operator::Power => "**",
        }
    }

    /// # Errors
    /// As Python, and for results that do not fit in.
    pub fn apply(self, a: &Value, b: &Value) -> Result<Value, Error> {
        // Text on the left formats, even what is undefined.
        if let (Operator::Modulo, Some(text)) = (self, a.as_str()) {
            return match (a, b) {
                (Value::Markup(_), _) => Err(refuse("% of escaped text: escape it afterwards")),
                _ => format::printf(text, b).map(Value::text),
            };
        }
        if self == Operator::Subtract {
            no_sets(a, b)?;
        }
        for value in [a, b] {
            if let Value::Undefined(name) = value {
                return Err(undefined(name.as_ref()));
            }
        }
        if a.is_number() && b.is_number() {
            return match (a.whole(), b.whole()) {
                (Ok(a), Ok(b)) => self.whole(a, b),
                _ => self.real(a.real()?, b.real()?).map(Value::Float),
            };
        }
        match (self, a, b) {
            (Operator::Add, _, _) => sum(a, b),
            (Operator::Multiply, _, _) => match (a.whole(), b.whole()) {
                (Err(_), Ok(times)) => repeated(a, times),
                (Ok(times), Err(_)) => repeated(b, times),
                _ => None,
            }
            .transpose()?,
            _ => None,
        }
        .ok_or_else(|| {
            refuse(format!("{} has no meaning between {} and {}", self.sign(), a.type_name(), b.type_name()))
        })
    }

    fn whole(self, a: i128, b: i128) -> Result<Value, Error> {
        let zero = || refuse("a division by zero");
        let number = match self {
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::DivideWhole if b != 0 => {
                a.checked_div(b).map(|it| it - i128::from(a % b != 0 && (a < 0) != (b < 0)))
            }
            Operator::Modulo if b != 0 => {
                a.checked_rem(b).map(|it| if it != 0 && (it < 0) != (b < 0) { it + b } else { it })
            }
            Operator::DivideWhole | Operator::Modulo => return Err(zero()),
            Operator::Power if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)).or(match a {
                0 | 1 => Some(a),
                -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
                _ => None,
            }),
            Operator::Power if a == 0 => return Err(zero()),
            Operator::Power => return self.real(a as f64, b as f64).map(Value::Float),
            Operator::Divide if b == 0 => return Err(zero()),
            Operator::Divide => {
                let exact = |number: i128| number.unsigned_abs() <= 1 << 53;
                return match () {
                    () if exact(a) && exact(b) => Ok(Value::Float(a as f64 / b as f64)),
                    () if a % b == 0 => Ok(Value::Float((a / b) as f64)),
                    () => Err(refuse("a division of numbers that are too large")),
                };
            }
        };
        number.map(Value::Int).ok_or_else(|| refuse("a whole number of more than 38 digits"))
    }

    fn real(self, a: f64, b: f64) -> Result<f64, Error> {
        if b == 0.0 && matches!(self, Operator::Divide | Operator::DivideWhole | Operator::Modulo) {
            return Err(refuse("a division by zero"));
        }
        let remainder = || {
            let remainder = a % b;
            match remainder {
                0.0 => 0.0f64.copysign(b),
                _ if (remainder < 0.0) != (b < 0.0) => remainder + b,
                _ => remainder,
            }
        };
        Ok(match self {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Modulo => remainder(),
            Operator::DivideWhole => {
                let mut quotient = (a - a % b) / b;
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
                    quotient -= 1.0;
                }
                match quotient {
                    0.0 => 0.0f64.copysign(a / b),
                    _ if quotient - quotient.floor() > 0.5 => quotient.floor() + 1.0,
                    _ => quotient.floor(),
                }
            }
            Operator::Power if a == 0.0 && b < 0.0 => return Err(refuse("a division by zero")),
            Operator::Power if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 => {
                return Err(refuse("a power that is a complex number"));
            }
            Operator::Power => match a.powf(b) {
                power if power.is_infinite() && a.is_finite() && b.is_finite() => {
                    return Err(refuse("a power that is too large"));
                }
                power => power,
            },
        })
    }
}

/// Keys and items of a dictionary are sets to Python.
fn no_sets(a: &Value, b: &Value) -> Result<(), Error> {
    let set = |value: &Value| matches!(value, Value::Object(object) if object.is_set());
    match set(a) || set(b) {
        true => Err(refuse("keys and items of a dictionary are not supported as sets: write `|list` behind them")),
        false => Ok(()),
    }
}

/// `a + b` of what are no numbers.
fn sum(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(Value::text(format!("{a}{b}"))),
        (Value::Markup(a), Value::Markup(b)) => Some(Value::markup(format!("{a}{b}"))),
        (Value::Markup(a), Value::Text(b)) => Some(Value::markup(format!("{a}{}", escaped(b)))),
        (Value::Text(a), Value::Markup(b)) => Some(Value::markup(format!("{}{b}", escaped(a)))),
        (Value::List(a), Value::List(b)) => {
            Some(Value::list(a.borrow().iter().chain(b.borrow().iter()).cloned().collect()))
        }
        (Value::Tuple(a), Value::Tuple(b)) => Some(Value::tuple(a.items.iter().chain(&b.items).cloned().collect())),
        _ => None,
    }
}

/// A text or list so many times.
fn repeated(of: &Value, times: i128) -> Option<Result<Value, Error>> {
    let length = match of {
        Value::Text(text) | Value::Markup(text) => text.len(),
        Value::List(items) => items.borrow().len(),
        Value::Tuple(tuple) => tuple.items.len(),
        _ => return None,
    };
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    if length.saturating_mul(times) > LARGEST {
        return Some(Err(refuse(format!("a text or list of more than {LARGEST}"))));
    }
    Some(Ok(match of {
        Value::Text(text) => Value::text(text.repeat(times)),
        Value::Markup(text) => Value::markup(text.repeat(times)),
        Value::Tuple(tuple) => Value::tuple(cycle(&tuple.items, times)),
        _ => Value::list(of.items().map(|items| cycle(&items, times)).unwrap_or_default()),
    }))
}

fn cycle(items: &[Value], times: usize) -> Vec<Value> {
    (0..times).flat_map(|_| items.iter().cloned()).collect()
}

/// `-value`, or `+value`.
///
/// # Errors
/// For what is no number.
pub fn signed(value: &Value, minus: bool) -> Result<Value, Error> {
    match value {
        Value::Float(number) => Ok(Value::Float(if minus { -number } else { *number })),
        _ => match value.whole() {
            Ok(number) => Ok(Value::Int(if minus { number.wrapping_neg() } else { number })),
            Err(_) => Err(value.unfit(if minus { "-" } else { "+" })),
        },
    }
}

/// How Python orders two values; `None` where one of them is not a number (NaN).
///
/// # Errors
/// When it does not.
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
        // Python asks for the order only of what is not equal.
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
            // Only days are written so that their text has their order.
            (Object::Date(a), Object::Date(b)) if a.len() == 10 && b.len() == 10 => Ok(Some(a.cmp(b))),
            (Object::Date(_), Object::Date(_)) => Err(refuse("times have no order here: put them in quotes")),
            _ => Err(refuse(format!("{} and {} have no order", a.type_name(), b.type_name()))),
        },
        _ => Err(refuse(format!("{} and {} have no order", a.type_name(), b.type_name()))),
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
            None => Err(refuse(format!("text is asked for {}: only text can be in text", item.type_name()))),
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
        _ => Err(refuse(format!("{} holds nothing that `in` could ask for", container.type_name()))),
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

/// The text's two parts at which Python's `strip` cuts.
pub fn strip(text: &str, chars: Option<&str>, start: bool, end: bool) -> String {
    let cut = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if start { text.trim_start_matches(cut) } else { text };
    if end { text.trim_end_matches(cut) } else { text }.to_owned()
}
