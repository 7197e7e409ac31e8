//! Python's methods of text.

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::Value;
use crate::jinja::values::arguments::{Arguments, Named};
use crate::jinja::values::format::str_format;
use crate::jinja::values::text::{capitalize, cased, is_space, split_lines, strip, stripped, title_case};

/// Methods of text that is escaped: what they make of it is escaped too.
pub fn of_markup(s: &str, method: &str, positional: &[Value], named: &Named) -> Result<Value, Error> {
    let harmless = positional.iter().all(|value| value.as_str().is_none());
    let searching = ["find", "rfind", "index", "rindex", "count", "startswith", "endswith"].contains(&method);
    if method == "striptags" && positional.is_empty() && named.is_empty() {
        return stripped(s).map(Value::text);
    }
    if !(harmless && named.is_empty() || searching) || ["join", "format", "unescape", "encode"].contains(&method) {
        return Err(refuse(format!("{method} of escaped text: escape it afterwards")));
    }
    Ok(match of_text(s, method, positional, named)? {
        Value::Text(text) => Value::Markup(text),
        Value::List(items) => {
            let items = items.borrow();
            Value::list(items.iter().map(|item| item.as_str().map_or(item.clone(), Value::markup)).collect())
        }
        other => other,
    })
}

/// Methods of text.
pub fn of_text(s: &str, method: &str, positional: &[Value], named: &Named) -> Result<Value, Error> {
    let bind = |names: &[&str]| Arguments::bind("the method", names, positional, named);
    let letters = |wanted: fn(char) -> bool| !s.is_empty() && s.chars().all(wanted);
    Ok(match method {
        "format" => Value::text(str_format::str_format(s, positional, named)?),
        "split" | "rsplit" => {
            let arguments = bind(&["sep", "maxsplit"])?;
            let limit = usize::try_from(arguments.number(1, -1)?).unwrap_or(usize::MAX);
            let parts = split(s, arguments.text(0)?, limit, method == "rsplit")?;
            Value::list(parts.into_iter().map(Value::text).collect())
        }
        "splitlines" => {
            let lines = split_lines(s, bind(&["keepends"])?.truth(0, false)?);
            Value::list(lines.into_iter().map(Value::text).collect())
        }
        "join" => {
            let arguments = bind(&["iterable"])?;
            let mut parts = Vec::new();
            for item in arguments.required(0)?.items()? {
                match item.as_str() {
                    Some(part) => parts.push(part.to_owned()),
                    None => return Err(refuse(format!("join needs text, not {}: write `|join`", item.type_name()))),
                }
            }
            Value::text(parts.join(s))
        }
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => {
            searched(s, method, positional, named)?
        }
        "center" | "ljust" | "rjust" => {
            let arguments = bind(&["width", "fillchar"])?;
            arguments.required(0)?;
            let fill = arguments.get(1).map_or(Some(" "), Value::as_str).unwrap_or_default();
            if fill.chars().count() != 1 {
                return Err(refuse("the fill character must be a single character"));
            }
            let room = arguments.size(0, 0)?.saturating_sub(s.chars().count());
            // An odd blank goes to the left when the width is odd, as in Python.
            let left = match method {
                "ljust" => 0,
                "rjust" => room,
                _ => room / 2 + (room & arguments.size(0, 0)? & 1),
            };
            Value::text(format!("{}{s}{}", fill.repeat(left), fill.repeat(room - left)))
        }
        "zfill" => {
            let arguments = bind(&["width"])?;
            arguments.required(0)?;
            let room = arguments.size(0, 0)?.saturating_sub(s.chars().count());
            let sign = if s.starts_with(['+', '-']) { 1 } else { 0 };
            Value::text(format!("{}{}{}", &s[..sign], "0".repeat(room), &s[sign..]))
        }
        "partition" | "rpartition" => {
            let arguments = bind(&["sep"])?;
            let mark = arguments
                .required(0)?
                .as_str()
                .filter(|mark| !mark.is_empty())
                .ok_or_else(|| refuse("partition needs text"))?;
            let found = if method == "partition" { s.split_once(mark) } else { s.rsplit_once(mark) };
            let parts = match found {
                Some((before, after)) => [before, mark, after],
                None if method == "partition" => [s, "", ""],
                None => ["", "", s],
            };
            Value::tuple(parts.map(Value::text).to_vec())
        }
        "removeprefix" | "removesuffix" => {
            let arguments = bind(&["part"])?;
            let part = arguments.required(0)?;
            let part = part.as_str().ok_or_else(|| part.unfit(method))?;
            let stripped = if method == "removeprefix" { s.strip_prefix(part) } else { s.strip_suffix(part) };
            Value::text(stripped.unwrap_or(s))
        }
        "swapcase" => {
            bind(&[])?;
            let swap = |c: char| -> String {
                if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
            };
            Value::text(s.chars().map(swap).collect::<String>())
        }
        "casefold" if s.is_ascii() => {
            bind(&[])?;
            Value::text(s.to_lowercase())
        }
        "title" => {
            bind(&[])?;
            let mut within = false;
            let mut title = String::new();
            for c in s.chars() {
                if within {
                    title.extend(c.to_lowercase());
                } else {
                    title += &title_case(c);
                }
                within = c.is_lowercase() || c.is_uppercase();
            }
            Value::text(title)
        }
        "capitalize" => {
            bind(&[])?;
            Value::text(capitalize(s))
        }
        "istitle" if s.is_ascii() => {
            bind(&[])?;
            let (mut within, mut any) = (false, false);
            let mut fits = true;
            for c in s.chars() {
                fits &= !(c.is_uppercase() && within || c.is_lowercase() && !within);
                within = c.is_alphabetic();
                any |= within;
            }
            Value::Bool(fits && any)
        }
        "isidentifier" if s.is_ascii() => {
            bind(&[])?;
            let fit = |c: char| c.is_ascii_alphanumeric() || c == '_';
            Value::Bool(letters(|c| c.is_ascii()) && s.chars().all(fit) && !s.starts_with(|c: char| c.is_ascii_digit()))
        }
        "isdigit" | "isnumeric" | "isdecimal" if s.is_ascii() => {
            bind(&[])?;
            Value::Bool(letters(|c| c.is_ascii_digit()))
        }
        "isprintable" if s.is_ascii() => {
            bind(&[])?;
            Value::Bool(s.chars().all(|c| !c.is_ascii_control()))
        }
        "isascii" => {
            bind(&[])?;
            Value::Bool(s.is_ascii())
        }
        "isspace" => {
            bind(&[])?;
            Value::Bool(letters(is_space))
        }
        "isalpha" => {
            bind(&[])?;
            Value::Bool(letters(char::is_alphabetic))
        }
        "isalnum" => {
            bind(&[])?;
            Value::Bool(letters(char::is_alphanumeric))
        }
        "islower" | "isupper" => {
            bind(&[])?;
            Value::Bool(cased(s, method == "isupper"))
        }
        "upper" => {
            bind(&[])?;
            Value::text(s.to_uppercase())
        }
        "lower" => {
            bind(&[])?;
            Value::text(s.to_lowercase())
        }
        "strip" | "lstrip" | "rstrip" => {
            let arguments = bind(&["chars"])?;
            Value::text(strip(s, arguments.text(0)?, method != "rstrip", method != "lstrip"))
        }
        "replace" => {
            let arguments = bind(&["old", "new", "count"])?;
            let (old, new) = (arguments.required(0)?, arguments.required(1)?);
            let (Some(old), Some(new)) = (old.as_str(), new.as_str()) else {
                return Err(refuse("replace needs texts"));
            };
            match usize::try_from(arguments.number(2, -1)?) {
                Ok(count) => Value::text(s.replacen(old, new, count)),
                Err(_) => Value::text(s.replace(old, new)),
            }
        }
        "expandtabs" => {
            let size = bind(&["tabsize"])?.size(0, 8)?;
            let (mut expanded, mut column) = (String::new(), 0);
            for c in s.chars() {
                match c {
                    '\t' if size > 0 => {
                        let blanks = size - column % size;
                        expanded += &" ".repeat(blanks);
                        column += blanks;
                    }
                    '\t' => {}
                    c => {
                        expanded.push(c);
                        column = if c == '\n' || c == '\r' { 0 } else { column + 1 };
                    }
                }
            }
            Value::text(expanded)
        }
        _ => return Err(refuse(format!("the method {method} is not supported for this text"))),
    })
}

