//! Visits the names of a template, in the order of the text.

use super::ast::*;

/// How a name is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Load,
    Store,
    /// As the argument of a macro, or the variable of a `with`.
    Given,
}

type Visit<'a> = &'a mut dyn FnMut(&Name, Use);

/// The direct subexpressions of an expression.
pub fn parts(value: &Expr) -> Vec<&Expr> {
    fn given(args: &Args) -> impl Iterator<Item = &Expr> {
        let named = args.named.iter().map(|(_, value)| value);
        args.positional.iter().chain(named).chain(args.rest.as_deref()).chain(args.more_named.as_deref())
    }
    match &value.node {
        Node::Constant(_) | Node::Name(_) => Vec::new(),
        Node::Tuple(items) | Node::List(items) | Node::Concat(items) => items.iter().collect(),
        Node::Dict(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).collect(),
        Node::Conditional(test, value, otherwise) => {
            [&**test, &**value].into_iter().chain(otherwise.as_deref()).collect()
        }
        Node::Or(a, b) | Node::And(a, b) | Node::Binary(_, a, b) | Node::Item(a, b) => vec![a, b],
        Node::Not(value) | Node::Signed(_, value) | Node::Attribute(value, _) => vec![value],
        Node::Compare(first, others) => [&**first].into_iter().chain(others.iter().map(|(_, value)| value)).collect(),
        Node::Slice(value, parts) => [&**value].into_iter().chain(parts.iter().flatten()).collect(),
        Node::Call(value, args) | Node::Test(value, _, args) => [&**value].into_iter().chain(given(args)).collect(),
        Node::Filter(value, _, args) => value.as_deref().into_iter().chain(given(args)).collect(),
    }
}

/// The names of an expression.
pub fn expression(value: &Expr, visit: Visit) {
    if let Node::Name(name) = &value.node {
        visit(name, Use::Load);
    }
    for part in parts(value) {
        expression(part, visit);
    }
}

fn target(at: &Target, how: Use, visit: Visit) {
    match at {
        Target::Name(name) => visit(name, how),
        Target::Tuple(targets) => targets.iter().for_each(|it| target(it, how, visit)),
        Target::Attribute(..) => {}
    }
}

/// The names in statements and in all scopes within them; in blocks only if `blocks` is set.
pub fn body(statements: &Body, visit: Visit, blocks: bool) {
    for it in statements {
        match it {
            Statement::Data(_) => {}
            Statement::Output(value) | Statement::Extends(value) => expression(value, visit),
            Statement::Include(include) => expression(&include.template, visit),
            Statement::Import(import) | Statement::FromImport(import, _) => expression(&import.template, visit),
            Statement::For(it) => for_loop(it, visit, blocks),
            Statement::If(branches, otherwise) => {
                for (test, statements) in branches {
                    expression(test, visit);
                    body(statements, visit, blocks);
                }
                body(otherwise, visit, blocks);
            }
            Statement::Set(_, at, value) => {
                target(at, Use::Store, visit);
                expression(value, visit);
            }
            Statement::SetBlock(it) => {
                target(&it.target, Use::Store, visit);
                it.filter.iter().for_each(|filter| expression(filter, visit));
                body(&it.body, visit, blocks);
            }
            Statement::With(it) => {
                it.assignments.iter().for_each(|(at, _)| target(at, Use::Given, visit));
                it.assignments.iter().for_each(|(_, value)| expression(value, visit));
                body(&it.body, visit, blocks);
            }
            Statement::Macro(it) => signature(it, visit, blocks),
            Statement::CallBlock(call, it) => {
                expression(call, visit);
                signature(it, visit, blocks);
            }
            Statement::FilterBlock(it) => {
                body(&it.body, visit, blocks);
                expression(&it.filter, visit);
            }
            Statement::Scope(it) => {
                expression(&it.value, visit);
                body(&it.body, visit, blocks);
            }
            Statement::Block(block) if blocks => body(&block.body, visit, blocks),
            Statement::Block(_) => {}
        }
    }
}

pub fn for_loop(it: &For, visit: Visit, blocks: bool) {
    target(&it.target, Use::Store, visit);
    expression(&it.items.iterable, visit);
    body(&it.body.body, visit, blocks);
    body(&it.otherwise.body, visit, blocks);
    it.items.test.iter().for_each(|test| expression(&test.condition, visit));
}

fn signature(it: &Signature, visit: Visit, blocks: bool) {
    it.arguments.iter().for_each(|name| visit(name, Use::Given));
    it.defaults.iter().for_each(|value| expression(value, visit));
    body(&it.body.body, visit, blocks);
}

/// Which of `names` the statements read without setting them before.
pub fn undeclared(statements: &Body, names: &[&str]) -> Vec<bool> {
    let mut wanted = vec![true; names.len()];
    let mut found = vec![false; names.len()];
    let mut visit = |name: &Name, how: Use| {
        if let Some(at) = names.iter().position(|wanted| *wanted == &**name) {
            match how {
                Use::Load if wanted[at] => found[at] = true,
                Use::Load => {}
                Use::Store | Use::Given => wanted[at] = false,
            }
        }
    };
    body(statements, &mut visit, false);
    found
}

/// Whether a block within a loop sees the loop's variables.
pub fn has_scoped_block(it: &For) -> bool {
    fn within(statements: &Body) -> bool {
        statements.iter().any(|it| match it {
            Statement::Block(block) => block.scoped || within(&block.body),
            Statement::If(branches, otherwise) => branches.iter().any(|(_, body)| within(body)) || within(otherwise),
            Statement::For(it) => has_scoped_block(it),
            Statement::SetBlock(it) => within(&it.body),
            Statement::With(it) => within(&it.body),
            Statement::FilterBlock(it) => within(&it.body),
            Statement::Scope(it) => within(&it.body),
            Statement::Macro(it) | Statement::CallBlock(_, it) => within(&it.body.body),
            _ => false,
        })
    }
    within(&it.body.body) || within(&it.otherwise.body)
}
