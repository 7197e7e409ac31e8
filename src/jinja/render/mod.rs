//! Renders templates.
//!
//! Statements contain macros and blocks, which contain statements: all of them call [`statements`].

mod blocks;
pub mod context;
mod eval;
pub mod load;
mod loops;
mod macros;
mod output;

use std::rc::Rc;

use super::error::{Error, refuse};
use super::syntax::ast::*;
use super::syntax::symbols::Symbols;
use super::values::object::{Module, Object};
use super::values::{Dict, Key, Value, python};
use blocks::{BlockReference, own_blocks};
use context::{Context, Engine, Frame, Scope, Variables};
use eval::eval;
use loops::{Loop, Recursion};
use macros::Macro;
use output::{printed, write};

/// Renders a whole template, with those that it extends.
pub fn template(engine: &Rc<Engine>, it: &Rc<Template>, context: &Rc<Context>, out: &mut String) -> Result<(), Error> {
    engine.deeper(|| {
        let frame = Frame::new(&it.scope, None);
        if it.uses_self {
            frame.set(&"self".into(), own_blocks(engine, context));
        }
        frame.enter(context);
        let scope = Scope { toplevel: true, checked: it.extends, ..Scope::new(engine, context, frame, &it.name) };
        statements(&it.body, &scope, out)?;
        let extended = scope.extended.borrow().clone();
        extended.map_or(Ok(()), |parent| template(engine, &parent, context, out))
    })
}

fn symbols(scope: &Scoped) -> Result<&Rc<Symbols>, Error> {
    scope.get().ok_or_else(|| refuse("a scope that was not read"))
}

/// A scope within this one, with its initial values.
fn entered(within: &Scoped, scope: &Scope) -> Result<Scope, Error> {
    let frame = Frame::new(symbols(within)?, Some(&scope.frame));
    frame.enter(&scope.context);
    Ok(scope.inner(frame))
}

/// Renders statements, and appends their output.
fn statements(body: &Body, scope: &Scope, out: &mut String) -> Result<(), Error> {
    body.iter().try_for_each(|it| scope.engine.within(|| statement(it, scope, out)))
}

/// Whether output of this scope is dropped, because another template is extended.
fn silent(scope: &Scope) -> bool {
    scope.checked && scope.extended.borrow().is_some()
}

