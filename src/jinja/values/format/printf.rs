//! `'%5.2f' % x`.

use super::field::{Spec, digits, real};
use crate::jinja::error::{Error, refuse};
use crate::jinja::values::object::Object;
use crate::jinja::values::{Key, Value, python};

/// `format % given`, where a tuple gives several values and a mapping serves `%(key)s`.
///
/// # Errors
/// As Python: too many or too few items, and items of the wrong type.
pub fn printf(format: &str, given: &Value) -> Result<String, Error> {
    let items = match given {
        Value::Tuple(tuple) => &tuple.items[..],
        _ => std::slice::from_ref(given),
    };
    let mut text = String::new();
    let mut next = items.iter();
    let mut by_key = false;
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        rest = after;
        let mut spec = Spec::default();
        spec.padding.align = Some('>');
        let mut key = None;
        if let Some(after) = rest.strip_prefix('(') {
            let Some((name, after)) = after.split_once(')') else {
                return Err(refuse("a format's %( has no closing bracket"));
            };
            (key, rest) = (Some(name), after);
            by_key = true;
        }
        while let Some(flag) = rest.chars().next().filter(|c| "-+ 0#".contains(*c)) {
            match flag {
                '-' => spec.padding.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '0' => spec.padding.zero = true,
                _ => spec.alternate = true,
            }
            rest = &rest[1..];
        }
        if rest.starts_with('*') || rest.starts_with(".*") {
            return Err(refuse("a format's width or precision cannot be *: write the number"));
        }
        spec.padding.width = digits(&mut rest)?.unwrap_or(0);
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            spec.precision = Some(digits(&mut rest)?.unwrap_or(0));
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        let Some(kind) = rest.chars().next() else { return Err(refuse("a format ends in the middle of a field")) };
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            text.push('%');
            continue;
        }
        let value = match key {
            Some(key) => match items {
                [Value::Dict(entries)] => match entries.borrow().get(&Key::text(key)) {
                    Some(value) => value.clone(),
                    None => return Err(refuse("a format uses a key that its mapping does not have")),
                },
                _ => return Err(refuse("a format with names needs a mapping")),
            },
            None => next.next().cloned().ok_or_else(|| refuse("a format has more fields than values"))?,
        };
        if spec.padding.align == Some('<') {
            spec.padding.zero = false;
        }
        let mut plain = spec.clone();
        plain.padding.zero = false;
        let mut numeric = spec;
        if numeric.padding.zero {
            numeric.padding.align = Some('=');
        }
        text.push_str(&match kind {
            's' => plain.text(&python::str(&value)?),
            'r' => plain.text(&python::repr(&value)?),
            'd' | 'i' | 'u' => {
                let number = match value {
                    Value::Float(number) if number.abs() < 1e38 => number.trunc() as i128,
                    _ => value.whole()?,
                };
                numeric.integer(number, 'd')
            }
            'x' | 'X' | 'o' => numeric.integer(value.whole()?, kind),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => numeric.float(real(&value)?, kind),
            'c' => match (value.as_str(), value.whole().ok()) {
                (Some(one), _) if one.chars().count() == 1 => plain.text(one),
                (None, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                    Some(c) => plain.text(&c.to_string()),
                    None => return Err(refuse("%c needs a character")),
                },
                _ => return Err(refuse("%c needs a character")),
            },
            _ => return Err(refuse("a format has an unknown field")),
        });
    }
    text.push_str(rest);
    // As in Python, a value that can be indexed may be left unused.
    let by_item = match given {
        Value::List(_) | Value::Dict(_) | Value::Undefined(_) => true,
        Value::Object(object) => matches!(&**object, Object::Range(_)),
        _ => false,
    };
    if !by_key && next.next().is_some() && !by_item {
        return Err(refuse("a format has fewer fields than values"));
    }
    Ok(text)
}
