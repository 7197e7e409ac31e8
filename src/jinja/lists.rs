//! Jinja2's filters of lists and dictionaries.

use std::cmp::Ordering;

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, split};
use super::objects::{Generator, Group, pair, pairs};
use super::python::{compare, refuse, str, type_of};

/// What a loop would go through: nothing for an undefined value, and no loop over `None`.
pub fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::None => Err(refuse("None has no items to go through")),
        _ => {
            let items: Vec<Value> = value.try_iter()?.collect();
            Ok(items)
        }
    }
}

/// A part of an item by its path: `tags.0`, or a whole number.
fn at_path(item: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else { return item.get_item(path) };
    let mut found = item.clone();
    for part in path.split('.') {
        found = match part.parse::<i64>() {
            Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => found.get_item(&Value::from(index))?,
            _ => found.get_item(&Value::from(part))?,
        };
    }
    Ok(found)
}

/// What to order and to group by: letter case does not count unless it is asked for.
fn fold(value: Value, case_sensitive: bool) -> Value {
    match value.as_str() {
        Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => value,
    }
}

/// Puts `keyed` in order by its keys; equal ones stay as they are.
fn ordered<T>(mut keyed: Vec<(Vec<Value>, T)>, reverse: bool) -> Result<Vec<T>, Error> {
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let mut order = Ordering::Equal;
        for (a, b) in a.iter().zip(b) {
            // Several keys are compared as a tuple: its order is that of the first that differ.
            order = if a == b {
                Ordering::Equal
            } else {
                compare(a, b).unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    Ordering::Equal
                })
            };
            if order != Ordering::Equal {
                break;
            }
        }
        if reverse { order.reverse() } else { order }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(keyed.into_iter().map(|(_, value)| value).collect()),
    }
}

pub fn sort(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let case = arguments.truth(1, false);
    let paths: Vec<Value> = match arguments.get(2).filter(|path| !path.is_none()) {
        Some(path) => match path.as_str() {
            Some(paths) => paths.split(',').map(Value::from).collect(),
            None => vec![path.clone()],
        },
        None => Vec::new(),
    };
    let key = |item: &Value| -> Result<Vec<Value>, Error> {
        match paths.is_empty() {
            true => Ok(vec![fold(item.clone(), case)]),
            false => paths.iter().map(|path| at_path(item, path).map(|part| fold(part, case))).collect(),
        }
    };
    let keyed = items(value)?.into_iter().map(|item| Ok((key(&item)?, item))).collect::<Result<Vec<_>, Error>>()?;
    // Python asks for no order where there is only one.
    Ok(Value::from(ordered(keyed, arguments.truth(0, false))?))
}

pub fn dictsort(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if value.kind() != ValueKind::Map {
        return Err(refuse(format!("dictsort wants a mapping, not {}", type_of(value))));
    }
    let by_value = match arguments.text(1)? {
        None | Some("key") => false,
        Some("value") => true,
        Some(_) => return Err(refuse("dictsort goes by key or by value")),
    };
    let case = arguments.truth(0, false);
    let keyed = pairs(value)?.into_iter().map(|(key, value)| {
        let by = if by_value { value.clone() } else { key.clone() };
        (vec![fold(by, case)], pair(key, value))
    });
    Ok(Value::from(ordered(keyed.collect(), arguments.truth(2, false))?))
}

fn extreme(value: &Value, arguments: &Arguments, wanted: Ordering) -> Result<Value, Error> {
    let mut best: Option<(Value, Value)> = None;
    for item in items(value)? {
        let part = match arguments.get(1).filter(|path| !path.is_none()) {
            Some(path) => at_path(&item, path)?,
            None => item.clone(),
        };
        let key = fold(part, arguments.truth(0, false));
        let better = match &best {
            Some((known, _)) => compare(&key, known)? == wanted,
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map(|(_, item)| item).unwrap_or_default())
}

pub fn min(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    extreme(value, arguments, Ordering::Less)
}

pub fn max(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    extreme(value, arguments, Ordering::Greater)
}

pub fn unique(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (mut seen, mut kept): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for item in items(value)? {
        let part = match arguments.get(1).filter(|path| !path.is_none()) {
            Some(path) => at_path(&item, path)?,
            None => item.clone(),
        };
        if matches!(part.kind(), ValueKind::Map) || part.kind() == ValueKind::Seq && !part.is_tuple() {
            return Err(refuse(format!(
                "unique of {}: only values that cannot change can be told apart",
                type_of(&part)
            )));
        }
        let key = fold(part, arguments.truth(0, false));
        if !seen.contains(&key) {
            seen.push(key);
            kept.push(item);
        }
    }
    Ok(Generator::value(kept))
}

pub fn groupby(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let path = arguments.required(0)?;
    let case = arguments.truth(2, false);
    let mut keyed = Vec::new();
    for item in items(value)? {
        let mut part = at_path(&item, path)?;
        if let Some(default) = arguments.get(1).filter(|_| part.is_undefined()) {
            part = default.clone();
        }
        keyed.push((vec![fold(part.clone(), case)], (part, item)));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (part, item) in ordered(keyed, false)? {
        let key = fold(part.clone(), case);
        match groups.last_mut().filter(|(known, _, _)| *known == key) {
            Some((_, _, list)) => list.push(item),
            None => groups.push((key, part, vec![item])),
        }
    }
    let group = |(_, grouper, list)| Value::from_object(Group { grouper, list: Value::from(list) });
    Ok(Value::from(groups.into_iter().map(group).collect::<Vec<_>>()))
}

pub fn batch(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let size = arguments.size(0, 0)?;
    if size == 0 {
        return Err(refuse("batch wants a size of at least 1"));
    }
    let mut batches: Vec<Vec<Value>> = items(value)?.chunks(size).map(<[Value]>::to_vec).collect();
    if let (Some(last), Some(fill)) = (batches.last_mut(), arguments.get(1).filter(|fill| !fill.is_none())) {
        last.resize(size, fill.clone());
    }
    Ok(Generator::value(batches.into_iter().map(Value::from).collect()))
}

pub fn slice(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (items, count) = (items(value)?, arguments.size(0, 0)?);
    if count == 0 {
        return Err(refuse("slice wants a number of at least 1"));
    }
    let (each, more) = (items.len() / count, items.len() % count);
    let mut rest = items.into_iter();
    let slice = |index: usize| {
        let mut slice: Vec<Value> = rest.by_ref().take(each + usize::from(index < more)).collect();
        if let Some(fill) = arguments.get(1).filter(|fill| !fill.is_none() && index >= more) {
            slice.push(fill.clone());
        }
        Value::from(slice)
    };
    Ok(Generator::value((0..count).map(slice).collect()))
}

pub fn join(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let separator = arguments.get(0).map(str).transpose()?.unwrap_or_default();
    let mut parts = Vec::new();
    for item in items(value)? {
        parts.push(match arguments.get(1).filter(|path| !path.is_none()) {
            Some(path) => str(&at_path(&item, path)?)?,
            None => str(&item)?,
        });
    }
    Ok(Value::from(parts.join(&separator)))
}

pub fn list(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(items(value)?))
}

pub fn length(_: &mut State, value: &Value, _: &Arguments) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(0)),
        _ if value.downcast_object_ref::<Generator>().is_some() => {
            Err(refuse("a generator has no length: write `|list` ahead of it"))
        }
        _ => value.len().map(Value::from).ok_or_else(|| refuse(format!("{} has no length", type_of(value)))),
    }
}