fn statement(it: &Statement, scope: &Scope, out: &mut String) -> Result<(), Error> {
    match it {
        Statement::Data(_) | Statement::Output(_) if silent(scope) => Ok(()),
        Statement::Data(text) => write(out, text),
        Statement::Output(value) => {
            let text = eval(value, scope).and_then(|it| {
                scope.engine.note_undefined(&it, &scope.template, value.line);
                printed(&it, scope.engine.format)
            });
            write(out, &text.map_err(|error| error.at(&scope.template, value.line))?)
        }
        Statement::For(it) => {
            let iterable = eval(&it.items.iterable, scope)?;
            for_loop(it, scope, iterable, 0, out).map_err(|error| error.at(&scope.template, it.line))
        }
        Statement::If(branches, otherwise) => {
            for (test, taken) in branches {
                if eval::truth(test, scope)? {
                    return statements(taken, scope, out);
                }
            }
            statements(otherwise, scope, out)
        }
        Statement::Set(line, target, value) => {
            let at = |error: Error| error.at(&scope.template, *line);
            check_namespaces(target, scope).map_err(at)?;
            let value = eval(value, scope)?;
            assign(target, value, scope).map_err(at)?;
            export(target, scope);
            Ok(())
        }
        Statement::SetBlock(it) => {
            let inner = scope.captured(entered(&it.scope, scope)?.frame);
            let text = captured(&it.body, &inner)?;
            let value = match &it.filter {
                Some(filter) => eval::filter_of_block(filter, &inner, text)?,
                None => text,
            };
            assign(&it.target, value, scope).map_err(|error| error.at(&scope.template, it.line))?;
            export(&it.target, scope);
            Ok(())
        }
        Statement::With(it) => {
            let inner = entered(&it.scope, scope)?;
            for (target, value) in &it.assignments {
                let value = eval(value, scope)?;
                assign(target, value, &inner).map_err(|error| error.at(&scope.template, it.line))?;
            }
            statements(&it.body, &inner, out)
        }
        Statement::Macro(it) => {
            let value =
                Value::object(Object::OfTemplate(Rc::new(Macro { signature: it.clone(), scope: scope.clone() })));
            let Some(name) = &it.name else { return Ok(()) };
            scope.frame.set(name, value.clone());
            if scope.toplevel {
                scope.context.vars.borrow_mut().insert(name.clone(), value);
                if !name.starts_with('_') {
                    scope.context.exported.borrow_mut().insert(name.clone());
                }
            }
            Ok(())
        }
        Statement::CallBlock(call, it) => {
            let caller =
                Value::object(Object::OfTemplate(Rc::new(Macro { signature: it.clone(), scope: scope.clone() })));
            let text = eval::call_with(call, scope, Some(caller)).and_then(|it| printed(&it, scope.engine.format));
            write(out, &text.map_err(|error| error.at(&scope.template, it.line))?)
        }
        Statement::FilterBlock(it) => {
            let inner = entered(&it.scope, scope)?;
            let text = captured(&it.body, &inner)?;
            let value = eval::filter_of_block(&it.filter, &inner, text)?;
            write(out, &printed(&value, scope.engine.format)?)
        }
        Statement::Block(it) => block_in_place(it, scope, out),
        Statement::Extends(name) => {
            let at = |error: Error| error.at(&scope.template, name.line);
            if !scope.toplevel {
                return Err(at(refuse("extends inside a loop, a block or a macro")));
            }
            if scope.extended.borrow().is_some() {
                return Err(at(refuse("extends is used twice")));
            }
            let parent = load::named(&scope.engine, &eval(name, scope)?).map_err(at)?;
            for block in &parent.blocks {
                scope.context.blocks.borrow_mut().entry(block.name.clone()).or_default().push(block.clone());
            }
            scope.extended.replace(Some(parent));
            Ok(())
        }
        Statement::Include(it) => include(it, scope, out),
        Statement::Import(it) => {
            let module = module(it, scope)?;
            if let Some(name) = &it.name {
                import(scope, name, module);
            }
            Ok(())
        }
        Statement::FromImport(it, names) => {
            let module = module(it, scope)?;
            let Value::Object(object) = &module else { return Err(refuse("what is imported is not a template")) };
            for (name, alias) in names {
                let value = object.attribute(name)?.unwrap_or_else(|| Value::Undefined(Some(name.clone())));
                import(scope, alias, value);
            }
            Ok(())
        }
        Statement::Scope(it) => {
            let inner = entered(&it.scope, scope)?;
            if eval::truth(&it.value, &inner)? {
                let why = "autoescape is not supported: write `|escape`";
                return Err(refuse(why).at(&scope.template, it.value.line));
            }
            statements(&it.body, &inner, out)
        }
    }
}

/// The output of statements as a value.
fn captured(body: &Body, scope: &Scope) -> Result<Value, Error> {
    let mut text = String::new();
    statements(body, scope, &mut text)?;
    Ok(Value::text(text))
}

fn assign(target: &Target, value: Value, scope: &Scope) -> Result<(), Error> {
    match target {
        Target::Name(name) => scope.frame.set(name, value),
        Target::Tuple(targets) => {
            if value.is_undefined() && !targets.is_empty() {
                return Err(value.unfit("a list of names"));
            }
            let items = value.items()?;
            if items.len() != targets.len() {
                return Err(refuse(format!("{} values for {} names", items.len(), targets.len())));
            }
            targets.iter().zip(items).try_for_each(|(target, item)| assign(target, item, scope))?;
        }
        Target::Attribute(name, attribute) => {
            if let Some(Value::Object(object)) = scope.frame.find(name)?
                && let Object::Namespace(entries) = &*object
            {
                entries.borrow_mut().insert(Key::text(attribute), value);
            }
        }
    }
    Ok(())
}

