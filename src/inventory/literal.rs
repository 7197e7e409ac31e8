//! Literals of Python, as `ast.literal_eval` reads them: Ansible reads the values of INI inventories that way.

use serde_json::{Map, Value, json};

/// How deep brackets may nest.
const DEEPEST: usize = 100;
/// The longest prefix of a string, such as `Rb`.
const LONGEST_PREFIX: usize = 2;

/// The value of a literal; `None`: it is none. A tuple and a set are lists, bytes are text, and a whole number that JSON
/// has no word for is as [`crate::yaml`] has it there. Names of characters, complex numbers and `...` are not read.
pub fn value(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text, depth: 0 };
    let first = reader.value()?;
    let value = match reader.takes(',') {
        true => {
            let mut all = vec![first];
            all.extend(reader.items(None)?);
            all.into()
        }
        false => first,
    };
    reader.is_over().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
    }

    /// Whether nothing but a comment is left.
    fn is_over(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty() || self.rest.starts_with('#')
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.skip_blanks();
        match self.rest.chars().next()? {
            '(' => self.nested(Reader::tuple),
            '[' => self.nested(|reader| Some(reader.items(Some(']'))?.into())),
            '{' => self.nested(Reader::mapping_or_set),
            '-' => self.signed(true),
            '+' => self.signed(false),
            c if c.is_ascii_digit() || c == '.' => self.number(),
            _ => self.strings().or_else(|| self.name()),
        }
    }

    /// What begins with a bracket.
    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.rest = &self.rest[1..];
        let value = read(self)?;
        self.depth -= 1;
        Some(value)
    }

    /// Values with commas between them and maybe behind the last, and the bracket that ends them.
    fn items(&mut self, end: Option<char>) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        loop {
            match end {
                Some(end) if self.takes(end) => return Some(items),
                None if self.is_over() => return Some(items),
                _ => items.push(self.value()?),
            }
            if !self.takes(',') {
                return end.is_none_or(|end| self.takes(end)).then_some(items);
            }
        }
    }

    /// A tuple, or just a value in brackets.
    fn tuple(&mut self) -> Option<Value> {
        if self.takes(')') {
            return Some(json!([]));
        }
        let first = self.value()?;
        if self.takes(')') {
            return Some(first);
        }
        let mut all = vec![first];
        all.extend(self.takes(',').then(|| self.items(Some(')')))??);
        Some(all.into())
    }

    fn mapping_or_set(&mut self) -> Option<Value> {
        if self.takes('}') {
            return Some(json!({}));
        }
        let first = self.value()?;
        if !self.takes(':') {
            let mut set = vec![first];
            if self.takes(',') {
                set.extend(self.items(Some('}'))?);
            } else if !self.takes('}') {
                return None;
            }
            return Some(set.into());
        }
        let mut pairs = vec![(first, self.value()?)];
        while !self.takes('}') {
            if !self.takes(',') {
                return None;
            }
            if self.takes('}') {
                break;
            }
            let key = self.value()?;
            pairs.push((self.takes(':').then_some(key)?, self.value()?));
        }
        match pairs.iter().all(|(key, _)| key.as_str().is_some_and(|key| !key.starts_with('!'))) {
            true => {
                let named = pairs.into_iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value)));
                Some(named.collect::<Map<_, _>>().into())
            }
            false => Some(json!({ "!map": pairs })),
        }
    }

    fn name(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match name {
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            "None" => Some(Value::Null),
            _ => None,
        }
    }

    /// A sign, and a number behind it.
    fn signed(&mut self, is_negative: bool) -> Option<Value> {
        self.rest = &self.rest[1..];
        let number = match self.takes('(') {
            true => self.number().filter(|_| self.takes(')'))?,
            false => self.number()?,
        };
        if !is_negative {
            return Some(number);
        }
        match (number.as_i64(), number.as_f64(), number["!int"].as_str()) {
            (Some(whole), ..) => Some((-whole).into()),
            (_, Some(float), _) => Some((-float).into()),
            (.., Some(digits)) => Some(json!({ "!int": format!("-{digits}") })),
            _ => None,
        }
    }

    /// A number without a sign: `22`, `0x1F`, `1_000`, `1.50`, `1e-3`.
    fn number(&mut self) -> Option<Value> {
        self.skip_blanks();
        let mut end = 0;
        let is_decimal = !self.rest.starts_with("0x") && !self.rest.starts_with("0X");
        while let Some(c) = self.rest[end..].chars().next() {
            let is_exponent = is_decimal && self.rest[..end].ends_with(['e', 'E']);
            if !(c.is_alphanumeric() || c == '_' || c == '.' || (is_exponent && (c == '+' || c == '-'))) {
                break;
            }
            end += c.len_utf8();
        }
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        whole(number).or_else(|| float(number))
    }

    /// A string, or several that stand side by side.
    fn strings(&mut self) -> Option<Value> {
        let (mut text, mut are_bytes) = (String::new(), None);
        loop {
            self.skip_blanks();
            let Some(quote) = self.rest.find(['\'', '"']).filter(|at| *at <= LONGEST_PREFIX) else { break };
            let prefix = self.rest[..quote].to_ascii_lowercase();
            if !["", "r", "u", "b", "br", "rb"].contains(&&*prefix) {
                break;
            }
            let is_bytes = prefix.contains('b');
            if *are_bytes.get_or_insert(is_bytes) != is_bytes {
                return None;
            }
            self.rest = &self.rest[quote..];
            self.string(prefix.contains('r'), is_bytes, &mut text)?;
        }
        are_bytes.map(|_| text.into())
    }

    fn string(&mut self, is_raw: bool, is_bytes: bool, text: &mut String) -> Option<()> {
        let quote = match &self.rest[..1] {
            "'" if self.rest.starts_with("'''") => "'''",
            "'" => "'",
            _ if self.rest.starts_with("\"\"\"") => "\"\"\"",
            _ => "\"",
        };
        self.rest = &self.rest[quote.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                self.rest = rest;
                return Some(());
            }
            let c = self.next()?;
            if is_bytes && !c.is_ascii() {
                return None;
            }
            if c != '\\' {
                text.push(c);
            } else if is_raw {
                text.extend(['\\', self.next()?]);
            } else {
                self.escape(is_bytes, text)?;
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// What stands behind a backslash.
    fn escape(&mut self, is_bytes: bool, text: &mut String) -> Option<()> {
        let escaped = self.next()?;
        let digits = match escaped {
            'x' => 2,
            'u' if !is_bytes => 4,
            'U' if !is_bytes => 8,
            _ => 0,
        };
        let code = |digits: &str, radix| char::from_u32(u32::from_str_radix(digits, radix).ok()?);
        match escaped {
            '\\' | '"' | '\'' => text.push(escaped),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'v' => text.push('\x0b'),
            'N' if !is_bytes => return None,
            '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let octal = format!("{escaped}{}", &self.rest[..more]);
                self.rest = &self.rest[more..];
                text.push(code(&octal, 8)?);
            }
            _ if digits > 0 => {
                let hex = self.rest.get(..digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                self.rest = &self.rest[digits..];
                text.push(code(hex, 16)?);
            }
            // Python leaves the backslash of what it does not know.
            _ => text.extend(['\\', escaped]),
        }
        Some(())
    }
}

fn is_split_well(text: &str) -> bool {
    !text.starts_with('_') && !text.ends_with('_') && !text.contains("__")
}

fn whole(number: &str) -> Option<Value> {
    let lower = number.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let (digits, radix) = prefixes
        .into_iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)))
        .map_or((lower.as_str(), 10), |(rest, radix)| (rest.strip_prefix('_').unwrap_or(rest), radix));
    let is_whole = digits.starts_with(|c: char| c.is_digit(radix))
        && digits.chars().all(|c| c == '_' || c.is_digit(radix))
        && is_split_well(digits);
    // Python takes 08 for no number.
    let is_octal = radix == 10 && digits.starts_with('0') && !digits.trim_matches(['0', '_']).is_empty();
    let digits = digits.replace('_', "");
    match i64::from_str_radix(&digits, radix) {
        _ if !is_whole || is_octal => None,
        Ok(number) => Some(number.into()),
        Err(_) if radix == 10 => Some(json!({ "!int": digits })),
        Err(_) => None,
    }
}

