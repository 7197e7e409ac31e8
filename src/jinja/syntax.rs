//! What minijinja reads otherwise than Jinja2, put so that it does the same, or refused.
//!
//! Some operators work on more values than Python's, or print them otherwise. They are written as calls of filters of
//! ours (`a % b` becomes `((a)|__mod(b))`), within the line, so that errors keep their lines. A tag that cannot be read
//! is left to the template engine, which says what is wrong with it.

use super::lexer::{Delimiters, Kind, Tag, Token, tags};
use super::methods;

/// A template that is refused, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// From 1.
    pub line: usize,
    pub why: String,
}

/// A change of the source: this many bytes at this place become that text.
struct Edit {
    at: usize,
    remove: usize,
    insert: String,
}

/// `source` as the template engine should read it.
///
/// # Errors
/// For what cannot be put otherwise.
pub fn adapt(source: &str, delimiters: &Delimiters) -> Result<String, Refused> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut loops = 0usize;
    for tag in tags(source, delimiters) {
        let refused =
            |why: &str, at: usize| Refused { line: source[..at].matches('\n').count() + 1, why: why.to_owned() };
        if let Some((why, at)) = refusal(&tag, loops) {
            return Err(refused(&why, at));
        }
        match tag.tokens.first().map(|token| token.text).filter(|_| tag.block) {
            Some("for") => loops += 1,
            Some("endfor") => loops = loops.saturating_sub(1),
            _ => {}
        }
        let mut parser = Parser { tokens: &tag.tokens, next: 0, depth: 0, edits: Vec::new() };
        if parser.tag(tag.block).is_some() {
            edits.append(&mut parser.edits);
        }
    }
    // Stable: at one place, what was noted first is written first.
    edits.sort_by_key(|edit| edit.at);
    let mut adapted = String::with_capacity(source.len() + 16 * edits.len());
    let mut from = 0;
    for edit in edits {
        adapted.push_str(&source[from..edit.at]);
        adapted.push_str(&edit.insert);
        from = edit.at + edit.remove;
    }
    adapted.push_str(&source[from..]);
    Ok(adapted)
}

/// Why a tag would do something else than with Jinja2, and where it says so.
fn refusal(tag: &Tag, loops: usize) -> Option<(String, usize)> {
    let words: Vec<&Token> = tag.tokens.iter().collect();
    for (index, token) in words.iter().enumerate() {
        let behind_a_dot = index > 0 && words[index - 1].text == ".";
        if token.kind == Kind::Name && !behind_a_dot && matches!(token.text, "varargs" | "kwargs") {
            return Some((format!("{} is not supported: name the macro's arguments", token.text), token.start));
        }
        if token.kind == Kind::Name && token.text.starts_with("__") {
            return Some((format!("{} is of Python's insides", token.text), token.start));
        }
        let alone = !words.get(index + 1).is_some_and(|next| matches!(next.text, "." | "["));
        if token.kind == Kind::Name && !behind_a_dot && token.text == "self" && alone {
            return Some(("self has nothing but blocks: write self.NAME()".into(), token.start));
        }
        if token.kind == Kind::Text && token.text.contains("\\N{") {
            return Some(("a character cannot be written by its name (\\N)".into(), token.start));
        }
    }
    if !tag.block {
        return None;
    }
    let first = words.first()?;
    match first.text {
        "include" | "import" | "from" => {
            let pair = words.windows(2).find(|pair| pair[0].text == "without" && pair[1].text == "context");
            pair.map(|pair| ("`without context` is not supported: leave it out".to_owned(), pair[0].start))
        }
        "block" if loops > 0 && !words.iter().any(|word| word.text == "scoped") => {
            Some(("a block in a loop sees the loop's variables only when it is `scoped`: say so".into(), first.start))
        }
        "autoescape" if words.get(1).is_some_and(|word| !matches!(word.text, "false" | "False")) => {
            Some(("autoescape is not supported: write `|escape`".into(), first.start))
        }
        // `call(x, y) m(…)` has names of its own, `call m(…)` has none.
        "call" if words.get(1).is_none_or(|word| word.text != "(") => None,
        "macro" | "call" | "with" => {
            // A name that a later value mentions: minijinja and Jinja2 differ in what it is.
            let mut names: Vec<&str> = Vec::new();
            let mut depth = 0;
            let outer = if first.text == "with" { 0 } else { 1 };
            for (index, word) in words.iter().enumerate().skip(1) {
                match word.text {
                    "(" | "[" | "{" => depth += 1,
                    ")" | "]" | "}" => depth -= 1,
                    _ => {}
                }
                let ahead = words[index - 1].text;
                let target = depth == outer
                    && word.kind == Kind::Name
                    && (matches!(ahead, "," | "with") || outer == 1 && ahead == "(");
                if target {
                    names.push(word.text);
                } else if word.kind == Kind::Name && ahead != "." && names.contains(&word.text) {
                    let named = words.get(index + 1).is_some_and(|next| next.text == "=");
                    if !named {
                        let why =
                            format!("a default or value names {}, which stands ahead of it in the same tag", word.text);
                        return Some((why, word.start));
                    }
                }
                if first.text != "with" && depth == 0 && word.text == ")" {
                    break;
                }
            }
            None
        }
        _ => None,
    }
}

