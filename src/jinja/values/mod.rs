//! The values of templates: Python's types, with Python's equality, order of keys, truth and iteration.
//!
//! The files of this folder hold the operations on them. A value may be an [`object`], and objects hold values.

pub mod arguments;
pub mod call;
pub mod comparison;
pub mod format;
pub mod functions;
pub mod methods;
pub mod object;
pub mod operators;
pub mod python;
pub mod subscript;
pub mod text;

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use indexmap::IndexMap;

use super::error::{Error, refuse, undefined};
use object::Object;

/// A value. Lists and dictionaries are shared and can change, as in Python.
#[derive(Debug, Clone)]
pub enum Value {
    /// With its name in the template, for errors.
    Undefined(Option<Rc<str>>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    /// Text that is already escaped.
    Markup(Rc<str>),
    List(Rc<RefCell<Vec<Value>>>),
    Tuple(Rc<Tuple>),
    Dict(Rc<RefCell<Dict>>),
    Object(Rc<Object>),
}

/// A dictionary, in the order in which its keys came.
pub type Dict = IndexMap<Key, Value>;

#[derive(Debug)]
pub struct Tuple {
    pub items: Vec<Value>,
    /// Whether it is one of `groupby`'s, whose items are also called `grouper` and `list`.
    pub group: bool,
}

/// An iterator.
pub type Source = Box<dyn FnMut() -> Result<Option<Value>, Error>>;

/// The longest list or text, so that a typing error does not exhaust the memory.
pub const LARGEST: usize = 10_000_000;

impl Value {
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Text(text.as_ref().into())
    }

    pub fn markup(text: impl AsRef<str>) -> Value {
        Value::Markup(text.as_ref().into())
    }

