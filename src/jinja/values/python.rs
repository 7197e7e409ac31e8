//! Python's `str` and `repr`.

use std::fmt::Write;

use super::object::{Object, unprintable};
use super::{LARGEST, Value};
use crate::jinja::error::{Error, refuse};

/// Python's `str`.
///
/// # Errors
/// For values that Python prints with a memory address, such as generators.
pub fn str(value: &Value) -> Result<String, Error> {
    match value {
        Value::Undefined(_) => Ok(String::new()),
        Value::Text(text) | Value::Markup(text) => Ok(text.to_string()),
        Value::Object(object) => match &**object {
            Object::Date(date) => Ok(date.clone()),
            Object::Module(module) => Ok(module.body.clone()),
            _ => repr(value),
        },
        _ => repr(value),
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

/// The deepest nesting of lists and mappings that is printed.
const DEEPEST: usize = 100;

fn represent(value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(refuse(format!("lists and mappings nested deeper than {DEEPEST} cannot be printed")));
    }
    if text.len() > LARGEST {
        return Err(refuse(format!("a text of more than {LARGEST} bytes")));
    }
    match value {
        Value::Undefined(_) => text.push_str("Undefined"),
        Value::None => text.push_str("None"),
        Value::Bool(yes) => text.push_str(if *yes { "True" } else { "False" }),
        Value::Int(number) => text.push_str(&number.to_string()),
        Value::Float(number) => text.push_str(&float(*number)),
        Value::Text(string) => quote(string, text),
        Value::Markup(string) => {
            text.push_str("Markup(");
            quote(string, text);
            text.push(')');
        }
        Value::List(items) => represent_items(&items.borrow(), ("[", "]"), depth, text)?,
        Value::Tuple(tuple) => {
            let end = if tuple.items.len() == 1 { ",)" } else { ")" };
            represent_items(&tuple.items, ("(", end), depth, text)?;
        }
        Value::Dict(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.borrow().iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                represent(&key.0, depth + 1, text)?;
                text.push_str(": ");
                represent(value, depth + 1, text)?;
            }
            text.push('}');
        }
        Value::Object(object) => represent_object(object, depth, text)?,
    }
    Ok(())
}

fn represent_object(object: &Object, depth: usize, text: &mut String) -> Result<(), Error> {
    match object {
        Object::View(view) => {
            text.push_str(view.name());
            represent_items(&view.items(), ("([", "])"), depth, text)?;
        }
        Object::Range(range) => text.push_str(&range.repr()),
        Object::OfTemplate(it) => text.push_str(&it.repr()?),
        Object::Module(module) => {
            text.push_str("<TemplateModule ");
            quote(&module.name, text);
            text.push('>');
        }
        Object::Namespace(entries) => {
            text.push_str("<Namespace ");
            let entries = entries.try_borrow().map_err(|_| refuse("a namespace that contains itself"))?.clone();
            represent(&Value::dict(entries), depth + 1, text)?;
            text.push('>');
        }
        Object::Date(date) => represent_date(date, text)?,
        Object::Generator(_) => {
            return Err(refuse("a generator cannot be printed: write `|list` or `|join` after it"));
        }
        Object::Method(of, name) => {
            let kind = of.type_name();
            return Err(refuse(format!(
                "{name} is a method of {kind}: write .{name}() for its result, ['{name}'] for an entry"
            )));
        }
        _ => return Err(unprintable(object.type_name())),
    }
    Ok(())
}

/// A date without a time, as Python writes it within a list.
fn represent_date(date: &str, text: &mut String) -> Result<(), Error> {
    let parts: Vec<u32> = date.split('-').filter_map(|part| part.parse().ok()).collect();
    let [year, month, day] = parts[..] else {
        return Err(refuse("a time within a list or mapping: put it in quotes to print it as text"));
    };
    text.push_str(&format!("datetime.date({year}, {month}, {day})"));
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
