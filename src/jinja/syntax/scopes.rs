//! Determines which scope a name belongs to. Jinja2 decides that when it compiles a template, not while it renders it: a
//! name that a scope sets is the scope's own from its beginning, and its initial value depends on the enclosing scopes.

use std::rc::Rc;

use super::ast::*;
use super::symbols::Symbols;
use super::walk;
use super::walk::Use;

impl Symbols {
    fn expression(&mut self, value: &Expr) {
        walk::expression(value, &mut |name, _| self.load(name));
    }

    fn target(&mut self, target: &Target, given: bool) {
        match target {
            Target::Name(name) if given => self.given(name),
            Target::Name(name) => self.store(name),
            Target::Tuple(targets) => targets.iter().for_each(|target| self.target(target, given)),
            Target::Attribute(name, _) => self.load(name),
        }
    }

    /// What the statements of this scope read and set, without nested scopes.
    fn body(&mut self, body: &Body) {
        body.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Data(_) | Statement::Block(_) | Statement::Scope(_) => {}
            Statement::Output(value) | Statement::Extends(value) => self.expression(value),
            Statement::Include(include) => self.expression(&include.template),
            Statement::For(it) => self.expression(&it.items.iterable),
            Statement::Set(_, target, value) => {
                self.expression(value);
                self.target(target, false);
            }
            Statement::SetBlock(it) => self.target(&it.target, false),
            Statement::With(it) => it.assignments.iter().for_each(|(_, value)| self.expression(value)),
            Statement::Macro(it) => it.name.iter().for_each(|name| self.store(name)),
            Statement::CallBlock(call, _) => self.expression(call),
            Statement::FilterBlock(it) => self.expression(&it.filter),
            Statement::Import(import) => {
                self.expression(&import.template);
                import.name.iter().for_each(|name| self.store(name));
            }
            Statement::FromImport(import, names) => {
                self.expression(&import.template);
                names.iter().for_each(|(_, alias)| self.store(alias));
            }
            Statement::If(branches, otherwise) => self.if_else(branches, otherwise),
        }
    }

    fn if_else(&mut self, branches: &[(Expr, Body)], otherwise: &Body) {
        let Some(((test, first), others)) = branches.split_first() else { return };
        self.expression(test);
        let branch = |fill: &dyn Fn(&mut Symbols)| {
            let mut symbols = self.clone();
            fill(&mut symbols);
            symbols
        };
        let found = vec![
            branch(&|symbols| symbols.body(first)),
            // Each `elif` is an `if` of its own among the others.
            branch(&|symbols| {
                others.iter().for_each(|branch| symbols.if_else(std::slice::from_ref(branch), &Vec::new()));
            }),
            branch(&|symbols| symbols.body(otherwise)),
        ];
        self.join(found);
    }
}

/// Finds the names of every scope of a template; gives those of its outermost one, and whether it uses `self`.
pub fn template(body: &Body, blocks: &[Rc<Block>]) -> (Rc<Symbols>, bool) {
    let uses_self = walk::undeclared(body, &["self"])[0];
    let symbols = Symbols::of(None, |symbols| {
        if uses_self {
            symbols.given(&"self".into());
        }
        symbols.body(body);
    });
    inner(body, &symbols);
    for block in blocks {
        let uses = walk::undeclared(&block.body, &["self", "super"]);
        let symbols = Symbols::of(None, |symbols| {
            for (name, used) in ["self", "super"].into_iter().zip(&uses) {
                if *used {
                    symbols.given(&name.into());
                }
            }
            symbols.body(&block.body);
        });
        inner(&block.body, &symbols);
        // Each is set once: a template is read once.
        let _ = (block.uses.set((uses[0], uses[1])), block.scope.set(symbols));
    }
    (symbols, uses_self)
}

/// Finds the names of the scopes within one.
fn inner(body: &Body, outer: &Rc<Symbols>) {
    for statement in body {
        match statement {
            Statement::If(branches, otherwise) => {
                branches.iter().for_each(|(_, body)| inner(body, outer));
                inner(otherwise, outer);
            }
            Statement::For(it) => for_loop(it, outer),
            Statement::SetBlock(it) => scope(&it.scope, &it.body, outer, |symbols| symbols.body(&it.body)),
            Statement::With(it) => scope(&it.scope, &it.body, outer, |symbols| {
                it.assignments.iter().for_each(|(target, _)| symbols.target(target, true));
                symbols.body(&it.body);
            }),
            Statement::FilterBlock(it) => scope(&it.scope, &it.body, outer, |symbols| {
                symbols.body(&it.body);
                symbols.expression(&it.filter);
            }),
            Statement::Scope(it) => scope(&it.scope, &it.body, outer, |symbols| {
                symbols.expression(&it.value);
                symbols.body(&it.body);
            }),
            Statement::Macro(it) | Statement::CallBlock(_, it) => signature(it, outer),
            _ => {}
        }
    }
}

fn scope(place: &Scoped, body: &Body, outer: &Rc<Symbols>, fill: impl FnOnce(&mut Symbols)) {
    let symbols = Symbols::of(Some(outer), fill);
    inner(body, &symbols);
    let _ = place.set(symbols);
}

fn for_loop(it: &For, outer: &Rc<Symbols>) {
    let extended = it.recursive || walk::undeclared(&it.body.body, &["loop"])[0] || walk::has_scoped_block(it);
    let _ = it.extended.set(extended);
    scope(&it.body.scope, &it.body.body, outer, |symbols| {
        if extended {
            symbols.given(&"loop".into());
        }
        symbols.target(&it.target, true);
        symbols.body(&it.body.body);
    });
    let otherwise = &it.otherwise;
    scope(&otherwise.scope, &otherwise.body, outer, |symbols| symbols.body(&otherwise.body));
    if let Some(test) = &it.items.test {
        scope(&test.scope, &Vec::new(), outer, |symbols| {
            symbols.target(&it.target, true);
            symbols.expression(&test.condition);
        });
    }
}

fn signature(it: &Signature, outer: &Rc<Symbols>) {
    let used = walk::undeclared(&it.body.body, &["caller", "kwargs", "varargs"]);
    let names = |name: &str| it.arguments.iter().any(|argument| &**argument == name);
    let special =
        Special { caller: used[0], kwargs: used[1] && !names("kwargs"), varargs: used[2] && !names("varargs") };
    let _ = it.special.set(special);
    scope(&it.body.scope, &it.body.body, outer, |symbols| {
        it.arguments.iter().for_each(|name| symbols.given(name));
        let given = [("caller", special.caller), ("kwargs", special.kwargs), ("varargs", special.varargs)];
        for (name, _) in given.into_iter().filter(|(name, used)| *used && !names(name)) {
            symbols.given(&name.into());
        }
        it.defaults.iter().for_each(|value| symbols.expression(value));
        symbols.body(&it.body.body);
    });
}

/// Whether a loop's body sets `loop`.
pub fn sets_loop(it: &For) -> bool {
    let mut found = false;
    walk::for_loop(it, &mut |name, how| found |= how == Use::Store && &**name == "loop", true);
    found
}
