//! Python's objects that minijinja has otherwise or not at all.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple};
use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::python::{refuse, whole};

/// A value that is worked out once and read once: the second loop over it finds nothing.
#[derive(Debug)]
pub struct Generator(Mutex<Option<Vec<Value>>>);

impl Generator {
    pub fn value(items: Vec<Value>) -> Value {
        Value::from_object(Generator(Mutex::new(Some(items))))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let items = self.0.lock().map(|mut items| items.take()).unwrap_or_default().unwrap_or_default();
        Enumerator::Iter(Box::new(items.into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// What `keys`, `values` and `items` of a dictionary give.
#[derive(Debug)]
pub struct View {
    /// As Python prints it: `dict_keys`.
    pub name: &'static str,
    pub items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.items.clone().into_iter()))
    }
}

/// Python's `range`.
#[derive(Debug)]
pub struct Range {
    start: i128,
    stop: i128,
    step: i128,
}

/// Jinja2's sandbox has this limit too: a slip of the finger should not fill the memory.
const LONGEST: i128 = 100_000;

impl Range {
    pub fn value(arguments: &[Value]) -> Result<Value, Error> {
        let numbers = arguments.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
        let (start, stop, step) = match numbers[..] {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] if step != 0 => (start, stop, step),
            _ => return Err(refuse("range wants one to three whole numbers, and a step that is not 0")),
        };
        let fits = |number: i128| i64::try_from(number).is_ok();
        let range = Range { start, stop, step };
        if !(fits(start) && fits(stop) && fits(step)) || range.length() > LONGEST {
            return Err(refuse(format!("a range of more than {LONGEST} numbers")));
        }
        Ok(Value::from_object(range))
    }

    fn length(&self) -> i128 {
        let span = if self.step > 0 { self.stop - self.start } else { self.start - self.stop };
        let step = self.step.abs();
        if span <= 0 { 0 } else { (span + step - 1) / step }
    }

    pub fn repr(&self) -> String {
        match self.step {
            1 => format!("range({}, {})", self.start, self.stop),
            step => format!("range({}, {}, {step})", self.start, self.stop),
        }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = whole(key).ok()?;
        (0..self.length()).contains(&index).then(|| Value::from((self.start + index * self.step) as i64))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length() as usize)
    }
}

/// One of `groupby`'s groups: a pair that also has names.
#[derive(Debug)]
pub struct Group {
    pub grouper: Value,
    pub list: Value,
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_str(), key.as_i64()) {
            (Some("grouper"), _) | (_, Some(0)) => Some(self.grouper.clone()),
            (Some("list"), _) | (_, Some(1)) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

/// A date of a YAML file, as Python prints it. It can do nothing else.
#[derive(Debug)]
pub struct Date(pub String);

impl Object for Date {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from(refuse("a date has no parts here: put it in quotes to use it as text")))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `cycler('odd', 'even')`.
#[derive(Debug)]
pub struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Cycler {
    pub fn value(items: Vec<Value>) -> Result<Value, Error> {
        if items.is_empty() {
            return Err(refuse("cycler wants at least one value"));
        }
        Ok(Value::from_object(Cycler { items, at: AtomicUsize::new(0) }))
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = self.at.load(Ordering::Relaxed) % self.items.len();
        (key.as_str() == Some("current")).then(|| self.items[at].clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State, name: &str, _: &[Value]) -> Result<Value, Error> {
        match name {
            "next" => Ok(self.items[self.at.fetch_add(1, Ordering::Relaxed) % self.items.len()].clone()),
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }
}

/// `joiner(', ')`: nothing the first time that it is called.
#[derive(Debug)]
pub struct Joiner {
    separator: Value,
    used: AtomicUsize,
}

impl Joiner {
    pub fn value(arguments: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::bind("joiner", &["sep"], arguments)?;
        let separator = arguments.get(0).cloned().unwrap_or_else(|| Value::from(", "));
        Ok(Value::from_object(Joiner { separator, used: AtomicUsize::new(0) }))
    }
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State, _: &[Value]) -> Result<Value, Error> {
        let first = self.used.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(if first { Value::from("") } else { self.separator.clone() })
    }
}

/// The key and value of each entry of a dictionary.
pub fn pairs(map: &Value) -> Result<Vec<(Value, Value)>, Error> {
    map.try_iter()?.map(|key| map.get_item(&key).map(|value| (key, value))).collect()
}

/// A tuple of two.
pub fn pair(first: Value, second: Value) -> Value {
    Value::from(Tuple::from([first, second]))
}
