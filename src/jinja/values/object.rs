//! Objects other than Python's basic types, and their attributes.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::arguments::Named;
use super::{Dict, Key, Source, Value};
use crate::jinja::error::{Error, refuse};

pub enum Object {
    Generator(Rc<RefCell<Source>>),
    View(View),
    Range(Range),
    /// A date of a YAML file, as Python prints it. It has no other use.
    Date(String),
    Cycler(Vec<Value>, Cell<usize>),
    Joiner(Value, Cell<bool>),
    Namespace(RefCell<Dict>),
    Module(Module),
    /// Of a template that is being rendered.
    OfTemplate(Rc<dyn TemplateObject>),
    /// A bound method.
    Method(Value, Rc<str>),
    /// A function of Jinja2's, by its name.
    Function(&'static str),
}

/// An object that only a rendering can make, since it knows the template or the scope that it came from: `loop`, a
/// macro, a block, `self`. Calling it renders more of that template.
pub trait TemplateObject {
    /// What errors call it.
    fn type_name(&self) -> &'static str;

    /// Python's `repr`.
    fn repr(&self) -> Result<String, Error> {
        Err(unprintable(self.type_name()))
    }

    /// The attribute of that name, if it has one.
    fn attribute(&self, name: &str) -> Result<Option<Value>, Error>;

    /// Whether it has a method of that name.
    fn has_method(&self, _: &str) -> bool {
        false
    }

    /// Calls a method that [`TemplateObject::has_method`] knows.
    fn call_method(&self, method: &str, _: &[Value]) -> Result<Value, Error> {
        Err(refuse(format!("the method {method} of {} is not supported", self.type_name())))
    }

    fn is_callable(&self) -> bool;

    fn call(&self, positional: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, Error>;

    fn length(&self) -> Result<Option<usize>, Error> {
        Ok(None)
    }

    fn source(&self) -> Result<Option<Source>, Error> {
        Ok(None)
    }
}

/// The error of an object that has no text.
pub fn unprintable(type_name: &str) -> Error {
    refuse(format!("{type_name} cannot be printed"))
}

/// Checks that a call without parameters has no arguments.
pub fn no_arguments(what: &str, positional: &[Value], named: &Named) -> Result<(), Error> {
    match positional.is_empty() && named.is_empty() {
        true => Ok(()),
        false => Err(refuse(format!("{what} does not take these arguments"))),
    }
}

/// What `keys`, `values` and `items` of a dictionary give.
#[derive(Debug)]
pub struct View {
    pub of: Rc<RefCell<Dict>>,
    pub part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Keys,
    Values,
    Items,
}

impl View {
    pub fn items(&self) -> Vec<Value> {
        let item = |(key, value): (&Key, &Value)| match self.part {
            Part::Keys => key.0.clone(),
            Part::Values => value.clone(),
            Part::Items => Value::pair(key.0.clone(), value.clone()),
        };
        self.of.borrow().iter().map(item).collect()
    }

    pub fn name(&self) -> &'static str {
        match self.part {
            Part::Keys => "dict_keys",
            Part::Values => "dict_values",
            Part::Items => "dict_items",
        }
    }
}

/// An imported template: what it exports, and its text.
#[derive(Debug)]
pub struct Module {
    pub name: Rc<str>,
    pub exported: Dict,
    pub body: String,
}

/// Python's `range`.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    pub start: i128,
    pub stop: i128,
    pub step: i128,
}

