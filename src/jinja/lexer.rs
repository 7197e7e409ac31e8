//! A template's tags, and the words in them.

/// Where tags begin and end.
#[derive(Debug, Clone, Copy)]
pub struct Delimiters {
    pub block: (&'static str, &'static str),
    pub variable: (&'static str, &'static str),
    pub comment: (&'static str, &'static str),
}

pub const JINJA: Delimiters = Delimiters { block: ("{%", "%}"), variable: ("{{", "}}"), comment: ("{#", "#}") };
pub const ERB: Delimiters = Delimiters { block: ("<%", "%>"), variable: ("<%=", "%>"), comment: ("<%#", "%>") };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Name,
    Number,
    Text,
    Mark,
}

/// A word of a tag, by its place in the source.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// `{{ … }}` or `{% … %}`.
#[derive(Debug)]
pub struct Tag<'a> {
    pub block: bool,
    pub tokens: Vec<Token<'a>>,
}

/// The tags of `source`, in order. The reading ends, without a word, where the source is no template: the template
/// engine says so better.
pub fn tags<'a>(source: &'a str, delimiters: &Delimiters) -> Vec<Tag<'a>> {
    let mut tags = Vec::new();
    let mut at = 0;
    let starts = [delimiters.comment.0, delimiters.variable.0, delimiters.block.0];
    // At the same place the longest one counts: `<%=` and `<%#` begin with `<%`.
    while let Some((begin, which)) = starts
        .iter()
        .enumerate()
        .filter_map(|(which, mark)| source[at..].find(mark).map(|found| (at + found, which)))
        .min_by_key(|(begin, which)| (*begin, std::cmp::Reverse(starts[*which].len())))
    {
        let inside = begin + starts[which].len();
        if which == 0 {
            let Some(end) = source[inside..].find(delimiters.comment.1) else { break };
            at = inside + end + delimiters.comment.1.len();
            continue;
        }
        let (block, close) = (which == 2, if which == 2 { delimiters.block.1 } else { delimiters.variable.1 });
        let Some((tokens, end)) = tokens(source, inside, close) else { break };
        at = end;
        if block && tokens.first().is_some_and(|token| token.text == "raw") {
            let Some(end) = end_of_raw(source, at, delimiters) else { break };
            at = end;
            continue;
        }
        tags.push(Tag { block, tokens });
    }
    tags
}

/// Where the text behind `{% endraw %}` begins.
fn end_of_raw(source: &str, from: usize, delimiters: &Delimiters) -> Option<usize> {
    let mut at = from;
    while let Some(found) = source[at..].find(delimiters.block.0) {
        at += found + delimiters.block.0.len();
        let rest = source[at..].trim_start_matches(['-', '+']).trim_start();
        if let Some(rest) = rest.strip_prefix("endraw") {
            let rest = rest.trim_start().trim_start_matches(['-', '+']);
            if rest.starts_with(delimiters.block.1) {
                return Some(source.len() - rest.len() + delimiters.block.1.len());
            }
        }
    }
    None
}

/// The words up to the tag's end, and the place behind it.
fn tokens<'a>(source: &'a str, from: usize, close: &str) -> Option<(Vec<Token<'a>>, usize)> {
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    let mut at = from;
    if source[at..].starts_with(['-', '+']) {
        at += 1;
    }
    loop {
        let rest = &source[at..];
        let first = rest.chars().next()?;
        if depth == 0 {
            let rest = rest.strip_prefix(['-', '+']).filter(|rest| rest.starts_with(close)).unwrap_or(rest);
            if rest.starts_with(close) {
                return Some((tokens, source.len() - rest.len() + close.len()));
            }
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = if first == '"' || first == '\'' {
            (Kind::Text, text(rest, first)?)
        } else if first.is_ascii_digit() {
            (Kind::Number, number(rest))
        } else if first.is_alphabetic() || first == '_' {
            let within = |c: char| c.is_alphanumeric() || c == '_';
            (Kind::Name, rest.find(|c| !within(c)).unwrap_or(rest.len()))
        } else {
            let long = ["**", "//", "==", "!=", "<=", ">="].into_iter().find(|mark| rest.starts_with(mark));
            match first {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            (Kind::Mark, long.map_or(first.len_utf8(), str::len))
        };
        tokens.push(Token { kind, text: &rest[..length], start: at });
        at += length;
    }
}

/// The length of the text that `rest` begins with.
fn text(rest: &str, quote: char) -> Option<usize> {
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

fn number(rest: &str) -> usize {
    let mut length = 0;
    let bytes = rest.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    while let Some(byte) = bytes.get(length) {
        let sign = matches!(byte, b'+' | b'-') && length > 0 && matches!(bytes[length - 1], b'e' | b'E');
        let hex = rest.starts_with("0x") || rest.starts_with("0X");
        let point = *byte == b'.' && digit(length + 1) && !rest[..length].contains(['.', 'e', 'E']);
        if !(byte.is_ascii_alphanumeric() || *byte == b'_' || point || sign && !hex && digit(length + 1)) {
            break;
        }
        length += 1;
    }
    length
}
