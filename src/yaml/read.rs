//! From events to values.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};

use crate::problem::Problem;

use super::scalar;
use super::{DEEPEST, Node, UNSAFE_BRACE, Value};

/// How many values a file may have once its aliases are followed.
const MOST: usize = 1_000_000;

/// Reads the only document of `source`. `unsafe_tag`: text may have the tag `!unsafe` of Ansible.
pub fn document(source: &str, name: &str, unsafe_tag: bool) -> Result<Node, Problem> {
    if let Some((line, c)) = odd_character(source) {
        return Err(invalid(name, line, format!("the character U+{:04X}: remove it", u32::from(c))));
    }
    if let Some(line) = odd_directive(source) {
        return Err(invalid(name, line, "unsupported directive: remove it"));
    }
    if let Some(line) = end_ahead(source) {
        return Err(invalid(name, line, "a document end marker before the first document: remove it"));
    }
    let mut source = source.to_owned();
    loop {
        match Reader::new(&source, name, unsafe_tag).document() {
            Ok(node) => return Ok(node),
            // PyYAML wants no blank ahead of a comment that stands behind a quote, but one behind the mark of a block.
            Err(Failure::Parser(error)) if *error.kind() == ErrorKind::CommentNotSeparated => {
                let ahead = |at: usize| source[..at].rsplit(char::is_whitespace).next().unwrap_or_default();
                let fits = |at: &usize| source[*at..].starts_with('#') && !ahead(*at).starts_with(['|', '>']);
                match error.marker().byte_offset().filter(fits) {
                    Some(at) => source.insert(at, ' '),
                    None => return Err(told(&error, name)),
                }
            }
            Err(Failure::Parser(error)) => return Err(told(&error, name)),
            Err(Failure::Own(error)) => return Err(error),
        }
    }
}

/// What PyYAML takes for no text, or for the end of a line where nobody else does; and its line.
fn odd_character(source: &str) -> Option<(usize, char)> {
    let odd = |c: char| {
        matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let (at, c) = source.char_indices().find(|(_, c)| odd(*c))?;
    Some((source[..at].matches('\n').count() + 1, c))
}

/// The line of a `...` ahead of everything else.
fn end_ahead(source: &str) -> Option<usize> {
    let nothing = |line: &str| matches!(line.trim_start().as_bytes(), [] | [b'#', ..]);
    let (at, first) = source.lines().enumerate().find(|(_, line)| !nothing(line))?;
    first.strip_prefix("...").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])).map(|_| at + 1)
}

/// The line of a directive whose name or address has characters that it may not have.
fn odd_directive(source: &str) -> Option<usize> {
    let ahead = |line: &str| line.is_empty() || line.starts_with(['#', '%']);
    let directives = source.lines().take_while(|line| ahead(line)).enumerate();
    let fits = |line: &str| {
        let mut words = line.split(' ').filter(|word| !word.is_empty()).take_while(|word| !word.starts_with('#'));
        let name = words.next().unwrap_or_default();
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && (name != "TAG"
                || words.all(|word| !word.contains(|c: char| !c.is_ascii_graphic() || "#\"<>\\^`{|}".contains(c))))
    };
    let mut directives = directives.filter_map(|(at, line)| Some((at, line.strip_prefix('%')?)));
    directives.find(|(_, line)| !fits(line)).map(|(at, _)| at + 1)
}

/// A parser's error, without its position in characters.
fn told(error: &ScanError, name: &str) -> Problem {
    let line = error.marker().line();
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(name, line),
        _ => invalid(name, line, error.info()),
    }
}

fn too_deep(name: &str, line: usize) -> Problem {
    invalid(name, line, super::too_deep())
}

fn invalid(name: &str, line: usize, why: impl std::fmt::Display) -> Problem {
    Problem::at(name, line, format!("not valid YAML: {why}"))
}

enum Failure {
    Parser(ScanError),
    Own(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Own(problem)
    }
}

