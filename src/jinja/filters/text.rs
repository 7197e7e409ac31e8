//! Jinja2's filters of text.

use std::fmt::Write;

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::arguments::Arguments;
use crate::jinja::values::python::str;
use crate::jinja::values::text::{capitalize, escaped, split_lines, strip, stripped};
use crate::jinja::values::{LARGEST, Value};

pub fn capitalized(value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, capitalize(&str(value)?)))
}

pub fn upper(value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, str(value)?.to_uppercase()))
}

pub fn lower(value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, str(value)?.to_lowercase()))
}

pub fn string(value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, str(value)?))
}

/// Escaped text stays escaped text, so that it is not escaped again.
fn keep_safe(value: &Value, text: String) -> Value {
    if matches!(value, Value::Markup(_)) { Value::markup(text) } else { Value::text(text) }
}

pub fn title(value: &Value, _: &Arguments) -> Result<Value, Error> {
    let mut start = true;
    let mut title = String::new();
    for c in str(value)?.chars() {
        if start {
            title.extend(c.to_uppercase());
        } else {
            title.extend(c.to_lowercase());
        }
        start = c.is_whitespace() || "-({[<".contains(c);
    }
    Ok(Value::text(title))
}

pub fn trim(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, strip(&str(value)?, arguments.text(0)?, true, true)))
}

pub fn replace(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (text, old, new) = (str(value)?, str(arguments.required(0)?)?, str(arguments.required(1)?)?);
    let count = if arguments.some(2).is_some() { arguments.number(2, -1)? } else { -1 };
    if text.len().saturating_add(1).saturating_mul(new.len().max(1)) > LARGEST
        && text.matches(&old).count() * new.len() > LARGEST
    {
        return Err(refuse(format!("a text of more than {LARGEST} bytes")));
    }
    Ok(Value::text(match usize::try_from(count) {
        Ok(count) => text.replacen(&old, &new, count),
        Err(_) => text.replace(&old, &new),
    }))
}

pub fn center(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (text, width) = (str(value)?, arguments.size(0, 80)?);
    let room = width.saturating_sub(text.chars().count());
    // An odd blank goes to the left when the width is odd, as in Python.
    let left = room / 2 + (room & width & 1);
    Ok(keep_safe(value, format!("{}{text}{}", " ".repeat(left), " ".repeat(room - left))))
}

/// The text of a filter that takes nothing else.
fn only_text<'a>(value: &'a Value, filter: &str) -> Result<&'a str, Error> {
    value.as_str().ok_or_else(|| value.unfit(filter))
}

pub fn indent(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = only_text(value, "indent")?.to_owned() + "\n";
    let indent = match arguments.get(0) {
        Some(width) if width.as_str().is_some() => str(width)?,
        _ => " ".repeat(arguments.size(0, 4)?),
    };
    if let (Value::Markup(_), true) = (value, escaped(&indent) != indent) {
        return Err(refuse("indent of escaped text by text that is not: escape it afterwards"));
    }
    let (first, blank) = (arguments.truth(1, false)?, arguments.truth(2, false)?);
    let mut indented = String::new();
    for (index, line) in split_lines(&text, false).into_iter().enumerate() {
        if index > 0 {
            indented.push('\n');
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            indented.push_str(&indent);
        }
        indented.push_str(line);
        if indented.len() > LARGEST {
            return Err(refuse(format!("a text of more than {LARGEST} bytes")));
        }
    }
    Ok(keep_safe(value, indented))
}

pub fn truncate(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let end = match arguments.get(2) {
        Some(end) => only_text(end, "the end of truncate")?,
        None => "...",
    };
    let length = usize::try_from(arguments.number(0, 255)?).ok();
    let leeway = if arguments.some(3).is_some() { arguments.number(3, 5)? } else { 5 };
    let (Some(length), Ok(leeway)) = (length, usize::try_from(leeway)) else {
        return Err(refuse("the length and the leeway of truncate cannot be negative"));
    };
    let Some(room) = length.checked_sub(end.chars().count()) else {
        return Err(refuse("the length of truncate must have room for its end"));
    };
    let size = value.length()?.ok_or_else(|| value.unfit("truncate"))?;
    if size <= length.saturating_add(leeway) {
        return Ok(value.clone());
    }
    let text = only_text(value, "truncate")?;
    if let (Value::Markup(_), true) = (value, escaped(end) != end) {
        return Err(refuse("truncate of escaped text with an end that is not: escape it afterwards"));
    }
    let kept: String = text.chars().take(room).collect();
    let kept = if arguments.truth(1, false)? { &kept } else { kept.rsplit_once(' ').map_or(&*kept, |(kept, _)| kept) };
    Ok(keep_safe(value, format!("{kept}{end}")))
}

pub fn wordcount(value: &Value, _: &Arguments) -> Result<Value, Error> {
    let text = str(value)?;
    Ok(Value::size(text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()))
}

pub fn wordwrap(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = only_text(value, "wordwrap")?;
    if text.is_empty() {
        return Ok(value.clone());
    }
    let (width, whole) = match arguments.get(0) {
        Some(Value::Float(width)) => (width.clamp(0.0, 1e6) as usize, false),
        _ => (arguments.size(0, 79)?, true),
    };
    let (break_long, hyphens) = (arguments.truth(1, true)?, arguments.truth(3, true)?);
    if width == 0 {
        return Err(refuse("wordwrap needs a width of at least 1"));
    }
    let mark = arguments.text(2)?.unwrap_or("\n");
    if hyphens && text.contains("--") {
        return Err(refuse("wordwrap of text with a dash (--): write break_on_hyphens=false"));
    }
    let mut wrapped = Vec::new();
    for line in split_lines(text, false) {
        if !whole && chunks_of(line, hyphens).iter().any(|chunk| chunk.len() > width) {
            return Err(refuse("wordwrap needs a width that is a whole number"));
        }
        wrapped.push(wrap(line, width, break_long, hyphens).join(mark));
    }
    Ok(Value::text(wrapped.join(mark)))
}

