//! Python's methods of dictionaries, lists and numbers; `text_methods` has those of text.

use std::cell::RefCell;
use std::rc::Rc;

use super::arguments::Arguments;
use super::error::{Error, refuse};
use super::lists;
use super::lists::sorted;
use super::objects::{Object, Part, View, update};
use super::text_methods;
use super::value::{Dict, Key, LARGEST, Value};

pub type Named = [(Rc<str>, Value)];

/// What Python has as methods of dictionaries, text and lists: without a call, such a name is the method itself and not
/// an entry of the same name.
const OF_DICT: &[&str] =
    &["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
const OF_TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const OF_LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const OF_TUPLE: &[&str] = &["count", "index"];
const OF_INT: &[&str] = &["as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "to_bytes"];
const OF_FLOAT: &[&str] = &["as_integer_ratio", "conjugate", "fromhex", "hex", "is_integer"];
const OF_MARKUP: &[&str] = &["striptags", "unescape"];

/// What a dictionary had in Python 2, and what templates of that time still call.
pub const OF_OLD_DICT: [&str; 4] = ["has_key", "iteritems", "iterkeys", "itervalues"];

/// Whether the type of `value` has a method of that name in Python.
pub fn there_is(value: &Value, name: &str) -> bool {
    match value {
        Value::Text(_) => OF_TEXT.contains(&name),
        Value::Markup(_) => OF_TEXT.contains(&name) || OF_MARKUP.contains(&name),
        Value::Dict(_) => OF_DICT.contains(&name),
        Value::List(_) => OF_LIST.contains(&name),
        Value::Tuple(_) => OF_TUPLE.contains(&name),
        Value::Int(_) | Value::Bool(_) => OF_INT.contains(&name),
        Value::Float(_) => OF_FLOAT.contains(&name),
        Value::Object(object) => match &**object {
            Object::Range(_) => OF_TUPLE.contains(&name),
            Object::Cycler(..) => ["next", "reset"].contains(&name),
            Object::Loop(_) => ["cycle", "changed"].contains(&name),
            _ => false,
        },
        _ => false,
    }
}

/// Calls a method.
///
/// # Errors
/// As Python, and for what cannot be done here.
pub fn call(value: &Value, method: &str, positional: &[Value], named: &Named) -> Result<Value, Error> {
    let unknown = || refuse(format!("the method {method} of {} is not supported", value.type_name()));
    match value {
        Value::Text(text) => text_methods::of_text(text, method, positional, named),
        Value::Markup(text) => text_methods::of_markup(text, method, positional, named),
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
            Object::Loop(it) if named.is_empty() => it.call(method, positional),
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
            return Err(refuse("a dictionary that would hold itself"));
        }
        *entries.borrow_mut() = own;
        return Ok(Value::None);
    }
    let names: &[&str] = match method {
        "get" | "setdefault" | "pop" | "fromkeys" => &["key", "default"],
        "has_key" => &["key"],
        _ => &[],
    };
    // Python's dictionaries take no names.
    if !named.is_empty() {
        return Err(refuse(format!("{method} takes no named arguments")));
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
            None => Err(refuse("pop does not find the key in the dictionary")),
        },
        "popitem" => match entries.borrow_mut().pop() {
            Some((key, found)) => Ok(Value::pair(key.0, found)),
            None => Err(refuse("popitem of an empty dictionary")),
        },
        "setdefault" => {
            let default = arguments.get(1).cloned().unwrap_or(Value::None);
            if default.holds(value) {
                return Err(refuse("a dictionary that would hold itself"));
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
            None => Err(refuse("index does not find the value")),
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
        return Err(refuse(format!("{method} takes other arguments")));
    }
    let arguments = Arguments::bind("the method", names, positional, named)?;
    let more = match method {
        "append" => vec![arguments.required(0)?.clone()],
        "extend" => arguments.required(0)?.items()?,
        "insert" => vec![arguments.required(1)?.clone()],
        _ => Vec::new(),
    };
    if more.iter().any(|item| item.holds(value)) {
        return Err(refuse("a list that would hold itself"));
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
                None => Err(refuse("pop beyond the end of a list")),
            };
        }
        "remove" => {
            let wanted = arguments.required(0)?;
            let at = items.borrow().iter().position(|item| item.equals(wanted));
            match at {
                Some(at) => items.borrow_mut().remove(at),
                None => return Err(refuse("remove does not find the value in the list")),
            };
        }
        "clear" => items.borrow_mut().clear(),
        "reverse" => items.borrow_mut().reverse(),
        "copy" => return Ok(Value::list(items.borrow().clone())),
        "sort" if arguments.some(0).is_none() => {
            let keyed: Vec<lists::Keyed> = items.borrow().iter().map(|item| (item.clone(), item.clone())).collect();
            *items.borrow_mut() = sorted(keyed, arguments.flag(1)?)?;
        }
        _ => return Err(refuse(format!("the method {method} of list is not supported"))),
    }
    Ok(Value::None)
}