struct Reader<'a> {
    source: &'a str,
    name: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    /// What aliases stand for, and how many values that is.
    anchors: HashMap<usize, (Node, usize)>,
    names: HashSet<String>,
    depth: usize,
    /// Within brackets.
    flow: bool,
    count: usize,
    /// How far tabs were looked for.
    checked: usize,
    /// Whether the tag `!unsafe` is known, and how many values around this one have it.
    unsafe_tag: bool,
    unsafe_depth: usize,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, name: &'a str, unsafe_tag: bool) -> Reader<'a> {
        let options = granit_parser::options! {
            block_scalar_eof_without_line_feed: true,
            bom_inside_document_as_content: true,
            emit_anchor_events: true,
        };
        let parser = Parser::new_from_str_with_options(source, options);
        Reader {
            source,
            name,
            parser,
            anchors: HashMap::new(),
            names: HashSet::new(),
            depth: 0,
            flow: false,
            count: 0,
            checked: 0,
            unsafe_tag,
            unsafe_depth: 0,
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Failure> {
        loop {
            match self.parser.next_event() {
                // PyYAML lets no name stand for two things.
                Some(Ok((Event::Anchor(_, name), span))) => {
                    let line = span.start.line();
                    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                        return self.fail(
                            line,
                            "not valid YAML: the name of an anchor can contain only letters, \
                                                digits, - and _",
                        );
                    }
                    if !self.names.insert(name.into_owned()) {
                        let why = "not valid YAML: duplicate anchor: rename one";
                        return self.fail(line, why);
                    }
                }
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(Failure::Parser(error)),
                None => return self.fail(1, "not valid YAML: unexpected end of file"),
            }
        }
    }

    fn document(&mut self) -> Result<Node, Failure> {
        let mut found = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(..), span) if found.is_some() => {
                    let line = span.start.line();
                    let why = "not valid YAML: it contains several documents: keep one";
                    return self.fail(line, why);
                }
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, span) => {
                    let node = self.node(event, &span)?;
                    found = Some(self.no_merge(node)?);
                }
            }
        }
        self.no_tabs(self.source.len(), self.source.len())?;
        Ok(found.unwrap_or(Node { line: 1, value: Value::Null, text: String::new() }))
    }

    fn fail<T>(&self, line: usize, why: impl std::fmt::Display) -> Result<T, Failure> {
        Err(Failure::Own(Problem::at(self.name, line, why.to_string())))
    }

    /// Tabs may stand within quotes, blocks and comments, and nowhere else. What lies between the last look and `from`
    /// is looked through, and what lies up to `to` need not be.
    fn no_tabs(&mut self, from: usize, to: usize) -> Result<(), Failure> {
        let gap = self.source.get(self.checked..from).unwrap_or_default();
        let mut comment = false;
        let mut blank = true;
        for (at, c) in gap.char_indices() {
            comment = c != '\n' && (comment || c == '#' && blank);
            blank = c.is_whitespace();
            if c == '\t' && !comment {
                let line = self.source[..self.checked + at].matches('\n').count() + 1;
                return self.fail(line, "not valid YAML: a tab outside of quotes: use spaces");
            }
        }
        self.checked = self.checked.max(to);
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Failure> {
        let line = span.start.line();
        self.count += 1;
        let before = self.count;
        let (anchor, node) = match event {
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    return self.fail(line, "an alias refers to a value that contains it: write the value instead");
                };
                self.count += size;
                if self.count > MOST {
                    return self.fail(line, "not valid YAML: aliases make it too large");
                }
                return Ok(Node { line, ..node });
            }
            Event::Scalar(text, style, anchor, tag) => {
                if style != ScalarStyle::Plain {
                    let place = |at: &granit_parser::Marker| at.byte_offset().unwrap_or_default();
                    self.no_tabs(place(&span.start), place(&span.end))?;
                }
                self.no_odd_text(style, span)?;
                let (tag, is_unsafe) = self.tag(tag.as_deref());
                // It says to guess the type, even of what stands in quotes.
                let tag = if is_unsafe { Some("!") } else { tag.as_deref() };
                let value = scalar::value(&text, style == ScalarStyle::Plain, tag);
                match value {
                    Ok(Value::Text(plain)) if is_unsafe || self.unsafe_depth > 0 => {
                        let value = Value::Text(plain.replace('{', UNSAFE_BRACE));
                        (anchor, Node { line, value, text: text.into_owned() })
                    }
                    Ok(value) => (anchor, Node { line, value, text: text.into_owned() }),
                    Err(why) => return self.fail(line, why),
                }
            }
            Event::SequenceStart(style, anchor, tag) => {
                let (tag, is_unsafe) = self.tag(tag.as_deref());
                let outer = self.collection(line, style, tag.as_deref(), "seq")?;
                self.unsafe_depth += usize::from(is_unsafe);
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => {
                            let item = self.node(event, &span)?;
                            items.push(item);
                        }
                    }
                }
                self.depth -= 1;
                self.unsafe_depth -= usize::from(is_unsafe);
                self.flow = outer;
                (anchor, Node { line, value: Value::List(items), text: String::new() })
            }
            Event::MappingStart(style, anchor, tag) => {
                let (tag, is_unsafe) = self.tag(tag.as_deref());
                let outer = self.collection(line, style, tag.as_deref(), "map")?;
                self.unsafe_depth += usize::from(is_unsafe);
                let mut pairs = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if let Event::MappingEnd = event {
                        break;
                    }
                    let key = self.key(event, &span)?;
                    let (event, span) = self.next()?;
                    pairs.push((key, self.node(event, &span)?));
                }
                self.depth -= 1;
                self.unsafe_depth -= usize::from(is_unsafe);
                self.flow = outer;
                (anchor, Node { line, value: Value::Map(self.merged(pairs)?), text: String::new() })
            }
            _ => return self.fail(line, "not valid YAML: a value is missing"),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.count - before + 1));
        }
        // A list of mappings may be merged, a list with a merge key in it may not be.
        match node.value {
            Value::List(items) => {
                let items = items.into_iter().map(|item| self.no_merge(item)).collect::<Result<_, _>>()?;
                Ok(Node { value: Value::List(items), ..node })
            }
            _ => Ok(node),
        }
    }

    /// Within brackets, PyYAML reads some text without quotes otherwise.
    fn no_odd_text(&self, style: ScalarStyle, span: &Span) -> Result<(), Failure> {
        let place = |at: &granit_parser::Marker| at.byte_offset().unwrap_or_default();
        let text = self.source.get(place(&span.start)..place(&span.end)).unwrap_or_default();
        if style != ScalarStyle::Plain || !self.flow || !(text.starts_with(':') || text.contains('?')) {
            return Ok(());
        }
        let why = "not valid YAML: within brackets, quote text that contains ? or begins with :";
        self.fail(span.start.line(), why)
    }

    /// A tag as [`core`] has it, unless it is `!unsafe`, and whether it is.
    fn tag(&self, tag: Option<&Tag>) -> (Option<String>, bool) {
        match core(tag) {
            Some(name) if self.unsafe_tag && name == "!unsafe" => (None, true),
            name => (name, false),
        }
    }

    /// Takes a list or mapping to begin, unless its tag says that it is something else. Returns whether what is around it is
    /// in flow style.
    fn collection(
        &mut self,
        line: usize,
        style: StructureStyle,
        tag: Option<&str>,
        kind: &str,
    ) -> Result<bool, Failure> {
        match tag {
            None | Some("!") => {}
            Some(name) if name == kind => {}
            Some(name) => return self.fail(line, scalar::unknown_tag(name)),
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(too_deep(self.name, line).into());
        }
        let outer = self.flow;
        self.flow |= style == StructureStyle::Flow;
        Ok(outer)
    }

    fn key(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Failure> {
        // `=` is a type of its own as a value, and text as a key.
        let equals = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "=");
        // A key that is nothing at all wants its mark.
        if let Event::Scalar(text, ScalarStyle::Plain, 0, None) = &event
            && text == "~"
            && span.start.byte_offset() == span.end.byte_offset()
        {
            let ahead = self.source.get(..span.start.byte_offset().unwrap_or_default()).unwrap_or_default().trim_end();
            let line = ahead.lines().last().unwrap_or_default();
            if !(line.ends_with('?') || line.contains("? #")) {
                return self.fail(span.start.line(), "not valid YAML: a value without a key");
            }
        }
        let event = match event {
            Event::Scalar(text, _, anchor, tag) if equals => {
                Event::Scalar(text, ScalarStyle::DoubleQuoted, anchor, tag)
            }
            event => event,
        };
        let key = self.node(event, span)?;
        match key.value {
            Value::List(_) | Value::Map(_) => self.fail(key.line, format!("a key cannot be {}: use text", key.kind())),
            _ => Ok(key),
        }
    }

    fn no_merge(&self, node: Node) -> Result<Node, Failure> {
        match node.value {
            Value::Merge => self.fail(node.line, "<< is a key: put it in quotes if it is text"),
            _ => Ok(node),
        }
    }

    /// A mapping with `<<` followed, in Python's order: what is merged comes first, and of several the last one does. No
    /// key may stand twice, not even as `1` and `true`, which are one key to Python.
    fn merged(&mut self, pairs: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, Failure> {
        let mut found: Vec<(Node, Node)> = Vec::new();
        let mut own: Vec<(Node, Node)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            if key.value != Value::Merge {
                own.push((key, self.no_merge(value)?));
                continue;
            }
            let sources = match value.value {
                Value::Map(pairs) => vec![pairs],
                Value::List(items) => {
                    let mut maps = Vec::new();
                    for item in items.into_iter().rev() {
                        match item.value {
                            Value::Map(pairs) => maps.push(pairs),
                            _ => {
                                return self
                                    .fail(item.line, format!("<< needs mappings, and {} is not one", item.kind()));
                            }
                        }
                    }
                    maps
                }
                _ => return self.fail(value.line, format!("<< needs a mapping, and {} is not one", value.kind())),
            };
            for (key, value) in sources.into_iter().flatten() {
                put(&mut found, key, value);
            }
        }
        let mut seen: HashMap<String, Vec<&Node>> = HashMap::new();
        for (key, _) in &own {
            let alike = seen.entry(hashed(key)).or_default();
            if let Some(before) = alike.iter().find(|before| same_key(before, key)) {
                let (before, key_text) = (before.line, key.key_text());
                let why = format!("duplicate key {key_text:?}, first on line {before}: remove one");
                return self.fail(key.line, format!("not valid YAML: {why}"));
            }
            alike.push(key);
        }
        if found.is_empty() {
            return Ok(own);
        }
        for (key, value) in own {
            put(&mut found, key, value);
        }
        Ok(found)
    }
}

