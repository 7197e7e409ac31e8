//! Values as Python has them: how they print, how they compare, and what Python would refuse to do with them.

use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::objects::{Date, Generator, Range, View};

/// Why a template is refused. The text is Hoist's own and never holds a value, so it may be told.
#[derive(Debug)]
pub struct Refusal {
    /// Template and line, where the template engine does not know them.
    pub place: Option<String>,
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {}

/// An error whose text is told.
pub fn refuse(why: impl Into<String>) -> Error {
    Error::from(ErrorKind::InvalidOperation).with_source(Refusal { place: None, why: why.into() })
}

/// What Python calls the type of a value.
pub fn type_of(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "undefined",
        ValueKind::None => "None",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        ValueKind::Map => "dict",
        _ => "object",
    }
}

/// Python's `str`.
///
/// # Errors
/// For what Python prints with an address in memory, a generator say.
pub fn str(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        _ => match value.downcast_object_ref::<Date>() {
            Some(date) => Ok(date.0.clone()),
            None => repr(value),
        },
    }
}

/// Python's `repr`.
///
/// # Errors
/// As [`str`].
pub fn repr(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    represent(value, 0, &mut text)?;
    Ok(text)
}

/// Lists and mappings in each other; deeper ones would overflow the stack.
const DEEPEST: usize = 100;

fn represent(value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(refuse(format!("lists and mappings that nest deeper than {DEEPEST} cannot be printed")));
    }
    match value.kind() {
        ValueKind::Undefined => text.push_str("Undefined"),
        ValueKind::None => text.push_str("None"),
        ValueKind::Bool => text.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => text.push_str(&value.to_string()),
        ValueKind::Number => text.push_str(&float(f64::try_from(value.clone()).unwrap_or(f64::NAN))),
        ValueKind::String if value.is_safe() => {
            text.push_str("Markup(");
            quote(value.as_str().unwrap_or_default(), text);
            text.push(')');
        }
        ValueKind::String => quote(value.as_str().unwrap_or_default(), text),
        ValueKind::Bytes => return Err(refuse("bytes cannot be printed")),
        ValueKind::Invalid => return Err(refuse("a value that is none cannot be printed")),
        kind => {
            if value.downcast_object_ref::<Date>().is_some() {
                return Err(refuse("a date within a list or mapping: put it in quotes to print it as text"));
            }
            let object = value.as_object().map_or("", |object| object.type_name());
            if value.downcast_object_ref::<Generator>().is_some() {
                return Err(refuse("a generator has no text of its own: write `|list` or `|join` behind it"));
            }
            for (name, what) in [
                ("Macro", "a macro"),
                ("::Loop", "loop"),
                ("Module", "an imported template"),
                ("Namespace", "a namespace"),
                ("Function", "a function"),
                ("Cycler", "a cycler"),
                ("Joiner", "a joiner"),
            ] {
                if object.contains(name) {
                    return Err(refuse(format!("{what} has no text that could be printed")));
                }
            }
            if let Some(view) = value.downcast_object_ref::<View>() {
                text.push_str(view.name);
                text.push('(');
                represent_items(&view.items, ("[", "]"), depth, text)?;
                text.push(')');
            } else if let Some(range) = value.downcast_object_ref::<Range>() {
                text.push_str(&range.repr());
            } else if kind == ValueKind::Map {
                text.push('{');
                for (index, key) in value.try_iter()?.enumerate() {
                    text.push_str(if index == 0 { "" } else { ", " });
                    represent(&key, depth + 1, text)?;
                    text.push_str(": ");
                    represent(&value.get_item(&key)?, depth + 1, text)?;
                }
                text.push('}');
            } else if kind == ValueKind::Plain {
                return Err(refuse("this object has no text that could be printed"));
            } else {
                let items: Vec<Value> = value.try_iter()?.collect();
                let marks = match (value.is_tuple() || object.ends_with("::Group"), items.len()) {
                    (true, 1) => ("(", ",)"),
                    (true, _) => ("(", ")"),
                    (false, _) => ("[", "]"),
                };
                represent_items(&items, marks, depth, text)?;
            }
        }
    }
    Ok(())
}

fn represent_items(items: &[Value], (open, close): (&str, &str), depth: usize, text: &mut String) -> Result<(), Error> {
    text.push_str(open);
    for (index, item) in items.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        represent(item, depth + 1, text)?;
    }
    text.push_str(close);
    Ok(())
}

/// A float in the fewest digits that tell it from its neighbours, with an exponent where Python has one: below 1e-4
/// and from 1e16 on.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { plain + ".0" }
}

