//! Which lines of a log to show: `host == web-* levelno >= WARNING msg ~ "took [0-9]+ s"`.

use regex::Regex;

use crate::glob;

use super::LogEntry;
use super::entry::level_number;

/// What an expression may ask for, under every name that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Level,
    Message,
    Name,
    Stage,
    Group,
    Time,
}

/// Every name of a field.
const FIELDS: [(&str, Field); 10] = [
    ("levelname", Field::Level),
    ("levelno", Field::Level),
    ("level", Field::Level),
    ("message", Field::Message),
    ("msg", Field::Message),
    ("host", Field::Host),
    ("name", Field::Name),
    ("stage", Field::Stage),
    ("group", Field::Group),
    ("time", Field::Time),
];

/// An operator stands ahead of those that it begins with. `=` is Scap's other spelling of `==`; `=~` that of `~`, which a shell leaves alone.
const OPERATORS: [&str; 10] = ["==", "=~", "!=", "!~", ">=", "<=", "=", "~", ">", "<"];

const ALLOWED: &str = "a term is FIELD OPERATOR VALUE, or a word to search for in the message; fields: host, level, \
                       msg, name, stage, group, time; operators: == != ~ !~, and for levels also >= <= > <";

#[derive(Debug)]
enum Term {
    Level(fn(&u32, &u32) -> bool, u32),
    Text { field: Field, pattern: Regex, negated: bool },
}

/// An expression. All of its terms have to hold.
#[derive(Debug, Default)]
pub struct Filter(Vec<Term>);

impl Filter {
    /// Reads the expression that the arguments make up. They may be cut into words anywhere; an argument behind one that
    /// ends in an operator is its value, blanks and all.
    ///
    /// # Errors
    /// What is wrong, at which character (of the arguments, joined by blanks), and what is allowed.
    pub fn parse(arguments: &[String]) -> Result<Filter, String> {
        let wrong =
            |(at, why): (usize, String)| format!("{:?}, at character {at}: {why}\n{ALLOWED}", arguments.join(" "));
        let tokens = tokens(arguments).map_err(wrong)?;
        terms(&tokens).map(Filter).map_err(wrong)
    }

    /// Whether the expression speaks of levels.
    pub fn names_a_level(&self) -> bool {
        self.0.iter().any(|term| matches!(term, Term::Level(..)))
    }

    /// Whether every term holds. What a line does not have is not equal to anything, and matches nothing.
    pub fn matches(&self, entry: &LogEntry) -> bool {
        self.0.iter().all(|term| match term {
            Term::Level(compare, wanted) => entry.level.is_some_and(|level| compare(&level, wanted)),
            Term::Text { field, pattern, negated } => {
                let text = match field {
                    Field::Host => entry.about.host.as_deref(),
                    Field::Message => Some(entry.message.as_str()),
                    Field::Name => entry.name.as_deref(),
                    Field::Stage => entry.about.stage.as_deref(),
                    Field::Group => entry.about.group.as_deref(),
                    Field::Time => entry.time.as_ref().map(|time| time.text.as_str()),
                    // A term on levels is the other kind.
                    Field::Level => None,
                };
                text.is_some_and(|text| pattern.is_match(text)) != *negated
            }
        })
    }
}

/// A word of the expression, and where it stands, from 1.
#[derive(Debug, Clone, PartialEq)]
struct Token {
    at: usize,
    text: String,
    /// It is neither a field nor an operator, whatever it looks like.
    quoted: bool,
}

impl Token {
    fn field(&self) -> Option<Field> {
        FIELDS.iter().find(|(name, _)| !self.quoted && *name == self.text).map(|(_, field)| *field)
    }

    /// What to write in place of a word that other expressions join their terms by.
    fn connective(&self) -> Option<&'static str> {
        match self.text.as_str() {
            _ if self.quoted => None,
            "and" | "AND" | "&&" => {
                Some("all terms have to hold anyway: leave the word out, or quote it to search for it in the message")
            }
            "or" | "OR" | "||" => Some(
                "all terms have to hold, and there is no `or`: write one term with a pattern, such as msg ~ \"a|b\", or \
                 quote the word to search for it in the message",
            ),
            _ => None,
        }
    }

    fn operator(&self) -> Option<&'static str> {
        OPERATORS.into_iter().find(|operator| !self.quoted && *operator == self.text)
    }
}

type Wrong = (usize, String);

fn tokens(arguments: &[String]) -> Result<Vec<Token>, Wrong> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut begins = 1;
    for argument in arguments {
        if tokens.last().is_some_and(|token| token.operator().is_some()) {
            let quoted = ['"', '\''].into_iter().find_map(|mark| argument.strip_prefix(mark)?.strip_suffix(mark));
            tokens.push(Token { at: begins, text: quoted.unwrap_or(argument).to_owned(), quoted: true });
        } else {
            split(argument, begins, &mut tokens)?;
        }
        begins += argument.chars().count() + 1;
    }
    Ok(tokens)
}