fn float(number: &str) -> Option<Value> {
    let lower = number.to_ascii_lowercase();
    let is_float = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && lower.chars().all(|c| c.is_ascii_digit() || ".e+-_".contains(c))
        && lower.contains(['.', 'e'])
        && lower.split(['.', 'e', '+', '-']).all(is_split_well);
    let number: f64 = lower.replace('_', "").parse().ok().filter(|_| is_float)?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_python_reads_them() {
        for (text, read) in [
            ("'a b'", "a b"),
            ("\"2222\"", "2222"),
            (r#""a\tb""#, "a\tb"),
            (r"'it\'s \x41\u00e9\q\101\7\a'", "it's Aé\\qA\x07\x07"),
            ("'''it's'''", "it's"),
            (r#""""a "b" c""""#, r#"a "b" c"#),
            ("''", ""),
            ("'a' \"b\"'''c'''  # d", "abc"),
            ("('a' 'b')", "ab"),
            (r"r'a\n\'' R'b'", r"a\n\'b"),
            (r"u'x' U'\x41'", "xA"),
            (r"b'x' Rb'\u'", r"x\u"),
        ] {
            assert_eq!(value(text), Some(read.into()), "{text}");
        }
        for text in
            ["'a", "a'", "'''a''", "'a' b", "f'a'", "b'a' 'b'", "b'é'", r"'\x4'", r"'\x+4'", r"'\N{BULLET}'", "'\\"]
        {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_names_are_read_as_python_reads_them() {
        for (text, read) in [
            ("22", json!(22)),
            ("-3", json!(-3)),
            ("+ 3", json!(3)),
            ("- (3)", json!(-3)),
            ("00", json!(0)),
            ("0x1F", json!(31)),
            ("0X1e", json!(30)),
            ("0b_11", json!(3)),
            ("1_000", json!(1000)),
            ("-99999999999999999999", json!({"!int": "-99999999999999999999"})),
            ("1.50", json!(1.5)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("-1e3", json!(-1000.0)),
            ("1e-2 # c", json!(0.01)),
            ("True", json!(true)),
            ("(None)", Value::Null),
        ] {
            assert_eq!(value(text), Some(read), "{text}");
        }
        let none = "022 08 1__0 1_ e3 . ... 1.2.3 inf 10.0.0.1 0x1e-3 1+2 --1 -True yes true a.b x=1 1j 1.é # -";
        for text in none.split(' ').chain([""]) {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn collections_are_read_as_python_reads_them() {
        for (text, read) in [
            ("[1, 'a', [True,],]", json!([1, "a", [true]])),
            ("()", json!([])),
            ("(1,)", json!([1])),
            ("((1), (2))", json!([1, 2])),
            ("1, 'b' 'c',", json!([1, "bc"])),
            ("{1, 2}", json!([1, 2])),
            ("{ }", json!({})),
            ("{'a': 1, 'b': {'c': []},}", json!({"a": 1, "b": {"c": []}})),
            ("{1: 'x', 'a': 2}", json!({"!map": [[1, "x"], ["a", 2]]})),
        ] {
            assert_eq!(value(text), Some(read), "{text}");
        }
        let deep = "[".repeat(100_000);
        for text in
            ["[1", "[1 2]", "[,]", "(,)", ",", "1,,", "{1: }", "{'a': 1, 2}", "{1, 'a': 2}", "[a]", "[] []", &deep]
        {
            assert_eq!(value(text), None, "{text:.20}");
        }
    }
}