fn quote(string: &str, text: &mut String) {
    let mark = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(mark);
    for c in string.chars() {
        let code = u32::from(c);
        // Writing to a string does not fail.
        let _ = match c {
            '\n' => text.write_str("\\n"),
            '\r' => text.write_str("\\r"),
            '\t' => text.write_str("\\t"),
            '\\' => text.write_str("\\\\"),
            c if c == mark => write!(text, "\\{c}"),
            c if printable(c) => text.write_char(c),
            _ if code < 0x100 => write!(text, "\\x{code:02x}"),
            _ if code < 0x1_0000 => write!(text, "\\u{code:04x}"),
            _ => write!(text, "\\U{code:08x}"),
        };
    }
    text.push(mark);
}

/// Python's `isprintable`, by Unicode's categories of separators, controls, formats and private use.
fn printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !(c.is_control()
        || c.is_whitespace()
        || matches!(u32::from(c),
            0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e | 0x200b..=0x200f
            | 0x202a..=0x202e | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0x110bd | 0x110cd
            | 0x1_3430..=0x1_343f | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..=0x10_ffff))
}

/// How Python orders two values.
///
/// # Errors
/// When it does not.
pub fn compare(a: &Value, b: &Value) -> Result<Ordering, Error> {
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    match (a.kind(), b.kind()) {
        _ if number(a) && number(b) => Ok(a.cmp(b)),
        (ValueKind::String, ValueKind::String) => Ok(a.as_str().cmp(&b.as_str())),
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) if type_of(a) == type_of(b) => {
            let (a, b): (Vec<Value>, Vec<Value>) = (a.try_iter()?.collect(), b.try_iter()?.collect());
            for (a, b) in a.iter().zip(&b) {
                // Python asks for the order only of what is not equal.
                if a != b {
                    return compare(a, b);
                }
            }
            Ok(a.len().cmp(&b.len()))
        }
        (ValueKind::Undefined, _) | (_, ValueKind::Undefined) => Err(Error::from(ErrorKind::UndefinedError)),
        _ => Err(refuse(format!("{} and {} have no order", type_of(a), type_of(b)))),
    }
}

/// `value % other`: the remainder of numbers, the format of text.
///
/// # Errors
/// When Python has none.
pub fn modulo(value: &Value, other: &Value) -> Result<Value, Error> {
    if let Some(format) = value.as_str() {
        let items: Vec<Value> = if other.is_tuple() { other.try_iter()?.collect() } else { vec![other.clone()] };
        return super::format::printf(format, &items).map(Value::from);
    }
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !number(value) || !number(other) {
        return Err(refuse(format!("% has no meaning between {} and {}", type_of(value), type_of(other))));
    }
    if let (Ok(a), Ok(b)) = (whole(value), whole(other)) {
        let remainder = a.checked_rem(b).ok_or_else(|| refuse("a division by zero"))?;
        let remainder = if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder };
        return Ok(i64::try_from(remainder).map_or_else(|_| Value::from(remainder), Value::from));
    }
    let (a, b) = (f64::try_from(value.clone())?, f64::try_from(other.clone())?);
    if b == 0.0 {
        return Err(refuse("a division by zero"));
    }
    let remainder = a % b;
    Ok(Value::from(match remainder {
        0.0 => 0.0f64.copysign(b),
        _ if (remainder < 0.0) != (b < 0.0) => remainder + b,
        _ => remainder,
    }))
}

/// An integer or a boolean as a number; anything else is an error.
pub fn whole(value: &Value) -> Result<i128, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()),
        _ => Err(refuse(format!("{} is no int", type_of(value)))),
    }
}

/// Python's `in`.
///
/// # Errors
/// When Python refuses.
pub fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::String => match item.as_str() {
            Some(part) => Ok(container.as_str().unwrap_or_default().contains(part)),
            None => Err(refuse(format!("text is asked for {}: only text can be in text", type_of(item)))),
        },
        ValueKind::Undefined => Ok(false),
        ValueKind::Map => Ok(container.try_iter()?.any(|key| key == *item)),
        ValueKind::Seq | ValueKind::Iterable => Ok(container.try_iter()?.any(|it| it == *item)),
        _ => Err(refuse(format!("{} holds nothing that `in` could ask for", type_of(container)))),
    }
}

/// Python's `str.splitlines`.
pub fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends =
            |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        let end = if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        lines.push(&rest[..if keep_ends { at + end } else { at }]);
        rest = &rest[at + end..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_an_exponent_where_python_gives_them_one() {
        for (value, text) in [
            (1e16, "1e+16"),
            (9999999999999998.0, "9999999999999998.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0.0"),
            (1.5e300, "1.5e+300"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
