//! Parses the expressions of a template.

use super::ast::*;
use super::lexer::Token;
use super::parser::Parser;
use super::walk;
use crate::jinja::error::{Error, refuse};
use crate::jinja::values::Value;

/// The longest chain of operators, filters and subscripts: as long as Jinja2 can compile.
const HIGHEST: usize = 500;

/// Makes a node of two operands.
type Joined = fn(Box<Expr>, Box<Expr>) -> Node;

impl Parser<'_> {
    /// # Errors
    /// For a chain that is too long: its links are nested, and each needs stack.
    fn expr(&self, line: usize, node: Node) -> Result<Expr, Error> {
        let mut made = Expr { line, node, height: 0 };
        made.height = walk::parts(&made).into_iter().map(|part| part.height + 1).max().unwrap_or(0);
        match made.height > HIGHEST {
            true => {
                Err(refuse(format!("syntax error: a chain of more than {HIGHEST} operators, filters or subscripts")))
            }
            false => Ok(made),
        }
    }

    /// An expression, or several with commas between them: a tuple.
    pub fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Result<Expr, Error> {
        let line = self.line();
        let mut items = Vec::new();
        let mut several = false;
        loop {
            let end = matches!(self.peek(), Token::VariableEnd | Token::BlockEnd) || self.sees(")");
            if end || ends.iter().any(|end| self.sees_name(end)) {
                break;
            }
            items.push(self.expression(conditional)?);
            if !self.take(",") {
                break;
            }
            several = true;
        }
        match items.pop() {
            Some(only) if !several => Ok(only),
            Some(last) => {
                items.push(last);
                self.expr(line, Node::Tuple(items))
            }
            None => Err(self.unexpected("an expression")),
        }
    }

    /// An expression; `conditional`: it may be `a if b else c`.
    pub fn expression(&mut self, conditional: bool) -> Result<Expr, Error> {
        self.nested(|parser| if conditional { parser.conditional() } else { parser.or() })
    }

    fn conditional(&mut self) -> Result<Expr, Error> {
        let line = self.line();
        let mut value = self.or()?;
        while self.take_name("if") {
            let test = Box::new(self.or()?);
            let otherwise = match self.take_name("else") {
                true => Some(Box::new(self.expression(true)?)),
                false => None,
            };
            value = self.expr(line, Node::Conditional(test, Box::new(value), otherwise))?;
        }
        Ok(value)
    }

    fn or(&mut self) -> Result<Expr, Error> {
        self.ranked(|parser| parser.take_name("or").then_some(Node::Or as Joined), Self::and)
    }

    fn and(&mut self) -> Result<Expr, Error> {
        self.ranked(|parser| parser.take_name("and").then_some(Node::And as Joined), Self::not)
    }

    fn not(&mut self) -> Result<Expr, Error> {
        let line = self.line();
        if !self.take_name("not") {
            return self.comparison();
        }
        let value = self.nested(Self::not)?;
        self.expr(line, Node::Not(Box::new(value)))
    }

    fn comparison(&mut self) -> Result<Expr, Error> {
        let line = self.line();
        let first = self.sum()?;
        let mut others = Vec::new();
        loop {
            let comparison = match self.peek() {
                Token::Mark("==") => Comparison::Equal,
                Token::Mark("!=") => Comparison::NotEqual,
                Token::Mark("<") => Comparison::Less,
                Token::Mark("<=") => Comparison::LessOrEqual,
                Token::Mark(">") => Comparison::Greater,
                Token::Mark(">=") => Comparison::GreaterOrEqual,
                Token::Name(name) if name == "in" => Comparison::In,
                Token::Name(name) if name == "not" && matches!(self.look(), Token::Name(it) if it == "in") => {
                    self.advance();
                    Comparison::NotIn
                }
                _ if others.is_empty() => return Ok(first),
                _ => return self.expr(line, Node::Compare(Box::new(first), others)),
            };
            self.advance();
            others.push((comparison, self.sum()?));
        }
    }

    /// Operands and left-associative operators of one precedence.
    fn ranked<N: FnOnce(Box<Expr>, Box<Expr>) -> Node>(
        &mut self,
        operator: impl Fn(&mut Self) -> Option<N>,
        operand: fn(&mut Self) -> Result<Expr, Error>,
    ) -> Result<Expr, Error> {
        let line = self.line();
        let mut left = operand(self)?;
        while let Some(node) = operator(self) {
            let right = Box::new(operand(self)?);
            left = self.expr(line, node(Box::new(left), right))?;
        }
        Ok(left)
    }

    /// As [`Parser::ranked`], for operators that are marks.
    fn arithmetic(
        &mut self,
        operators: &[(&str, Operator)],
        operand: fn(&mut Self) -> Result<Expr, Error>,
    ) -> Result<Expr, Error> {
        let operator = |parser: &mut Self| {
            let (_, operator) = operators.iter().find(|(mark, _)| parser.take(mark))?;
            Some(|left, right| Node::Binary(*operator, left, right))
        };
        self.ranked(operator, operand)
    }

    fn sum(&mut self) -> Result<Expr, Error> {
        self.arithmetic(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::concatenation)
    }

    fn concatenation(&mut self) -> Result<Expr, Error> {
        let line = self.line();
        let first = self.product()?;
        if !self.sees("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take("~") {
            parts.push(self.product()?);
        }
        self.expr(line, Node::Concat(parts))
    }

    fn product(&mut self) -> Result<Expr, Error> {
        let operators = [
            ("*", Operator::Multiply),
            ("/", Operator::Divide),
            ("//", Operator::DivideWhole),
            ("%", Operator::Modulo),
        ];
        self.arithmetic(&operators, Self::power)
    }

    fn power(&mut self) -> Result<Expr, Error> {
        self.arithmetic(&[("**", Operator::Power)], |parser| parser.unary(true))
    }

    fn unary(&mut self, filters: bool) -> Result<Expr, Error> {
        let line = self.line();
        let mut value = if self.sees("-") || self.sees("+") {
            let minus = self.sees("-");
            self.advance();
            let value = self.nested(|parser| parser.unary(false))?;
            self.expr(line, Node::Signed(minus, Box::new(value)))?
        } else {
            self.primary()?
        };
        value = self.postfix(value)?;
        if filters { self.filters(value) } else { Ok(value) }
    }

    fn primary(&mut self) -> Result<Expr, Error> {
        let line = self.line();
        let node = match self.peek() {
            Token::Name(name) => {
                self.advance();
                match name.as_str() {
                    "true" | "True" => Node::Constant(Value::Bool(true)),
                    "false" | "False" => Node::Constant(Value::Bool(false)),
                    "none" | "None" => Node::Constant(Value::None),
                    name => Node::Name(name.into()),
                }
            }
            Token::Text(_) => {
                let mut text = String::new();
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.advance();
                }
                Node::Constant(Value::text(text))
            }
            Token::Int(number) => {
                self.advance();
                Node::Constant(Value::Int(*number))
            }
            Token::Float(number) => {
                self.advance();
                Node::Constant(Value::Float(*number))
            }
            Token::Mark("(") => {
                self.advance();
                if self.take(")") {
                    return self.expr(line, Node::Tuple(Vec::new()));
                }
                let value = self.tuple(true, &[])?;
                self.expect(")")?;
                return Ok(value);
            }
            Token::Mark("[") => {
                self.advance();
                Node::List(self.separated("]", |parser| parser.expression(true))?)
            }
            Token::Mark("{") => {
                self.advance();
                Node::Dict(self.separated("}", |parser| {
                    let key = parser.expression(true)?;
                    parser.expect(":")?;
                    Ok((key, parser.expression(true)?))
                })?)
            }
            _ => return Err(self.unexpected("an expression")),
        };
        self.expr(line, node)
    }

    /// Items up to a closing bracket, separated by commas; a trailing comma is allowed.
    fn separated<T>(&mut self, close: &str, item: impl Fn(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while !self.sees(close) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.sees(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        self.expect(close)?;
        Ok(items)
    }

    fn postfix(&mut self, mut value: Expr) -> Result<Expr, Error> {
        loop {
            let line = self.line();
            let node = match self.peek() {
                Token::Mark(".") => {
                    self.advance();
                    match self.peek() {
                        Token::Name(name) => {
                            self.advance();
                            Node::Attribute(Box::new(value), name.as_str().into())
                        }
                        Token::Int(index) => {
                            self.advance();
                            let index = self.expr(line, Node::Constant(Value::Int(*index)))?;
                            Node::Item(Box::new(value), Box::new(index))
                        }
                        _ => return Err(self.unexpected("a name or a number")),
                    }
                }
                Token::Mark("[") => {
                    self.advance();
                    self.subscript(value)?
                }
                Token::Mark("(") => Node::Call(Box::new(value), self.arguments()?),
                _ => return Ok(value),
            };
            value = self.expr(line, node)?;
        }
    }

    /// A subscript in square brackets.
    fn subscript(&mut self, value: Expr) -> Result<Node, Error> {
        let line = self.line();
        let at_end = |parser: &Self| parser.sees("]") || parser.sees(",") || parser.sees(":");
        let mut parts: [Option<Expr>; 3] = [None, None, None];
        let mut colons = 0;
        loop {
            if !at_end(self) {
                parts[colons] = Some(self.expression(true)?);
            }
            if colons == 2 || !self.take(":") {
                break;
            }
            colons += 1;
        }
        if colons > 0 {
            if self.sees(",") {
                return Err(refuse("a slice among several subscripts"));
            }
            self.expect("]")?;
            return Ok(Node::Slice(Box::new(value), Box::new(parts)));
        }
        let Some(first) = parts[0].take() else {
            // Empty brackets are those of an empty tuple.
            self.expect("]")?;
            return Ok(Node::Item(Box::new(value), Box::new(self.expr(line, Node::Tuple(Vec::new()))?)));
        };
        if self.take("]") {
            return Ok(Node::Item(Box::new(value), Box::new(first)));
        }
        let mut items = vec![first];
        while self.take(",") {
            items.push(self.expression(true)?);
        }
        self.expect("]")?;
        Ok(Node::Item(Box::new(value), Box::new(self.expr(line, Node::Tuple(items))?)))
    }

    pub fn arguments(&mut self) -> Result<Args, Error> {
        let wrong = || refuse("syntax error: the arguments of a call are in an order that Python does not allow");
        let mut args = Args::default();
        self.expect("(")?;
        let mut first = true;
        while !self.sees(")") {
            if !first {
                self.expect(",")?;
                if self.sees(")") {
                    break;
                }
            }
            first = false;
            if self.take("*") {
                if args.rest.is_some() || args.more_named.is_some() {
                    return Err(wrong());
                }
                args.rest = Some(Box::new(self.expression(true)?));
            } else if self.take("**") {
                if args.more_named.is_some() {
                    return Err(wrong());
                }
                args.more_named = Some(Box::new(self.expression(true)?));
            } else if let (Token::Name(name), Token::Mark("=")) = (self.peek(), self.look()) {
                self.advance();
                self.advance();
                if args.more_named.is_some() || args.named.iter().any(|(known, _)| **known == **name) {
                    return Err(wrong());
                }
                args.named.push((name.as_str().into(), self.expression(true)?));
            } else {
                if args.rest.is_some() || args.more_named.is_some() || !args.named.is_empty() {
                    return Err(wrong());
                }
                args.positional.push(self.expression(true)?);
            }
        }
        self.expect(")")?;
        Ok(args)
    }

    fn dotted_name(&mut self) -> Result<Name, Error> {
        let mut name = self.expect_name()?.to_string();
        while self.take(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name.into())
    }

    /// One filter behind its mark.
    fn filter(&mut self, value: Option<Expr>) -> Result<Expr, Error> {
        let line = self.line();
        let name = self.dotted_name()?;
        let args = if self.sees("(") { self.arguments()? } else { Args::default() };
        self.expr(line, Node::Filter(value.map(Box::new), name, args))
    }

    /// The filters of a block, the first of which has no mark ahead of it when it is a filter block.
    pub fn filters_of_block(&mut self, inline: bool) -> Result<Option<Expr>, Error> {
        let mut value = if inline { Some(self.filter(None)?) } else { None };
        while self.take("|") {
            value = Some(self.filter(value)?);
        }
        Ok(value)
    }

    fn filters(&mut self, mut value: Expr) -> Result<Expr, Error> {
        loop {
            let line = self.line();
            value = if self.take("|") {
                self.filter(Some(value))?
            } else if self.take_name("is") {
                let negated = self.take_name("not");
                let name = self.dotted_name()?;
                let args = self.test_arguments()?;
                let test = self.expr(line, Node::Test(Box::new(value), name, args))?;
                if negated { self.expr(line, Node::Not(Box::new(test)))? } else { test }
            } else if self.sees("(") {
                let args = self.arguments()?;
                self.expr(line, Node::Call(Box::new(value), args))?
            } else {
                return Ok(value);
            };
        }
    }

    /// The arguments of a test: in brackets, or a single one without.
    fn test_arguments(&mut self) -> Result<Args, Error> {
        let one = match self.peek() {
            Token::Mark("(") => return self.arguments(),
            Token::Name(name) if name == "is" => return Err(refuse("syntax error: several tests in a row")),
            Token::Name(name) => !matches!(name.as_str(), "else" | "or" | "and"),
            Token::Mark(mark) => matches!(*mark, "[" | "{"),
            Token::Text(_) | Token::Int(_) | Token::Float(_) => true,
            _ => false,
        };
        let mut args = Args::default();
        if one {
            let value = self.primary()?;
            args.positional.push(self.postfix(value)?);
        }
        Ok(args)
    }
}
