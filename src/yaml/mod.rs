//! YAML as PyYAML reads it, as a tree that knows its lines.
//!
//! granit-parser gives the events: scalars with their style and their tag, aliases, and where each stands. What they
//! mean is PyYAML's: its types of plain scalars, its merge keys, and its view of tabs. Where JSON may be written as well,
//! what is JSON is read as JSON.

mod json;
mod read;
mod scalar;

use std::path::Path;

use crate::files::no_links;
use crate::problem::Problem;
use crate::text;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    pub value: Value,
    /// A scalar as it is written, which is what a person meant where text is wanted (`command: true`).
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    /// What 64 bits do not hold.
    BigInt(i128),
    Float(f64),
    /// A date, or a date with a time, as Python prints it.
    Date(String),
    Text(String),
    /// The key `<<`; no value that is read has it.
    Merge,
    List(Vec<Node>),
    /// In the order of the file; no key stands twice.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A scalar's text; `None` for null, lists and mappings.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::BigInt(_) | Value::Float(_) | Value::Date(_) => {
                Some(&self.text)
            }
            Value::Null | Value::Merge | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What it is, for messages; never the value itself.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "empty",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::UInt(_) | Value::BigInt(_) | Value::Float(_) => "a number",
            Value::Date(_) => "a date",
            Value::Text(_) | Value::Merge => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// As a template's variable in JSON. What JSON has no word for is an object with one key: `{"!int": "12…"}`,
    /// `{"!float": "inf"}`, `{"!date": "2026-01-02"}`, and `{"!map": [[key, value], …]}` for a mapping with keys that are
    /// not text. [`crate::jinja`] reads it back.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::json;
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::UInt(value) => (*value).into(),
            Value::BigInt(value) => json!({ "!int": value.to_string() }),
            Value::Float(value) if !value.is_finite() => json!({ "!float": value.to_string() }),
            Value::Float(value) => (*value).into(),
            Value::Date(value) => json!({ "!date": value }),
            Value::Text(value) => value.as_str().into(),
            Value::Merge => "<<".into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(pairs) => {
                let plain = |key: &Node| matches!(&key.value, Value::Text(key) if !key.starts_with('!'));
                if pairs.iter().all(|(key, _)| plain(key)) {
                    return pairs.iter().map(|(key, value)| (key.key_text().to_owned(), value.to_json())).collect();
                }
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| json!([key.to_json(), value.to_json()])).collect();
                json!({ "!map": pairs })
            }
        }
    }

    /// The variables that a mapping names, by the text of its keys; `None` for what is no mapping. Null has none.
    pub fn variables(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        match &self.value {
            Value::Null => Some(serde_json::Map::new()),
            Value::Map(pairs) => {
                Some(pairs.iter().map(|(key, value)| (key.key_text().to_owned(), value.to_json())).collect())
            }
            _ => None,
        }
    }

    /// A key as text; what is no scalar was refused when it was read.
    pub fn key_text(&self) -> &str {
        self.text().unwrap_or(&self.text)
    }
}

/// The variables in what a command printed, which is a mapping in YAML or JSON.
///
/// # Errors
/// Why there are none, after the command's name. It names the line, never the text, which may be secret.
pub fn printed_variables(bytes: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    let wanted = "it has to print a mapping of variables in YAML or JSON";
    if bytes.trim_ascii().is_empty() {
        return Err(format!("printed nothing: {wanted}"));
    }
    let node = match text::utf8(bytes).ok().map(json::document) {
        Some(Ok(node)) => node,
        Some(Err(json::NotRead::Refused(line, why))) => {
            return Err(format!("printed JSON with a mistake in line {line}: {why}"));
        }
        Some(Err(json::NotRead::Other(line))) => parse(bytes, "its output").map_err(|problem| {
            let place = problem.line.map(|line| format!(" in line {line}")).unwrap_or_default();
            if problem.message.ends_with(&too_deep()) {
                return format!("printed YAML with a mistake{place}: {}", too_deep());
            }
            // A brace begins a mapping in both.
            let json = if bytes.trim_ascii().starts_with(b"{") {
                format!(" and not valid JSON in line {line}")
            } else {
                String::new()
            };
            format!("printed what is not valid YAML{place}{json}: {wanted}")
        })?,
        None => {
            let place = text::utf8(bytes).err().map(|line| format!(" in line {line}")).unwrap_or_default();
            return Err(format!("printed what is not UTF-8{place}: {wanted}"));
        }
    };
    match node.value {
        Value::Map(_) => Ok(node.variables().unwrap_or_default()),
        _ => Err(format!("printed {} instead of a mapping: {wanted}", node.kind())),
    }
}