/// How deep expressions may nest: far above what people write, and shallow enough for the stack of any thread.
const DEEPEST: usize = 100;

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
    depth: usize,
    edits: Vec<Edit>,
}

/// Where an expression begins and ends, in bytes.
type Span = (usize, usize);

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.next)
    }

    fn sees(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.text == text && token.kind != Kind::Text)
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.sees(text);
        self.next += usize::from(there);
        there
    }

    fn advance(&mut self) -> Option<&'a Token<'a>> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        Some(token)
    }

    fn done(&self) -> bool {
        self.next == self.tokens.len()
    }

    fn insert(&mut self, at: usize, text: &str) {
        self.edits.push(Edit { at, remove: 0, insert: text.to_owned() });
    }

    /// `((left)|filter(right))` for the operator between `left` and `right`.
    fn call(&mut self, left: Span, operator: Span, right: Span, filter: &str) {
        self.insert(left.0, "((");
        self.edits.push(Edit { at: operator.0, remove: operator.1 - operator.0, insert: format!(")|{filter}(") });
        self.insert(right.1, "))");
    }

    fn wrap(&mut self, span: Span, filter: &str) {
        self.insert(span.0, "((");
        self.insert(span.1, &format!(")|{filter})"));
    }

    /// `None`: the tag is not understood, and its edits do not count.
    fn tag(&mut self, block: bool) -> Option<()> {
        if !block {
            self.expression()?;
            return self.done().then_some(());
        }
        match self.advance()?.text {
            "if" | "elif" => {
                self.expression()?;
            }
            "for" => {
                while !self.sees("in") {
                    self.advance()?;
                }
                self.advance()?;
                let list = self.or()?;
                self.wrap(list, "__items");
                if self.take("if") {
                    self.expression()?;
                }
                self.take("recursive");
            }
            "set" => {
                while !self.take("=") {
                    self.advance()?;
                }
                self.list_of_expressions()?;
            }
            "with" => {
                while !self.done() {
                    self.advance()?;
                    if !self.take("=") {
                        return None;
                    }
                    self.expression()?;
                    self.take(",");
                }
            }
            "macro" => {
                self.advance()?;
                self.parameters()?;
            }
            first @ ("import" | "from") => {
                let template = self.expression()?;
                let word = if first == "import" { "as" } else { "import" };
                self.take(word).then_some(())?;
                if self.tokens.last()?.text != "context" {
                    self.wrap(template, "__alone");
                }
                self.next = self.tokens.len();
            }
            "call" => {
                if self.sees("(") {
                    self.parameters()?;
                }
                self.expression()?;
            }
            _ => return None,
        }
        self.done().then_some(())
    }

    fn parameters(&mut self) -> Option<()> {
        self.take("(").then_some(())?;
        while !self.take(")") {
            self.advance()?;
            if self.take("=") {
                self.expression()?;
            }
            self.take(",");
        }
        Some(())
    }

    fn list_of_expressions(&mut self) -> Option<()> {
        self.expression()?;
        while self.take(",") && !self.done() {
            self.expression()?;
        }
        Some(())
    }

    fn expression(&mut self) -> Option<Span> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut span = self.or()?;
        while self.take("if") {
            span.1 = self.or()?.1;
            if self.take("else") {
                span.1 = self.expression()?.1;
            }
        }
        self.depth -= 1;
        Some(span)
    }

    fn or(&mut self) -> Option<Span> {
        let mut span = self.and()?;
        while self.take("or") {
            span.1 = self.and()?.1;
        }
        Some(span)
    }

    fn and(&mut self) -> Option<Span> {
        let mut span = self.not()?;
        while self.take("and") {
            span.1 = self.not()?.1;
        }
        Some(span)
    }

    fn not(&mut self) -> Option<Span> {
        let mut start = None;
        while self.sees("not") {
            start.get_or_insert(self.advance()?.start);
        }
        let span = self.comparison()?;
        Some((start.unwrap_or(span.0), span.1))
    }

    fn comparison(&mut self) -> Option<Span> {
        let left = self.sum()?;
        let mut found = Vec::new();
        while let Some(token) = self.peek().filter(|token| token.kind != Kind::Text) {
            let mut operator = (token.start, token.end());
            let filter = match token.text {
                "==" | "!=" => None,
                "<" => Some("__lt"),
                "<=" => Some("__le"),
                ">" => Some("__gt"),
                ">=" => Some("__ge"),
                "in" => Some("__in"),
                "not" if self.tokens.get(self.next + 1).is_some_and(|next| next.text == "in") => {
                    self.next += 1;
                    operator.1 = self.peek()?.end();
                    Some("__not_in")
                }
                _ => break,
            };
            self.next += 1;
            found.push((filter, operator, self.sum()?));
        }
        let end = found.last().map_or(left.1, |(_, _, right)| right.1);
        // A chain (1 < x < 9) is left as it is.
        if let [(Some(filter), operator, right)] = found[..] {
            self.call(left, operator, right, filter);
        }
        Some((left.0, end))
    }

    fn sum(&mut self) -> Option<Span> {
        let mut parts = vec![self.concatenation()?];
        let mut plus = false;
        while self.sees("+") || self.sees("-") {
            plus |= self.advance()?.text == "+";
            parts.push(self.concatenation()?);
        }
        if plus {
            parts.iter().for_each(|part| self.wrap(*part, "__plain"));
        }
        Some((parts[0].0, parts[parts.len() - 1].1))
    }

    fn concatenation(&mut self) -> Option<Span> {
        let mut parts = vec![self.product()?];
        while self.take("~") {
            parts.push(self.product()?);
        }
        if parts.len() > 1 {
            parts.iter().for_each(|part| self.wrap(*part, "__str"));
        }
        Some((parts[0].0, parts[parts.len() - 1].1))
    }

    fn product(&mut self) -> Option<Span> {
        let mut span = self.power()?;
        while let Some(token) =
            self.peek().filter(|it| it.kind == Kind::Mark && ["*", "/", "//", "%"].contains(&it.text))
        {
            self.advance();
            let right = self.power()?;
            if token.text == "%" {
                self.call(span, (token.start, token.end()), right, "__mod");
            }
            span.1 = right.1;
        }
        Some(span)
    }

    fn power(&mut self) -> Option<Span> {
        let mut span = self.unary()?;
        while self.take("**") {
            span.1 = self.unary()?.1;
        }
        Some(span)
    }

    fn unary(&mut self) -> Option<Span> {
        let mut start = None;
        while self.sees("-") || self.sees("+") {
            let sign = self.advance()?;
            if sign.text == "+" {
                // A number's own sign, which minijinja does not know.
                self.edits.push(Edit { at: sign.start, remove: 1, insert: String::new() });
            }
            start.get_or_insert(sign.start);
        }
        let mut span = self.primary()?;
        self.postfix(&mut span)?;
        let whole = (start.unwrap_or(span.0), span.1);
        self.filters(whole)
    }

    fn postfix(&mut self, span: &mut Span) -> Option<()> {
        loop {
            if self.sees(".") {
                let dot = self.advance()?;
                let name = self.advance()?;
                if !self.sees("(") && methods::is_python_s(name.text) {
                    self.insert(span.0, "((");
                    let insert = format!(")|__attribute('{}'))", name.text);
                    self.edits.push(Edit { at: dot.start, remove: name.end() - dot.start, insert });
                }
                span.1 = name.end();
            } else if self.sees("[") {
                let open = self.advance()?.start;
                let mut slice = false;
                while !self.sees("]") {
                    if self.take(":") {
                        slice = true;
                    } else if !self.take(",") {
                        self.expression()?;
                    }
                }
                if slice {
                    self.wrap((span.0, open), "__sliced");
                }
                span.1 = self.advance()?.end();
            } else if self.sees("(") {
                span.1 = self.arguments()?;
            } else {
                return Some(());
            }
        }
    }

    /// The end of `( … )`.
    fn arguments(&mut self) -> Option<usize> {
        self.take("(").then_some(())?;
        while !self.sees(")") {
            if self.take("*") || self.take("**") {
                self.expression()?;
            } else {
                if self.tokens.get(self.next + 1).is_some_and(|next| next.text == "=" && next.kind == Kind::Mark) {
                    self.next += 2;
                }
                self.expression()?;
            }
            if !self.sees(")") {
                self.take(",").then_some(())?;
            }
        }
        Some(self.advance()?.end())
    }

    fn filters(&mut self, mut span: Span) -> Option<Span> {
        loop {
            if self.take("|") {
                span.1 = self.name()?;
                if self.sees("(") {
                    span.1 = self.arguments()?;
                }
            } else if self.take("is") {
                self.take("not");
                span.1 = self.name()?;
                let argument = self.peek().is_some_and(|token| match token.kind {
                    Kind::Name => !matches!(token.text, "else" | "or" | "and" | "is" | "if" | "not" | "in"),
                    Kind::Mark => matches!(token.text, "[" | "{"),
                    Kind::Text | Kind::Number => true,
                });
                if self.sees("(") {
                    span.1 = self.arguments()?;
                } else if argument {
                    let mut part = self.primary()?;
                    self.postfix(&mut part)?;
                    span.1 = part.1;
                }
            } else {
                return Some(span);
            }
        }
    }

    /// The end of a filter's or test's name.
    fn name(&mut self) -> Option<usize> {
        let mut end = self.advance()?.end();
        while self.take(".") {
            end = self.advance()?.end();
        }
        Some(end)
    }

    fn primary(&mut self) -> Option<Span> {
        let first = self.advance()?;
        let end = match (first.kind, first.text) {
            (Kind::Text, _) => {
                let mut end = first.end();
                while let Some(more) = self.peek().filter(|token| token.kind == Kind::Text) {
                    self.next += 1;
                    end = more.end();
                }
                end
            }
            (Kind::Name | Kind::Number, _) => first.end(),
            (_, "(") => self.closed(")")?,
            (_, "[") => self.closed("]")?,
            (_, "{") => self.closed("}")?,
            _ => return None,
        };
        Some((first.start, end))
    }

    fn closed(&mut self, close: &str) -> Option<usize> {
        while !self.sees(close) {
            self.expression()?;
            if !self.sees(close) && !self.take(",") && !self.take(":") {
                return None;
            }
        }
        Some(self.advance()?.end())
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::{ERB, JINJA};
    use super::*;

    fn adapted(source: &str) -> String {
        adapt(source, &JINJA).unwrap()
    }

    #[test]
    fn operators_become_calls_and_everything_else_stays() {
        assert_eq!(adapted("{{ a % b }}"), "{{ ((a )|__mod( b)) }}");
        assert_eq!(adapted("{{ 1 + a % b * 2 }}"), "{{ ((1)|__plain) + ((((a )|__mod( b)) * 2)|__plain) }}");
        assert_eq!(adapted("{{ a ~ 'b' }}"), "{{ ((a)|__str) ~ (('b')|__str) }}");
        assert_eq!(adapted("{% if not a.b < 1 %}"), "{% if not ((a.b )|__lt( 1)) %}");
        assert_eq!(
            adapted("{{ a.items|list }}{{ a.items() }}"),
            "{{ ((a)|__attribute('items'))|list }}{{ a.items() }}"
        );
        for same in
            ["a < b {{ x }} {# a % b #} {% raw %}{{ a % b }}{% endraw %}", "{{ 'a % b' }}", "{{ a %", "{{ a b % c }}"]
        {
            assert_eq!(adapted(same), same);
        }
        assert_eq!(adapt("<%# x %><%= a % b %>", &ERB).unwrap(), "<%# x %><%= ((a )|__mod( b)) %>");
    }

    #[test]
    fn what_would_silently_differ_is_refused_with_its_line() {
        for (source, line) in [
            ("\n{% include 'x' without context %}", 2),
            ("{% for x in y %}\n{% block z %}", 2),
            ("{% macro m(a, b=a) %}", 1),
            ("{% with a=1, b=a %}", 1),
            ("{{ varargs }}", 1),
            ("{% autoescape true %}", 1),
        ] {
            assert_eq!(adapt(source, &JINJA).unwrap_err().line, line, "{source}");
        }
        assert!(adapt("{% macro m(a, b=x) %}{{ a.kwargs }}{% endmacro %}{% call m(a, b=a) %}", &JINJA).is_ok());
        assert!(adapt("{% call(a) m(a=a) %}", &JINJA).is_ok());
    }

    #[test]
    fn nesting_without_end_is_left_alone() {
        let deep = format!("{{{{ {}1{} % 2 }}}}", "(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(adapted(&deep), deep);
    }
}