/// Attributes can only be set on namespaces.
fn check_namespaces(target: &Target, scope: &Scope) -> Result<(), Error> {
    match target {
        Target::Name(_) => Ok(()),
        Target::Tuple(targets) => targets.iter().try_for_each(|target| check_namespaces(target, scope)),
        Target::Attribute(name, _) => match scope.frame.find(name)? {
            Some(Value::Object(object)) if matches!(&*object, Object::Namespace(_)) => Ok(()),
            _ => Err(refuse(format!("{name} is not a namespace: only attributes of a namespace can be set"))),
        },
    }
}

/// Variables of a template's outermost scope are visible in its blocks and to templates that import it.
fn export(target: &Target, scope: &Scope) {
    if !scope.toplevel {
        return;
    }
    match target {
        Target::Name(name) => {
            let value = scope.frame.find(name).ok().flatten().unwrap_or(Value::Undefined(None));
            scope.context.vars.borrow_mut().insert(name.clone(), value);
            if !name.starts_with('_') {
                scope.context.exported.borrow_mut().insert(name.clone());
            }
        }
        Target::Tuple(targets) => targets.iter().for_each(|target| export(target, scope)),
        Target::Attribute(..) => {}
    }
}

/// An imported name is visible in blocks, and is not exported.
fn import(scope: &Scope, name: &Name, value: Value) {
    scope.frame.set(name, value.clone());
    if scope.toplevel {
        scope.context.vars.borrow_mut().insert(name.clone(), value);
        if !name.starts_with('_') {
            scope.context.exported.borrow_mut().remove(name);
        }
    }
}

/// Renders a loop, and appends its output.
fn for_loop(it: &Rc<For>, scope: &Scope, iterable: Value, depth: usize, out: &mut String) -> Result<(), Error> {
    let iterable = match &it.items.test {
        Some(_) => filtered(it.clone(), scope.clone(), iterable),
        None => iterable,
    };
    let mut any = false;
    let symbols = symbols(&it.body.scope)?;
    let round = |item: Value, around: Option<&Value>, out: &mut String| {
        scope.engine.step()?;
        let frame = Frame::new(symbols, Some(&scope.frame));
        if let Some(around) = around {
            frame.set(&"loop".into(), around.clone());
        }
        let inner = scope.inner(frame);
        assign(&it.target, item, &inner)?;
        inner.frame.enter(&scope.context);
        statements(&it.body.body, &inner, out)
    };
    if it.extended.get() == Some(&true) {
        let recursion = it.recursive.then(|| recursion(it, scope));
        let state = Rc::new(Loop::new(iterable, depth, recursion)?);
        let around = Value::object(Object::OfTemplate(state.clone()));
        while let Some(item) = state.advance()? {
            any = true;
            round(item, Some(&around), out)?;
        }
    } else {
        let mut source = iterable.source()?;
        while let Some(item) = source()? {
            any = true;
            round(item, None, out)?;
        }
    }
    if any || it.otherwise.body.is_empty() {
        return Ok(());
    }
    statements(&it.otherwise.body, &entered(&it.otherwise.scope, scope)?, out)
}

/// The call of a recursive loop.
fn recursion(it: &Rc<For>, scope: &Scope) -> Recursion {
    let (it, scope) = (it.clone(), scope.clone());
    Box::new(move |iterable, depth| {
        let mut text = String::new();
        scope.engine.deeper(|| for_loop(&it, &scope, iterable.clone(), depth, &mut text))?;
        Ok(Value::text(text))
    })
}

