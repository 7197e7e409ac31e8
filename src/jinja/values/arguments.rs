//! The arguments of a call, bound to names as Python binds them.

use std::rc::Rc;

use super::{LARGEST, Value};
use crate::jinja::error::{Error, refuse};

/// The keyword arguments of a call.
pub type Named = [(Rc<str>, Value)];

/// The arguments of a filter or method, by the position of the parameter.
pub struct Arguments {
    of: &'static str,
    values: Vec<Option<Value>>,
}

/// What is said of something that has these arguments and is given another. That one's name may be a value.
pub fn no_such_argument<T: AsRef<str>>(known: &[T]) -> String {
    match known {
        [] => "has no arguments".to_owned(),
        known => {
            let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
            format!("is given an argument that it does not have: it has {}", known.join(", "))
        }
    }
}

impl Arguments {
    /// Binds positional and keyword arguments to the parameters `names`.
    ///
    /// # Errors
    /// For too many, unknown and duplicate arguments.
    pub fn bind(of: &'static str, names: &[&str], positional: &[Value], named: &Named) -> Result<Arguments, Error> {
        let mut values = vec![None; names.len()];
        if positional.len() > names.len() {
            return Err(refuse(format!("{of} takes at most {} arguments", names.len())));
        }
        for (place, value) in values.iter_mut().zip(positional) {
            *place = Some(value.clone());
        }
        for (name, value) in named {
            let Some(place) = names.iter().position(|known| *known == &**name) else {
                return Err(refuse(format!("{of} {}", no_such_argument(names))));
            };
            if values[place].replace(value.clone()).is_some() {
                return Err(refuse(format!("{of} has the argument {name:?} twice")));
            }
        }
        Ok(Arguments { of, values })
    }

    pub fn get(&self, place: usize) -> Option<&Value> {
        self.values[place].as_ref()
    }

    /// As [`Arguments::get`], but `None` counts as left out.
    pub fn some(&self, place: usize) -> Option<&Value> {
        self.get(place).filter(|value| !value.is_none())
    }

    pub fn required(&self, place: usize) -> Result<&Value, Error> {
        self.get(place).ok_or_else(|| refuse(format!("{} is missing an argument", self.of)))
    }

    /// Text, or `None` if it is left out or Python's `None`; an error for other values.
    pub fn text(&self, place: usize) -> Result<Option<&str>, Error> {
        match self.some(place) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text)),
                None => Err(value.unfit(self.of)),
            },
        }
    }

    /// A whole number.
    pub fn number(&self, place: usize, default: i64) -> Result<i64, Error> {
        match self.get(place) {
            None => Ok(default),
            Some(value) => {
                i64::try_from(value.whole()?).map_err(|_| refuse(format!("a number of {} is too large", self.of)))
            }
        }
    }

    /// A length or a count; negative numbers count as 0.
    pub fn size(&self, place: usize, default: i64) -> Result<usize, Error> {
        let size = usize::try_from(self.number(place, default)?.max(0)).unwrap_or(usize::MAX);
        if size > LARGEST { Err(refuse(format!("a number of {} is too large", self.of))) } else { Ok(size) }
    }

    /// A whole number as yes or no, which is what Python's own functions take.
    pub fn flag(&self, place: usize) -> Result<bool, Error> {
        self.get(place).map_or(Ok(false), |value| value.whole().map(|number| number != 0))
    }

    pub fn truth(&self, place: usize, default: bool) -> Result<bool, Error> {
        self.get(place).map_or(Ok(default), Value::is_true)
    }
}