/// Parts of `s`: at white space without a separator.
fn split<'a>(s: &'a str, separator: Option<&str>, limit: usize, from_the_end: bool) -> Result<Vec<&'a str>, Error> {
    let pieces = limit.saturating_add(1);
    let Some(separator) = separator else {
        let mut parts = Vec::new();
        let trim = |text: &'a str| {
            if from_the_end { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) }
        };
        let mut rest = trim(s);
        while !rest.is_empty() && parts.len() < limit {
            let cut = if from_the_end { rest.rfind(is_space) } else { rest.find(is_space) };
            let (part, others) = match cut {
                Some(at) if from_the_end => {
                    let after = at + rest[at..].chars().next().map_or(1, char::len_utf8);
                    (&rest[after..], &rest[..at])
                }
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            parts.push(part);
            rest = trim(others);
        }
        // The last part, cut off by the limit, keeps the white space on its far side.
        if !rest.is_empty() {
            parts.push(rest);
        }
        if from_the_end {
            parts.reverse();
        }
        return Ok(parts);
    };
    if separator.is_empty() {
        return Err(refuse("the separator of split cannot be empty"));
    }
    let mut parts: Vec<_> =
        if from_the_end { s.rsplitn(pieces, separator).collect() } else { s.splitn(pieces, separator).collect() };
    if from_the_end {
        parts.reverse();
    }
    Ok(parts)
}

