//! YAML as PyYAML reads it, as a tree that knows its lines.
//!
//! serde-saphyr parses and guesses types in its own way (`y` and `yEs` are booleans, `0755` is a float). Where it has
//! guessed, the scalar's own text is looked at again by PyYAML's rules, so that a template prints what it always did.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

use crate::text;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From 1.
    pub line: u64,
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
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; no key stands twice.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A scalar's text; `None` for null, lists and mappings.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => Some(&self.text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
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
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// As JSON. Keys become text, as they are written.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::UInt(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(value) => value.as_str().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(pairs) => {
                pairs.iter().map(|(key, value)| (key.key_text().to_owned(), value.to_json())).collect()
            }
        }
    }

    /// A key as text; what is no scalar was refused when it was read.
    pub fn key_text(&self) -> &str {
        self.text().unwrap_or(&self.text)
    }
}

/// How deep lists and mappings may nest: deep enough for people, and shallow enough for the stack of any thread.
const DEEPEST: usize = 32;

/// Reads the file at `path`; messages call it `name`. An empty file is null.
///
/// # Errors
/// When it cannot be read or parsed; the message names file and line, and never quotes a value.
pub fn read(path: &Path, name: &str) -> Result<Node> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    parse(&bytes, name)
}

/// As [`read`], from bytes.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], name: &str) -> Result<Node> {
    let source = text::utf8(bytes, name)?;
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
    };
    let raw: Raw = serde_saphyr::from_str_with_options(source, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        anyhow!("{name}:{line}: not valid YAML: {}", describe(&error))
    })?;
    raw.resolve(source, name)
}

/// What is wrong, without the parser's advice to programmers and without its position.
fn describe(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key {key:?} stands twice: remove one")
        }
        serde_saphyr::Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        serde_saphyr::Error::MultipleDocuments { .. } => "it holds several documents: keep one".into(),
        error => {
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default();
            // The scanner has a limit of its own, far above ours.
            if text.contains("recursion limit") {
                return too_deep();
            }
            text.split(" at line ").next().unwrap_or(text).to_owned()
        }
    }
}

fn too_deep() -> String {
    format!("lists and mappings nest deeper than {DEEPEST}: write it flatter")
}

/// A node as the parser gives it.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Scalar(Value),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl Raw {
    fn resolve(self, source: &str, name: &str) -> Result<Node> {
        let span = self.0.defined.span();
        let range =
            span.byte_offset().zip(span.byte_len()).map(|(from, length)| (from as usize, (from + length) as usize));
        let text = range.and_then(|(from, to)| source.get(from..to)).unwrap_or_default().trim();
        let line = self.0.referenced.line();
        let value = match self.0.value {
            RawValue::Scalar(value) => as_python(value, text),
            RawValue::List(items) => {
                Value::List(items.into_iter().map(|item| item.resolve(source, name)).collect::<Result<_>>()?)
            }
            RawValue::Map(pairs) => {
                let mut resolved = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = key.resolve(source, name)?;
                    if matches!(key.value, Value::List(_) | Value::Map(_)) {
                        return Err(anyhow!("{name}:{}: a key may not be {}: use text", key.line, key.kind()));
                    }
                    resolved.push((key, value.resolve(source, name)?));
                }
                Value::Map(resolved)
            }
        };
        Ok(Node { line, value, text: text.to_owned() })
    }
}

/// Takes back what PyYAML would not have guessed; `text` is the scalar as it is written.
fn as_python(value: Value, text: &str) -> Value {
    let verbatim = || Value::Text(text.to_owned());
    match value {
        Value::Bool(_) => {
            let known = ["yes", "no", "true", "false", "on", "off"].into_iter().any(|word| {
                let capital = || word[..1].to_uppercase() + &word[1..];
                text == word || text == word.to_uppercase() || text == capital()
            });
            if known { value } else { verbatim() }
        }
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => python_number(value, text).unwrap_or_else(verbatim),
        other => other,
    }
}

/// `value` if PyYAML takes `text` for a number too; octal numbers are worked out here. `None`: it is text.
fn python_number(value: Value, text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if unsigned.starts_with("0x") || unsigned.starts_with("0b") || unsigned == "0" {
        return Some(value);
    }
    if let Some(octal) = unsigned.strip_prefix('0').filter(|rest| digits(rest)) {
        let number = i64::from_str_radix(&octal.replace('_', ""), 8).ok()?;
        return Some(Value::Int(if text.starts_with('-') { -number } else { number }));
    }
    if digits(unsigned) {
        // What no 64 bits hold stays text: Python prints all its digits, a float would not.
        return (!matches!(value, Value::Float(_))).then_some(value);
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "+0"));
    (mantissa.contains('.') && exponent.starts_with(['+', '-'])).then_some(value)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::UInt(value)))
    }

    // Wider than JSON's numbers: a float here, and by its text no number at all.
    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Float(value as f64)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Float(value as f64)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawValue, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = access.next_entry()? {
            pairs.push(pair);
        }
        Ok(RawValue::Map(pairs))
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
            json("[1e3, 089, 0o17, 99999999999999999999999, 1.2.3, '5', .inf, 2020-01-01]"),
            json!(["1e3", "089", "0o17", "99999999999999999999999", "1.2.3", "5", ".inf", "2020-01-01"])
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
                assert!(error.starts_with("x.yaml:1: ") && error.contains("nest deeper than 32"), "{error}");
            }
        }
    }

    #[test]
    fn text_of_every_style_survives() {
        assert_eq!(
            json("a: |\n  y\nb: >-\n  no\n  yes\nc: 'it''s'\nd: é\n"),
            json!({"a": "y\n", "b": "no yes", "c": "it's", "d": "é"})
        );
        assert_eq!(json("80: x\ntrue: z\n~: w\n"), json!({"80": "x", "true": "z", "~": "w"}));
        assert_eq!(json(""), json!(null));
        assert_eq!(json("\u{feff}# only this\n"), json!(null));
    }

    #[test]
    fn what_is_no_yaml_is_named_with_its_line_and_never_quoted() {
        assert!(fails("a: 1\na: 2\n").starts_with("x.yaml:2: not valid YAML: the key \"a\" stands twice"));
        assert!(fails("a: 1\nb: [1\nc: 2\n").starts_with("x.yaml:3: not valid YAML: "));
        assert!(fails("a: 1\nb: *x\n").starts_with("x.yaml:2: "));
        assert!(fails("--- 1\n--- 2\n").contains("several documents"));
        assert!(fails("? [a]\n: b\n").contains("a key may not be a list"));
        let secret = fails("password: \"hunter2\nother: 1\n");
        assert!(!secret.contains("hunter2") && !secret.contains('\n'), "{secret}");
        assert!(parse(b"a: b\nc: \xff\n", "x.yaml").unwrap_err().to_string().starts_with("x.yaml:2: not UTF-8"));
    }
}
