//! Jinja2's filters of lists and dictionaries.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::arguments::{Arguments, Named};
use crate::jinja::values::comparison::{Keyed, order, sorted};
use crate::jinja::values::object::reversed;
use crate::jinja::values::operators::Operator;
use crate::jinja::values::python::str;
use crate::jinja::values::subscript::item;
use crate::jinja::values::{Dict, Key, Source, Tuple, Value};

/// Applies the filter, or the test, of a name.
type ByName<T> = fn(&str, &Value, &[Value], &Named) -> Result<T, Error>;

/// What stands at a path in an item: `tags.0`, or a whole number.
fn at_path(value: &Value, path: Option<&Value>, default: Option<&Value>) -> Result<Value, Error> {
    let Some(path) = path else { return Ok(value.clone()) };
    let parts: Vec<Value> = match path.as_str() {
        Some(path) => path.split('.').map(part_of_path).collect(),
        None => vec![path.clone()],
    };
    let mut found = value.clone();
    for part in parts {
        found = item(&found, &part)?;
        if let Some(default) = default.filter(|default| found.is_undefined() && !default.is_none()) {
            found = default.clone();
        }
    }
    Ok(found)
}

fn part_of_path(part: &str) -> Value {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    part.parse().ok().filter(|_| digits).map_or_else(|| Value::text(part), Value::Int)
}

/// What to order and to group by: letter case does not count unless it is asked for.
fn fold(value: Value, case_sensitive: bool) -> Value {
    match value.as_str() {
        Some(text) if !case_sensitive => Value::text(text.to_lowercase()),
        _ => value,
    }
}

pub fn sort(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let case = arguments.truth(1, false)?;
    let paths: Vec<Option<Value>> = match arguments.some(2) {
        Some(path) => match path.as_str() {
            Some(paths) => paths.split(',').map(|path| Some(Value::text(path))).collect(),
            None => vec![Some(path.clone())],
        },
        None => vec![None],
    };
    let mut keyed = Vec::new();
    for item in value.items()? {
        let key = paths.iter().map(|path| at_path(&item, path.as_ref(), None).map(|part| fold(part, case)));
        keyed.push((Value::list(key.collect::<Result<_, _>>()?), item));
    }
    sorted(keyed, arguments.flag(0)?).map(Value::list)
}

pub fn dictsort(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let by_value = match arguments.get(1).map(Value::as_str) {
        None | Some(Some("key")) => false,
        Some(Some("value")) => true,
        Some(_) => return Err(refuse("dictsort sorts by key or by value")),
    };
    let case = arguments.truth(0, false)?;
    let keyed = value.entries().ok_or_else(|| value.unfit("dictsort"))?.into_iter().map(|(key, value)| {
        let by = if by_value { value.clone() } else { key.clone() };
        (fold(by, case), Value::pair(key, value))
    });
    sorted(keyed.collect(), arguments.flag(2)?).map(Value::list)
}

fn extreme(value: &Value, arguments: &Arguments, wanted: Ordering) -> Result<Value, Error> {
    let case = arguments.truth(0, false)?;
    let mut source = value.source()?;
    let mut best: Option<Keyed> = None;
    while let Some(item) = source()? {
        let key = fold(at_path(&item, arguments.some(1), None)?, case);
        let better = match &best {
            Some((known, _)) => order(&key, known)? == Some(wanted),
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::Undefined(None), |(_, item)| item))
}

pub fn min(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    extreme(value, arguments, Ordering::Less)
}

pub fn max(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    extreme(value, arguments, Ordering::Greater)
}

/// A generator that begins when it is first asked, as Python's do.
fn lazily(begin: impl FnOnce() -> Result<Source, Error> + 'static) -> Value {
    let (mut begin, mut source) = (Some(begin), None);
    Value::generator(Box::new(move || {
        if let Some(begin) = begin.take() {
            source = Some(begin()?);
        }
        source.as_mut().map_or(Ok(None), |source| source())
    }))
}

pub fn unique(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let case = arguments.truth(0, false)?;
    let (value, path) = (value.clone(), arguments.some(1).cloned());
    Ok(lazily(move || {
        let mut source = value.source()?;
        let mut seen = Dict::new();
        Ok(Box::new(move || {
            while let Some(item) = source()? {
                let key = Key::of(&fold(at_path(&item, path.as_ref(), None)?, case))?;
                if seen.insert(key, Value::None).is_none() {
                    return Ok(Some(item));
                }
            }
            Ok(None)
        }))
    }))
}