    pub fn size(size: usize) -> Value {
        Value::Int(size as i128)
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Rc::new(RefCell::new(items)))
    }

    pub fn tuple(items: Vec<Value>) -> Value {
        Value::Tuple(Rc::new(Tuple { items, group: false }))
    }

    pub fn pair(first: Value, second: Value) -> Value {
        Value::tuple(vec![first, second])
    }

    pub fn dict(entries: Dict) -> Value {
        Value::Dict(Rc::new(RefCell::new(entries)))
    }

    pub fn object(object: Object) -> Value {
        Value::Object(Rc::new(object))
    }

    /// A value that can be iterated once.
    pub fn generator(source: Source) -> Value {
        Value::object(Object::Generator(Rc::new(RefCell::new(source))))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Markup(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Value::None)
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Value::Bool(_) | Value::Int(_) | Value::Float(_))
    }

    /// What Python calls the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "None",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Markup(_) => "Markup",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Object(object) => object.type_name(),
        }
    }

    /// The error of a value that is of the wrong type for `what`.
    pub fn unfit(&self, what: &str) -> Error {
        match self {
            Value::Undefined(name) => undefined(name.as_ref()),
            _ => refuse(format!("{what} cannot be applied to {}", self.type_name())),
        }
    }

    pub fn is_true(&self) -> Result<bool, Error> {
        Ok(match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(yes) => *yes,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Object(object) => object.is_true()?,
            _ => self.length()?.is_some_and(|length| length > 0),
        })
    }

    /// Python's `len`; `None` for what has none.
    pub fn length(&self) -> Result<Option<usize>, Error> {
        Ok(match self {
            Value::Undefined(_) => Some(0),
            Value::Text(text) | Value::Markup(text) => Some(text.chars().count()),
            Value::List(items) => Some(items.borrow().len()),
            Value::Tuple(tuple) => Some(tuple.items.len()),
            Value::Dict(entries) => Some(entries.borrow().len()),
            Value::Object(object) => object.length()?,
            _ => None,
        })
    }

    /// Python's `iter`; `None` for what has no items.
    pub fn try_source(&self) -> Result<Option<Source>, Error> {
        let of = |items: Vec<Value>| -> Source {
            let mut items = items.into_iter();
            Box::new(move || Ok(items.next()))
        };
        Ok(Some(match self {
            Value::Undefined(_) => of(Vec::new()),
            // The characters of escaped text are not escaped text.
            Value::Text(text) | Value::Markup(text) => of(text.chars().map(|c| Value::text(c.to_string())).collect()),
            Value::Tuple(tuple) => of(tuple.items.clone()),
            // A list may grow while a loop iterates over it.
            Value::List(items) => {
                let (items, mut next) = (items.clone(), 0..);
                Box::new(move || Ok(next.next().and_then(|at: usize| items.borrow().get(at).cloned())))
            }
            Value::Dict(entries) => {
                let (entries, size, mut next) = (entries.clone(), entries.borrow().len(), 0..);
                Box::new(move || match entries.borrow() {
                    now if now.len() != size => Err(refuse("a dictionary changed its size during iteration")),
                    now => Ok(next.next().and_then(|at: usize| now.get_index(at).map(|(key, _)| key.0.clone()))),
                })
            }
            Value::Object(object) => return object.source(),
            _ => return Ok(None),
        }))
    }

    /// As [`Value::try_source`].
    ///
    /// # Errors
    /// For what has no items.
    pub fn source(&self) -> Result<Source, Error> {
        self.try_source()?.ok_or_else(|| refuse(format!("{} cannot be iterated", self.type_name())))
    }

    /// Python's `list`.
    pub fn items(&self) -> Result<Vec<Value>, Error> {
        let mut source = self.source()?;
        let mut items = Vec::new();
        while let Some(item) = source()? {
            items.push(item);
            if items.len() > LARGEST {
                return Err(refuse(format!("a list of more than {LARGEST} items")));
            }
        }
        Ok(items)
    }

    /// The entries of a dictionary.
    pub fn entries(&self) -> Option<Vec<(Value, Value)>> {
        match self {
            Value::Dict(entries) => {
                Some(entries.borrow().iter().map(|(key, value)| (key.0.clone(), value.clone())).collect())
            }
            _ => None,
        }
    }

    /// An integer, or a boolean as one.
    pub fn whole(&self) -> Result<i128, Error> {
        match self {
            Value::Int(number) => Ok(*number),
            Value::Bool(yes) => Ok(i128::from(*yes)),
            Value::Undefined(name) => Err(undefined(name.as_ref())),
            _ => Err(refuse(format!("{} is not an integer", self.type_name()))),
        }
    }

    /// A number.
    pub fn real(&self) -> Result<f64, Error> {
        match self {
            Value::Float(number) => Ok(*number),
            Value::Undefined(name) => Err(undefined(name.as_ref())),
            _ => match self.whole() {
                Ok(number) => Ok(number as f64),
                Err(_) => Err(refuse(format!("{} is not a number", self.type_name()))),
            },
        }
    }

    /// Python's `==`.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Float(real), whole) | (whole, Value::Float(real)) => {
                whole.whole().is_ok_and(|whole| real.fract() == 0.0 && real.abs() < 1e38 && *real as i128 == whole)
            }
            (Value::Bool(_) | Value::Int(_), Value::Bool(_) | Value::Int(_)) => {
                matches!((self.whole(), other.whole()), (Ok(a), Ok(b)) if a == b)
            }
            (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b) || all_equal(&a.borrow(), &b.borrow()),
            (Value::Tuple(a), Value::Tuple(b)) => all_equal(&a.items, &b.items),
            (Value::Dict(a), Value::Dict(b)) => {
                let (a, b) = (a.borrow(), b.borrow());
                a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| value.equals(other)))
            }
            (Value::Object(a), Value::Object(b)) => a.equals(b),
            _ => matches!((self.as_str(), other.as_str()), (Some(a), Some(b)) if a == b),
        }
    }

    /// Whether `self` is the list or dictionary `other`, or holds it somewhere.
    pub fn holds(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::List(a), Value::List(b)) if Rc::ptr_eq(a, b) => true,
            (Value::Dict(a), Value::Dict(b)) if Rc::ptr_eq(a, b) => true,
            (Value::List(items), _) => items.borrow().iter().any(|item| item.holds(other)),
            (Value::Tuple(tuple), _) => tuple.items.iter().any(|item| item.holds(other)),
            (Value::Dict(entries), _) => entries.borrow().values().any(|item| item.holds(other)),
            _ => false,
        }
    }
}

fn all_equal(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
}

/// A key of a dictionary: a value that cannot change. `1`, `1.0` and `True` are one key, as in Python.
#[derive(Debug, Clone)]
pub struct Key(pub Value);

impl Key {
    /// # Errors
    /// For lists and dictionaries, which can change.
    pub fn of(value: &Value) -> Result<Key, Error> {
        match value {
            Value::List(_) | Value::Dict(_) => {
                Err(refuse(format!("{} cannot be a key: it can change", value.type_name())))
            }
            Value::Tuple(tuple) => {
                tuple.items.iter().try_for_each(|item| Key::of(item).map(|_| ()))?;
                Ok(Key(value.clone()))
            }
            Value::Object(object) if object.is_set() => {
                Err(refuse(format!("{} cannot be a key: it can change", value.type_name())))
            }
            _ => Ok(Key(value.clone())),
        }
    }

    pub fn text(text: impl AsRef<str>) -> Key {
        Key(Value::text(text))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.equals(&other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// Equal values have equal hashes.
fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::Bool(_) | Value::Int(_) => value.whole().unwrap_or_default().hash(state),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e38 => (*number as i128).hash(state),
        Value::Float(number) => number.to_bits().hash(state),
        Value::Text(text) | Value::Markup(text) => text.hash(state),
        Value::Tuple(tuple) => tuple.items.iter().for_each(|item| hash(item, state)),
        // All other values have one hash, and are compared.
        _ => 0.hash(state),
    }
}