/// The items that pass a loop's `if`, evaluated lazily.
fn filtered(it: Rc<For>, scope: Scope, iterable: Value) -> Value {
    let mut started = None;
    Value::generator(Box::new(move || {
        let Some(test) = &it.items.test else { return Ok(None) };
        if started.is_none() {
            started = Some((entered(&test.scope, &scope)?, iterable.source()?));
        }
        let Some((inner, source)) = &mut started else { return Ok(None) };
        while let Some(item) = source()? {
            scope.engine.step()?;
            assign(&it.target, item, inner)?;
            if eval::truth(&test.condition, inner)? {
                return value_of(&it.target, inner).map(Some);
            }
        }
        Ok(None)
    }))
}

/// The value of a target's names.
fn value_of(target: &Target, scope: &Scope) -> Result<Value, Error> {
    match target {
        Target::Name(name) => Ok(scope.frame.find(name)?.unwrap_or(Value::Undefined(None))),
        Target::Tuple(targets) => {
            Ok(Value::tuple(targets.iter().map(|target| value_of(target, scope)).collect::<Result<_, _>>()?))
        }
        Target::Attribute(..) => Ok(Value::None),
    }
}

fn block_in_place(it: &Rc<Block>, scope: &Scope, out: &mut String) -> Result<(), Error> {
    if scope.toplevel && scope.extended.borrow().is_some() {
        return Ok(());
    }
    let context = if it.scoped { scope.context.derived(&scope.frame) } else { scope.context.clone() };
    let stack = context.blocks.borrow().get(&it.name).cloned().unwrap_or_default();
    if it.required && scope.context.blocks.borrow().get(&it.name).is_none_or(|stack| stack.len() <= 1) {
        return Err(refuse(format!("the required block {} is not defined", it.name)).at(&scope.template, it.line));
    }
    let reference = BlockReference { engine: scope.engine.clone(), name: it.name.clone(), context, stack, depth: 0 };
    reference.write(out)
}

fn include(it: &Include, scope: &Scope, out: &mut String) -> Result<(), Error> {
    let at = |error: Error| error.at(&scope.template, it.template.line);
    let found = match load::any_of(&scope.engine, &eval(&it.template, scope)?) {
        Err(error) if error.not_found && it.ignore_missing => return Ok(()),
        found => found.map_err(at)?,
    };
    if !it.with_context {
        let module = default_module(&scope.engine, &found)?;
        return write(out, &python::str(&module)?);
    }
    let context = Context::new(&scope.engine, &found, scope.context.all(&scope.frame));
    template(&scope.engine, &found, &context, out).map_err(at)
}

fn module(it: &Import, scope: &Scope) -> Result<Value, Error> {
    let at = |error: Error| error.at(&scope.template, it.template.line);
    let found = load::named(&scope.engine, &eval(&it.template, scope)?).map_err(at)?;
    match it.with_context {
        true => made_module(&scope.engine, &found, scope.context.all(&scope.frame)),
        false => default_module(&scope.engine, &found),
    }
    .map_err(at)
}

/// The module of a template that is imported without context: one for all importers.
fn default_module(engine: &Rc<Engine>, it: &Rc<Template>) -> Result<Value, Error> {
    if let Some(module) = it.module.get() {
        return Ok(module.clone());
    }
    let module = made_module(engine, it, load::globals())?;
    Ok(it.module.get_or_init(|| module).clone())
}

fn made_module(engine: &Rc<Engine>, it: &Rc<Template>, variables: Variables) -> Result<Value, Error> {
    let context = Context::new(engine, it, variables);
    let mut text = String::new();
    template(engine, it, &context, &mut text)?;
    let vars = context.vars.borrow();
    let exported = context.exported.borrow();
    let exported: Dict = exported.iter().filter_map(|name| Some((Key::text(name), vars.get(name)?.clone()))).collect();
    Ok(Value::object(Object::Module(Module { name: it.name.clone(), exported, body: text })))
}
