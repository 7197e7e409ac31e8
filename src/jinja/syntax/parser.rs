//! The parser's position among the tokens of a template; `statements`, `expressions` and `targets` parse with it.

use std::rc::Rc;

use super::ast::{Block, Name};
use super::lexer::{Located, Token};
use crate::jinja::error::{Error, refuse};

/// The deepest nesting of statements and expressions, far above what people write.
const DEEPEST: usize = 100;

pub struct Parser<'a> {
    tokens: &'a [Located],
    next: usize,
    depth: usize,
    /// Whether the output of what is parsed is captured, and not printed in place.
    pub gathered: bool,
    pub template: Name,
    pub blocks: Vec<Rc<Block>>,
    pub extends: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the first token of `template`.
    pub fn new(tokens: &'a [Located], template: &Name) -> Parser<'a> {
        let (template, blocks) = (template.clone(), Vec::new());
        Parser { tokens, next: 0, depth: 0, gathered: false, template, blocks, extends: false }
    }

    pub fn peek(&self) -> &'a Token {
        &self.tokens[self.next].0
    }

    pub fn look(&self) -> &'a Token {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)].0
    }

    pub fn line(&self) -> usize {
        self.tokens[self.next].1
    }

    pub fn advance(&mut self) -> &'a Token {
        let token = &self.tokens[self.next].0;
        // The end is never passed.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn sees(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }

    pub fn sees_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    pub fn take(&mut self, mark: &str) -> bool {
        let there = self.sees(mark);
        if there {
            self.advance();
        }
        there
    }

    pub fn take_name(&mut self, name: &str) -> bool {
        let there = self.sees_name(name);
        if there {
            self.advance();
        }
        there
    }

    pub fn expect(&mut self, mark: &str) -> Result<(), Error> {
        if self.take(mark) { Ok(()) } else { Err(self.unexpected(&format!("{mark:?}"))) }
    }

    pub fn expect_name(&mut self) -> Result<Name, Error> {
        match self.peek() {
            Token::Name(name) => {
                self.advance();
                Ok(name.as_str().into())
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub fn unexpected(&self, wanted: &str) -> Error {
        let found = match self.peek() {
            Token::Name(name) => format!("{name:?}"),
            Token::Mark(mark) => format!("{mark:?}"),
            Token::VariableEnd | Token::BlockEnd => "the end of the tag".into(),
            Token::Text(_) => "a text".into(),
            Token::Int(_) | Token::Float(_) => "a number".into(),
            _ => "the end of the template".into(),
        };
        refuse(format!("syntax error: expected {wanted}, found {found}"))
    }

    pub fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(refuse(format!("syntax error: tags or brackets nested deeper than {DEEPEST}")));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }
}
