//! The tables of filters, tests and functions: Jinja2's, and none that it does not have.

use std::cmp::Ordering;

use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use super::arguments::{Arguments, split};
use super::objects::{Cycler, Generator, Joiner, Range};
use super::python::{compare, contains, modulo, refuse, str, type_of, whole};
use super::{format, lists, methods, numbers, text};

type Filter = fn(&mut State, &Value, &Arguments) -> Result<Value, Error>;

/// Filters by name, with the names of their arguments in order.
const FILTERS: &[(&str, &[&str], Filter)] = &[
    ("abs", &[], numbers::abs),
    ("attr", &["name"], |_, value, it| attr(value, it)),
    ("batch", &["linecount", "fill_with"], lists::batch),
    ("capitalize", &[], text::capitalized),
    ("center", &["width"], text::center),
    ("count", &[], lists::length),
    ("d", &["default_value", "boolean"], |_, value, it| Ok(default(value, it))),
    ("default", &["default_value", "boolean"], |_, value, it| Ok(default(value, it))),
    ("dictsort", &["case_sensitive", "by", "reverse"], lists::dictsort),
    ("e", &[], text::escape),
    ("escape", &[], text::escape),
    ("filesizeformat", &["binary"], numbers::filesizeformat),
    ("float", &["default"], numbers::float),
    ("forceescape", &[], text::forceescape),
    ("groupby", &["attribute", "default", "case_sensitive"], lists::groupby),
    ("indent", &["width", "first", "blank"], text::indent),
    ("int", &["default", "base"], numbers::int),
    ("join", &["d", "attribute"], lists::join),
    ("length", &[], lists::length),
    ("list", &[], lists::list),
    ("lower", &[], text::lower),
    ("max", &["case_sensitive", "attribute"], lists::max),
    ("min", &["case_sensitive", "attribute"], lists::min),
    ("pprint", &[], numbers::pprint),
    ("replace", &["old", "new", "count"], text::replace),
    ("slice", &["slices", "fill_with"], lists::slice),
    ("sort", &["reverse", "case_sensitive", "attribute"], lists::sort),
    ("string", &[], text::string),
    ("striptags", &[], text::striptags),
    ("sum", &["attribute", "start"], lists::sum),
    ("title", &[], text::title),
    ("tojson", &["indent"], numbers::tojson),
    ("trim", &["chars"], text::trim),
    ("truncate", &["length", "killwords", "end", "leeway"], text::truncate),
    ("unique", &["case_sensitive", "attribute"], lists::unique),
    ("upper", &[], text::upper),
    ("urlencode", &[], text::urlencode),
    ("wordcount", &[], text::wordcount),
    ("wordwrap", &["width", "break_long_words", "wrapstring", "break_on_hyphens"], text::wordwrap),
    ("xmlattr", &["autospace"], text::xmlattr),
    // What `syntax` makes of operators.
    ("__str", &[], |_, value, _| str(value).map(Value::from)),
    ("__mod", &["other"], |_, value, it| modulo(value, it.required(0)?)),
    ("__in", &["container"], |_, value, it| contains(it.required(0)?, value).map(Value::from)),
    ("__not_in", &["container"], |_, value, it| contains(it.required(0)?, value).map(|it| Value::from(!it))),
    ("__lt", &["other"], |_, value, it| Ok(Value::from(compare(value, it.required(0)?)? == Ordering::Less))),
    ("__le", &["other"], |_, value, it| Ok(Value::from(compare(value, it.required(0)?)? != Ordering::Greater))),
    ("__gt", &["other"], |_, value, it| Ok(Value::from(compare(value, it.required(0)?)? == Ordering::Greater))),
    ("__ge", &["other"], |_, value, it| Ok(Value::from(compare(value, it.required(0)?)? != Ordering::Less))),
    ("__items", &[], |_, value, _| match value.kind() {
        ValueKind::None => Err(refuse("a loop over None")),
        _ => Ok(value.clone()),
    }),
    ("__plain", &[], |_, value, _| match value.is_safe() {
        true => Err(refuse("+ escapes what it puts to escaped text: write ~ in its place")),
        false => Ok(value.clone()),
    }),
    ("__sliced", &[], |_, value, _| match value.kind() {
        ValueKind::Undefined => Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        _ if value.downcast_object_ref::<Range>().is_some() => {
            Err(refuse("a part of a range: give range its start and stop, or write `|list` ahead of it"))
        }
        ValueKind::String | ValueKind::Seq | ValueKind::Iterable => Ok(value.clone()),
        _ => Err(refuse(format!("{} has no parts to be cut out", type_of(value)))),
    }),
    ("__alone", &[], |state, value, _| alone(state, value)),
    ("__attribute", &["name"], |_, value, it| methods::attribute(value, it.text(0)?.unwrap_or_default())),
];

