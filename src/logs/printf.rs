//! Python's `%` on a text, as its logging keeps messages: the text, and what goes into it.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// The text with its arguments in place: a list in order, or a mapping by name. `None` where they do not fit, in which
/// case Python shows neither.
pub fn format(text: &str, arguments: &Value) -> Option<String> {
    let mut listed: std::slice::Iter<'_, Value> = match arguments {
        Value::Array(values) => values.iter(),
        _ => [].iter(),
    };
    let mut done = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            done.push(c);
            continue;
        }
        let named = chars.next_if_eq(&'(').is_some();
        let name = if named { Some(name(&mut chars)?) } else { None };
        let place = Place::read(&mut chars);
        let kind = chars.next()?;
        if kind == '%' {
            done.push('%');
            continue;
        }
        let value = match &name {
            Some(name) => arguments.get(name)?,
            None => listed.next()?,
        };
        done.push_str(&place.fill(&shown(kind, value, place.precision)?));
    }
    // What is left over is an error, too.
    listed.next().is_none().then_some(done)
}

/// The rest of `(name)`; `None` where it has no end.
fn name(chars: &mut Peekable<Chars>) -> Option<String> {
    let mut name = String::new();
    loop {
        match chars.next()? {
            ')' => return Some(name),
            c => name.push(c),
        }
    }
}

/// Flags, width and precision.
#[derive(Debug, Default)]
struct Place {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

/// No column is wider: the text is somebody else's.
const WIDEST: usize = 1000;

impl Place {
    fn read(chars: &mut Peekable<Chars>) -> Place {
        let mut place = Place::default();
        while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
            place.left |= flag == '-';
            place.zeros |= flag == '0';
        }
        place.width = number(chars).unwrap_or_default();
        if chars.next_if_eq(&'.').is_some() {
            place.precision = Some(number(chars).unwrap_or_default());
        }
        while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
        place
    }

    fn fill(&self, text: &str) -> String {
        let width = self.width;
        match (self.left, self.zeros) {
            (true, _) => format!("{text:<width$}"),
            (false, true) if text.parse::<f64>().is_ok() => format!("{text:0>width$}"),
            (false, _) => format!("{text:>width$}"),
        }
    }
}

fn number(chars: &mut Peekable<Chars>) -> Option<usize> {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    digits.parse().ok().map(|number: usize| number.min(WIDEST))
}

fn shown(kind: char, value: &Value, precision: Option<usize>) -> Option<String> {
    let number = || value.as_f64().or_else(|| value.as_bool().map(|it| f64::from(u8::from(it))));
    let whole = || value.as_i64().or_else(|| value.as_bool().map(i64::from)).or_else(|| Some(value.as_f64()? as i64));
    match kind {
        's' => {
            let text = text(value);
            Some(precision.map_or(text.clone(), |most| text.chars().take(most).collect()))
        }
        'r' | 'a' => Some(repr(value)),
        'd' | 'i' | 'u' => Some(whole()?.to_string()),
        'x' => Some(format!("{:x}", whole()?)),
        'f' | 'F' => Some(format!("{:.*}", precision.unwrap_or(6), number()?)),
        'g' | 'e' | 'E' | 'G' => Some(number()?.to_string()),
        _ => None,
    }
}

/// As Python's `str` has it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// As Python's `repr` has it, but for the finer points of quotes.
fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
        Value::Array(values) => format!("[{}]", values.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("'{key}': {}", repr(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_take_their_places_as_python_has_them() {
        let of = |text: &str, arguments: Value| format(text, &arguments);
        assert_eq!(of("%s: %s", json!(["check answers", "OK"])).unwrap(), "check answers: OK");
        assert_eq!(of("%d of %(x)s", json!({"x": 1})), None);
        assert_eq!(
            of("%(done)d of %(all)d, %(why)r", json!({"done": 1, "all": 2, "why": "x"})).unwrap(),
            "1 of 2, 'x'"
        );
        assert_eq!(of("%5.1f%% |%-4s|%04d", json!([12.34, "ab", 7])).unwrap(), " 12.3% |ab  |0007");
        assert_eq!(of("%s %s", json!([["a", 1], null])).unwrap(), "['a', 1] None");
        assert_eq!(of("%s", json!([])), None);
        assert_eq!(of("%s", json!(["a", "b"])), None);
        assert_eq!(of("100%", json!(["a"])), None);
        assert_eq!(of("%999999999s", json!(["a"])).unwrap().len(), WIDEST);
    }
}
