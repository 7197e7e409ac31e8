//! `'{:>5}'.format(x)`.

use super::field::{Spec, digits, real};
use crate::jinja::error::{Error, refuse};
use crate::jinja::values::arguments::Named;
use crate::jinja::values::subscript::item;
use crate::jinja::values::{Value, python};

/// `format.format(…)`.
///
/// # Errors
/// As Python; nested fields (`{:{width}}`) are refused too.
pub fn str_format(format: &str, positional: &[Value], named: &Named) -> Result<String, Error> {
    let mut text = String::new();
    let mut automatic = 0;
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let mark = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(mark) {
            text.push_str(mark);
            rest = after;
            continue;
        }
        let Some((field, after)) = rest.split_once('}').filter(|_| mark == "{") else {
            return Err(refuse("a format has an unmatched brace: double it to print it"));
        };
        if field.contains('{') {
            return Err(refuse("a format has a nested field: write the number"));
        }
        rest = after;
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (field, conversion) = match field.split_once('!') {
            Some((field, conversion)) => (field, Some(conversion)),
            None => (field, None),
        };
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (name, mut path) = field.split_at(end);
        let lacks = || refuse("a format uses a value that was not given");
        let mut value = if name.is_empty() {
            automatic += 1;
            positional.get(automatic - 1).cloned().ok_or_else(lacks)?
        } else if let Ok(index) = name.parse::<usize>() {
            positional.get(index).cloned().ok_or_else(lacks)?
        } else {
            named.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone()).ok_or_else(lacks)?
        };
        while let Some(after) = path.strip_prefix('[') {
            let Some((key, after)) = after.split_once(']') else { return Err(refuse("a format's [ has no ]")) };
            value = match key.parse::<i64>() {
                Ok(index) => item(&value, &Value::Int(i128::from(index)))?,
                Err(_) => item(&value, &Value::text(key))?,
            };
            if value.is_undefined() {
                return Err(lacks());
            }
            path = after;
        }
        if !path.is_empty() {
            return Err(refuse("a format uses an attribute: write [key]"));
        }
        text.push_str(&match conversion {
            None => field_of(&value, spec)?,
            Some("s") => field_of(&Value::text(python::str(&value)?), spec)?,
            Some("r") => field_of(&Value::text(python::repr(&value)?), spec)?,
            Some(_) => return Err(refuse("a format's conversion is !s or !r")),
        });
    }
    text.push_str(rest);
    Ok(text)
}

/// One value by Python's `format`.
fn field_of(value: &Value, text: &str) -> Result<String, Error> {
    let mut spec = Spec::default();
    let mut rest = text;
    let aligns = |c: char| "<>^=".contains(c);
    let mut chars = rest.chars();
    match (chars.next(), chars.next()) {
        (Some(fill), Some(align)) if aligns(align) => {
            (spec.padding.fill, spec.padding.align) = (Some(fill), Some(align));
            rest = chars.as_str();
        }
        (Some(align), _) if aligns(align) => {
            spec.padding.align = Some(align);
            rest = &rest[1..];
        }
        _ => {}
    }
    let mut take = |marks: &str| {
        let mark = rest.chars().next().filter(|c| marks.contains(*c));
        rest = &rest[mark.map_or(0, char::len_utf8)..];
        mark
    };
    spec.sign = take("+- ");
    spec.alternate = take("#").is_some();
    spec.padding.zero = take("0").is_some();
    spec.padding.width = digits(&mut rest)?.unwrap_or(0);
    let mut take = |marks: &str| {
        let mark = rest.chars().next().filter(|c| marks.contains(*c));
        rest = &rest[mark.map_or(0, char::len_utf8)..];
        mark
    };
    spec.grouping = take(",_");
    if take(".").is_some() {
        spec.precision = digits(&mut rest)?;
    }
    let mut kinds = rest.chars();
    spec.kind = kinds.next();
    if kinds.next().is_some() {
        return Err(refuse("a format's field is not one of Python's"));
    }
    let wrong = || refuse(format!("a format's field cannot be applied to {}", value.type_name()));
    match value {
        Value::Text(_) | Value::Markup(_) => match spec.kind {
            None | Some('s') if spec.sign.is_none() && spec.grouping.is_none() && spec.padding.align != Some('=') => {
                Ok(spec.text(value.as_str().unwrap_or_default()))
            }
            _ => Err(wrong()),
        },
        Value::Bool(_) if text.is_empty() => python::str(value),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let integer = !matches!(value, Value::Float(_));
            match spec.kind {
                None if integer => Ok(spec.integer(value.whole()?, 'd')),
                None if spec.precision.is_none() => {
                    let number = real(value)?;
                    Ok(spec.number(number.is_sign_negative(), "", python::float(number.abs())))
                }
                Some('d' | 'n') if integer => Ok(spec.integer(value.whole()?, 'd')),
                Some(kind @ ('x' | 'X' | 'o' | 'b')) if integer => Ok(spec.integer(value.whole()?, kind)),
                Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Ok(spec.float(real(value)?, kind)),
                _ => Err(wrong()),
            }
        }
        _ if text.is_empty() => python::str(value),
        _ => Err(wrong()),
    }
}