/// How deep lists and mappings may nest: deep enough for people, and shallow enough for the stack of any thread.
const DEEPEST: usize = 32;

/// Why what nests deeper is refused.
fn too_deep() -> String {
    format!("lists and mappings are nested deeper than {DEEPEST}: flatten them")
}

/// Reads the file at `path`; messages call it `name`. An empty file is null.
///
/// # Errors
/// When it cannot be read or parsed; the message names file and line, and never quotes a value.
pub fn read(path: &Path, name: &str) -> Result<Node, Problem> {
    let bytes = no_links::read_named(path, name)?;
    parse(&bytes, name)
}

/// As [`read`], from bytes.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], name: &str) -> Result<Node, Problem> {
    read::document(text::utf8(bytes).map_err(|line| Problem::not_utf8(name, line))?, name, false)
}

/// What stands for `{` in text with Ansible's tag `!unsafe`, which is no template whatever is in it. It is no character
/// of Unicode's, so no text has it.
pub const UNSAFE_BRACE: &str = "\u{10ffff}";

/// As [`parse`], with Ansible's tag `!unsafe`: see [`UNSAFE_BRACE`].
///
/// # Errors
/// As [`read`].
pub fn parse_ansible(bytes: &[u8], name: &str) -> Result<Node, Problem> {
    read::document(text::utf8(bytes).map_err(|line| Problem::not_utf8(name, line))?, name, true)
}

