//! Values as INI inventories write them, and variables as text.

use serde_json::Value;

use super::literal;
use crate::jinja;

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
    fn what_is_no_literal_is_text() {
        for (text, value) in
            [(" 22 ", Value::from(22)), ("022", "022".into()), ("'a' b", "'a' b".into()), ("", "".into())]
        {
            assert_eq!(ini(text), value, "{text}");
        }
    }
}
