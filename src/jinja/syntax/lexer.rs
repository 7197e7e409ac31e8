//! Splits a template's text into tokens, as Jinja2 does.

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::text::is_space;

/// The delimiters of tags.
#[derive(Debug, Clone, Copy)]
pub struct Delimiters {
    pub block: (&'static str, &'static str),
    pub variable: (&'static str, &'static str),
    pub comment: (&'static str, &'static str),
}

pub const JINJA: Delimiters = Delimiters { block: ("{%", "%}"), variable: ("{{", "}}"), comment: ("{#", "#}") };
pub const ERB: Delimiters = Delimiters { block: ("<%", "%>"), variable: ("<%=", "%>"), comment: ("<%#", "%>") };

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// Text outside of tags.
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Text(String),
    Int(i128),
    Float(f64),
    Mark(&'static str),
    End,
}

/// A token and its line, from 1.
pub type Located = (Token, usize);

/// The longest match counts.
const MARKS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";", "!",
];

/// The tokens of `source`, with an `End` behind them.
///
/// # Errors
/// A syntax error, with its line.
pub fn tokens(source: &str, delimiters: &Delimiters) -> Result<Vec<Located>, (Error, usize)> {
    let source = source.strip_suffix('\n').unwrap_or(source);
    let mut lexer = Lexer { source, at: 0, counted: 0, line: 1, tokens: Vec::new(), delimiters };
    match lexer.template() {
        Ok(()) => {
            lexer.push(source.len(), Token::End);
            Ok(lexer.tokens)
        }
        Err(error) => {
            let at = lexer.at;
            Err((error, lexer.line_of(at)))
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// How far lines were counted, and the line there.
    counted: usize,
    line: usize,
    tokens: Vec<Located>,
    delimiters: &'a Delimiters,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn line_of(&mut self, at: usize) -> usize {
        self.line += self.source[self.counted..at].matches('\n').count();
        self.counted = at;
        self.line
    }

    fn push(&mut self, at: usize, token: Token) {
        let line = self.line_of(at);
        self.tokens.push((token, line));
    }

    fn template(&mut self) -> Result<(), Error> {
        let Delimiters { block, variable, comment } = *self.delimiters;
        // The longest match counts: `<%=` and `<%#` begin with `<%`.
        let mut marks = [comment.0, variable.0, block.0];
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.len()));
        loop {
            let (from, rest) = (self.at, self.rest());
            // All of them begin with the same character. Nothing behind the next one is looked at: a template may have many.
            let next = rest.match_indices(&block.0[..1]).find_map(|(at, _)| {
                let mark = marks.into_iter().find(|mark| rest[at..].starts_with(mark))?;
                Some((at, mark))
            });
            let Some((length, mark)) = next else {
                self.data(from, rest);
                return Ok(());
            };
            let begin = from + length;
            if let Some((minus, inside)) = self.raw(begin) {
                self.data(from, data(&rest[..length], minus));
                self.at = inside;
                self.raw_text()?;
                continue;
            }
            let inside = begin + mark.len();
            let sign = self.source[inside..].chars().next().filter(|c| matches!(c, '-' | '+'));
            self.data(from, data(&rest[..length], sign == Some('-')));
            self.at = inside + usize::from(sign.is_some());
            if mark == comment.0 {
                let Some(end) = self.rest().find(comment.1) else {
                    if self.rest().is_empty() {
                        // Jinja2 misses its end only if there is anything in it.
                        return Ok(());
                    }
                    return Err(refuse("syntax error: unterminated comment"));
                };
                let minus = self.rest()[..end].ends_with('-');
                self.at += end + comment.1.len();
                self.skip_space(minus);
            } else if mark == variable.0 {
                self.push(begin, Token::VariableBegin);
                self.tag(variable.1, false)?;
            } else {
                self.push(begin, Token::BlockBegin);
                self.tag(block.1, true)?;
            }
        }
    }

    fn data(&mut self, at: usize, text: &str) {
        if !text.is_empty() {
            self.push(at, Token::Data(text.to_owned()));
        }
    }

    fn skip_space(&mut self, skip: bool) {
        if skip {
            self.at = self.source.len() - self.rest().trim_start_matches(is_space).len();
        }
    }

    /// `{% raw %}` at a place: whether it strips the text ahead, and where it ends.
    fn raw(&self, begin: usize) -> Option<(bool, usize)> {
        let rest = self.source[begin..].strip_prefix(self.delimiters.block.0)?;
        let minus = rest.starts_with('-');
        let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        let rest = rest.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
        let strips = rest.strip_prefix('-').and_then(|rest| rest.strip_prefix(self.delimiters.block.1));
        let rest = match strips {
            Some(rest) => rest.trim_start_matches(is_space),
            None => rest.strip_prefix(self.delimiters.block.1)?,
        };
        Some((minus, self.source.len() - rest.len()))
    }

    /// The text up to `{% endraw %}`.
    fn raw_text(&mut self) -> Result<(), Error> {
        let (begin, end) = self.delimiters.block;
        let from = self.at;
        if self.rest().is_empty() {
            // As with a comment.
            return Ok(());
        }
        let mut search = from;
        while let Some(found) = self.source[search..].find(begin) {
            let at = search + found;
            search = at + begin.len();
            let rest = &self.source[search..];
            let minus = rest.starts_with('-');
            let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start_matches(is_space);
            let Some(rest) = rest.strip_prefix("endraw") else { continue };
            let rest = rest.trim_start_matches(is_space);
            let skip = rest.starts_with('-');
            let Some(rest) = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix(end) else { continue };
            self.data(from, data(&self.source[from..at], minus));
            self.at = self.source.len() - rest.len();
            self.skip_space(skip);
            return Ok(());
        }
        Err(refuse("syntax error: unterminated raw block"))
    }

    /// The tokens of a tag up to its end. Within brackets the delimiter does not end it.
    fn tag(&mut self, close: &str, block: bool) -> Result<(), Error> {
        let mut open: Vec<&str> = Vec::new();
        loop {
            let (at, rest) = (self.at, self.rest());
            if open.is_empty() {
                let minus = rest.strip_prefix('-').filter(|rest| rest.starts_with(close));
                let plus = rest.strip_prefix('+').filter(|rest| block && rest.starts_with(close));
                if let Some(rest) = minus.or(plus).unwrap_or(rest).strip_prefix(close) {
                    self.push(at, if block { Token::BlockEnd } else { Token::VariableEnd });
                    self.at = self.source.len() - rest.len();
                    self.skip_space(minus.is_some());
                    return Ok(());
                }
            }
            let Some(first) = rest.chars().next() else { return Ok(()) };
            if is_space(first) {
                self.at += first.len_utf8();
                continue;
            }
            let behind_a_dot = self.source[..at].ends_with('.');
            let (length, token) = if let Some(found) = number(rest, behind_a_dot)? {
                found
            } else if first.is_alphanumeric() || first == '_' {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                if !(first.is_alphabetic() || first == '_') {
                    return Err(refuse("syntax error: a name begins with a character that is not a letter"));
                }
                (length, Token::Name(rest[..length].to_owned()))
            } else if first == '"' || first == '\'' {
                let length = quoted(rest, first).ok_or_else(|| refuse("syntax error: unterminated string"))?;
                (length, Token::Text(unescaped(&rest[1..length - 1])?))
            } else {
                let mark = MARKS.into_iter().find(|mark| rest.starts_with(mark) && *mark != "!");
                let Some(mark) = mark else {
                    return Err(refuse(format!("syntax error: unexpected character {first:?}")));
                };
                match mark {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" if open.pop() != Some(mark) => {
                        return Err(refuse(format!("syntax error: unexpected {mark:?}")));
                    }
                    _ => {}
                }
                (mark.len(), Token::Mark(mark))
            };
            self.push(at, token);
            self.at += length;
        }
    }
}