/// Lines of at most `width` characters, cut between chunks.
fn wrap(line: &str, width: usize, break_long: bool, hyphens: bool) -> Vec<String> {
    let blank = |chunk: &[char]| chunk.iter().all(|c| c.is_whitespace());
    let mut chunks = chunks_of(line, hyphens);
    chunks.reverse();
    let mut lines = Vec::new();
    while let Some(next) = chunks.last() {
        if blank(next) && !lines.is_empty() {
            chunks.pop();
        }
        let (mut current, mut length): (Vec<Vec<char>>, usize) = (Vec::new(), 0);
        while let Some(chunk) = chunks.pop_if(|chunk| length + chunk.len() <= width) {
            length += chunk.len();
            current.push(chunk);
        }
        if let Some(chunk) = chunks.last_mut().filter(|chunk| chunk.len() > width) {
            if break_long {
                let mut room = width - length;
                // A long word is cut behind a hyphen where there is one.
                let hyphen = chunk[..room].iter().rposition(|c| *c == '-');
                if let Some(at) = hyphen.filter(|at| hyphens && *at > 0 && chunk[..*at].iter().any(|c| *c != '-')) {
                    room = at + 1;
                }
                current.push(chunk.drain(..room).collect());
            } else if current.is_empty() {
                current.extend(chunks.pop());
            }
        }
        if current.last().is_some_and(|chunk| blank(chunk)) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat().into_iter().collect());
        }
    }
    lines
}

/// Words, and the white space between them; words also end behind a hyphen between letters.
fn chunks_of(line: &str, hyphens: bool) -> Vec<Vec<char>> {
    let chars: Vec<char> = line.chars().collect();
    let letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphabetic());
    let is = |at: Option<usize>, wanted: char| at.and_then(|at| chars.get(at)) == Some(&wanted);
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let mut open: Option<bool> = None;
    for (at, c) in chars.iter().enumerate() {
        let space = c.is_whitespace();
        if open != Some(space) {
            chunks.push(Vec::new());
        }
        open = Some(space);
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(*c);
        }
        let back = |count: usize| at.checked_sub(count);
        let before = letter(back(1)) && (letter(back(2)) || is(back(2), '-') && letter(back(3)));
        let after = letter(Some(at + 1)) && (letter(Some(at + 2)) || is(Some(at + 2), '-') && letter(Some(at + 3)));
        if hyphens && *c == '-' && before && after {
            open = None;
        }
    }
    chunks
}

pub fn striptags(value: &Value, _: &Arguments) -> Result<Value, Error> {
    stripped(&str(value)?).map(Value::text)
}

pub fn escape(value: &Value, _: &Arguments) -> Result<Value, Error> {
    if let Value::Markup(_) = value {
        return Ok(value.clone());
    }
    Ok(Value::markup(escaped(&str(value)?)))
}

pub fn forceescape(value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::markup(escaped(&str(value)?)))
}

pub fn xmlattr(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let entries = value.entries().ok_or_else(|| value.unfit("xmlattr"))?;
    let mut parts = Vec::new();
    for (key, value) in entries {
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let name = only_text(&key, "a key of xmlattr")?;
        if name.contains(|c: char| matches!(c, ' ' | '\t'..='\r' | '/' | '>' | '=')) {
            return Err(refuse("xmlattr has a key that is not the name of an attribute"));
        }
        let escaped = |value: &Value| match value {
            Value::Markup(text) => Ok(text.to_string()),
            _ => str(value).map(|text| escaped(&text)),
        };
        parts.push(format!("{}=\"{}\"", escaped(&key)?, escaped(&value)?));
    }
    let lead = if arguments.truth(0, true)? && !parts.is_empty() { " " } else { "" };
    Ok(Value::text(format!("{lead}{}", parts.join(" "))))
}

pub fn urlencode(value: &Value, _: &Arguments) -> Result<Value, Error> {
    let quote = |value: &Value, query: bool| -> Result<String, Error> {
        let mut quoted = String::new();
        for byte in str(value)?.bytes() {
            match byte {
                b'/' if !query => quoted.push('/'),
                b' ' if query => quoted.push('+'),
                byte if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) => quoted.push(char::from(byte)),
                byte => {
                    // Writing to a string does not fail.
                    let _ = write!(quoted, "%{byte:02X}");
                }
            }
        }
        Ok(quoted)
    };
    if value.as_str().is_some() {
        return quote(value, false).map(Value::text);
    }
    let entries = match value.entries() {
        Some(entries) => entries,
        None => {
            let Some(mut source) = value.try_source()? else { return quote(value, false).map(Value::text) };
            let mut entries = Vec::new();
            while let Some(item) = source()? {
                match &item.items()?[..] {
                    [key, value] => entries.push((key.clone(), value.clone())),
                    _ => return Err(refuse("urlencode needs a mapping or a list of pairs")),
                }
            }
            entries
        }
    };
    let parts = entries.iter().map(|(key, value)| Ok(format!("{}={}", quote(key, true)?, quote(value, true)?)));
    Ok(Value::text(parts.collect::<Result<Vec<_>, Error>>()?.join("&")))
}
