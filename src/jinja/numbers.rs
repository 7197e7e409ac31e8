//! Jinja2's filters of numbers, and those that write a value down.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::objects::pairs;
use super::python::{self, compare, refuse, type_of, whole};

pub fn abs(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    if let Ok(number) = whole(value) {
        return integer(number.checked_abs().ok_or_else(|| refuse("a number is too large"))?);
    }
    match value.kind() {
        ValueKind::Number => Ok(Value::from(f64::try_from(value.clone())?.abs())),
        _ => Err(refuse(format!("abs of {}", type_of(value)))),
    }
}

fn integer(number: i128) -> Result<Value, Error> {
    Ok(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from))
}

/// Text without the underscores that Python allows between digits; `None` where it does not.
fn without_underscores(text: &str) -> Option<String> {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let chars: Vec<char> = text.chars().collect();
    let fine = |at: usize| at > 0 && digit(chars.get(at - 1).copied()) && digit(chars.get(at + 1).copied());
    let all_fine = chars.iter().enumerate().all(|(at, c)| *c != '_' || fine(at));
    all_fine.then(|| text.replace('_', ""))
}

pub fn int(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let default = arguments.get(0).cloned().unwrap_or_else(|| Value::from(0));
    let base = u32::try_from(arguments.number(1, 10)?).unwrap_or(1);
    if base != 0 && !(2..=36).contains(&base) {
        return Err(refuse("int knows the bases 2 to 36, and 0"));
    }
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::Bool => integer(whole(value)?),
        ValueKind::Number if value.is_integer() => Ok(value.clone()),
        ValueKind::Number => truncated(f64::try_from(value.clone())?, default),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim();
            if let Some(digits) = without_underscores(text) {
                match parse(&digits, base) {
                    Some(Ok(number)) => return integer(number),
                    Some(Err(())) => return Err(refuse("a number is too large for int")),
                    None => {}
                }
            }
            match real(text) {
                Some(number) => truncated(number, default),
                None => Ok(default),
            }
        }
        _ => Ok(default),
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

fn truncated(number: f64, default: Value) -> Result<Value, Error> {
    match number {
        _ if !number.is_finite() => Ok(default),
        _ if number.abs() < 1e38 => integer(number.trunc() as i128),
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

pub fn float(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let default = || arguments.get(0).cloned().unwrap_or_else(|| Value::from(0.0));
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::Bool => Ok(Value::from(f64::from(value.is_true()))),
        ValueKind::Number => Ok(Value::from(f64::try_from(value.clone())?)),
        ValueKind::String => Ok(real(value.as_str().unwrap_or_default()).map_or_else(default, Value::from)),
        _ => Ok(default()),
    }
}

pub fn filesizeformat(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let size = match value.kind() {
        ValueKind::Bool => f64::from(value.is_true()),
        ValueKind::Number => f64::try_from(value.clone())?,
        _ => value.as_str().and_then(real).ok_or_else(|| refuse("filesizeformat wants a number"))?,
    };
    let (base, marks) = match arguments.truth(0, false) {
        true => (1024.0f64, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]),
        false => (1000.0f64, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]),
    };
    if !size.is_finite() {
        return Err(refuse("filesizeformat wants a number that is finite"));
    }
    if size == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if size < base {
        return Ok(Value::from(format!("{} Bytes", size.trunc())));
    }
    let mut unit = base * base;
    let mut marks = marks.into_iter().peekable();
    while let Some(mark) = marks.next() {
        if size < unit || marks.peek().is_none() {
            return Ok(Value::from(format!("{:.1} {mark}", base * size / unit)));
        }
        unit *= base;
    }
    Err(refuse("filesizeformat knows no such size"))
}

pub fn tojson(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let indent = match arguments.get(0) {
        Some(indent) if !indent.is_none() => Some(arguments.size(0, 0)?),
        _ => None,
    };
    let mut text = String::new();
    json(value, indent, 0, &mut text)?;
    for (from, to) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027")] {
        text = text.replace(from, to);
    }
    Ok(Value::from_safe_string(text))
}