impl Range {
    pub fn new(arguments: &[Value]) -> Result<Range, Error> {
        let numbers = arguments.iter().map(Value::whole).collect::<Result<Vec<_>, _>>()?;
        let (start, stop, step) = match numbers[..] {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] if step != 0 => (start, stop, step),
            _ => return Err(refuse("range needs one to three whole numbers, and a step that is not 0")),
        };
        if [start, stop, step].iter().any(|number| i64::try_from(*number).is_err()) {
            return Err(refuse("a number of range is too large"));
        }
        Ok(Range { start, stop, step })
    }

    pub fn length(&self) -> i128 {
        let span = if self.step > 0 { self.stop - self.start } else { self.start - self.stop };
        let step = self.step.abs();
        if span <= 0 { 0 } else { (span + step - 1) / step }
    }

    /// The number at an index from 0.
    pub fn at(&self, index: i128) -> Option<i128> {
        (0..self.length()).contains(&index).then(|| self.start + index * self.step)
    }

    /// The index of a number.
    pub fn place(&self, number: i128) -> Option<i128> {
        let index = (number - self.start).checked_div(self.step)?;
        (self.at(index) == Some(number)).then_some(index)
    }

    pub fn repr(&self) -> String {
        match self.step {
            1 => format!("range({}, {})", self.start, self.stop),
            step => format!("range({}, {}, {step})", self.start, self.stop),
        }
    }

    fn source(self, backwards: bool) -> Source {
        let length = self.length();
        let mut next = 0;
        Box::new(move || {
            let index = if backwards { length - 1 - next } else { next };
            next += 1;
            Ok(self.at(index).map(Value::Int))
        })
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Object {
    pub fn type_name(&self) -> &'static str {
        match self {
            Object::Generator(_) => "a generator",
            Object::View(view) => view.name(),
            Object::Range(_) => "range",
            Object::Date(_) => "a date",
            Object::Cycler(..) => "a cycler",
            Object::Joiner(..) => "a joiner",
            Object::Namespace(_) => "a namespace",
            Object::Module(_) => "an imported template",
            Object::OfTemplate(it) => it.type_name(),
            Object::Method(..) => "a method",
            Object::Function(_) => "a function",
        }
    }

    pub fn is_true(&self) -> Result<bool, Error> {
        Ok(self.length()?.is_none_or(|length| length > 0))
    }

    pub fn length(&self) -> Result<Option<usize>, Error> {
        Ok(match self {
            Object::View(view) => Some(view.of.borrow().len()),
            Object::Range(range) => Some(usize::try_from(range.length()).unwrap_or(usize::MAX)),
            Object::OfTemplate(it) => it.length()?,
            _ => None,
        })
    }

    pub fn source(&self) -> Result<Option<Source>, Error> {
        Ok(match self {
            Object::Generator(source) => {
                let source = source.clone();
                Some(Box::new(move || match source.try_borrow_mut() {
                    Ok(mut source) => source(),
                    Err(_) => Err(refuse("a generator is used in its own expression")),
                }))
            }
            Object::View(view) => {
                let mut items = view.items().into_iter();
                Some(Box::new(move || Ok(items.next())))
            }
            Object::Range(range) => Some(range.source(false)),
            Object::OfTemplate(it) => it.source()?,
            _ => None,
        })
    }

    pub fn callable(&self) -> bool {
        match self {
            Object::OfTemplate(it) => it.is_callable(),
            _ => matches!(self, Object::Joiner(..) | Object::Method(..) | Object::Function(_)),
        }
    }

    /// Whether it is a set, which is not hashable in Python.
    pub fn is_set(&self) -> bool {
        matches!(self, Object::View(view) if view.part != Part::Values)
    }

    pub fn equals(&self, other: &Object) -> bool {
        let all_in = |a: &View, b: &View| {
            let theirs = b.items();
            a.items().iter().all(|item| theirs.iter().any(|other| other.equals(item)))
        };
        match (self, other) {
            (Object::Range(a), Object::Range(b)) => {
                let length = a.length();
                length == b.length() && (length == 0 || a.start == b.start && (length == 1 || a.step == b.step))
            }
            (Object::Date(a), Object::Date(b)) => a == b,
            (Object::View(a), Object::View(b)) if a.part == b.part && a.part != Part::Values => {
                a.of.borrow().len() == b.of.borrow().len() && all_in(a, b)
            }
            (Object::Method(of, name), Object::Method(other, same)) => name == same && of.holds(other),
            _ => std::ptr::eq(self, other),
        }
    }

    /// The attribute of that name, if it has one.
    pub fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(match (self, name) {
            (Object::Date(_), _) => {
                return Err(refuse(
                    "the parts of a date are not supported: put it in quotes to use \
                                                       it as text",
                ));
            }
            (Object::Range(range), "start") => Some(Value::Int(range.start)),
            (Object::Range(range), "stop") => Some(Value::Int(range.stop)),
            (Object::Range(range), "step") => Some(Value::Int(range.step)),
            (Object::Cycler(items, at), "current") => Some(items[at.get()].clone()),
            (Object::Cycler(_, at), "pos") => Some(Value::size(at.get())),
            (Object::Cycler(items, _), "items") => Some(Value::tuple(items.clone())),
            (Object::Joiner(separator, _), "sep") => Some(separator.clone()),
            (Object::Joiner(_, used), "used") => Some(Value::Bool(used.get())),
            (Object::Namespace(entries), _) => entries.borrow().get(&Key::text(name)).cloned(),
            (Object::Module(module), _) => module.exported.get(&Key::text(name)).cloned(),
            (Object::OfTemplate(it), _) => it.attribute(name)?,
            (Object::Function(function), _) => {
                return Err(refuse(format!("attributes of {function} are not supported in templates")));
            }
            (Object::Generator(_), "send" | "throw" | "close") | (Object::View(_), "mapping" | "isdisjoint") => {
                return Err(refuse(format!("{name} of {}", self.type_name())));
            }
            _ => None,
        })
    }
}

/// Python's `reversed`; `None` for values that cannot be reversed.
pub fn reversed(value: &Value) -> Result<Option<Source>, Error> {
    let mut items = match value {
        Value::Object(object) => match &**object {
            Object::Range(range) => return Ok(Some(range.source(true))),
            Object::View(view) => view.items(),
            _ => return Ok(None),
        },
        Value::Undefined(_) | Value::Text(_) | Value::Markup(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => {
            value.items()?
        }
        _ => return Ok(None),
    };
    Ok(Some(Box::new(move || Ok(items.pop()))))
}
