//! Values as INI inventories write them, and variables as text.

use serde_json::Value;

use super::literal;
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
    literal::value(text).unwrap_or_else(|| text.into())
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
    fn what_is_no_literal_is_text() {
        for (text, value) in
            [(" 22 ", Value::from(22)), ("022", "022".into()), ("'a' b", "'a' b".into()), ("", "".into())]
        {
            assert_eq!(ini(text), value, "{text}");
        }
    }
}
