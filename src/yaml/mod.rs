//! YAML as PyYAML reads it, as a tree that knows its lines.
//!
//! serde-saphyr parses, and guesses types in its own way (`y` and `yEs` are booleans, `0755` is a float). So every plain
//! scalar's own text is looked at again by PyYAML's rules, and a template prints what it always did.

mod scalar;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Spanned};

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
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
    };
    let raw: Raw = serde_saphyr::from_str_with_options(source, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        anyhow!("{name}:{line}: not valid YAML: {}", describe(&error))
    })?;
    raw.value(source, name)
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
    /// As [`Raw::resolve`], where no key stands.
    fn value(self, source: &str, name: &str) -> Result<Node> {
        let node = self.resolve(source, name)?;
        match node.value {
            Value::Merge => Err(anyhow!("{name}:{}: << is a key: put it in quotes if it is text", node.line)),
            _ => Ok(node),
        }
    }

    fn resolve(self, source: &str, name: &str) -> Result<Node> {
        let span = self.0.defined.span();
        let range =
            span.byte_offset().zip(span.byte_len()).map(|(from, length)| (from as usize, (from + length) as usize));
        let text = range.and_then(|(from, to)| source.get(from..to)).unwrap_or_default().trim();
        let line = self.0.referenced.line();
        let (start, end) = range.map_or((0, 0), |range| range);
        let at_end = !source.ends_with('\n') && source.get(end..).is_some_and(|rest| rest.trim().is_empty());
        let tag = tag_ahead(source, start);
        let block = block_ahead(source, start);
        if let Some(tag) = tag.filter(|tag| !TAGS.contains(tag)) {
            return Err(anyhow!("{name}:{line}: the tag {tag} is not known: remove it"));
        }
        let value = match self.0.value {
            RawValue::Scalar(value) => {
                // What differs from its source is quoted or folded, but for the words that the parser has its own for.
                let as_written = match &value {
                    Value::Text(value) => {
                        value == text && !text.is_empty() || matches!(&**value, ".inf" | "-.inf" | ".nan")
                    }
                    _ => true,
                };
                let quoted = text.starts_with(['"', '\'']);
                match block || quoted || tag.is_some() || !as_written {
                    // A block that ends with the file ends as the file does.
                    true => match value {
                        Value::Text(value) if block && at_end && value.ends_with('\n') => {
                            Value::Text(value.trim_end_matches('\n').to_owned())
                        }
                        value => value,
                    },
                    false => scalar::plain(text).map_err(|why| anyhow!("{name}:{line}: {why}"))?,
                }
            }
            RawValue::List(items) => {
                Value::List(items.into_iter().map(|item| item.value(source, name)).collect::<Result<_>>()?)
            }
            RawValue::Map(pairs) => {
                let mut resolved = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = key.resolve(source, name)?;
                    if matches!(key.value, Value::List(_) | Value::Map(_)) {
                        return Err(anyhow!("{name}:{}: a key may not be {}: use text", key.line, key.kind()));
                    }
                    resolved.push((key, value.value(source, name)?));
                }
                Value::Map(merged(resolved, name)?)
            }
        };
        Ok(Node { line, value, text: text.to_owned() })
    }
}

/// A mapping with `<<` followed, in Python's order: what is merged comes first, and of several the last one does. No key
/// may stand twice, not even as `1` and `true`, which are one key to Python.
fn merged(pairs: Vec<(Node, Node)>, name: &str) -> Result<Vec<(Node, Node)>> {
    let mut found: Vec<(Node, Node)> = Vec::with_capacity(pairs.len());
    let mut own = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if key.value != Value::Merge {
            own.push((key, value));
            continue;
        }
        let sources = match value.value {
            Value::Map(pairs) => vec![pairs],
            Value::List(items) => {
                let maps = items.into_iter().rev().map(|item| match item.value {
                    Value::Map(pairs) => Ok(pairs),
                    _ => Err(anyhow!("{name}:{}: << wants mappings, and {} is none", item.line, item.kind())),
                });
                maps.collect::<Result<_>>()?
            }
            _ => return Err(anyhow!("{name}:{}: << wants a mapping, and {} is none", value.line, value.kind())),
        };
        for (key, value) in sources.into_iter().flatten() {
            put(&mut found, key, value);
        }
    }
    let mut seen: Vec<&Node> = Vec::new();
    for (key, _) in &own {
        if let Some(before) = seen.iter().find(|before| same_key(before, key)) {
            let (line, before) = (key.line, before.line);
            return Err(anyhow!(
                "{name}:{line}: the key {:?} stands in line {before} already: remove one",
                key.key_text()
            ));
        }
        seen.push(key);
    }
    if found.is_empty() {
        return Ok(own);
    }
    for (key, value) in own {
        put(&mut found, key, value);
    }
    Ok(found)
}

