//! Works expressions out.

use super::ast::*;
use super::context::{BlockReference, Scope};
use super::error::{Error, refuse, undefined};
use super::macros::Macro;
use super::objects::{Object, call_function};
use super::operators;
use super::operators::{contains, order, signed};
use super::value::{Dict, Key, LARGEST, Value};
use super::{filters, methods, python, render, subscript, tests};
use std::cmp::Ordering;
use std::rc::Rc;

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
                holds = compare(*comparison, &left, &right)?;
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
            Value::Bool(tests::apply(name, &value, &positional, &named)?)
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

fn compare(comparison: Comparison, a: &Value, b: &Value) -> Result<bool, Error> {
    let ordered = |wanted: fn(Ordering) -> bool| Ok(order(a, b)?.is_some_and(wanted));
    match comparison {
        Comparison::Equal => Ok(a.equals(b)),
        Comparison::NotEqual => Ok(!a.equals(b)),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::LessOrEqual => ordered(Ordering::is_le),
        Comparison::Greater => ordered(Ordering::is_gt),
        Comparison::GreaterOrEqual => ordered(Ordering::is_ge),
        Comparison::In => contains(b, a),
        Comparison::NotIn => contains(b, a).map(|there| !there),
    }
}

/// What a call is given, by place and by name.
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
        for (name, value) in more.entries().ok_or_else(|| more.unfit("** of a call"))? {
            let Some(name) = name.as_str() else { return Err(refuse("the name of an argument is no text")) };
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
    let Node::Call(callee, args) = &it.node else { return Err(refuse("a call of nothing")) };
    let callee = match &callee.node {
        // A dictionary still has the methods that Python 2 gave it.
        Node::Attribute(of, name) if methods::OF_OLD_DICT.contains(&&**name) => {
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

fn call(callee: &Value, positional: Vec<Value>, named: Vec<(Name, Value)>) -> Result<Value, Error> {
    let object = match callee {
        Value::Object(object) => object,
        Value::Undefined(name) => return Err(undefined(name.as_ref())),
        _ => return Err(refuse(format!("{} cannot be called", callee.type_name()))),
    };
    let nothing = |given: bool, what: &str| match given {
        true => Err(refuse(format!("{what} takes no arguments of this kind"))),
        false => Ok(()),
    };
    match &**object {
        Object::Function(name) => call_function(name, positional, named),
        Object::Macro(it) => Macro::call(it, positional, named),
        Object::Method(of, name) => methods::call(of, name, &positional, &named),
        Object::Joiner(separator, used) => {
            nothing(!positional.is_empty() || !named.is_empty(), "a joiner")?;
            Ok(if used.replace(true) { separator.clone() } else { Value::text("") })
        }
        Object::Block(block) => {
            nothing(!positional.is_empty() || !named.is_empty(), "a block")?;
            block_text(block)
        }
        Object::Loop(it) => {
            let (Some((node, scope)), [iterable], []) = (&it.recursion, &positional[..], &named[..]) else {
                return Err(refuse("loop can be called with one value, when the loop is recursive"));
            };
            let mut text = String::new();
            scope.engine.deeper(|| render::for_loop(node, scope, iterable.clone(), it.depth() + 1, &mut text))?;
            Ok(Value::text(text))
        }
        other => Err(refuse(format!("{} cannot be called", other.type_name()))),
    }
}

fn block_text(block: &BlockReference) -> Result<Value, Error> {
    let mut text = String::new();
    render::block(block, &mut text)?;
    Ok(Value::text(text))
}

/// Whether two values are one and the same to Python, where that can be told.
pub fn same(a: &Value, b: &Value) -> Result<bool, Error> {
    match (a, b) {
        (Value::List(a), Value::List(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::Dict(a), Value::Dict(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::Object(a), Value::Object(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::None, Value::None) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        // Python keeps one of each small number.
        (Value::Int(a), Value::Int(b)) if a != b || (-5..=256).contains(a) => Ok(a == b),
        _ if a.type_name() != b.type_name() || !a.equals(b) => Ok(false),
        _ => Err(refuse("sameas of values that Python may keep twice: write `==`")),
    }
}

/// Whether an order holds, for the tests that are named after operators.
pub fn holds(comparison: Comparison, a: &Value, b: &Value) -> Result<bool, Error> {
    compare(comparison, a, b)
}

/// `value % divisor == wanted`.
pub fn remainder(value: &Value, divisor: &Value, wanted: i128) -> Result<bool, Error> {
    Ok(operators::Operator::Modulo.apply(value, divisor)?.equals(&Value::Int(wanted)))
}