/// The name of a tag of YAML's own (`int`), `!`, or a tag of somebody's own as it is written.
fn core(tag: Option<&Tag>) -> Option<String> {
    let tag = tag?;
    let whole = format!("{}{}", tag.handle(), tag.suffix());
    Some(match whole.strip_prefix("tag:yaml.org,2002:") {
        Some(name) => name.to_owned(),
        None if whole == "!" => whole,
        None => tag.original(),
    })
}

/// Sets a key, at its old place when it is there.
fn put(pairs: &mut Vec<(Node, Node)>, key: Node, value: Node) {
    match pairs.iter_mut().find(|(known, _)| same_key(known, &key)) {
        Some((_, old)) => *old = value,
        None => pairs.push((key, value)),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(yes) => Some(f64::from(*yes)),
        Value::Int(number) => Some(*number as f64),
        Value::UInt(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Something that keys have in common when they are the same.
fn hashed(key: &Node) -> String {
    number(&key.value).map_or_else(|| key.key_text().to_owned(), |number| number.to_string())
}

/// Whether Python takes two keys for the same.
fn same_key(a: &Node, b: &Node) -> bool {
    match (number(&a.value), number(&b.value)) {
        (Some(_), Some(_)) if std::mem::discriminant(&a.value) == std::mem::discriminant(&b.value) => {
            a.value == b.value
        }
        (Some(a), Some(b)) => a == b,
        _ => a.value == b.value,
    }
}
