//! Jinja2's filters of numbers.

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::arguments::Arguments;
use crate::jinja::values::operators::Operator;
use crate::jinja::values::text::strip;
use crate::jinja::values::{Value, python};

pub fn abs(value: &Value, _: &Arguments) -> Result<Value, Error> {
    match value {
        Value::Float(number) => Ok(Value::Float(number.abs())),
        _ => {
            let number = value.whole().map_err(|_| value.unfit("abs"))?;
            number.checked_abs().map(Value::Int).ok_or_else(|| refuse("a number is too large"))
        }
    }
}

/// Text without the underscores that Python allows between digits; `None` where it does not.
fn without_underscores(text: &str) -> Option<String> {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let chars: Vec<char> = text.chars().collect();
    let fine = |at: usize| at > 0 && digit(chars.get(at - 1).copied()) && digit(chars.get(at + 1).copied());
    let all_fine = chars.iter().enumerate().all(|(at, c)| *c != '_' || fine(at));
    all_fine.then(|| text.replace('_', ""))
}

pub fn int(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let default = || arguments.get(0).cloned().unwrap_or(Value::Int(0));
    match value {
        Value::Undefined(_) => Err(value.unfit("int")),
        Value::Bool(_) | Value::Int(_) => value.whole().map(Value::Int),
        // Python stops at these, and takes them for no number where they are written as text.
        Value::Float(number) if number.is_infinite() => Err(refuse("int cannot be applied to an infinite number")),
        Value::Float(number) => truncated(*number, default),
        Value::Text(text) | Value::Markup(text) => {
            refuse_other_digits(text, "int")?;
            let base = arguments.get(1).map_or(Ok(10), Value::whole).ok().and_then(|base| u32::try_from(base).ok());
            let text = strip(text, None, true, true);
            let base = base.filter(|base| *base == 0 || (2..=36).contains(base));
            if let (Some(digits), Some(base)) = (without_underscores(&text), base) {
                match parse(&digits, base) {
                    Some(Ok(number)) => return Ok(Value::Int(number)),
                    Some(Err(())) => return Err(refuse("a number is too large for int")),
                    None => {}
                }
            }
            match real(&text) {
                Some(number) if !number.is_finite() => Ok(default()),
                Some(number) => truncated(number, default),
                None => Ok(default()),
            }
        }
        _ => Ok(default()),
    }
}

/// Python also takes the digits of other scripts, whose values are in Unicode's tables.
fn refuse_other_digits(text: &str, filter: &str) -> Result<(), Error> {
    match text.chars().find(|c| !c.is_ascii() && c.is_numeric()) {
        Some(c) => Err(refuse(format!("{filter} supports the digits from 0 to 9, not {c:?}"))),
        None => Ok(()),
    }
}

/// `None`: it is no number; an error: it is too large.
fn parse(text: &str, base: u32) -> Option<Result<i128, ()>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, of)| {
        (base == 0 || base == *of) && digits.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    });
    let (digits, base) = match prefixed {
        Some((_, of)) => (&digits[2..], of),
        None if base == 0 && digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') => {
            return None;
        }
        None if base == 0 => (digits, 10),
        None => (digits, base),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    let size = i128::from_str_radix(digits, base).map_err(|_| ());
    Some(size.map(|size| if negative { -size } else { size }))
}

fn truncated(number: f64, default: impl Fn() -> Value) -> Result<Value, Error> {
    match number {
        _ if number.is_nan() => Ok(default()),
        _ if number.abs() < 1e38 => Ok(Value::Int(number.trunc() as i128)),
        _ => Err(refuse("a number is too large for int")),
    }
}

