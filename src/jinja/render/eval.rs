//! Evaluates expressions.

use super::context::Scope;
use crate::jinja::error::{Error, refuse};
use crate::jinja::filters;
use crate::jinja::filters::is_test;
use crate::jinja::syntax::ast::*;
use crate::jinja::values::call::call;
use crate::jinja::values::methods::names;
use crate::jinja::values::object::Object;
use crate::jinja::values::operators::signed;
use crate::jinja::values::{Dict, Key, LARGEST, Value, python, subscript};

/// The value of an expression.
pub fn eval(it: &Expr, scope: &Scope) -> Result<Value, Error> {
    scope.engine.within(|| node(it, scope)).map_err(|error| error.at(&scope.template, it.line))
}

pub fn truth(it: &Expr, scope: &Scope) -> Result<bool, Error> {
    eval(it, scope)?.is_true().map_err(|error| error.at(&scope.template, it.line))
}

fn all(items: &[Expr], scope: &Scope) -> Result<Vec<Value>, Error> {
    items.iter().map(|item| eval(item, scope)).collect()
}

fn node(it: &Expr, scope: &Scope) -> Result<Value, Error> {
    Ok(match &it.node {
        Node::Constant(value) => value.clone(),
        Node::Name(name) => scope.frame.find(name)?.unwrap_or_else(|| Value::Undefined(Some(name.clone()))),
        Node::Tuple(items) => Value::tuple(all(items, scope)?),
        Node::List(items) => Value::list(all(items, scope)?),
        Node::Dict(pairs) => {
            let mut entries = Dict::new();
            for (key, value) in pairs {
                let (key, value) = (eval(key, scope)?, eval(value, scope)?);
                entries.insert(Key::of(&key)?, value);
            }
            Value::dict(entries)
        }
        Node::Conditional(test, value, otherwise) => match (truth(test, scope)?, otherwise) {
            (true, _) => eval(value, scope)?,
            (false, Some(otherwise)) => eval(otherwise, scope)?,
            (false, None) => Value::Undefined(None),
        },
        Node::Or(a, b) => {
            let a = eval(a, scope)?;
            if a.is_true()? { a } else { eval(b, scope)? }
        }
        Node::And(a, b) => {
            let a = eval(a, scope)?;
            if a.is_true()? { eval(b, scope)? } else { a }
        }
        Node::Not(value) => Value::Bool(!truth(value, scope)?),
        Node::Compare(first, others) => {
            let mut left = eval(first, scope)?;
            let mut holds = true;
            for (comparison, right) in others {
                let right = eval(right, scope)?;
                holds = comparison.holds(&left, &right)?;
                if !holds {
                    break;
                }
                left = right;
            }
            Value::Bool(holds)
        }
        Node::Binary(operator, a, b) => {
            let (a, b) = (eval(a, scope)?, eval(b, scope)?);
            operator.apply(&a, &b)?
        }
        Node::Concat(parts) => {
            let mut text = String::new();
            for part in all(parts, scope)? {
                text.push_str(&python::str(&part)?);
                if text.len() > LARGEST {
                    return Err(refuse(format!("a text of more than {LARGEST} bytes")));
                }
            }
            Value::text(text)
        }
        Node::Signed(minus, value) => signed(&eval(value, scope)?, *minus)?,
        Node::Attribute(value, name) => subscript::attribute(&eval(value, scope)?, name)?,
        Node::Item(value, key) => {
            let (value, key) = (eval(value, scope)?, eval(key, scope)?);
            subscript::item(&value, &key)?
        }
        Node::Slice(value, parts) => {
            let value = eval(value, scope)?;
            let mut given = [None, None, None];
            for (place, part) in given.iter_mut().zip(parts.iter()) {
                *place = part.as_ref().map(|part| eval(part, scope)).transpose()?;
            }
            subscript::slice(&value, &given)?
        }
        Node::Call(..) => call_with(it, scope, None)?,
        Node::Filter(None, ..) => return Err(refuse("a filter without a value")),
        Node::Filter(Some(value), name, args) => {
            let value = eval(value, scope)?;
            let (positional, named) = arguments(args, scope)?;
            filters::apply(name, &value, &positional, &named)?
        }
        Node::Test(value, name, args) => {
            let value = eval(value, scope)?;
            let (positional, named) = arguments(args, scope)?;
            Value::Bool(is_test::apply(name, &value, &positional, &named)?)
        }
    })
}

/// The filters of a block, the innermost of which is given the block's text.
pub fn filter_of_block(it: &Expr, scope: &Scope, text: Value) -> Result<Value, Error> {
    let Node::Filter(inner, name, args) = &it.node else { return Ok(text) };
    let value = match inner {
        Some(inner) => filter_of_block(inner, scope, text)?,
        None => text,
    };
    let (positional, named) = arguments(args, scope)?;
    filters::apply(name, &value, &positional, &named).map_err(|error| error.at(&scope.template, it.line))
}

/// Positional and keyword arguments.
type Given = (Vec<Value>, Vec<(Name, Value)>);

fn arguments(args: &Args, scope: &Scope) -> Result<Given, Error> {
    let mut positional = all(&args.positional, scope)?;
    let mut named = Vec::new();
    for (name, value) in &args.named {
        named.push((name.clone(), eval(value, scope)?));
    }
    if let Some(rest) = &args.rest {
        positional.extend(eval(rest, scope)?.items()?);
    }
    if let Some(more) = &args.more_named {
        let more = eval(more, scope)?;
        for (name, value) in more.entries().ok_or_else(|| more.unfit("** in a call"))? {
            let Some(name) = name.as_str() else { return Err(refuse("the name of an argument is not text")) };
            if named.iter().any(|(known, _): &(Name, Value)| &**known == name) {
                return Err(refuse("an argument is given twice"));
            }
            named.push((name.into(), value));
        }
    }
    Ok((positional, named))
}

/// A call, perhaps from a `call` block, whose body is its `caller`.
pub fn call_with(it: &Expr, scope: &Scope, caller: Option<Value>) -> Result<Value, Error> {
    let Node::Call(callee, args) = &it.node else { return Err(refuse("this cannot be called")) };
    let callee = match &callee.node {
        // A dictionary also has the methods of Python 2.
        Node::Attribute(of, name) if names::OF_OLD_DICT.contains(&&**name) => {
            let of = eval(of, scope)?;
            match subscript::attribute(&of, name)? {
                Value::Undefined(_) if matches!(of, Value::Dict(_)) => Value::object(Object::Method(of, name.clone())),
                found => found,
            }
        }
        _ => eval(callee, scope)?,
    };
    let (positional, mut named) = arguments(args, scope)?;
    named.extend(caller.map(|caller| ("caller".into(), caller)));
    call(&callee, positional, named).map_err(|error| error.at(&scope.template, it.line))
}