/// Text ahead of a tag, without trailing white space if the tag strips it.
fn data(text: &str, strip: bool) -> &str {
    if strip { text.trim_end_matches(is_space) } else { text }
}

/// Digits with single underscores between them: how many bytes.
fn digits(text: &str, wanted: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let is = |at: usize| bytes.get(at).is_some_and(|byte| wanted(*byte));
    let mut length = 0;
    while is(length) || length > 0 && bytes.get(length) == Some(&b'_') && is(length + 1) {
        length += 1;
    }
    length
}

/// A number at the start of `rest`.
fn number(rest: &str, behind_a_dot: bool) -> Result<Option<(usize, Token)>, Error> {
    let whole = digits(rest, |byte| byte.is_ascii_digit());
    if whole == 0 {
        return Ok(None);
    }
    let fraction = |at: usize| match rest[at..].starts_with('.') {
        true => Some(digits(&rest[at + 1..], |byte| byte.is_ascii_digit())).filter(|it| *it > 0).map(|it| at + 1 + it),
        false => None,
    };
    let exponent = |at: usize| {
        let tail = rest[at..].strip_prefix(['e', 'E'])?;
        let power = tail.strip_prefix(['+', '-']).unwrap_or(tail);
        let length = digits(power, |byte| byte.is_ascii_digit());
        (length > 0).then(|| rest.len() - power.len() + length)
    };
    let end = match fraction(whole) {
        Some(end) => Some(exponent(end).unwrap_or(end)),
        None => exponent(whole),
    };
    if let Some(end) = end.filter(|_| !behind_a_dot) {
        let number = rest[..end].replace('_', "").parse().map_err(|_| refuse("syntax error: not a number"))?;
        return Ok(Some((end, Token::Float(number))));
    }
    let lower = rest.get(..2).unwrap_or_default().to_ascii_lowercase();
    for (prefix, base) in [("0b", 2), ("0o", 8), ("0x", 16)] {
        if lower != prefix {
            continue;
        }
        let body = &rest[2..];
        let lead = usize::from(body.starts_with('_'));
        let length = digits(&body[lead..], |byte| char::from(byte).is_digit(base));
        if length > 0 {
            let end = 2 + lead + length;
            let number = i128::from_str_radix(&rest[2..end].replace('_', ""), base);
            return Ok(Some((end, Token::Int(number.map_err(|_| too_large())?))));
        }
    }
    let end = match rest.starts_with('0') {
        true => digits(rest, |byte| byte == b'0'),
        false => whole,
    };
    let number = rest[..end].replace('_', "").parse().map_err(|_| too_large())?;
    Ok(Some((end, Token::Int(number))))
}