/// The methods that look for text between two places.
fn searched(s: &str, method: &str, positional: &[Value], named: &Named) -> Result<Value, Error> {
    let arguments = Arguments::bind("the method", &["sub", "start", "end"], positional, named)?;
    let length = s.chars().count() as i64;
    let place = |at: i64| (if at < 0 { (length + at).max(0) } else { at.min(length) }) as usize;
    let number = |at: usize, default: i64| match arguments.some(at) {
        Some(_) => arguments.number(at, default),
        None => Ok(default),
    };
    let (first, last) = (number(1, 0)?, number(2, length)?);
    let (start, end) = (place(first), place(last));
    let byte = |at: usize| s.char_indices().nth(at).map_or(s.len(), |(byte, _)| byte);
    // Behind the end there is nothing, not even nothing.
    let beyond = first > length || start > end;
    let part = if start <= end { &s[byte(start)..byte(end)] } else { "" };
    let wanted = arguments.required(0)?;
    if method == "startswith" || method == "endswith" {
        let wanted = match wanted {
            Value::Tuple(tuple) => tuple.items.clone(),
            _ => vec![wanted.clone()],
        };
        for one in wanted {
            let Some(one) = one.as_str() else {
                return Err(one.unfit(method));
            };
            if !beyond && if method == "startswith" { part.starts_with(one) } else { part.ends_with(one) } {
                return Ok(Value::Bool(true));
            }
        }
        return Ok(Value::Bool(false));
    }
    let Some(wanted) = arguments.text(0)? else { return Err(refuse(format!("{method} needs text"))) };
    if method == "count" {
        return Ok(Value::size(if beyond { 0 } else { part.matches(wanted).count() }));
    }
    let found = if beyond {
        None
    } else if method.starts_with('r') {
        part.rfind(wanted)
    } else {
        part.find(wanted)
    };
    match found {
        Some(at) => Ok(Value::size(start + part[..at].chars().count())),
        None if method.ends_with("find") => Ok(Value::Int(-1)),
        None => Err(refuse(format!("{method}: the text is not there"))),
    }
}
