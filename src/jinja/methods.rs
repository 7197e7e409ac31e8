//! Python's methods of text, dictionaries, lists and numbers.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::arguments::Arguments;
use super::format;
use super::objects::{View, pair, pairs};
use super::python::{refuse, split_lines, type_of, whole};
use super::text;

/// What Python has as methods of dictionaries, text and lists: without a call, such a name is the method itself and not
/// an entry of the same name.
const OF_DICT: &[&str] =
    &["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
const OF_TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const OF_LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const OF_NUMBER: &[&str] =
    &["as_integer_ratio", "bit_length", "conjugate", "denominator", "hex", "imag", "is_integer", "numerator", "real"];

/// Whether `name` is an attribute that Python's own types have.
pub fn is_python_s(name: &str) -> bool {
    name.starts_with("__") || [OF_DICT, OF_TEXT, OF_LIST, OF_NUMBER].iter().any(|names| names.contains(&name))
}

/// `value.name` without a call.
///
/// # Errors
/// When Python would give the method, which has no text and no items.
pub fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    let names = match value.kind() {
        ValueKind::Map if value.as_object().is_some_and(|it| it.type_name().contains("Namespace")) => &[],
        ValueKind::Map => OF_DICT,
        ValueKind::String => OF_TEXT,
        ValueKind::Seq | ValueKind::Iterable => OF_LIST,
        ValueKind::Number | ValueKind::Bool => OF_NUMBER,
        _ => &[],
    };
    if name.starts_with("__") {
        return Err(refuse(format!("{name} is of Python's insides")));
    }
    if names.contains(&name) {
        let kind = type_of(value);
        return Err(refuse(format!(
            "{name} is a method of {kind}: write .{name}() for its result, ['{name}'] for an entry"
        )));
    }
    value.get_attr(name)
}