fn json(value: &Value, indent: Option<usize>, depth: usize, text: &mut String) -> Result<(), Error> {
    let none = || refuse(format!("tojson of {}", type_of(value)));
    if depth > 64 {
        return Err(refuse("tojson of lists and mappings that nest deeper than 64"));
    }
    match value.kind() {
        ValueKind::None => text.push_str("null"),
        ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => text.push_str(&json_number(value)?),
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), text),
        ValueKind::Map if !value.as_object().is_some_and(|it| it.type_name().contains("minijinja::vm")) => {
            let mut entries = pairs(value)?;
            let mut failed = None;
            entries.sort_by(|(a, _), (b, _)| {
                compare(a, b).unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    std::cmp::Ordering::Equal
                })
            });
            if let Some(error) = failed {
                return Err(error);
            }
            let entries = entries.into_iter().map(|(key, value)| (Some(key), value)).collect();
            nested(entries, ('{', '}'), indent, depth, text)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let object = value.as_object().map_or("", |object| object.type_name());
            if ["Generator", "View", "Range"].iter().any(|name| object.ends_with(name)) {
                return Err(none());
            }
            nested(value.try_iter()?.map(|item| (None, item)).collect(), ('[', ']'), indent, depth, text)?;
        }
        _ => return Err(none()),
    }
    Ok(())
}

fn json_number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    Ok(match f64::try_from(value.clone())? {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => python::float(number),
    })
}

fn nested(
    entries: Vec<(Option<Value>, Value)>,
    (open, close): (char, char),
    indent: Option<usize>,
    depth: usize,
    text: &mut String,
) -> Result<(), Error> {
    text.push(open);
    let line = |depth: usize| indent.map(|width| format!("\n{}", " ".repeat(width * depth))).unwrap_or_default();
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            text.push_str(if indent.is_some() { "," } else { ", " });
        }
        text.push_str(&line(depth + 1));
        if let Some(key) = key {
            match key.kind() {
                ValueKind::String => quoted(key.as_str().unwrap_or_default(), text),
                ValueKind::None => text.push_str("\"null\""),
                ValueKind::Bool => text.push_str(if key.is_true() { "\"true\"" } else { "\"false\"" }),
                ValueKind::Number => text.push_str(&format!("\"{}\"", json_number(key)?)),
                _ => return Err(refuse(format!("tojson of a mapping with a key that is {}", type_of(key)))),
            }
            text.push_str(": ");
        }
        json(value, indent, depth + 1, text)?;
    }
    if !entries.is_empty() {
        text.push_str(&line(depth));
    }
    text.push(close);
    Ok(())
}

/// JSON's quotes, in ASCII.
fn quoted(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x08' => text.push_str("\\b"),
            '\x0c' => text.push_str("\\f"),
            ' '..='~' => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

/// What Python's pprint writes on one line; what needs several is refused.
pub fn pprint(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let text = python::repr(&sorted(value)?)?;
    if text.chars().count() > 80 {
        return Err(refuse("pprint of a value that needs more than one line: write `|tojson(indent=2)`"));
    }
    Ok(Value::from(text))
}

/// The value with the keys of its mappings in order.
fn sorted(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => {
            let mut entries = Vec::new();
            for (key, value) in pairs(value)? {
                entries.push((key, sorted(&value)?));
            }
            let mut failed = None;
            entries.sort_by(|(a, _), (b, _)| {
                compare(a, b).unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    std::cmp::Ordering::Equal
                })
            });
            match failed {
                Some(error) => Err(error),
                None => Ok(Value::from_pairs(entries)),
            }
        }
        ValueKind::Seq if !value.is_tuple() => {
            Ok(Value::from(value.try_iter()?.map(|item| sorted(&item)).collect::<Result<Vec<_>, _>>()?))
        }
        _ => Ok(value.clone()),
    }
}
