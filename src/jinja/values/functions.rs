//! Jinja2's functions: `range`, `dict`, `namespace`, `cycler` and `joiner`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::arguments::Arguments;
use super::object::{Object, Range};
use super::{Dict, Key, Value};
use crate::jinja::error::{Error, refuse};

/// Calls one of Jinja2's functions.
pub fn call(name: &str, positional: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, Error> {
    let unnamed = |named: &[(Rc<str>, Value)]| match named.first() {
        Some(_) => Err(refuse(format!("{name} takes no keyword arguments"))),
        None => Ok(()),
    };
    match name {
        "range" => {
            unnamed(&named)?;
            Ok(Value::object(Object::Range(Range::new(&positional)?)))
        }
        "dict" => dict(&positional, named).map(Value::dict),
        "namespace" => Ok(Value::object(Object::Namespace(RefCell::new(dict(&positional, named)?)))),
        "cycler" => {
            unnamed(&named)?;
            match positional.is_empty() {
                true => Err(refuse("cycler needs at least one argument")),
                false => Ok(Value::object(Object::Cycler(positional, Cell::new(0)))),
            }
        }
        "joiner" => {
            let arguments = Arguments::bind("joiner", &["sep"], &positional, &named)?;
            let separator = arguments.get(0).cloned().unwrap_or_else(|| Value::text(", "));
            Ok(Value::object(Object::Joiner(separator, Cell::new(false))))
        }
        _ => Err(refuse(format!("{name} is not supported: its result is different each time"))),
    }
}

/// Python's `dict(…)`.
pub fn dict(positional: &[Value], named: Vec<(Rc<str>, Value)>) -> Result<Dict, Error> {
    let mut entries = Dict::new();
    match positional {
        [] => {}
        [of] => update(&mut entries, of)?,
        _ => return Err(refuse("dict takes one mapping or list of pairs")),
    }
    entries.extend(named.into_iter().map(|(name, value)| (Key::text(name), value)));
    Ok(entries)
}

/// Adds the entries of a mapping, or of a list of pairs.
pub fn update(entries: &mut Dict, of: &Value) -> Result<(), Error> {
    if let Some(more) = of.entries() {
        entries.extend(more.into_iter().map(|(key, value)| (Key(key), value)));
        return Ok(());
    }
    if of.is_undefined() {
        return Err(of.unfit("dict"));
    }
    for item in of.items()? {
        match &item.items()?[..] {
            [key, value] => entries.insert(Key::of(key)?, value.clone()),
            _ => return Err(refuse("dict needs a list of pairs")),
        };
    }
    Ok(())
}
