//! Python's methods of dictionaries, lists and numbers; `text` has those of text.

pub mod names;
mod text;

use std::cell::RefCell;
use std::rc::Rc;

use super::arguments::{Arguments, Named};
use super::comparison::{Keyed, sorted};
use super::functions::update;
use super::object::{Object, Part, View};
use super::{Dict, Key, LARGEST, Value};
use crate::jinja::error::{Error, refuse};

/// Calls a method.
///
/// # Errors
/// As Python, and for what cannot be done here.
pub fn call(value: &Value, method: &str, positional: &[Value], named: &Named) -> Result<Value, Error> {
    let unknown = || refuse(format!("the method {method} of {} is not supported", value.type_name()));
    match value {
        Value::Text(text) => text::of_text(text, method, positional, named),
        Value::Markup(text) => text::of_markup(text, method, positional, named),
        Value::Dict(entries) => of_dict(entries, value, method, positional, named),
        Value::List(items) => of_list(items, value, method, positional, named),
        Value::Tuple(tuple) => counted(&tuple.items, method, positional, named),
        Value::Object(object) => match &**object {
            Object::Range(_) => counted(&value.items()?, method, positional, named),
            Object::Cycler(items, at) => {
                Arguments::bind("the method", &[], positional, named)?;
                if method == "reset" {
                    at.set(0);
                    return Ok(Value::None);
                }
                let item = items[at.get()].clone();
                at.set((at.get() + 1) % items.len());
                Ok(item)
            }
            Object::OfTemplate(it) if named.is_empty() => it.call_method(method, positional),
            _ => Err(unknown()),
        },
        _ => {
            Arguments::bind("the method", &[], positional, named)?;
            match (method, value) {
                ("is_integer", Value::Float(number)) => Ok(Value::Bool(number.fract() == 0.0)),
                ("conjugate", Value::Bool(_)) => Ok(Value::Int(value.whole()?)),
                ("conjugate", _) => Ok(value.clone()),
                ("bit_length", _) => Ok(Value::Int(i128::from(128 - value.whole()?.unsigned_abs().leading_zeros()))),
                ("bit_count", _) => Ok(Value::Int(i128::from(value.whole()?.unsigned_abs().count_ones()))),
                _ => Err(unknown()),
            }
        }
    }
}

fn of_dict(
    entries: &Rc<RefCell<Dict>>,
    value: &Value,
    method: &str,
    positional: &[Value],
    named: &Named,
) -> Result<Value, Error> {
    if method == "update" {
        let mut own = entries.borrow().clone();
        match positional {
            [] => {}
            [of] => update(&mut own, of)?,
            _ => return Err(refuse("update takes one mapping or list of pairs")),
        }
        own.extend(named.iter().map(|(name, value)| (Key::text(name), value.clone())));
        if own.values().any(|item| item.holds(value)) {
            return Err(refuse("a dictionary that would contain itself"));
        }
        *entries.borrow_mut() = own;
        return Ok(Value::None);
    }
    let names: &[&str] = match method {
        "get" | "setdefault" | "pop" | "fromkeys" => &["key", "default"],
        "has_key" => &["key"],
        _ => &[],
    };
    // The methods of Python's dictionaries take no keyword arguments.
    if !named.is_empty() {
        return Err(refuse(format!("{method} takes no keyword arguments")));
    }
    let arguments = Arguments::bind("the method", names, positional, named)?;
    let key = || Key::of(arguments.required(0)?);
    let view = |part: Part| Ok(Value::object(Object::View(View { of: entries.clone(), part })));
    match method {
        "get" => {
            let found = entries.borrow().get(&key()?).cloned();
            Ok(found.or_else(|| arguments.get(1).cloned()).unwrap_or(Value::None))
        }
        "keys" | "iterkeys" => view(Part::Keys),
        "values" | "itervalues" => view(Part::Values),
        "items" | "iteritems" => view(Part::Items),
        "has_key" => Ok(Value::Bool(entries.borrow().contains_key(&key()?))),
        "copy" => Ok(Value::dict(entries.borrow().clone())),
        "clear" => {
            entries.borrow_mut().clear();
            Ok(Value::None)
        }
        "pop" => match entries.borrow_mut().shift_remove(&key()?).or_else(|| arguments.get(1).cloned()) {
            Some(found) => Ok(found),
            None => Err(refuse("pop: the dictionary does not have this key")),
        },
        "popitem" => match entries.borrow_mut().pop() {
            Some((key, found)) => Ok(Value::pair(key.0, found)),
            None => Err(refuse("popitem of an empty dictionary")),
        },
        "setdefault" => {
            let default = arguments.get(1).cloned().unwrap_or(Value::None);
            if default.holds(value) {
                return Err(refuse("a dictionary that would contain itself"));
            }
            Ok(entries.borrow_mut().entry(key()?).or_insert(default).clone())
        }
        _ => Err(refuse(format!("the method {method} of dict is not supported"))),
    }
}