/// Sets a key, at its old place when it is there.
fn put(pairs: &mut Vec<(Node, Node)>, key: Node, value: Node) {
    match pairs.iter_mut().find(|(known, _)| same_key(known, &key)) {
        Some((_, old)) => *old = value,
        None => pairs.push((key, value)),
    }
}

/// Whether Python takes two keys for the same.
fn same_key(a: &Node, b: &Node) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(yes) => Some(f64::from(*yes)),
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    match (number(&a.value), number(&b.value)) {
        (Some(_), Some(_)) if std::mem::discriminant(&a.value) == std::mem::discriminant(&b.value) => {
            a.value == b.value
        }
        (Some(a), Some(b)) => a == b,
        _ => a.value == b.value,
    }
}

/// The tags that change nothing or name a type that there is.
const TAGS: [&str; 7] = ["!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"];

/// The tag (`!!str`) of the value at `start`: its type is said and not guessed.
fn tag_ahead(source: &str, start: usize) -> Option<&str> {
    let ahead = source.get(..start).unwrap_or_default().trim_end_matches([' ', '\t']);
    let mut words = ahead.rsplit([' ', '\t', '\n', ',', '[', '{']);
    let last = words.next().unwrap_or_default();
    // An anchor may stand between the two.
    let word = if last.starts_with('&') { words.find(|word| !word.is_empty()).unwrap_or_default() } else { last };
    (word.starts_with('!') && !word.ends_with(':')).then_some(word)
}

/// Whether the text at `start` is a block's: the line above it ends in `|` or `>`.
fn block_ahead(source: &str, start: usize) -> bool {
    let ahead = source.get(..start).unwrap_or_default().trim_end_matches([' ', '\t']);
    let Some(above) = ahead.trim_end().lines().last().filter(|_| ahead.ends_with('\n')) else { return false };
    let above = above.split(" #").next().unwrap_or_default().trim_end();
    let head = above.trim_end_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
    head.ends_with(" |") || head.ends_with(" >") || matches!(head, "|" | ">")
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
        assert_eq!(json("80: x\ntrue: z\n~: w\n"), json!({"!map": [[80, "x"], [true, "z"], [null, "w"]]}));
        assert_eq!(json("'!int': x\n"), json!({"!map": [["!int", "x"]]}));
        assert_eq!(json(""), json!(null));
        assert_eq!(json("\u{feff}# only this\n"), json!(null));
    }

    #[test]
    fn what_is_no_yaml_is_named_with_its_line_and_never_quoted() {
        assert!(fails("a: 1\na: 2\n").starts_with("x.yaml:2: not valid YAML: the key \"a\" stands twice"));
        assert!(fails("a: 1\nb: [1\nc: 2\n").starts_with("x.yaml:3: not valid YAML: "));
        assert!(fails("a: 1\nb: *x\n").starts_with("x.yaml:2: "));
        assert!(fails("--- 1\n--- 2\n").contains("several documents"));
        assert!(
            fails(&format!("a: 1\nb: {}\n", "9".repeat(50))).starts_with("x.yaml:2: a number with too many digits")
        );
        assert!(fails("a: 2026-02-30\n").starts_with("x.yaml:1: a day that no calendar has"));
        assert!(fails("? [a]\n: b\n").contains("a key may not be a list"));
        let secret = fails("password: \"hunter2\nother: 1\n");
        assert!(!secret.contains("hunter2") && !secret.contains('\n'), "{secret}");
        assert!(parse(b"a: b\nc: \xff\n", "x.yaml").unwrap_err().to_string().starts_with("x.yaml:2: not UTF-8"));
    }
}
