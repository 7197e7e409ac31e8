//! Values as INI inventories write them, and variables as text.

use serde_json::Value;

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
    let quoted = |quote: char| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inside.contains(quote) && !inside.contains('\\')).then(|| Value::from(inside))
    };
    if let Some(value) = quoted('"').or_else(|| quoted('\'')) {
        return value;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    match text {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" => Value::Null,
        _ => match text.trim_start_matches('+').parse::<i64>() {
            Ok(number) if is_number => number.into(),
            _ => text.into(),
        },
    }
}

/// A variable as text; `None`: it is a list, a mapping, or nothing.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
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
            ("True", true.into()),
            ("yes", "yes".into()),
            ("None", Value::Null),
            ("-3", (-3).into()),
            ("", "".into()),
        ] {
            assert_eq!(ini(text), value, "{text}");
        }
    }
}