/// Calls a method that minijinja does not have on `value`.
pub fn call(state: &mut State, value: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => of_text(state, value, method, given),
        ValueKind::Map => of_dict(value, method, given),
        ValueKind::Seq | ValueKind::Iterable => of_list(value, method, given),
        ValueKind::Number => match method {
            "is_integer" if !value.is_integer() => Ok(Value::from(f64::try_from(value.clone())?.fract() == 0.0)),
            "bit_length" if value.is_integer() => Ok(Value::from(128 - whole(value)?.unsigned_abs().leading_zeros())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        },
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_text(state: &mut State, value: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    let s = value.as_str().unwrap_or_default();
    let bind = |names: &[&str]| Arguments::bind("the method", names, given);
    let letters = |wanted: fn(char) -> bool| !s.is_empty() && s.chars().all(wanted);
    Ok(match method {
        "format" => Value::from(format::str_format(s, given)?),
        "split" | "rsplit" => {
            let arguments = bind(&["sep", "maxsplit"])?;
            let limit = usize::try_from(arguments.number(1, -1)?).unwrap_or(usize::MAX);
            let parts = split(s, arguments.text(0)?, limit, method == "rsplit")?;
            parts.into_iter().map(Value::from).collect()
        }
        "splitlines" => split_lines(s, bind(&["keepends"])?.truth(0, false)).into_iter().map(Value::from).collect(),
        "join" => {
            let arguments = bind(&["iterable"])?;
            let mut parts = Vec::new();
            for item in arguments.required(0)?.try_iter()? {
                match item.as_str() {
                    Some(part) => parts.push(part.to_owned()),
                    None => return Err(refuse(format!("join wants text, not {}: write `|join`", type_of(&item)))),
                }
            }
            Value::from(parts.join(s))
        }
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => searched(s, method, given)?,
        "center" | "ljust" | "rjust" => {
            let arguments = bind(&["width", "fillchar"])?;
            arguments.required(0)?;
            let fill = arguments.text(1)?.unwrap_or(" ");
            if fill.chars().count() != 1 {
                return Err(refuse("a text is filled up with one character"));
            }
            let room = arguments.size(0, 0)?.saturating_sub(s.chars().count());
            // An odd blank goes to the left when the width is odd, as in Python.
            let left = match method {
                "ljust" => 0,
                "rjust" => room,
                _ => room / 2 + (room & arguments.size(0, 0)? & 1),
            };
            Value::from(format!("{}{s}{}", fill.repeat(left), fill.repeat(room - left)))
        }
        "zfill" => {
            let room = bind(&["width"])?.size(0, 0)?.saturating_sub(s.chars().count());
            let sign = if s.starts_with(['+', '-']) { 1 } else { 0 };
            Value::from(format!("{}{}{}", &s[..sign], "0".repeat(room), &s[sign..]))
        }
        "partition" | "rpartition" => {
            let arguments = bind(&["sep"])?;
            let mark =
                arguments.text(0)?.filter(|mark| !mark.is_empty()).ok_or_else(|| refuse("partition wants text"))?;
            let found = if method == "partition" { s.split_once(mark) } else { s.rsplit_once(mark) };
            let parts = match found {
                Some((before, after)) => [before, mark, after],
                None if method == "partition" => [s, "", ""],
                None => ["", "", s],
            };
            Value::from(minijinja::value::Tuple::from(parts.map(Value::from).to_vec()))
        }
        "removeprefix" | "removesuffix" => {
            let arguments = bind(&["part"])?;
            let part = arguments.text(0)?.unwrap_or_default();
            let stripped = if method == "removeprefix" { s.strip_prefix(part) } else { s.strip_suffix(part) };
            Value::from(stripped.unwrap_or(s))
        }
        "swapcase" => {
            bind(&[])?;
            let swap = |c: char| -> String {
                if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
            };
            Value::from(s.chars().map(swap).collect::<String>())
        }
        "casefold" if s.is_ascii() => Value::from(s.to_lowercase()),
        "title" => {
            bind(&[])?;
            let mut within = false;
            let mut title = String::new();
            for c in s.chars() {
                if within {
                    title.extend(c.to_lowercase())
                } else {
                    title += &text::title_case(c)
                }
                within = c.is_lowercase() || c.is_uppercase();
            }
            Value::from(title)
        }
        "capitalize" => {
            bind(&[])?;
            Value::from(text::capitalize(s))
        }
        "istitle" if s.is_ascii() => {
            let (mut within, mut any) = (false, false);
            let mut fits = true;
            for c in s.chars() {
                fits &= !(c.is_uppercase() && within || c.is_lowercase() && !within);
                within = c.is_alphabetic();
                any |= within;
            }
            Value::from(fits && any)
        }
        "isidentifier" if s.is_ascii() => {
            let fit = |c: char| c.is_ascii_alphanumeric() || c == '_';
            Value::from(letters(|c| c.is_ascii()) && s.chars().all(fit) && !s.starts_with(|c: char| c.is_ascii_digit()))
        }
        "isdigit" | "isnumeric" | "isdecimal" if s.is_ascii() => Value::from(letters(|c| c.is_ascii_digit())),
        "isprintable" if s.is_ascii() => Value::from(s.chars().all(|c| !c.is_ascii_control())),
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
            Value::from(expanded)
        }
        "upper" | "lower" | "strip" | "lstrip" | "rstrip" | "replace" | "islower" | "isupper" | "isspace"
        | "isalnum" | "isalpha" | "isascii" => pycompat::unknown_method_callback(state, value, method, given)?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

/// Parts of `s`: at white space without a separator.
fn split<'a>(s: &'a str, separator: Option<&str>, limit: usize, from_the_end: bool) -> Result<Vec<&'a str>, Error> {
    let pieces = limit.saturating_add(1);
    let Some(separator) = separator else {
        let mut parts = Vec::new();
        let trim = |text: &'a str| if from_the_end { text.trim_end() } else { text.trim_start() };
        let mut rest = trim(s);
        while !rest.is_empty() && parts.len() < limit {
            let cut = if from_the_end { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
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
        return Err(refuse("split wants a separator that is not empty"));
    }
    let mut parts: Vec<_> =
        if from_the_end { s.rsplitn(pieces, separator).collect() } else { s.splitn(pieces, separator).collect() };
    if from_the_end {
        parts.reverse();
    }
    Ok(parts)
}

/// The methods that look for text between two places.
fn searched(s: &str, method: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("the method", &["sub", "start", "end"], given)?;
    let length = s.chars().count() as i64;
    let place = |at: i64| (if at < 0 { (length + at).max(0) } else { at.min(length) }) as usize;
    let (start, end) = (place(arguments.number(1, 0)?), place(arguments.number(2, length)?));
    let byte = |at: usize| s.char_indices().nth(at).map_or(s.len(), |(byte, _)| byte);
    let part = if start <= end { &s[byte(start)..byte(end)] } else { "" };
    let wanted = arguments.required(0)?;
    if method == "startswith" || method == "endswith" {
        let wanted: Vec<Value> = if wanted.is_tuple() { wanted.try_iter()?.collect() } else { vec![wanted.clone()] };
        for one in wanted {
            let Some(one) = one.as_str() else {
                return Err(refuse(format!("{method} wants text, not {}", type_of(&one))));
            };
            if if method == "startswith" { part.starts_with(one) } else { part.ends_with(one) } {
                return Ok(Value::from(true));
            }
        }
        return Ok(Value::from(false));
    }
    let Some(wanted) = arguments.text(0)? else { return Err(refuse(format!("{method} wants text"))) };
    if method == "count" {
        return Ok(Value::from(part.matches(wanted).count()));
    }
    let found = if method.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
    match found {
        Some(at) => Ok(Value::from(start + part[..at].chars().count())),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(refuse(format!("{method} does not find the text"))),
    }
}

fn of_dict(value: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    // Python's dictionaries take no names.
    if OF_DICT.contains(&method) && given.last().is_some_and(Value::is_kwargs) {
        return Err(refuse(format!("{method} takes no named arguments")));
    }
    let arguments = Arguments::bind("the method", if method == "get" { &["key", "default"] } else { &[] }, given);
    let view = |name: &'static str, items: Vec<Value>| Value::from_object(View { name, items });
    Ok(match method {
        "get" => {
            let arguments = arguments?;
            let found = value.get_item(arguments.required(0)?)?;
            // An entry may hold an undefined value; a view tells whether there is one.
            let there = value.try_iter()?.any(|key| Some(&key) == arguments.get(0));
            if there { found } else { arguments.get(1).cloned().unwrap_or_else(|| Value::from(())) }
        }
        "keys" => arguments.and(Ok(view("dict_keys", value.try_iter()?.collect())))?,
        "values" => {
            arguments.and(Ok(view("dict_values", pairs(value)?.into_iter().map(|(_, value)| value).collect())))?
        }
        "items" => {
            arguments.and(Ok(view("dict_items", pairs(value)?.into_iter().map(|(key, it)| pair(key, it)).collect())))?
        }
        "copy" => arguments.and(Ok(Value::from_pairs(pairs(value)?)))?,
        "pop" | "popitem" | "update" | "setdefault" | "clear" => return Err(changes("dict", method)),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn of_list(value: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    let listed = value.downcast_object_ref::<View>().is_none();
    match method {
        "count" | "index" if listed => {
            let arguments = Arguments::bind("the method", &["value"], given)?;
            let wanted = arguments.required(0)?;
            let items: Vec<Value> = value.try_iter()?.collect();
            if method == "count" {
                return Ok(Value::from(items.iter().filter(|item| *item == wanted).count()));
            }
            let at = items.iter().position(|item| item == wanted);
            at.map(Value::from).ok_or_else(|| refuse("index does not find the value in the list"))
        }
        "copy" if listed && !value.is_tuple() => Ok(value.try_iter()?.collect()),
        "append" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" | "clear" if listed => {
            Err(changes("list", method))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn changes(kind: &str, method: &str) -> Error {
    refuse(format!("{method} would change a {kind}, which templates cannot do here: set a variable to a new one"))
}