fn too_large() -> Error {
    refuse("a whole number of more than 38 digits")
}

/// The length of the text that `rest` begins with, its quotes included.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The value of a string literal, by Python's escapes.
fn unescaped(text: &str) -> Result<String, Error> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let Some(escape) = after.chars().next() else { return Err(refuse("syntax error: a backslash at the end")) };
        rest = &after[escape.len_utf8()..];
        match escape {
            '\n' => {}
            '\\' | '\'' | '"' => plain.push(escape),
            'a' => plain.push('\x07'),
            'b' => plain.push('\x08'),
            'f' => plain.push('\x0c'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'v' => plain.push('\x0b'),
            '0'..='7' => {
                let length = after.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                plain.extend(u32::from_str_radix(&after[..length], 8).ok().and_then(char::from_u32));
                rest = &after[length..];
            }
            'x' | 'u' | 'U' => {
                let length = if escape == 'x' {
                    2
                } else if escape == 'u' {
                    4
                } else {
                    8
                };
                let code = rest.get(..length).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let c = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
                plain.push(
                    c.ok_or_else(|| refuse(format!("syntax error: \\{escape} without the code of a character")))?,
                );
                rest = &rest[length..];
            }
            'N' => return Err(refuse("a character cannot be written by its name (\\N)")),
            // Python writes what is not ASCII as an escape first, whose backslash this one takes away.
            c if !c.is_ascii() => {
                let code = u32::from(c);
                plain += &match code {
                    0..0x100 => format!("\\x{code:02x}"),
                    0x100..0x1_0000 => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
            }
            c => plain.extend(['\\', c]),
        }
    }
    plain.push_str(rest);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_marks_are_cut_as_jinja2_cuts_them() {
        let of = |text: &str| -> Vec<Token> {
            let tokens = tokens(text, &JINJA).unwrap().into_iter().map(|(token, _)| token);
            tokens.filter(|token| !matches!(token, Token::VariableBegin | Token::VariableEnd | Token::End)).collect()
        };
        let name = |name: &str| Token::Name(name.to_owned());
        assert_eq!(of("{{ 1.5e3 1_0 0x1F a.0.1 }}")[..3], [Token::Float(1500.0), Token::Int(10), Token::Int(31)]);
        assert_eq!(of("{{ a.0.1 }}"), [name("a"), Token::Mark("."), Token::Int(0), Token::Mark("."), Token::Int(1)]);
        assert_eq!(of("{{ 0755 }}"), [Token::Int(0), Token::Int(755)]);
        assert_eq!(of("{{ {'a': {}} }}").len(), 6);
        assert_eq!(of("a {#- c -#}  b"), [Token::Data("a".into()), Token::Data("b".into())]);
        assert_eq!(of("{% raw %}{{ x }}{% endraw %}"), [Token::Data("{{ x }}".into())]);
    }

    #[test]
    fn an_error_has_its_line() {
        assert_eq!(tokens("\n\n{{ ? }}", &JINJA).unwrap_err().1, 3);
        assert_eq!(tokens("\n{{ ) }}", &JINJA).unwrap_err().1, 2);
    }
}