/// Reads JSON; `None`: it is none, so it may be YAML.
///
/// # Errors
/// It is JSON, and something in it is refused.
pub fn json(bytes: &[u8], name: &str) -> Option<Result<Node, Problem>> {
    match json::document(text::utf8(bytes).ok()?) {
        Ok(node) => Some(Ok(node)),
        Err(json::NotRead::Refused(line, why)) => Some(Err(Problem::at(name, line, why))),
        Err(json::NotRead::Other(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn json(text: &str) -> serde_json::Value {
        parse(text.as_bytes(), "x.yaml").unwrap().to_json()
    }

    fn fails(text: &str) -> String {
        format!("{:#}", parse(text.as_bytes(), "x.yaml").unwrap_err())
    }

    #[test]
    fn what_a_command_prints_is_read_as_json_where_it_is_json() {
        let printed = |text: &str| printed_variables(text.as_bytes());
        assert_eq!(
            serde_json::Value::from(printed("{\n\t\"a\": 1e5, \"<<\": {\"b\": \"x\u{2028}\"}}").unwrap()),
            json!({"a": 100_000.0, "<<": {"b": "x\u{2028}"}})
        );
        assert_eq!(serde_json::Value::from(printed("{a: 1e5, b: 1.5}").unwrap()), json!({"a": "1e5", "b": 1.5}));
        assert_eq!(serde_json::Value::from(printed("a: [1, yes]\n").unwrap()), json!({"a": [1, true]}));
        let deep = format!("{{\"a\": \"hunter2\",\n\"b\": {}{}}}", "[".repeat(40), "]".repeat(40));
        for (text, why) in [
            (deep.as_str(), "printed JSON with a mistake in line 2: lists and mappings are nested deeper than 32"),
            (
                &deep.replace('"', ""),
                "printed YAML with a mistake in line 2: lists and mappings are nested deeper than 32",
            ),
            (
                "{\"hunter2\": 1,\n\"hunter2\": 2}",
                "printed JSON with a mistake in line 2: duplicate key, first on line 1",
            ),
            (
                "{\"a\": 1,\n\"b\": hunter2: 2}",
                "printed what is not valid YAML in line 2 and not valid JSON in line 2: it has",
            ),
            ("a: 1\nb: [hunter2\n", "printed what is not valid YAML in line 2: it has"),
            ("[1]", "printed a list instead of a mapping"),
            ("hunter2", "printed text instead of a mapping"),
        ] {
            let told = printed(text).unwrap_err();
            assert!(told.starts_with(why) && !told.contains("hunter2"), "{text}: {told}");
        }
        assert!(printed_variables(b"a: 1\nb: \xff").unwrap_err().starts_with("printed what is not UTF-8 in line 2"));
    }

    #[test]
    fn a_number_stays_the_same_on_its_way_to_a_target() {
        for number in ["0.9844617600364847", "1.1425977700405167e-08", "4369778640763.7915", "988.0105800537759", "0.1"]
        {
            let sent = json(number).to_string();
            let read: serde_json::Value = serde_json::from_str(&sent).unwrap();
            assert_eq!(read.as_f64(), number.parse().ok(), "{number}");
        }
    }

    #[test]
    fn booleans_are_python_s_and_a_lone_y_is_a_letter() {
        assert_eq!(json("[yes, No, TRUE, off, On]"), json!([true, false, true, false, true]));
        assert_eq!(json("[y, N, yEs, 'yes', \"no\", !!str on]"), json!(["y", "N", "yEs", "yes", "no", "on"]));
        assert_eq!(json("n: 1\ny: 2\n"), json!({"n": 1, "y": 2}));
    }

    #[test]
    fn numbers_are_python_s() {
        assert_eq!(
            json("[0, 12, -3, 1_000, 0x1F, 0755, -010, 1.5, 1.5e+3]"),
            json!([0, 12, -3, 1000, 31, 493, -8, 1.5, 1500.0])
        );
        assert_eq!(
            json("[1e3, 089, 0o17, 99999999999999999999999, 1.2.3, '5', .inf, 2020-01-01, 1:30, '1:30', !!str 1:30]"),
            json!(["1e3", "089", "0o17", {"!int": "99999999999999999999999"}, "1.2.3", "5", {"!float": "inf"},
                {"!date": "2020-01-01"}, 90, "1:30", "1:30"])
        );
    }

    #[test]
    fn aliases_and_merged_mappings_are_followed() {
        assert_eq!(
            json("a: &x {b: y, c: 0755}\nd:\n  <<: *x\n  c: 2\ne: *x\n"),
            json!({"a": {"b": "y", "c": 493}, "d": {"c": 2, "b": "y"}, "e": {"b": "y", "c": 493}})
        );
    }

    #[test]
    fn nesting_that_would_overflow_the_stack_is_an_error() {
        for nested in [("[", "]"), ("{a: ", "}")] {
            let of = |depth: usize| parse((nested.0.repeat(depth) + &nested.1.repeat(depth)).as_bytes(), "x.yaml");
            assert!(of(DEEPEST - 1).is_ok());
            for depth in [DEEPEST + 1, 200, 100_000] {
                let error = of(depth).unwrap_err().to_string();
                assert!(error.starts_with("x.yaml:1: ") && error.contains("nested deeper than 32"), "{error}");
            }
        }
    }

    #[test]
    fn text_of_every_style_survives() {
        assert_eq!(
            json("a: |\n  y\nb: >-\n  no\n  yes\nc: 'it''s'\nd: é\n"),
            json!({"a": "y\n", "b": "no yes", "c": "it's", "d": "é"})
        );
        assert_eq!(json("80: x\ntrue: z\n~: w\n"), json!({"!map": [[80, "x"], [true, "z"], [null, "w"]]}));
        assert_eq!(json("'!int': x\n"), json!({"!map": [["!int", "x"]]}));
        assert_eq!(json(""), json!(null));
        assert_eq!(json("\u{feff}# only this\n"), json!(null));
    }

    #[test]
    fn what_is_no_yaml_is_named_with_its_line_and_never_quoted() {
        assert!(fails("a: 1\na: 2\n").starts_with("x.yaml:2: not valid YAML: duplicate key \"a\""));
        assert!(fails("a: 1\nb: [1\nc: 2\n").starts_with("x.yaml:3: not valid YAML: "));
        assert!(fails("a: 1\nb: *x\n").starts_with("x.yaml:2: "));
        assert!(fails("--- 1\n--- 2\n").contains("several documents"));
        assert!(
            fails(&format!("a: 1\nb: {}\n", "9".repeat(50))).starts_with("x.yaml:2: a number with too many digits")
        );
        assert!(fails("a: 2026-02-30\n").starts_with("x.yaml:1: this date does not exist"));
        assert!(fails("? [a]\n: b\n").contains("a key cannot be a list"));
        let secret = fails("password: \"hunter2\nother: 1\n");
        assert!(!secret.contains("hunter2") && !secret.contains('\n'), "{secret}");
        assert!(parse(b"a: b\nc: \xff\n", "x.yaml").unwrap_err().to_string().starts_with("x.yaml:2: not UTF-8"));
    }
}
