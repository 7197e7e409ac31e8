//! The mistakes that Jinja2 finds in a template when it compiles it.

use super::filters;
use super::filters::is_test;
use super::syntax::ast::*;
use super::syntax::{scopes, walk};
use super::values::methods::names;

/// What was found, with lines.
#[derive(Default)]
pub struct Found {
    /// Including unknown filters and tests, unless they are inside an `if`.
    pub mistakes: Vec<(usize, String)>,
    /// Unknown filters and tests inside an `if`, which may never be used.
    pub doubts: Vec<(usize, String)>,
    /// What works here, but not in current versions of Jinja2.
    pub remarks: Vec<(usize, String)>,
}

pub fn template(it: &Template) -> Found {
    let mut check = Check { found: Found::default(), extended: false };
    check.body(&it.body, Place { soft: false, toplevel: true, outermost: true, checked: it.extends });
    for block in &it.blocks {
        check.body(&block.body, Place { soft: false, toplevel: false, outermost: false, checked: false });
    }
    check.found
}

struct Check {
    found: Found,
    /// Whether the template certainly extends another one, so that text outside of blocks is ignored.
    extended: bool,
}

#[derive(Clone, Copy)]
struct Place {
    /// Within an `if`.
    soft: bool,
    toplevel: bool,
    outermost: bool,
    /// Whether text counts only while nothing was extended.
    checked: bool,
}

impl Check {
    fn body(&mut self, body: &Body, place: Place) {
        body.iter().for_each(|statement| self.statement(statement, place));
    }

    fn statement(&mut self, statement: &Statement, place: Place) {
        let inner = Place { soft: false, toplevel: false, outermost: false, ..place };
        match statement {
            Statement::Output(_) if place.checked && self.extended => {}
            Statement::Data(_) | Statement::Block(_) => {}
            Statement::Output(value) => self.expression(value, place.soft),
            Statement::Extends(value) => {
                if !place.toplevel {
                    self.found.mistakes.push((value.line, "extends inside a loop, a block or a macro".into()));
                }
                self.expression(value, place.soft);
                self.extended |= place.outermost;
            }
            Statement::Include(it) => self.expression(&it.template, place.soft),
            Statement::Import(it) | Statement::FromImport(it, _) => self.expression(&it.template, place.soft),
            Statement::Set(_, _, value) => self.expression(value, place.soft),
            Statement::If(branches, otherwise) => {
                let soft = Place { soft: true, outermost: false, ..place };
                for (test, body) in branches {
                    self.expression(test, true);
                    self.body(body, soft);
                }
                self.body(otherwise, soft);
            }
            Statement::For(it) => {
                if scopes::sets_loop(it) {
                    self.found.mistakes.push((it.line, "loop cannot be set within a loop".into()));
                }
                self.expression(&it.items.iterable, place.soft);
                it.items.test.iter().for_each(|test| self.expression(&test.condition, false));
                self.body(&it.body.body, inner);
                self.body(&it.otherwise.body, inner);
            }
            Statement::SetBlock(it) => {
                self.body(&it.body, Place { checked: false, ..inner });
                it.filter.iter().for_each(|filter| self.expression(filter, false));
            }
            Statement::With(it) => {
                it.assignments.iter().for_each(|(_, value)| self.expression(value, place.soft));
                self.body(&it.body, inner);
            }
            Statement::Macro(it) => self.signature(it, inner),
            Statement::CallBlock(call, it) => {
                self.signature(it, inner);
                self.expression(call, place.soft);
            }
            Statement::FilterBlock(it) => {
                self.body(&it.body, inner);
                self.expression(&it.filter, false);
            }
            Statement::Scope(it) => self.body(&it.body, inner),
        }
    }

    fn signature(&mut self, it: &Signature, inner: Place) {
        let special = it.special.get().is_some_and(|special| special.caller);
        let caller = it.arguments.iter().position(|name| &**name == "caller").filter(|_| special);
        if caller.is_some_and(|place| place < it.arguments.len() - it.defaults.len()) {
            self.found.mistakes.push((it.line, "the argument caller needs a default".into()));
        }
        it.defaults.iter().for_each(|value| self.expression(value, false));
        self.body(&it.body.body, Place { checked: false, ..inner });
    }

    fn unknown(&mut self, soft: bool, line: usize, why: String) {
        let found = if soft { &mut self.found.doubts } else { &mut self.found.mistakes };
        found.push((line, why));
    }

    fn expression(&mut self, value: &Expr, soft: bool) {
        let soft = soft || matches!(value.node, Node::Conditional(..));
        match &value.node {
            Node::Filter(_, name, _) if !filters::known(name) => {
                self.unknown(soft, value.line, format!("unknown filter {name}"));
            }
            Node::Test(_, name, _) if !is_test::known(name) => {
                self.unknown(soft, value.line, format!("unknown test {name}"));
            }
            Node::Call(callee, _) => {
                if let Node::Attribute(_, name) = &callee.node
                    && names::OF_OLD_DICT.contains(&&**name)
                {
                    let new = if &**name == "has_key" { "`in`".to_owned() } else { format!(".{}()", &name[4..]) };
                    let why = format!(
                        ".{name}() exists in Python 2 only, and Jinja2 no longer supports it: write \
                                       {new}"
                    );
                    self.found.remarks.push((value.line, why));
                }
            }
            _ => {}
        }
        walk::parts(value).into_iter().for_each(|part| self.expression(part, soft));
    }
}