/// Makes the environment Python's.
pub fn add(environment: &mut Environment<'static>) {
    // These are minijinja's own: a template that uses one of them would not render with Jinja2.
    for name in ["split", "lines", "bool", "chain", "zip", "items"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    for &(name, names, filter) in FILTERS {
        environment.add_filter(name, move |state: &mut State, value: Value, given: Rest<ValueOrKwargs>| {
            filter(state, &value, &Arguments::bind(name, names, &given.into_values())?)
        });
    }
    environment.add_filter("items", |value: Value| match value.kind() {
        ValueKind::Undefined => Ok(Generator::value(Vec::new())),
        ValueKind::Map => {
            let pairs = super::objects::pairs(&value)?;
            Ok(Generator::value(pairs.into_iter().map(|(key, value)| super::objects::pair(key, value)).collect()))
        }
        _ => Err(refuse(format!("items of {}: it is for mappings", type_of(&value)))),
    });
    environment.add_filter("format", |value: Value, given: Rest<ValueOrKwargs>| {
        let given = given.into_values();
        let (positional, named) = split(&given)?;
        match (positional.is_empty(), named.is_empty()) {
            (_, true) => format::printf(&str(&value)?, positional).map(Value::from),
            (true, false) => format::printf(&str(&value)?, &[Value::from_pairs(named)]).map(Value::from),
            _ => Err(refuse("format takes values either by place or by name")),
        }
    });
    environment.add_filter("map", |state: &mut State, value: Value, given: Rest<ValueOrKwargs>| {
        lists::map(state, &value, &given.into_values())
    });
    for (name, attribute, wanted) in
        [("select", false, true), ("reject", false, false), ("selectattr", true, true), ("rejectattr", true, false)]
    {
        environment.add_filter(name, move |state: &mut State, value: Value, given: Rest<ValueOrKwargs>| {
            lists::select(state, &value, &given.into_values(), attribute, wanted)
        });
    }
    add_tests(environment);
    environment.add_function("range", |given: Rest<Value>| Range::value(&given));
    environment.add_function("cycler", |given: Rest<Value>| Cycler::value(given.0));
    environment.add_function("joiner", |given: Rest<ValueOrKwargs>| Joiner::value(&given.into_values()));
    environment.add_function("dict", |given: Rest<ValueOrKwargs>| dict(&given.into_values()));
}

/// An imported template that is not given the variables: minijinja's sees them all the same.
fn alone(state: &mut State, name: &Value) -> Result<Value, Error> {
    let template = state.get_template(name.as_str().ok_or_else(|| refuse("import wants a template's name"))?)?;
    let known: Vec<&str> = state.env().globals().map(|(name, _)| name).chain(["caller"]).collect();
    let mut missing: Vec<String> =
        template.undeclared_variables(false).into_iter().filter(|name| !known.contains(&name.as_str())).collect();
    missing.sort();
    match missing.first() {
        None => Ok(name.clone()),
        Some(missing) => {
            let name = template.name();
            Err(refuse(format!(
                "{name} is imported without the variables, and uses {missing}: import it `with context`"
            )))
        }
    }
}

fn default(value: &Value, arguments: &Arguments) -> Value {
    match value.is_undefined() || arguments.truth(1, false) && !value.is_true() {
        true => arguments.get(0).cloned().unwrap_or_else(|| Value::from("")),
        false => value.clone(),
    }
}

fn attr(value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let name = arguments.text(0)?.ok_or_else(|| refuse("attr wants a name"))?;
    if value.kind() == ValueKind::Undefined || methods::is_python_s(name) {
        return methods::attribute(value, name);
    }
    let ours = value.as_object().is_some_and(|object| {
        ["::Group", "Cycler", "Namespace", "::Loop", "Module"].iter().any(|it| object.type_name().ends_with(it))
    });
    // The entries of a dictionary are no attributes.
    if ours { value.get_attr(name) } else { Ok(Value::UNDEFINED) }
}

fn dict(given: &[Value]) -> Result<Value, Error> {
    let (positional, named) = split(given)?;
    let mut entries = match positional {
        [] => Vec::new(),
        [map] if map.kind() == ValueKind::Map => super::objects::pairs(map)?,
        [list] => {
            let entry = |item: Value| match item.try_iter()?.collect::<Vec<_>>()[..] {
                [ref key, ref value] => Ok((key.clone(), value.clone())),
                _ => Err(refuse("dict wants pairs")),
            };
            list.try_iter()?.map(entry).collect::<Result<_, Error>>()?
        }
        _ => return Err(refuse("dict takes one mapping or list of pairs")),
    };
    entries.extend(named.into_iter().map(|(name, value)| (Value::from(name), value)));
    Ok(Value::from_pairs(entries))
}

fn add_tests(environment: &mut Environment<'static>) {
    let parity = |value: &Value, wanted: bool| -> Result<bool, Error> {
        match whole(value) {
            Ok(number) => Ok((number % 2 != 0) == wanted),
            Err(_) if value.kind() == ValueKind::Number => {
                Ok(f64::try_from(value.clone())?.rem_euclid(2.0) == f64::from(wanted))
            }
            Err(error) => Err(error),
        }
    };
    environment.add_test("odd", move |value: &Value| parity(value, true));
    environment.add_test("even", move |value: &Value| parity(value, false));
    environment.add_test("sequence", |value: &Value| {
        let lazy = value.downcast_object_ref::<Generator>().is_some();
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
            || value.is_undefined()
            || value.kind() == ValueKind::Iterable
                && !lazy
                && value.downcast_object_ref::<super::objects::View>().is_none()
    });
    environment.add_test("callable", |value: &Value| {
        value
            .as_object()
            .is_some_and(|object| ["Macro", "Function", "Joiner"].iter().any(|name| object.type_name().contains(name)))
    });
    environment.add_test("in", |value: &Value, container: &Value| contains(container, value));
    type Wanted = fn(Ordering) -> bool;
    let orders: [(&[&str], Wanted); 4] = [
        (&["lt", "lessthan", "<"], |order| order == Ordering::Less),
        (&["le", "<="], |order| order != Ordering::Greater),
        (&["gt", "greaterthan", ">"], |order| order == Ordering::Greater),
        (&["ge", ">="], |order| order != Ordering::Less),
    ];
    for (names, wanted) in orders {
        for name in names {
            environment.add_test(*name, move |a: &Value, b: &Value| compare(a, b).map(wanted));
        }
    }
}
