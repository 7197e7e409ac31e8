//! Python's operators of arithmetic; `+` and `*` also of text and lists.

use super::comparison::no_sets;
use super::format::printf::printf;
use super::text::escaped;
use super::{LARGEST, Value};
use crate::jinja::error::{Error, refuse, undefined};

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
    /// As Python, and for results that are too large.
    pub fn apply(self, a: &Value, b: &Value) -> Result<Value, Error> {
        // Text on the left formats, even what is undefined.
        if let (Operator::Modulo, Some(text)) = (self, a.as_str()) {
            return match (a, b) {
                (Value::Markup(_), _) => Err(refuse("% of escaped text: escape it afterwards")),
                _ => printf(text, b).map(Value::text),
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
        .ok_or_else(|| refuse(format!("{} cannot be applied to {} and {}", self.sign(), a.type_name(), b.type_name())))
    }

    fn whole(self, a: i128, b: i128) -> Result<Value, Error> {
        let zero = || refuse("division by zero");
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
            return Err(refuse("division by zero"));
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
            Operator::Power if a == 0.0 && b < 0.0 => return Err(refuse("division by zero")),
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

/// `a + b` of values that are not numbers.
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

/// A text or list, repeated.
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
/// For values that are not numbers.
pub fn signed(value: &Value, minus: bool) -> Result<Value, Error> {
    match value {
        Value::Float(number) => Ok(Value::Float(if minus { -number } else { *number })),
        _ => match value.whole() {
            Ok(number) => Ok(Value::Int(if minus { number.wrapping_neg() } else { number })),
            Err(_) => Err(value.unfit(if minus { "-" } else { "+" })),
        },
    }
}
