//! Python's objects other than its plain types: what they have and what they can be asked.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::arguments::Arguments;
use super::context::{BlockReference, Context, Engine};
use super::error::{Error, refuse};
use super::loops::Loop;
use super::macros::Macro;
use super::operators::contains;
use super::value::{Dict, Key, Source, Value};

pub enum Object {
    Generator(Rc<RefCell<Source>>),
    View(View),
    Range(Range),
    /// A date of a YAML file, as Python prints it. It can do nothing else.
    Date(String),
    Cycler(Vec<Value>, Cell<usize>),
    Joiner(Value, Cell<bool>),
    Namespace(RefCell<Dict>),
    Loop(Box<Loop>),
    Macro(Box<Macro>),
    Module(Module),
    /// `self` of a template with blocks.
    Own(Rc<Engine>, Rc<Context>),
    Block(BlockReference),
    /// A method of a value that is not called yet.
    Method(Value, Rc<str>),
    /// A function of Jinja2's, by its name.
    Function(&'static str),
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
            _ => return Err(refuse("range wants one to three whole numbers, and a step that is not 0")),
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

    /// The number at a place from 0.
    pub fn at(&self, index: i128) -> Option<i128> {
        (0..self.length()).contains(&index).then(|| self.start + index * self.step)
    }

    /// The place of a number.
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
            Object::Loop(_) => "loop",
            Object::Macro(_) => "a macro",
            Object::Module(_) => "an imported template",
            Object::Own(..) => "self",
            Object::Block(_) => "a block",
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
            Object::Loop(it) => Some(it.length()?),
            _ => None,
        })
    }

    pub fn source(&self) -> Result<Option<Source>, Error> {
        Ok(match self {
            Object::Generator(source) => {
                let source = source.clone();
                Some(Box::new(move || match source.try_borrow_mut() {
                    Ok(mut source) => source(),
                    Err(_) => Err(refuse("a generator is asked for an item while it makes one")),
                }))
            }
            Object::View(view) => {
                let mut items = view.items().into_iter();
                Some(Box::new(move || Ok(items.next())))
            }
            Object::Range(range) => Some(range.source(false)),
            Object::Loop(_) => return Err(refuse("loop cannot be gone through")),
            _ => None,
        })
    }

    pub fn callable(&self) -> bool {
        matches!(
            self,
            Object::Joiner(..)
                | Object::Loop(_)
                | Object::Macro(_)
                | Object::Block(_)
                | Object::Method(..)
                | Object::Function(_)
        )
    }

    /// Whether it is a set, which is no key for Python.
    pub fn is_set(&self) -> bool {
        matches!(self, Object::View(view) if view.part != Part::Values)
    }

    pub fn equals(&self, other: &Object) -> bool {
        let all_in = |a: &View, b: &View| {
            let theirs = Value::list(b.items());
            a.items().iter().all(|item| contains(&theirs, item).unwrap_or(false))
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

    /// What a cycler, a joiner, a range or a namespace has by that name; `None` for what it has not.
    pub fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(match (self, name) {
            (Object::Date(_), _) => return Err(refuse("a date has no parts here: put it in quotes to use it as text")),
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
            (Object::Loop(it), _) => it.attribute(name)?,
            (Object::Macro(it), _) => it.attribute(name),
            (Object::Own(engine, context), _) => {
                BlockReference::first(engine, context, name).map(|it| Value::object(Object::Block(it)))
            }
            (Object::Block(block), "super") => Some(block.parent()),
            (Object::Block(block), "name") => Some(Value::text(&block.name)),
            (Object::Function(function), _) => {
                return Err(refuse(format!("{name} of {function}, which templates have no use for")));
            }
            (Object::Generator(_), "send" | "throw" | "close") | (Object::View(_), "mapping" | "isdisjoint") => {
                return Err(refuse(format!("{name} of {}", self.type_name())));
            }
            _ => None,
        })
    }
}

/// Python's `reversed`; `None` for what has no end to begin at.
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

/// Calls one of Jinja2's functions.
pub fn call_function(name: &str, positional: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, Error> {
    let unnamed = |named: &[(Rc<str>, Value)]| match named.first() {
        Some(_) => Err(refuse(format!("{name} takes no named arguments"))),
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
                true => Err(refuse("cycler wants at least one value")),
                false => Ok(Value::object(Object::Cycler(positional, Cell::new(0)))),
            }
        }
        "joiner" => {
            let arguments = Arguments::bind("joiner", &["sep"], &positional, &named)?;
            let separator = arguments.get(0).cloned().unwrap_or_else(|| Value::text(", "));
            Ok(Value::object(Object::Joiner(separator, Cell::new(false))))
        }
        _ => Err(refuse(format!("{name} is not supported: its text is another one each time"))),
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

/// Takes the entries of a mapping, or of a list of pairs.
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
            _ => return Err(refuse("dict wants pairs")),
        };
    }
    Ok(())
}
