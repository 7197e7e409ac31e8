//! Jinja2's filters of text.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::objects::pairs;
use super::python::{refuse, split_lines, str, type_of};

/// A letter as it begins a word: `ß` becomes `Ss`, and a letter of two becomes the one with only its first part large.
pub fn title_case(c: char) -> String {
    let digraphs = [
        ('\u{1c4}', '\u{1c6}', '\u{1c5}'),
        ('\u{1c7}', '\u{1c9}', '\u{1c8}'),
        ('\u{1ca}', '\u{1cc}', '\u{1cb}'),
        ('\u{1f1}', '\u{1f3}', '\u{1f2}'),
    ];
    if let Some((_, _, title)) =
        digraphs.into_iter().find(|(upper, lower, title)| [*upper, *lower, *title].contains(&c))
    {
        return title.to_string();
    }
    let mut upper = c.to_uppercase();
    upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
}

pub fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    match chars.next() {
        Some(first) => title_case(first) + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

pub fn capitalized(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(capitalize(&str(value)?)))
}

pub fn upper(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, str(value)?.to_uppercase()))
}

pub fn lower(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, str(value)?.to_lowercase()))
}

pub fn string(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(keep_safe(value, str(value)?))
}

/// Escaped text stays escaped text, so that it is not escaped again.
fn keep_safe(value: &Value, text: String) -> Value {
    if value.is_safe() { Value::from_safe_string(text) } else { Value::from(text) }
}

pub fn title(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let mut start = true;
    let mut title = String::new();
    for c in str(value)?.chars() {
        if start {
            title.extend(c.to_uppercase())
        } else {
            title.extend(c.to_lowercase())
        }
        start = c.is_whitespace() || "-({[<".contains(c);
    }
    Ok(Value::from(title))
}

pub fn trim(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = str(value)?;
    let trimmed = match arguments.text(0)? {
        Some(chars) => text.trim_matches(|c| chars.contains(c)),
        None => text.trim(),
    };
    Ok(Value::from(trimmed))
}

pub fn replace(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if value.is_safe() {
        return Err(refuse("replace of escaped text: escape it afterwards"));
    }
    let (text, old, new) = (str(value)?, str(arguments.required(0)?)?, str(arguments.required(1)?)?);
    Ok(Value::from(match arguments.get(2).filter(|count| !count.is_none()) {
        Some(_) if arguments.number(2, -1)? >= 0 => text.replacen(&old, &new, arguments.size(2, 0)?),
        _ => text.replace(&old, &new),
    }))
}

pub fn center(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (text, width) = (str(value)?, arguments.size(0, 80)?);
    let room = width.saturating_sub(text.chars().count());
    let left = room / 2 + (room & width & 1);
    Ok(Value::from(format!("{}{text}{}", " ".repeat(left), " ".repeat(room - left))))
}

pub fn indent(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let indent = match arguments.get(0) {
        Some(width) if width.as_str().is_some() => str(width)?,
        _ => " ".repeat(arguments.size(0, 4)?),
    };
    let text = str(value)? + "\n";
    let (first, blank) = (arguments.truth(1, false), arguments.truth(2, false));
    let mut indented = String::new();
    for (index, line) in split_lines(&text, false).into_iter().enumerate() {
        if index > 0 {
            indented.push('\n');
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            indented.push_str(&indent);
        }
        indented.push_str(line);
    }
    Ok(Value::from(indented))
}

pub fn truncate(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (text, length) = (str(value)?, arguments.size(0, 255)?);
    let end = arguments.text(2)?.unwrap_or("...");
    let leeway = if arguments.get(3).is_some_and(|it| !it.is_none()) { arguments.size(3, 5)? } else { 5 };
    let Some(room) = length.checked_sub(end.chars().count()) else {
        return Err(refuse("truncate wants a length that its end fits in"));
    };
    if text.chars().count() <= length + leeway {
        return Ok(value.clone());
    }
    let kept: String = text.chars().take(room).collect();
    let kept = if arguments.truth(1, false) { &kept } else { kept.rsplit_once(' ').map_or(&*kept, |(kept, _)| kept) };
    Ok(Value::from(format!("{kept}{end}")))
}

pub fn wordcount(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let text = str(value)?;
    Ok(Value::from(text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()))
}

pub fn wordwrap(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let width = arguments.size(0, 79)?;
    let (break_long, hyphens) = (arguments.truth(1, true), arguments.truth(3, true));
    if width == 0 {
        return Err(refuse("wordwrap wants a width of at least 1"));
    }
    let mark = arguments.text(2)?.unwrap_or("\n");
    let text = str(value)?;
    if hyphens && text.contains("--") {
        return Err(refuse("wordwrap of text with a dash (--): write break_on_hyphens=false"));
    }
    let wrapped: Vec<String> =
        split_lines(&text, false).into_iter().map(|line| wrap(line, width, break_long, hyphens).join(mark)).collect();
    Ok(Value::from(wrapped.join(mark)))
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

pub fn striptags(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let mut text = str(value)?;
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        let mut from = 0;
        while let Some(start) = text[from..].find(open).map(|at| at + from) {
            let Some(end) = text[start..].find(close) else { break };
            text.replace_range(start..start + end + close.len(), "");
            from = start;
        }
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    unescape(&text).map(Value::from)
}

/// Characters in place of HTML's names for them.
fn unescape(text: &str) -> Result<String, Error> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        rest = after;
        let name: &str = rest.split(';').next().unwrap_or_default();
        let known = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" | "#39" | "#x27" => Some('\''),
            "#34" | "#x22" => Some('"'),
            "nbsp" => Some('\u{a0}'),
            _ => None,
        };
        match known.filter(|_| rest.len() > name.len()) {
            Some(c) => {
                plain.push(c);
                rest = &rest[name.len() + 1..];
            }
            None if rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '#') => {
                return Err(refuse("striptags of text with an HTML entity that is not one of XML's own"));
            }
            None => plain.push('&'),
        }
    }
    plain.push_str(rest);
    Ok(plain)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

pub fn escape(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    Ok(Value::from_safe_string(escaped(&str(value)?)))
}

pub fn forceescape(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::from_safe_string(escaped(&str(value)?)))
}

pub fn xmlattr(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if value.kind() != ValueKind::Map {
        return Err(refuse(format!("xmlattr wants a mapping, not {}", type_of(value))));
    }
    let mut text = String::new();
    for (key, value) in pairs(value)? {
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let key = str(&key)?;
        if key.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            return Err(refuse("xmlattr was given a key that is no attribute's name"));
        }
        // Writing to a string does not fail.
        let _ = write!(text, " {}=\"{}\"", escaped(&key), escaped(&str(&value)?));
    }
    Ok(Value::from_safe_string(if arguments.truth(0, true) { text } else { text.trim_start().to_owned() }))
}

pub fn urlencode(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
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
    let entries = match value.kind() {
        ValueKind::Map => pairs(value)?,
        ValueKind::Seq | ValueKind::Iterable => {
            let pair = |item: Value| Ok((item.get_item(&Value::from(0))?, item.get_item(&Value::from(1))?));
            value.try_iter()?.map(pair).collect::<Result<_, Error>>()?
        }
        _ => return quote(value, false).map(Value::from),
    };
    let parts = entries.iter().map(|(key, value)| Ok(format!("{}={}", quote(key, true)?, quote(value, true)?)));
    Ok(Value::from(parts.collect::<Result<Vec<_>, Error>>()?.join("&")))
}
