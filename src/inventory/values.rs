//! Values as INI inventories write them, and variables as text.

use serde_json::Value;

use crate::jinja;

/// Splits a line as a POSIX shell does, with comments; `None`: a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next()?;
                let word = word.get_or_insert_default();
                if next != '"' && next != '\\' {
                    word.push('\\');
                }
                word.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A value of an INI inventory. Ansible reads it as a literal of Python where it is one, and as text otherwise.
pub fn ini(text: &str) -> Value {
    let text = text.trim();
    if let Some(inside) = quoted(text) {
        return inside.into();
    }
    match text {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" => Value::Null,
        _ => number(text).unwrap_or_else(|| text.into()),
    }
}

/// The text of a string as Python writes it: `'it\'s'`, `"a\tb"`, `'\x41'`.
fn quoted(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let quote = chars.next().filter(|first| matches!(first, '"' | '\''))?;
    let mut inside = String::new();
    loop {
        let c = chars.next()?;
        if c == quote {
            return chars.next().is_none().then_some(inside);
        }
        if c != '\\' {
            inside.push(c);
            continue;
        }
        let escaped = chars.next()?;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        match escaped {
            '\\' | '"' | '\'' => inside.push(escaped),
            'n' => inside.push('\n'),
            'r' => inside.push('\r'),
            't' => inside.push('\t'),
            _ if digits > 0 => {
                let code: String = chars.by_ref().take(digits).collect();
                inside.push(char::from_u32(u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits)?)?);
            }
            // Python leaves the backslash of what it does not know. Numbers in base 8, bells and names are not read.
            _ => inside.extend(['\\', escaped]),
        }
    }
}

/// A number as Python writes it: `22`, `-1`, `0x1F`, `1_000`, `1.50`, `1e3`.
fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let is_split_well = |text: &str| !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let (whole, radix) = prefixes
        .into_iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)))
        .map_or((lower.as_str(), 10), |(rest, radix)| (rest.strip_prefix('_').unwrap_or(rest), radix));
    let is_whole =
        whole.starts_with(|c: char| c.is_digit(radix)) && whole.chars().all(|c| c == '_' || c.is_digit(radix));
    if is_whole && is_split_well(whole) {
        // Python takes 08 for no number.
        let is_octal = radix == 10 && whole.starts_with('0') && !whole.trim_matches(['0', '_']).is_empty();
        let number = i64::from_str_radix(&whole.replace('_', ""), radix).ok().filter(|_| !is_octal)?;
        return Some(if negative { -number } else { number }.into());
    }
    let is_float = radix == 10
        && lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && lower.chars().all(|c| c.is_ascii_digit() || ".e+-_".contains(c))
        && lower.split(['.', 'e', '+', '-']).all(is_split_well);
    let number: f64 = lower.replace('_', "").parse().ok().filter(|_| is_float)?;
    serde_json::Number::from_f64(if negative { -number } else { number }).map(Value::Number)
}

/// A variable as text; `None`: it is a list, a mapping, or nothing. Dates and such are as [`crate::yaml`] has them in JSON.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => jinja::float(float),
            None => number.to_string(),
        }),
        Value::Bool(value) => Some(value.to_string()),
        Value::Object(value) if value.len() == 1 => {
            ["!int", "!float", "!date"].iter().find_map(|kind| Some(value.get(*kind)?.as_str()?.to_owned()))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_python_s_shlex_splits_it() {
        let read = |line: &str| words(line).map(|words| words.join("|"));
        assert_eq!(read("web1 a=b  c='d e' # f").as_deref(), Some("web1|a=b|c=d e"));
        assert_eq!(read(r#"w a="x \" y" b=\# c="\n""#).as_deref(), Some(r#"w|a=x " y|b=#|c=\n"#));
        assert_eq!(read("web1#x").as_deref(), Some("web1"));
        assert_eq!(read("a ''").as_deref(), Some("a|"));
        assert_eq!((read("a 'b"), read("a \\")), (None, None));
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (text, value) in [
            ("22", Value::from(22)),
            ("022", "022".into()),
            ("'a b'", "a b".into()),
            ("\"2222\"", "2222".into()),
            (r#""a\tb""#, "a\tb".into()),
            (r"'it\'s \x41\u00e9\q'", "it's Aé\\q".into()),
            (r"'\x4'", r"'\x4'".into()),
            (r#""a" "b""#, r#""a" "b""#.into()),
            ("True", true.into()),
            ("yes", "yes".into()),
            ("None", Value::Null),
            ("-3", (-3).into()),
            ("+3", 3.into()),
            ("00", 0.into()),
            ("08", "08".into()),
            ("0x1F", 31.into()),
            ("0b_11", 3.into()),
            ("1_000", 1000.into()),
            ("1__0", "1__0".into()),
            ("1_", "1_".into()),
            ("1.50", 1.5.into()),
            (".5", 0.5.into()),
            ("-1e3", (-1000.0).into()),
            ("e3", "e3".into()),
            (".", ".".into()),
            ("1.2.3", "1.2.3".into()),
            ("inf", "inf".into()),
            ("10.0.0.1", "10.0.0.1".into()),
            ("", "".into()),
        ] {
            assert_eq!(ini(text), value, "{text}");
        }
    }
}