pub fn sum(_: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut total = arguments.get(1).cloned().unwrap_or_else(|| Value::from(0));
    for item in items(value)? {
        let part = match arguments.get(0).filter(|path| !path.is_none()) {
            Some(path) => at_path(&item, path)?,
            None => item,
        };
        total = add(&total, &part)?;
    }
    Ok(total)
}

fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if number(a) && number(b) {
        if let (Ok(a), Ok(b)) = (super::python::whole(a), super::python::whole(b)) {
            let sum = a.checked_add(b).ok_or_else(|| refuse("a sum is too large"))?;
            return Ok(i64::try_from(sum).map_or_else(|_| Value::from(sum), Value::from));
        }
        let real = |value: &Value| {
            if value.kind() == ValueKind::Bool { Ok(f64::from(value.is_true())) } else { f64::try_from(value.clone()) }
        };
        return Ok(Value::from(real(a)? + real(b)?));
    }
    if a.kind() == ValueKind::Seq && b.kind() == ValueKind::Seq && type_of(a) == type_of(b) && !a.is_tuple() {
        return Ok(a.try_iter()?.chain(b.try_iter()?).collect());
    }
    Err(refuse(format!("sum of {} and {}", type_of(a), type_of(b))))
}

/// `map('filter', …)` and `map(attribute='name')`.
pub fn map(state: &mut State, value: &Value, given: &[Value]) -> Result<Value, Error> {
    let (positional, named) = split(given)?;
    let list = items(value)?;
    if let Some((_, path)) = named.iter().find(|(name, _)| name == "attribute").filter(|_| positional.is_empty()) {
        let default = named.iter().find(|(name, _)| name == "default").map(|(_, value)| value);
        if let Some((name, _)) = named.iter().find(|(name, _)| name != "attribute" && name != "default") {
            return Err(refuse(format!("map has no argument {name:?}")));
        }
        let part = |item: &Value| {
            let found = at_path(item, path)?;
            Ok(match default {
                Some(default) if found.is_undefined() => default.clone(),
                _ => found,
            })
        };
        return Ok(Generator::value(list.iter().map(part).collect::<Result<_, Error>>()?));
    }
    let Some((filter, _)) = positional.split_first() else {
        return Err(refuse("map wants a filter's name, or attribute="));
    };
    let name = filter.as_str().ok_or_else(|| refuse("map wants a filter's name"))?.to_owned();
    let mapped = list.into_iter().map(|item| {
        let arguments: Vec<Value> = [item].into_iter().chain(given[1..].iter().cloned()).collect();
        state.apply_filter(&name, &arguments)
    });
    Ok(Generator::value(mapped.collect::<Result<_, Error>>()?))
}

/// `select`, `reject`, `selectattr` and `rejectattr`.
pub fn select(
    state: &mut State,
    value: &Value,
    given: &[Value],
    attribute: bool,
    wanted: bool,
) -> Result<Value, Error> {
    let (path, given) = match given.split_first() {
        Some((path, rest)) if attribute => (Some(path), rest),
        None if attribute => return Err(refuse("selectattr and rejectattr want an attribute's name")),
        _ => (None, given),
    };
    let mut kept = Vec::new();
    for item in items(value)? {
        let part = match path {
            Some(path) => at_path(&item, path)?,
            None => item.clone(),
        };
        let passed = match given.split_first() {
            Some((test, rest)) => {
                let name = test.as_str().ok_or_else(|| refuse("a test is called by its name"))?;
                let arguments: Vec<Value> = [part].into_iter().chain(rest.iter().cloned()).collect();
                state.perform_test(name, &arguments)?
            }
            None => part.is_true(),
        };
        if passed == wanted {
            kept.push(item);
        }
    }
    Ok(Generator::value(kept))
}