/// Python's `float` of text.
fn real(text: &str) -> Option<f64> {
    let text = without_underscores(text.trim())?;
    let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    match unsigned.as_str() {
        "inf" | "infinity" | "nan" => text.parse().ok(),
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

pub fn float(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let default = || arguments.get(0).cloned().unwrap_or(Value::Float(0.0));
    match value {
        Value::Undefined(_) => Err(value.unfit("float")),
        Value::Text(text) | Value::Markup(text) => {
            refuse_other_digits(text, "float")?;
            Ok(real(text).map_or_else(default, Value::Float))
        }
        _ => Ok(value.real().map_or_else(|_| default(), Value::Float)),
    }
}

pub fn round(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if !value.is_number() {
        return Err(value.unfit("round"));
    }
    let method = match arguments.get(1).map(Value::as_str) {
        None | Some(Some("common")) => {
            let digits = match arguments.get(0) {
                Some(Value::None) => None,
                _ => Some(arguments.number(0, 0)?),
            };
            return rounded(value, digits);
        }
        Some(Some("ceil")) => f64::ceil,
        Some(Some("floor")) => f64::floor,
        Some(_) => return Err(refuse("round supports common, ceil or floor")),
    };
    let digits = arguments.get(0).cloned().unwrap_or(Value::Int(0));
    let scale = Operator::Power.apply(&Value::Int(10), &digits)?;
    let whole = match Operator::Multiply.apply(value, &scale)? {
        Value::Float(number) if !number.is_finite() => {
            return Err(refuse("round cannot be applied to a number that is not finite"));
        }
        Value::Float(number) if number.abs() < 1e38 => Value::Int(method(number) as i128),
        Value::Float(_) => return Err(refuse("a number is too large for round")),
        whole => whole,
    };
    Operator::Divide.apply(&whole, &scale)
}

/// Python's `round`: halves go to the even neighbour.
fn rounded(value: &Value, digits: Option<i64>) -> Result<Value, Error> {
    let Value::Float(number) = value else {
        let (whole, digits) = (value.whole()?, digits.unwrap_or(0));
        return Ok(Value::Int(if digits < 0 { to_tens(whole, 0.0, digits.unsigned_abs()) } else { whole }));
    };
    let Some(digits) = digits else {
        return match number.is_finite() && number.abs() < 1e38 {
            true => Ok(Value::Int(number.round_ties_even() as i128)),
            false => Err(refuse("round cannot be applied to a number that is too large or not a number")),
        };
    };
    if !number.is_finite() || digits > 400 {
        return Ok(value.clone());
    }
    if digits >= 0 {
        // Written with so many digits, it is rounded by its exact value.
        let text = format!("{number:.*}", digits as usize);
        return text.parse().map(Value::Float).map_err(|_| refuse("a number that cannot be rounded"));
    }
    if number.abs() >= 1e38 {
        return Err(refuse("a number is too large for round"));
    }
    let whole = to_tens(number.trunc() as i128, number.fract(), digits.unsigned_abs()) as f64;
    Ok(Value::Float(if whole == 0.0 { 0.0f64.copysign(*number) } else { whole }))
}

/// A number and its fraction rounded to a power of ten.
fn to_tens(whole: i128, fraction: f64, power: u64) -> i128 {
    let Some(unit) = u32::try_from(power).ok().and_then(|power| 10i128.checked_pow(power)) else { return 0 };
    let (below, rest) = (whole.div_euclid(unit), whole.rem_euclid(unit));
    let half = (rest * 2).cmp(&unit).then(fraction.total_cmp(&0.0).then(std::cmp::Ordering::Equal));
    let up = match half {
        std::cmp::Ordering::Equal => below % 2 != 0,
        order => order.is_gt(),
    };
    (below + i128::from(up)) * unit
}

pub fn filesizeformat(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let size = match value {
        Value::Text(text) | Value::Markup(text) => real(text).ok_or_else(|| refuse("filesizeformat needs a number"))?,
        _ => value.real()?,
    };
    let (base, marks) = match arguments.truth(0, false)? {
        true => (1024u128, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]),
        false => (1000u128, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]),
    };
    let scale = base as f64;
    if size == 1.0 {
        return Ok(Value::text("1 Byte"));
    }
    if size < scale {
        return match size.is_finite() {
            true => Ok(Value::text(format!("{} Bytes", size.trunc() as i128))),
            false => Err(refuse("filesizeformat needs a number that is finite")),
        };
    }
    let mut unit = base;
    let mut shown = String::new();
    for mark in marks {
        unit *= base;
        let number = scale * size / unit as f64;
        shown = match number.is_finite() {
            true => format!("{number:.1} {mark}"),
            false => format!("{} {mark}", python::float(number)),
        };
        if size < unit as f64 {
            break;
        }
    }
    Ok(Value::text(shown))
}