pub fn groupby(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (path, default) = (Some(arguments.required(0)?).filter(|path| !path.is_none()), arguments.get(1));
    let case = arguments.truth(2, false)?;
    let mut keyed = Vec::new();
    for item in value.items()? {
        let key = fold(at_path(&item, path, default)?, case);
        keyed.push((key.clone(), Value::pair(key, item)));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for pair in sorted(keyed, false)? {
        let Value::Tuple(pair) = &pair else { continue };
        let (key, item) = (pair.items[0].clone(), pair.items[1].clone());
        match groups.last_mut().filter(|(known, _)| known.equals(&key)) {
            Some((_, list)) => list.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    let group = |(key, list): (Value, Vec<Value>)| {
        // The group is called as its first item writes it.
        let grouper = if case { key } else { at_path(&list[0], path, default)? };
        Ok(Value::Tuple(Rc::new(Tuple { items: vec![grouper, Value::list(list)], group: true })))
    };
    Ok(Value::list(groups.into_iter().map(group).collect::<Result<_, Error>>()?))
}

pub fn batch(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (value, size) = (value.clone(), arguments.required(0)?.clone());
    let fill = arguments.some(1).cloned();
    Ok(lazily(move || {
        let (mut source, mut batch, mut over) = (value.source()?, Vec::new(), false);
        Ok(Box::new(move || {
            while let Some(item) = if over { None } else { source()? } {
                let full = Value::size(batch.len()).equals(&size);
                let done = if full { Some(std::mem::take(&mut batch)) } else { None };
                batch.push(item);
                if let Some(done) = done {
                    return Ok(Some(Value::list(done)));
                }
            }
            over = true;
            if batch.is_empty() {
                return Ok(None);
            }
            if let Some(fill) = &fill
                && order(&Value::size(batch.len()), &size)? == Some(Ordering::Less)
            {
                let missing = Operator::Subtract.apply(&size, &Value::size(batch.len()))?;
                let filled = Operator::Multiply.apply(&Value::list(vec![fill.clone()]), &missing)?;
                batch.extend(filled.items()?);
            }
            Ok(Some(Value::list(std::mem::take(&mut batch))))
        }))
    }))
}

pub fn slice(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (value, count) = (value.clone(), arguments.required(0)?.clone());
    let fill = arguments.some(1).cloned();
    Ok(lazily(move || {
        let items = value.items()?;
        if let Value::Float(_) = count {
            return Err(count.unfit("slice"));
        }
        let count = count.whole()?;
        if count == 0 {
            return Err(refuse("slice needs a number other than 0"));
        }
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        let (each, more) = (items.len().checked_div(count).unwrap_or(0), items.len().checked_rem(count).unwrap_or(0));
        let (mut rest, mut index) = (items.into_iter(), 0);
        Ok(Box::new(move || {
            if index == count {
                return Ok(None);
            }
            let mut slice: Vec<Value> = rest.by_ref().take(each + usize::from(index < more)).collect();
            if let Some(fill) = fill.as_ref().filter(|_| index >= more) {
                slice.push(fill.clone());
            }
            index += 1;
            Ok(Some(Value::list(slice)))
        }))
    }))
}

pub fn join(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let separator = arguments.get(0).map(str).transpose()?.unwrap_or_default();
    let mut parts = Vec::new();
    let mut source = value.source()?;
    while let Some(item) = source()? {
        parts.push(str(&at_path(&item, arguments.some(1), None)?)?);
    }
    Ok(Value::text(parts.join(&separator)))
}

pub fn first(value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(value.source()?()?.unwrap_or(Value::Undefined(None)))
}

pub fn last(value: &Value, _: &Arguments) -> Result<Value, Error> {
    match reversed(value)? {
        Some(mut source) => Ok(source()?.unwrap_or(Value::Undefined(None))),
        None => Err(refuse(format!("last of {}: write `|list` before it", value.type_name()))),
    }
}

pub fn reverse(value: &Value, _: &Arguments) -> Result<Value, Error> {
    match value {
        Value::Text(text) => Ok(Value::text(text.chars().rev().collect::<String>())),
        Value::Markup(text) => Ok(Value::markup(text.chars().rev().collect::<String>())),
        _ => match reversed(value)? {
            Some(source) => Ok(Value::generator(source)),
            None => {
                let mut items = value.items()?;
                items.reverse();
                Ok(Value::list(items))
            }
        },
    }
}

pub fn list(value: &Value, _: &Arguments) -> Result<Value, Error> {
    value.items().map(Value::list)
}

pub fn length(value: &Value, _: &Arguments) -> Result<Value, Error> {
    match value.length()? {
        Some(length) => Ok(Value::size(length)),
        None => Err(refuse(format!("{} has no length", value.type_name()))),
    }
}

/// The filter `items`.
pub fn pairs(value: &Value, _: &Arguments) -> Result<Value, Error> {
    let value = value.clone();
    Ok(lazily(move || {
        if value.is_undefined() {
            return value.source();
        }
        let entries = value.entries().ok_or_else(|| value.unfit("items"))?;
        Value::list(entries.into_iter().map(|(key, value)| Value::pair(key, value)).collect()).source()
    }))
}

pub fn sum(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut total = arguments.get(1).cloned().unwrap_or(Value::Int(0));
    if total.as_str().is_some() {
        return Err(refuse("sum of text: write `|join`"));
    }
    let mut source = value.source()?;
    while let Some(item) = source()? {
        total = Operator::Add.apply(&total, &at_path(&item, arguments.some(0), None)?)?;
    }
    Ok(total)
}

/// `map('filter', …)` and `map(attribute='name')`.
pub fn map(value: &Value, positional: &[Value], named: &Named, filters: ByName<Value>) -> Value {
    let (value, positional, named) = (value.clone(), positional.to_vec(), named.to_vec());
    lazily(move || {
        if !value.is_true()? {
            return Value::list(Vec::new()).source();
        }
        let mut source = value.source()?;
        if positional.is_empty() && named.iter().any(|(name, _)| &**name == "attribute") {
            let arguments = Arguments::bind("map", &["attribute", "default"], &[], &named)?;
            let (path, default) = (arguments.some(0).cloned(), arguments.get(1).cloned());
            return Ok(Box::new(move || match source()? {
                Some(item) => at_path(&item, path.as_ref(), default.as_ref()).map(Some),
                None => Ok(None),
            }));
        }
        let Some((filter, rest)) = positional.split_first() else {
            return Err(refuse("map needs a filter's name, or attribute="));
        };
        let (filter, rest) = (name_of(filter, "filter")?, rest.to_vec());
        Ok(Box::new(move || match source()? {
            Some(item) => filters(&filter, &item, &rest, &named).map(Some),
            None => Ok(None),
        }))
    })
}

fn name_of(value: &Value, what: &str) -> Result<String, Error> {
    match value.as_str() {
        Some(name) => Ok(name.to_owned()),
        None => Err(refuse(format!("the name of a {what} must be text"))),
    }
}

/// `select`, `reject`, `selectattr` and `rejectattr`.
pub fn select(
    value: &Value,
    positional: &[Value],
    named: &Named,
    tests: ByName<bool>,
    attribute: bool,
    wanted: bool,
) -> Value {
    let (value, positional, named) = (value.clone(), positional.to_vec(), named.to_vec());
    lazily(move || {
        if !value.is_true()? {
            return Value::list(Vec::new()).source();
        }
        let (path, given) = match positional.split_first() {
            Some((path, rest)) if attribute => (Some(path.clone()), rest),
            None if attribute => return Err(refuse("selectattr and rejectattr need an attribute's name")),
            _ => (None, &positional[..]),
        };
        let test = match given.split_first() {
            Some((test, rest)) => Some((name_of(test, "test")?, rest.to_vec())),
            None => None,
        };
        let mut source = value.source()?;
        Ok(Box::new(move || {
            while let Some(item) = source()? {
                let part = at_path(&item, path.as_ref().filter(|path| !path.is_none()), None)?;
                let passed = match &test {
                    Some((test, rest)) => tests(test, &part, rest, &named)?,
                    None => part.is_true()?,
                };
                if passed == wanted {
                    return Ok(Some(item));
                }
            }
            Ok(None)
        }))
    })
}