/// Cuts one argument into words, as a shell does: at blanks, but not within quotes. A field and an operator are words
/// without blanks around them too: `host==web1`.
fn split(argument: &str, begins: usize, tokens: &mut Vec<Token>) -> Result<(), Wrong> {
    let mut rest = argument.trim_start();
    while !rest.is_empty() {
        let at = begins + argument[..argument.len() - rest.len()].chars().count();
        let operator = |text: &str| OPERATORS.into_iter().find(|operator| text.starts_with(operator));
        let last = tokens.last();
        let plain = match last.and_then(Token::field) {
            Some(_) => operator(rest),
            None if last.and_then(Token::operator).is_some() => None,
            None => leading_field(rest, operator),
        };
        let (text, quoted, length) = match plain {
            Some(text) => (text.to_owned(), false, text.len()),
            None => word(rest).map_err(|mark| (at, format!("the {mark} is never closed")))?,
        };
        tokens.push(Token { at, text, quoted });
        rest = rest[length..].trim_start();
    }
    Ok(())
}

/// The field that the text begins with, when an operator follows at once.
fn leading_field(text: &str, operator: impl Fn(&str) -> Option<&'static str>) -> Option<&'static str> {
    let names = FIELDS.iter().map(|(name, _)| *name);
    names.into_iter().find(|name| text.strip_prefix(name).and_then(&operator).is_some())
}

/// The first word of a text: without its quotes, whether it had any, and how many bytes it takes.
///
/// # Errors
/// A quotation mark that is never closed.
fn word(text: &str) -> Result<(String, bool, usize), char> {
    let (mut word, mut quoted) = (String::new(), false);
    let mut chars = text.char_indices().peekable();
    while let Some((_, c)) = chars.next_if(|(_, c)| !c.is_whitespace()) {
        if c != '"' && c != '\'' {
            word.push(c);
            continue;
        }
        quoted = true;
        loop {
            match chars.next().ok_or(c)?.1 {
                end if end == c => break,
                // Just these two: in a pattern the backslash has work of its own to do.
                '\\' if c == '"' && chars.peek().is_some_and(|(_, next)| "\"\\".contains(*next)) => {
                    word.extend(chars.next().map(|(_, next)| next));
                }
                within => word.push(within),
            }
        }
    }
    let length = chars.peek().map_or(text.len(), |(at, _)| *at);
    Ok((word, quoted, length))
}

fn terms(tokens: &[Token]) -> Result<Vec<Term>, Wrong> {
    let mut terms = Vec::new();
    let mut tokens = tokens.iter();
    while let Some(first) = tokens.next() {
        let Some(field) = first.field() else {
            let known = |token: &&Token| token.operator().is_some();
            if let Some(operator) = tokens.as_slice().first().filter(known).or(Some(first).filter(known)) {
                let why = format!("unknown field {:?} before {:?}", first.text, operator.text);
                return Err((first.at, why));
            }
            if let Some(why) = first.connective() {
                return Err((first.at, why.to_owned()));
            }
            terms.push(text_term(Field::Message, "~", first)?);
            continue;
        };
        let Some(operator) = tokens.next() else {
            return Err((first.at, format!("an operator is missing after {:?}", first.text)));
        };
        let Some(sign) = operator.operator() else {
            let why = format!(
                "unknown operator {:?}; quote the expression, since ~, < and > have a meaning in the shell",
                operator.text
            );
            return Err((operator.at, why));
        };
        let Some(value) = tokens.next() else {
            return Err((operator.at, format!("a value is missing after {sign}")));
        };
        terms.push(if field == Field::Level { level_term(sign, value)? } else { text_term(field, sign, value)? });
    }
    Ok(terms)
}

fn level_term(sign: &str, value: &Token) -> Result<Term, Wrong> {
    let compare: fn(&u32, &u32) -> bool = match sign {
        "==" | "=" => u32::eq,
        "!=" => u32::ne,
        ">=" => u32::ge,
        "<=" => u32::le,
        ">" => u32::gt,
        "<" => u32::lt,
        _ => return Err((value.at, format!("a level cannot be searched with {sign}: compare it"))),
    };
    let level = level_number(&value.text).or_else(|| value.text.parse().ok());
    let level = level.ok_or_else(|| {
        let why = format!(
            "unknown level {:?}: write DEBUG, INFO, WARNING, ERROR, CRITICAL, or a number from 10 to 50",
            value.text
        );
        (value.at, why)
    })?;
    Ok(Term::Level(compare, level))
}

fn text_term(field: Field, sign: &str, value: &Token) -> Result<Term, Wrong> {
    let pattern = match sign {
        "==" | "=" | "!=" => glob::expression(&value.text),
        "~" | "=~" | "!~" => value.text.clone(),
        _ => return Err((value.at, format!("{sign} works for levels only"))),
    };
    let pattern = Regex::new(&pattern).map_err(|error| {
        // The last line has the reason, those before draw a picture of it.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        (value.at, format!("{:?} is not a regular expression: {reason}", value.text))
    })?;
    Ok(Term::Text { field, pattern, negated: sign.starts_with('!') })
}
