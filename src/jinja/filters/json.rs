//! The filters that write a value down: `tojson` and `pprint`.

use std::fmt::Write;

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::arguments::Arguments;
use crate::jinja::values::comparison::sorted;
use crate::jinja::values::{Dict, Key, LARGEST, Value, python};

pub fn tojson(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    // Text is written without a look at it.
    let indent = match arguments.some(0).filter(|_| value.as_str().is_none()) {
        Some(Value::Text(indent)) => Some(indent.to_string()),
        Some(_) => Some(" ".repeat(arguments.size(0, 0)?)),
        None => None,
    };
    let mut text = String::new();
    json(value, indent.as_deref(), 0, &mut text)?;
    for (from, to) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027")] {
        text = text.replace(from, to);
    }
    Ok(Value::markup(text))
}

/// The entries of a dictionary in the order of their keys.
fn entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let keyed =
        value.entries().unwrap_or_default().into_iter().map(|(key, value)| (key.clone(), Value::pair(key, value)));
    let sorted = sorted(keyed.collect(), false)?;
    let pair = |pair: Value| match pair {
        Value::Tuple(pair) => Some((pair.items[0].clone(), pair.items[1].clone())),
        _ => None,
    };
    Ok(sorted.into_iter().filter_map(pair).collect())
}

fn json(value: &Value, indent: Option<&str>, depth: usize, text: &mut String) -> Result<(), Error> {
    if depth > 64 {
        return Err(refuse("tojson of lists and mappings nested deeper than 64"));
    }
    if text.len() > LARGEST {
        return Err(refuse(format!("a text of more than {LARGEST} bytes")));
    }
    match value {
        Value::None => text.push_str("null"),
        Value::Bool(yes) => text.push_str(if *yes { "true" } else { "false" }),
        Value::Int(_) | Value::Float(_) => text.push_str(&json_number(value)?),
        Value::Text(string) | Value::Markup(string) => quoted(string, text),
        Value::Dict(_) => {
            let entries = entries(value)?.into_iter().map(|(key, value)| (Some(key), value)).collect();
            nested(entries, ('{', '}'), indent, depth, text)?;
        }
        Value::List(_) | Value::Tuple(_) => {
            nested(value.items()?.into_iter().map(|item| (None, item)).collect(), ('[', ']'), indent, depth, text)?;
        }
        _ => return Err(value.unfit("tojson")),
    }
    Ok(())
}

fn json_number(value: &Value) -> Result<String, Error> {
    Ok(match value {
        Value::Float(number) if number.is_nan() => "NaN".into(),
        Value::Float(f64::INFINITY) => "Infinity".into(),
        Value::Float(f64::NEG_INFINITY) => "-Infinity".into(),
        Value::Float(number) => python::float(*number),
        _ => value.whole()?.to_string(),
    })
}

fn nested(
    entries: Vec<(Option<Value>, Value)>,
    (open, close): (char, char),
    indent: Option<&str>,
    depth: usize,
    text: &mut String,
) -> Result<(), Error> {
    text.push(open);
    let line = |depth: usize| indent.map(|width| format!("\n{}", width.repeat(depth))).unwrap_or_default();
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            text.push_str(if indent.is_some() { "," } else { ", " });
        }
        text.push_str(&line(depth + 1));
        if let Some(key) = key {
            match key {
                Value::Text(key) | Value::Markup(key) => quoted(key, text),
                Value::None => text.push_str("\"null\""),
                Value::Bool(yes) => text.push_str(if *yes { "\"true\"" } else { "\"false\"" }),
                Value::Int(_) | Value::Float(_) => text.push_str(&format!("\"{}\"", json_number(key)?)),
                _ => return Err(refuse(format!("tojson of a mapping with a key that is {}", key.type_name()))),
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
pub fn pprint(value: &Value, _: &Arguments) -> Result<Value, Error> {
    let text = python::repr(&in_order(value)?)?;
    if text.chars().count() > 80 && !(value.is_number() || value.is_none()) {
        return Err(refuse("pprint of a value that needs more than one line: write `|tojson(indent=2)`"));
    }
    Ok(Value::text(text))
}

/// The value with the keys of its mappings in order.
fn in_order(value: &Value) -> Result<Value, Error> {
    let all = |items: Vec<Value>| items.iter().map(in_order).collect::<Result<Vec<_>, _>>();
    Ok(match value {
        Value::Dict(_) => {
            let sorted = entries(value)?.into_iter().map(|(key, value)| Ok((Key(key), in_order(&value)?)));
            Value::dict(sorted.collect::<Result<Dict, Error>>()?)
        }
        Value::List(_) => Value::list(all(value.items()?)?),
        Value::Tuple(_) => Value::tuple(all(value.items()?)?),
        _ => value.clone(),
    })
}
