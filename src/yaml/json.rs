//! JSON, which is not what YAML 1.1 takes it for: there, `1e5` is text, a tab is a mistake, and `<<` is no plain key.
//!
//! serde_json reads it, but for numbers, which are to stay as exact as in Python.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{DEEPEST, Node, Value, scalar, too_deep};

/// Why a text is not read.
#[derive(Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It is no JSON, as this line shows.
    Other(usize),
    /// It is, with something in this line that is refused. The reason quotes nothing.
    Refused(usize, String),
}

/// Reads a whole text.
///
/// # Errors
/// See [`NotRead`].
pub fn document(source: &str) -> Result<Node, NotRead> {
    let whole: &RawValue = serde_json::from_str(source).map_err(|error| NotRead::Other(error.line()))?;
    let ends = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    Reader { source, ends }.node(whole, 0)
}

struct Reader<'a> {
    source: &'a str,
    /// Where lines end.
    ends: Vec<usize>,
}

/// The keys and values of a mapping, in order.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<'a>, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl<'a> Reader<'a> {
    /// The line, from 1, in which a part of the source begins.
    fn line(&self, part: &str) -> usize {
        let at = part.as_ptr().addr() - self.source.as_ptr().addr();
        self.ends.partition_point(|end| *end < at) + 1
    }

    /// Reads a value around which so many lists and mappings are. Its syntax is known to be right.
    fn node(&self, raw: &'a RawValue, depth: usize) -> Result<Node, NotRead> {
        let source = raw.get();
        let line = self.line(source);
        // One half of a pair of surrogates has been taken for text so far.
        let other = |_| NotRead::Other(line);
        if source.starts_with(['[', '{']) && depth == DEEPEST {
            return Err(NotRead::Refused(line, too_deep()));
        }
        let (value, text) = match source.as_bytes().first() {
            Some(b'{') => (self.map(serde_json::from_str(source).map_err(other)?, depth + 1)?, String::new()),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(source).map_err(other)?;
                let items = items.into_iter().map(|item| self.node(item, depth + 1)).collect::<Result<_, _>>()?;
                (Value::List(items), String::new())
            }
            Some(b'"') => {
                let text: String = serde_json::from_str(source).map_err(other)?;
                (Value::Text(text.clone()), text)
            }
            _ => (self.word(source)?, source.to_owned()),
        };
        Ok(Node { line, value, text })
    }

    fn map(&self, Pairs(raw): Pairs<'a>, depth: usize) -> Result<Value, NotRead> {
        let mut pairs = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (key, value) in raw {
            let key = self.node(key, depth)?;
            if let Some(before) = known.insert(key.text.clone(), key.line) {
                let why = format!("duplicate key, first on line {before}: remove one");
                return Err(NotRead::Refused(key.line, why));
            }
            pairs.push((key, self.node(value, depth)?));
        }
        Ok(Value::Map(pairs))
    }

    /// A number, or one of the three words.
    fn word(&self, word: &str) -> Result<Value, NotRead> {
        Ok(match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            // As in Python, which number is whole is a matter of how it is written, and what is too large is infinite.
            _ if word.contains(['.', 'e', 'E']) => {
                Value::Float(word.parse().map_err(|_| NotRead::Other(self.line(word)))?)
            }
            _ => {
                let too_long = |_| NotRead::Refused(self.line(word), scalar::TOO_LONG.to_owned());
                word.parse().map(scalar::whole).map_err(too_long)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> serde_json::Value {
        document(text).unwrap_or_else(|why| panic!("{text}: {why:?}")).to_json()
    }

    #[test]
    fn what_yaml_reads_otherwise_is_json() {
        assert_eq!(
            read("{\n\t\"a\":\t1e5,\"b\":[1.5E3,0e1,-0,-0.0]\r\n}"),
            json!({"a": 1e5, "b": [1500.0, 0.0, 0, -0.0]})
        );
        assert_eq!(
            read("[12345678901234567890, 123456789012345678901234567890, 1e400, \"010\", \"yes\", true, null]"),
            json!([
                12_345_678_901_234_567_890_u64,
                {"!int": "123456789012345678901234567890"},
                {"!float": "inf"}, "010", "yes", true, null
            ])
        );
        assert_eq!(read("{\"<<\": {\"=\": 1}, \"\": \"a\u{2028}b\u{85}\u{7f}\u{feff}\"}")["<<"], json!({"=": 1}));
        assert_eq!(read(r#"{"a":[{"b":"\ud83d\ude00\/\"\\"},[],{}]}"#), json!({"a": [{"b": "😀/\"\\"}, [], {}]}));
        let long = "k".repeat(2000);
        assert_eq!(read(&format!("{{\"{long}\"\n:\n1}}"))[long.as_str()], 1);
        assert_eq!(read(r#"{"!int": "x"}"#), json!({"!map": [["!int", "x"]]}));
        assert_eq!(document("{\n\"a\":\n[1,\n\"x\"]}").unwrap().variables().unwrap()["a"], json!([1, "x"]));
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_refused() {
        for (text, line) in [
            ("", 1),
            ("{a: 1}", 1),
            ("{\"a\": 1,}", 1),
            ("[1,\n2,]", 2),
            ("{\"a\" 1}", 1),
            ("{\n\"a\": 01}", 2),
            ("[NaN]", 1),
            ("[1 2]", 1),
            ("[+1]", 1),
            ("[1.]", 1),
            ("[\"\\x\"]", 1),
            ("[\"a\tb\"]", 1),
            ("[\"\\ud83d\"]", 1),
            ("[\"a]", 1),
            ("{}\n{}", 2),
            ("{\"a\": 1} # b", 1),
            ("[", 1),
            ("\u{feff}{}", 1),
        ] {
            assert_eq!(document(text), Err(NotRead::Other(line)), "{text}");
        }
        let refused = |text: &str| match document(text) {
            Err(NotRead::Refused(line, why)) => (line, why),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            refused("{\"a\": 1,\n\"\\u0061\": 2}"),
            (2, "duplicate key, first on line 1: remove one".to_owned())
        );
        assert!(refused(&format!("[\n{}]", "9".repeat(50))).1.contains("too many digits"));
        let of = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(document(&of(DEEPEST)).is_ok());
        assert!(refused(&of(DEEPEST + 1)).1.contains("nested deeper than 32"));
        assert!(refused(&of(100_000)).1.contains("nested deeper than 32"));
    }
}
