//! Which variables a template reads though nobody may have set them, with lines.

use std::collections::BTreeSet;

use super::ast::*;
use super::walk;
use super::walk::Use;
use crate::jinja::values::Value;

/// Names that Jinja2 defines.
pub const GLOBALS: [&str; 12] = [
    "caller",
    "cycler",
    "dict",
    "joiner",
    "kwargs",
    "lipsum",
    "loop",
    "namespace",
    "range",
    "self",
    "super",
    "varargs",
];

/// A variable that is used and not set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undefined {
    pub template: String,
    /// From 1.
    pub line: usize,
    pub name: String,
    /// What to do, when there is something.
    pub hint: String,
}

/// What a template does with names.
#[derive(Debug, Default)]
pub struct Names {
    /// Read as if they were set: name and line.
    pub read: Vec<(String, usize)>,
    /// Read as the condition of an `if`, or ahead of an `or`.
    pub asked: Vec<(String, usize)>,
    /// Asked for whether they are set, or given a default: they may be undefined.
    pub may_lack: BTreeSet<String>,
    /// Set somewhere, as a variable of a loop or an argument say.
    pub set: BTreeSet<String>,
    /// Templates that it extends or includes, and those that it imports; whether they see its variables.
    pub others: Vec<(String, bool)>,
}

/// Reads a template.
pub fn names(template: &Template) -> Names {
    let mut names = Names::default();
    let mut visit = |name: &Name, how: Use| {
        if how != Use::Load {
            names.set.insert(name.to_string());
        }
    };
    walk::body(&template.body, &mut visit, true);
    names.body(&template.body);
    names
}

impl Names {
    fn body(&mut self, body: &Body) {
        for it in body {
            self.statement(it);
        }
    }

    fn statement(&mut self, it: &Statement) {
        match it {
            Statement::Data(_) => {}
            Statement::Output(value) | Statement::Set(_, _, value) => self.value(value),
            Statement::Extends(value) => self.other(value, true),
            Statement::Include(it) => self.other(&it.template, it.with_context),
            Statement::Import(it) => {
                self.set.extend(it.name.iter().map(ToString::to_string));
                self.other(&it.template, it.with_context);
            }
            Statement::FromImport(it, imported) => {
                self.set.extend(imported.iter().map(|(_, here)| here.to_string()));
                self.other(&it.template, it.with_context);
            }
            Statement::For(it) => {
                self.value(&it.items.iterable);
                it.items.test.iter().for_each(|test| self.condition(&test.condition));
                self.body(&it.body.body);
                self.body(&it.otherwise.body);
            }
            Statement::If(branches, otherwise) => {
                for (test, body) in branches {
                    self.condition(test);
                    self.body(body);
                }
                self.body(otherwise);
            }
            Statement::SetBlock(it) => {
                it.filter.iter().for_each(|filter| self.value(filter));
                self.body(&it.body);
            }
            Statement::With(it) => {
                it.assignments.iter().for_each(|(_, value)| self.value(value));
                self.body(&it.body);
            }
            Statement::Macro(it) => self.signature(it),
            Statement::CallBlock(call, it) => {
                self.value(call);
                self.signature(it);
            }
            Statement::FilterBlock(it) => {
                self.value(&it.filter);
                self.body(&it.body);
            }
            Statement::Block(it) => self.body(&it.body),
            Statement::Scope(it) => {
                self.value(&it.value);
                self.body(&it.body);
            }
        }
    }

    fn signature(&mut self, it: &Signature) {
        self.set.extend(it.name.iter().map(ToString::to_string));
        it.defaults.iter().for_each(|value| self.value(value));
        self.body(&it.body.body);
    }

    /// A template that is named in this one; one that an expression names is not followed.
    fn other(&mut self, value: &Expr, sees: bool) {
        match &value.node {
            Node::Constant(Value::Text(name)) => self.others.push((name.to_string(), sees)),
            Node::List(items) | Node::Tuple(items) => items.iter().for_each(|item| self.other(item, sees)),
            _ => self.value(value),
        }
    }

    fn value(&mut self, value: &Expr) {
        match &value.node {
            Node::Name(name) => self.read.push((name.to_string(), value.line)),
            Node::Test(of, test, _) if matches!(&**test, "defined" | "undefined") => self.asked_for(value, of),
            Node::Filter(Some(of), filter, _) if matches!(&**filter, "default" | "d") => self.asked_for(value, of),
            Node::Or(left, right) => {
                self.condition(left);
                self.value(right);
            }
            Node::And(left, right) => {
                self.condition(left);
                self.value(right);
            }
            Node::Conditional(test, then, otherwise) => {
                self.condition(test);
                self.value(then);
                otherwise.iter().for_each(|value| self.value(value));
            }
            _ => walk::parts(value).into_iter().for_each(|part| self.value(part)),
        }
    }

    /// The first part of `whole` is `of`, which may be undefined.
    fn asked_for(&mut self, whole: &Expr, of: &Expr) {
        match &of.node {
            Node::Name(name) => drop(self.may_lack.insert(name.to_string())),
            _ => self.value(of),
        }
        walk::parts(whole).into_iter().skip(1).for_each(|part| self.value(part));
    }

    /// A value of which only the truth counts.
    fn condition(&mut self, value: &Expr) {
        match &value.node {
            Node::Name(name) => self.asked.push((name.to_string(), value.line)),
            Node::Not(of) => self.condition(of),
            Node::And(left, right) | Node::Or(left, right) => {
                self.condition(left);
                self.condition(right);
            }
            _ => self.value(value),
        }
    }
}
