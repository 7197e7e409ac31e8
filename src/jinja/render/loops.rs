//! `loop`: the position in a loop, and its neighbours.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::object::TemplateObject;
use crate::jinja::values::{Source, Value};

/// Renders a recursive loop over other items, at a depth from 0, and returns its text.
pub type Recursion = Box<dyn Fn(&Value, usize) -> Result<Value, Error>>;

/// What comes next: an item, or `None` for the end.
struct Peeked(Option<Value>);

pub struct Loop {
    /// What it iterates over, for its length.
    iterable: Value,
    source: RefCell<Source>,
    length: Cell<Option<usize>>,
    /// From 1; 0 before the first item.
    index: Cell<usize>,
    /// The next item, once somebody has asked for it.
    after: RefCell<Option<Peeked>>,
    current: RefCell<Option<Value>>,
    before: RefCell<Option<Value>>,
    changed: RefCell<Option<Vec<Value>>>,
    /// From 0.
    depth: usize,
    /// `None`: the loop is not recursive.
    recursion: Option<Recursion>,
}

impl Loop {
    /// # Errors
    /// For what has no items.
    pub fn new(iterable: Value, depth: usize, recursion: Option<Recursion>) -> Result<Loop, Error> {
        let source = iterable.source()?;
        Ok(Loop {
            iterable,
            source: RefCell::new(source),
            length: Cell::new(None),
            index: Cell::new(0),
            after: RefCell::default(),
            current: RefCell::default(),
            before: RefCell::default(),
            changed: RefCell::default(),
            depth,
            recursion,
        })
    }

    fn pull(&self) -> Result<Option<Value>, Error> {
        match self.source.try_borrow_mut() {
            Ok(mut source) => source(),
            Err(_) => Err(refuse("loop is used in its own expression")),
        }
    }

    fn peek(&self) -> Result<Option<Value>, Error> {
        if let Some(Peeked(after)) = &*self.after.borrow() {
            return Ok(after.clone());
        }
        let after = self.pull()?;
        self.after.replace(Some(Peeked(after.clone())));
        Ok(after)
    }

    /// The next item, which is the current one from now on.
    pub fn advance(&self) -> Result<Option<Value>, Error> {
        let next = match self.after.take() {
            Some(Peeked(next)) => next,
            None => self.pull()?,
        };
        if let Some(item) = &next {
            self.index.set(self.index.get() + 1);
            self.before.replace(self.current.replace(Some(item.clone())));
        }
        Ok(next)
    }

    fn count(&self) -> Result<usize, Error> {
        if let Some(length) = self.length.get() {
            return Ok(length);
        }
        let length = match self.iterable.length()? {
            Some(length) => length,
            None => {
                let mut rest = Vec::new();
                while let Some(item) = self.pull()? {
                    rest.push(item);
                }
                let length =
                    rest.len() + self.index.get() + usize::from(matches!(*self.after.borrow(), Some(Peeked(Some(_)))));
                let mut rest = rest.into_iter();
                *self.source.borrow_mut() = Box::new(move || Ok(rest.next()));
                length
            }
        };
        self.length.set(Some(length));
        Ok(length)
    }
}

impl TemplateObject for Loop {
    fn type_name(&self) -> &'static str {
        "loop"
    }

    fn repr(&self) -> Result<String, Error> {
        Ok(format!("<LoopContext {}/{}>", self.index.get(), self.count()?))
    }

    fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        let index = self.index.get() as i128;
        let whole = |number: i128| Some(Value::Int(number));
        let nothing = || Value::Undefined(Some(name.into()));
        Ok(match name {
            "index" => whole(index),
            "index0" => whole(index - 1),
            "revindex" => whole(self.count()? as i128 - index + 1),
            "revindex0" => whole(self.count()? as i128 - index),
            "length" => whole(self.count()? as i128),
            "depth" => whole(self.depth as i128 + 1),
            "depth0" => whole(self.depth as i128),
            "first" => Some(Value::Bool(index == 1)),
            "last" => Some(Value::Bool(self.peek()?.is_none())),
            "previtem" => Some(self.before.borrow().clone().filter(|_| index > 1).unwrap_or_else(nothing)),
            "nextitem" => Some(self.peek()?.unwrap_or_else(nothing)),
            _ => None,
        })
    }

    fn has_method(&self, name: &str) -> bool {
        ["cycle", "changed"].contains(&name)
    }

    fn call_method(&self, method: &str, given: &[Value]) -> Result<Value, Error> {
        match method {
            "cycle" if given.is_empty() => Err(refuse("cycle needs at least one value")),
            "cycle" => Ok(given[(self.index.get() + given.len() - 1) % given.len()].clone()),
            _ => {
                let same = match &*self.changed.borrow() {
                    Some(last) => Value::tuple(last.clone()).equals(&Value::tuple(given.to_vec())),
                    None => false,
                };
                self.changed.replace(Some(given.to_vec()));
                Ok(Value::Bool(!same))
            }
        }
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn call(&self, positional: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, Error> {
        match (&self.recursion, &positional[..], &named[..]) {
            (Some(recursion), [iterable], []) => recursion(iterable, self.depth + 1),
            _ => Err(refuse("loop can be called with one value, when the loop is recursive")),
        }
    }

    fn length(&self) -> Result<Option<usize>, Error> {
        self.count().map(Some)
    }

    fn source(&self) -> Result<Option<Source>, Error> {
        Err(refuse("loop cannot be iterated"))
    }
}
