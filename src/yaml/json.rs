//! JSON, which is not what YAML 1.1 takes it for: there, `1e5` is text, a tab is a mistake, and `<<` is no plain key.

use std::collections::HashMap;

use serde::de::IgnoredAny;

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
    let mut reader = Reader { source, at: 0, line: 1, depth: 0 };
    let node = reader.value()?;
    match reader.next() {
        None => Ok(node),
        Some(_) => Err(reader.other()),
    }
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    /// From 1.
    line: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn other(&self) -> NotRead {
        NotRead::Other(self.line)
    }

    /// The next byte behind blanks.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.source.as_bytes().get(self.at)?;
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                _ => return Some(byte),
            }
            self.at += 1;
        }
    }

    /// Passes over this byte, behind blanks.
    fn pass(&mut self, byte: u8) -> Result<(), NotRead> {
        match self.next() {
            Some(next) if next == byte => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.other()),
        }
    }

    /// Whether the list or mapping that ends with `end` goes on with another entry; passes over what says so.
    fn goes_on(&mut self, end: u8, is_first: bool) -> Result<bool, NotRead> {
        if self.next() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.pass(b',')?;
        }
        Ok(true)
    }

    fn value(&mut self) -> Result<Node, NotRead> {
        let first = self.next();
        let line = self.line;
        let (value, text) = match first {
            Some(b'{') => (self.map()?, String::new()),
            Some(b'[') => (self.list()?, String::new()),
            Some(b'"') => {
                let text = self.text()?;
                (Value::Text(text.clone()), text)
            }
            _ => self.word()?,
        };
        Ok(Node { line, value, text })
    }

    fn deeper(&mut self) -> Result<(), NotRead> {
        self.at += 1;
        self.depth += 1;
        match self.depth > DEEPEST {
            true => Err(NotRead::Refused(self.line, too_deep())),
            false => Ok(()),
        }
    }

    fn list(&mut self) -> Result<Value, NotRead> {
        self.deeper()?;
        let mut items = Vec::new();
        while self.goes_on(b']', items.is_empty())? {
            items.push(self.value()?);
        }
        self.depth -= 1;
        Ok(Value::List(items))
    }

    fn map(&mut self) -> Result<Value, NotRead> {
        self.deeper()?;
        let mut pairs = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        while self.goes_on(b'}', pairs.is_empty())? {
            if self.next() != Some(b'"') {
                return Err(self.other());
            }
            let (line, text) = (self.line, self.text()?);
            if let Some(before) = known.insert(text.clone(), line) {
                return Err(NotRead::Refused(line, format!("duplicate key, first on line {before}: remove one")));
            }
            let key = Node { line, value: Value::Text(text.clone()), text };
            self.pass(b':')?;
            pairs.push((key, self.value()?));
        }
        self.depth -= 1;
        Ok(Value::Map(pairs))
    }

    /// A text in quotes.
    fn text(&mut self) -> Result<String, NotRead> {
        let rest = &self.source[self.at..];
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let quoted = end.and_then(|end| rest.get(..end + 2)).ok_or_else(|| self.other())?;
        let text = serde_json::from_str(quoted).map_err(|_| self.other())?;
        self.at += quoted.len();
        Ok(text)
    }

    /// A number, or one of the three words.
    fn word(&mut self) -> Result<(Value, String), NotRead> {
        let rest = &self.source[self.at..];
        let fits = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let word = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
        if serde_json::from_str::<IgnoredAny>(word).is_err() {
            return Err(self.other());
        }
        self.at += word.len();
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            // As in Python, which number is whole is a matter of how it is written, and what is too large is infinite.
            _ if word.contains(['.', 'e', 'E']) => Value::Float(word.parse().map_err(|_| self.other())?),
            _ => {
                word.parse().map(scalar::whole).map_err(|_| NotRead::Refused(self.line, scalar::TOO_LONG.to_owned()))?
            }
        };
        Ok((value, word.to_owned()))
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