/// `count` and `index`.
fn counted(items: &[Value], method: &str, positional: &[Value], named: &Named) -> Result<Value, Error> {
    let arguments = Arguments::bind("the method", &["value"], positional, named)?;
    let wanted = arguments.required(0)?;
    match method {
        "count" => Ok(Value::size(items.iter().filter(|item| item.equals(wanted)).count())),
        _ => match items.iter().position(|item| item.equals(wanted)) {
            Some(at) => Ok(Value::size(at)),
            None => Err(refuse("index: the list does not contain this value")),
        },
    }
}

fn of_list(
    items: &Rc<RefCell<Vec<Value>>>,
    value: &Value,
    method: &str,
    positional: &[Value],
    named: &Named,
) -> Result<Value, Error> {
    let names: &[&str] = match method {
        "append" | "extend" | "remove" => &["value"],
        "insert" => &["index", "value"],
        "pop" => &["index"],
        "sort" => &["key", "reverse"],
        "count" | "index" => return counted(&items.borrow(), method, positional, named),
        _ => &[],
    };
    if method == "sort" && !positional.is_empty() || method != "sort" && !named.is_empty() {
        return Err(refuse(format!("{method} does not take these arguments")));
    }
    let arguments = Arguments::bind("the method", names, positional, named)?;
    let more = match method {
        "append" => vec![arguments.required(0)?.clone()],
        "extend" => arguments.required(0)?.items()?,
        "insert" => vec![arguments.required(1)?.clone()],
        _ => Vec::new(),
    };
    if more.iter().any(|item| item.holds(value)) {
        return Err(refuse("a list that would contain itself"));
    }
    if items.borrow().len() + more.len() > LARGEST {
        return Err(refuse(format!("a list of more than {LARGEST} items")));
    }
    let length = items.borrow().len() as i64;
    match method {
        "append" | "extend" => items.borrow_mut().extend(more),
        "insert" => {
            let at = arguments.number(0, 0)?;
            let at = if at < 0 { (at + length).max(0) } else { at.min(length) };
            items.borrow_mut().splice(at as usize..at as usize, more);
        }
        "pop" => {
            let at = arguments.number(0, -1)?;
            let at = usize::try_from(if at < 0 { at + length } else { at }).ok();
            return match at.filter(|at| *at < items.borrow().len()) {
                Some(at) => Ok(items.borrow_mut().remove(at)),
                None => Err(refuse("pop: the index is out of range")),
            };
        }
        "remove" => {
            let wanted = arguments.required(0)?;
            let at = items.borrow().iter().position(|item| item.equals(wanted));
            match at {
                Some(at) => items.borrow_mut().remove(at),
                None => return Err(refuse("remove: the list does not contain this value")),
            };
        }
        "clear" => items.borrow_mut().clear(),
        "reverse" => items.borrow_mut().reverse(),
        "copy" => return Ok(Value::list(items.borrow().clone())),
        "sort" if arguments.some(0).is_none() => {
            let keyed: Vec<Keyed> = items.borrow().iter().map(|item| (item.clone(), item.clone())).collect();
            *items.borrow_mut() = sorted(keyed, arguments.flag(1)?)?;
        }
        _ => return Err(refuse(format!("the method {method} of list is not supported"))),
    }
    Ok(Value::None)
}
