//! `loop`: where a loop is, and what stands before and behind.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::For;
use super::context::Scope;
use super::error::{Error, refuse};
use super::value::{Source, Value};

/// What comes next: an item, or `None` for the end.
struct Peeked(Option<Value>);

pub struct Loop {
    /// What it goes through, for its length.
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
    /// What a recursive loop calls.
    pub recursion: Option<(Rc<For>, Scope)>,
}

impl Loop {
    /// # Errors
    /// For what has no items.
    pub fn new(iterable: Value, depth: usize, recursion: Option<(Rc<For>, Scope)>) -> Result<Loop, Error> {
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

    pub fn depth(&self) -> usize {
        self.depth
    }

    fn pull(&self) -> Result<Option<Value>, Error> {
        match self.source.try_borrow_mut() {
            Ok(mut source) => source(),
            Err(_) => Err(refuse("loop is asked for its next item while it looks for it")),
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

    pub fn length(&self) -> Result<usize, Error> {
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

    pub fn repr(&self) -> Result<String, Error> {
        Ok(format!("<LoopContext {}/{}>", self.index.get(), self.length()?))
    }

    pub fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        let index = self.index.get() as i128;
        let whole = |number: i128| Some(Value::Int(number));
        let nothing = || Value::Undefined(Some(name.into()));
        Ok(match name {
            "index" => whole(index),
            "index0" => whole(index - 1),
            "revindex" => whole(self.length()? as i128 - index + 1),
            "revindex0" => whole(self.length()? as i128 - index),
            "length" => whole(self.length()? as i128),
            "depth" => whole(self.depth as i128 + 1),
            "depth0" => whole(self.depth as i128),
            "first" => Some(Value::Bool(index == 1)),
            "last" => Some(Value::Bool(self.peek()?.is_none())),
            "previtem" => Some(self.before.borrow().clone().filter(|_| index > 1).unwrap_or_else(nothing)),
            "nextitem" => Some(self.peek()?.unwrap_or_else(nothing)),
            _ => None,
        })
    }

    /// `loop.cycle(…)` and `loop.changed(…)`.
    pub fn call(&self, method: &str, given: &[Value]) -> Result<Value, Error> {
        match method {
            "cycle" if given.is_empty() => Err(refuse("cycle wants at least one value")),
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
}
