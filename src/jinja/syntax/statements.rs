//! Parses the statements of a template.

use std::cell::OnceCell;
use std::rc::Rc;

use super::ast::*;
use super::lexer::{Located, Token};
use super::parser::Parser;
use crate::jinja::error::{Error, refuse};
use crate::jinja::values::text::is_space;

/// A template's statements, and what was found among them.
///
/// # Errors
/// A syntax error, with its line.
pub fn parse<'a>(tokens: &'a [Located], template: &Name) -> Result<(Body, Parser<'a>), (Error, usize)> {
    let mut parser = Parser::new(tokens, template);
    match parser.body(&[]) {
        Ok(body) => Ok((body, parser)),
        Err(error) => {
            let line = error.place.as_ref().map_or(parser.line(), |(_, line)| *line);
            Err((error, line))
        }
    }
}

impl Parser<'_> {
    /// Parses a body whose output is captured, or a block, whose output never is.
    fn gathering<T>(&mut self, gathered: bool, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let before = std::mem::replace(&mut self.gathered, gathered);
        let read = read(self);
        self.gathered = before;
        read
    }

    /// Statements up to a tag of one of these names, which becomes the next token.
    fn body(&mut self, ends: &[&str]) -> Result<Body, Error> {
        let mut body = Vec::new();
        loop {
            match self.peek() {
                Token::Data(text) => {
                    self.advance();
                    body.push(Statement::Data(text.clone()));
                }
                Token::VariableBegin => {
                    self.advance();
                    body.push(Statement::Output(self.tuple(true, &[])?));
                    match self.peek() {
                        Token::VariableEnd => self.advance(),
                        _ => return Err(self.unexpected("the end of the tag")),
                    };
                }
                Token::BlockBegin => {
                    self.advance();
                    if ends.iter().any(|end| self.sees_name(end)) {
                        return Ok(body);
                    }
                    self.nested(|parser| parser.statement(&mut body))?;
                    self.block_end()?;
                }
                _ if ends.is_empty() => return Ok(body),
                _ => {
                    return Err(refuse(format!(
                        "syntax error: the template ends without {{% {} %}}",
                        ends.join(" or ")
                    )));
                }
            }
        }
    }

    fn block_end(&mut self) -> Result<(), Error> {
        match self.peek() {
            Token::BlockEnd => {
                self.advance();
                Ok(())
            }
            _ => Err(self.unexpected("the end of the tag")),
        }
    }

    /// The rest of a tag, and the statements up to one of these.
    fn statements(&mut self, ends: &[&str]) -> Result<Body, Error> {
        self.take(":");
        self.block_end()?;
        self.body(ends)
    }

    /// As [`Parser::statements`], with the tag at the end.
    fn closed(&mut self, end: &str) -> Result<Body, Error> {
        let body = self.statements(&[end])?;
        self.advance();
        Ok(body)
    }

    fn statement(&mut self, body: &mut Body) -> Result<(), Error> {
        let line = self.line();
        let tag = self.expect_name()?;
        body.push(match &*tag {
            "for" => self.for_loop(line)?,
            "if" => self.if_else()?,
            "set" => {
                let target = self.target(true, &[])?;
                if self.take("=") {
                    Statement::Set(line, target, self.tuple(true, &[])?)
                } else {
                    let filter = self.filters_of_block(false)?;
                    let body = self.gathering(true, |parser| parser.closed("endset"))?;
                    Statement::SetBlock(Rc::new(SetBlock { line, target, filter, body, scope: OnceCell::new() }))
                }
            }
            "with" => {
                let mut assignments = Vec::new();
                while !matches!(self.peek(), Token::BlockEnd) {
                    if !assignments.is_empty() {
                        self.expect(",")?;
                    }
                    let target = self.target(false, &[])?;
                    self.expect("=")?;
                    assignments.push((target, self.expression(true)?));
                }
                let body = self.closed("endwith")?;
                Statement::With(Rc::new(With { line, assignments, body, scope: OnceCell::new() }))
            }
            "macro" => {
                let name = Some(self.name_target()?);
                let (arguments, defaults) = self.signature()?;
                Statement::Macro(self.macro_of(line, name, arguments, defaults, "endmacro")?)
            }
            "call" => {
                let (arguments, defaults) = if self.sees("(") { self.signature()? } else { Default::default() };
                let call = self.expression(true)?;
                if !matches!(call.node, Node::Call(..)) {
                    return Err(refuse("syntax error: a call block needs a call of a macro"));
                }
                Statement::CallBlock(call, self.macro_of(line, None, arguments, defaults, "endcall")?)
            }
            "filter" => {
                let filter = self.filters_of_block(true)?.ok_or_else(|| self.unexpected("a filter"))?;
                let body = self.gathering(true, |parser| parser.closed("endfilter"))?;
                Statement::FilterBlock(Rc::new(FilterBlock { filter, body, scope: OnceCell::new() }))
            }
            "block" => self.block(line)?,
            "extends" => {
                self.extends = true;
                Statement::Extends(self.expression(true)?)
            }
            "include" => {
                let template = self.expression(true)?;
                let ignore_missing =
                    self.sees_name("ignore") && matches!(self.look(), Token::Name(it) if it == "missing");
                if ignore_missing {
                    self.advance();
                    self.advance();
                }
                let with_context = self.context().unwrap_or(true);
                if !with_context && self.gathered {
                    // Jinja2 prints it ahead of all that, or not at all.
                    let whole = "a macro, a recursive loop, or a call, filter or set block";
                    return Err(refuse(format!("include without context within {whole}: include it with context")));
                }
                Statement::Include(Include { template, ignore_missing, with_context })
            }
            "import" => {
                let template = self.expression(true)?;
                if !self.take_name("as") {
                    return Err(self.unexpected("\"as\""));
                }
                let name = Some(self.name_target()?);
                let with_context = self.context().unwrap_or(false);
                Statement::Import(Import { template, name, with_context })
            }
            "from" => self.import_names()?,
            "autoescape" => {
                let value = self.expression(true)?;
                let body = self.closed("endautoescape")?;
                Statement::Scope(Rc::new(Scope { value, body, scope: OnceCell::new() }))
            }
            "print" => {
                while !matches!(self.peek(), Token::BlockEnd) {
                    let value = self.expression(true)?;
                    body.push(Statement::Output(value));
                    if !matches!(self.peek(), Token::BlockEnd) {
                        self.expect(",")?;
                    }
                }
                return Ok(());
            }
            other => return Err(refuse(format!("syntax error: unexpected tag {other}"))),
        });
        Ok(())
    }

    fn for_loop(&mut self, line: usize) -> Result<Statement, Error> {
        let target = self.target(false, &["in"])?;
        if !self.take_name("in") {
            return Err(self.unexpected("\"in\""));
        }
        let iterable = self.tuple(false, &["recursive"])?;
        let test = match self.take_name("if") {
            true => Some(LoopTest { condition: self.expression(true)?, scope: OnceCell::new() }),
            false => None,
        };
        let recursive = self.take_name("recursive");
        let (body, otherwise) = self.gathering(self.gathered || recursive, |parser| {
            let body = parser.statements(&["endfor", "else"])?;
            let otherwise = match parser.expect_name()?.as_ref() {
                "else" => parser.closed("endfor")?,
                _ => Vec::new(),
            };
            Ok((body, otherwise))
        })?;
        Ok(Statement::For(Rc::new(For {
            line,
            target,
            items: Items { iterable, test },
            recursive,
            extended: OnceCell::new(),
            body: body.into(),
            otherwise: otherwise.into(),
        })))
    }

    fn if_else(&mut self) -> Result<Statement, Error> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false, &[])?;
            branches.push((test, self.statements(&["elif", "else", "endif"])?));
            match self.expect_name()?.as_ref() {
                "elif" => {}
                "else" => return Ok(Statement::If(branches, self.closed("endif")?)),
                _ => return Ok(Statement::If(branches, Vec::new())),
            }
        }
    }

    fn signature(&mut self) -> Result<(Vec<Name>, Vec<Expr>), Error> {
        let (mut arguments, mut defaults) = (Vec::new(), Vec::new());
        self.expect("(")?;
        while !self.sees(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            let name = self.name_target()?;
            if arguments.contains(&name) {
                return Err(refuse(format!("syntax error: duplicate argument {name}")));
            }
            arguments.push(name);
            if self.take("=") {
                defaults.push(self.expression(true)?);
            } else if !defaults.is_empty() {
                return Err(refuse("syntax error: an argument without a default after one with a default"));
            }
        }
        self.expect(")")?;
        Ok((arguments, defaults))
    }

    fn macro_of(
        &mut self,
        line: usize,
        name: Option<Name>,
        arguments: Vec<Name>,
        defaults: Vec<Expr>,
        end: &str,
    ) -> Result<Rc<Signature>, Error> {
        let body = self.gathering(true, |parser| parser.closed(end))?;
        let (body, special) = (body.into(), OnceCell::new());
        Ok(Rc::new(Signature { line, name, arguments, defaults, body, special }))
    }

    fn block(&mut self, line: usize) -> Result<Statement, Error> {
        let name = self.expect_name()?;
        let (scoped, required) = (self.take_name("scoped"), self.take_name("required"));
        let body = self.gathering(false, |parser| parser.closed("endblock"))?;
        if self.blocks.iter().any(|block| block.name == name) {
            return Err(refuse(format!("syntax error: duplicate block {name}")).at(&self.template, line));
        }
        let blank = |it: &Statement| matches!(it, Statement::Data(text) if text.chars().all(is_space));
        if required && !body.iter().all(blank) {
            return Err(refuse("syntax error: a required block must be empty"));
        }
        self.take_name(&name);
        let (template, scope, uses) = (self.template.clone(), OnceCell::new(), OnceCell::new());
        let block = Rc::new(Block { line, name, template, scoped, required, body, scope, uses });
        self.blocks.push(block.clone());
        Ok(Statement::Block(block))
    }

    /// `with context` or `without context`, where it stands.
    fn context(&mut self) -> Option<bool> {
        let with = match self.peek() {
            Token::Name(name) if name == "with" => true,
            Token::Name(name) if name == "without" => false,
            _ => return None,
        };
        if !matches!(self.look(), Token::Name(name) if name == "context") {
            return None;
        }
        self.advance();
        self.advance();
        Some(with)
    }

    fn import_names(&mut self) -> Result<Statement, Error> {
        let template = self.expression(true)?;
        if !self.take_name("import") {
            return Err(self.unexpected("\"import\""));
        }
        let mut names = Vec::new();
        let context = loop {
            if !names.is_empty() {
                self.expect(",")?;
            }
            if let Some(context) = self.context() {
                break Some(context);
            }
            let name = self.name_target()?;
            if name.starts_with('_') {
                return Err(refuse("syntax error: names that begin with an underscore cannot be imported"));
            }
            let alias = if self.take_name("as") { self.name_target()? } else { name.clone() };
            names.push((name, alias));
            let context = self.context();
            if context.is_some() || !self.sees(",") {
                break context;
            }
        };
        let with_context = context.unwrap_or(false);
        Ok(Statement::FromImport(Import { template, name: None, with_context }, names))
    }
}
