//! The arguments of a call, bound to names as Python binds them.

use minijinja::value::Kwargs;
use minijinja::{Error, Value};

use super::python::{refuse, type_of, whole};

/// What a filter or method was given, by the place of its parameter.
pub struct Arguments {
    of: &'static str,
    values: Vec<Option<Value>>,
}

impl Arguments {
    /// Binds `given` to `names`.
    ///
    /// # Errors
    /// For one too many, one that has no name here, and one that is given twice.
    pub fn bind(of: &'static str, names: &[&str], given: &[Value]) -> Result<Arguments, Error> {
        let mut values = vec![None; names.len()];
        let (positional, named) = split(given)?;
        if positional.len() > names.len() {
            return Err(refuse(format!("{of} takes no more than {} arguments", names.len())));
        }
        for (place, value) in values.iter_mut().zip(positional) {
            *place = Some(value.clone());
        }
        for (name, value) in named {
            let Some(place) = names.iter().position(|known| *known == name) else {
                return Err(refuse(format!("{of} has no argument {name:?}")));
            };
            if values[place].replace(value).is_some() {
                return Err(refuse(format!("{of} was given its argument {name:?} twice")));
            }
        }
        Ok(Arguments { of, values })
    }

    pub fn get(&self, place: usize) -> Option<&Value> {
        self.values[place].as_ref()
    }

    pub fn required(&self, place: usize) -> Result<&Value, Error> {
        self.get(place).ok_or_else(|| refuse(format!("{} lacks an argument", self.of)))
    }

    /// Text; an error for what is none.
    pub fn text(&self, place: usize) -> Result<Option<&str>, Error> {
        match self.get(place) {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text)),
                None => Err(refuse(format!("{} wants text, not {}", self.of, type_of(value)))),
            },
        }
    }

    /// A whole number.
    pub fn number(&self, place: usize, default: i64) -> Result<i64, Error> {
        match self.get(place) {
            None => Ok(default),
            Some(value) => {
                i64::try_from(whole(value)?).map_err(|_| refuse(format!("a number of {} is too large", self.of)))
            }
        }
    }

    /// A length or a count; less than nothing is nothing.
    pub fn size(&self, place: usize, default: i64) -> Result<usize, Error> {
        let size = usize::try_from(self.number(place, default)?.max(0)).unwrap_or(usize::MAX);
        if size > 10_000_000 { Err(refuse(format!("a number of {} is too large", self.of))) } else { Ok(size) }
    }

    pub fn truth(&self, place: usize, default: bool) -> bool {
        self.get(place).map_or(default, Value::is_true)
    }
}

/// Arguments that were given by name.
pub type Named = Vec<(String, Value)>;

/// Positional and named arguments.
pub fn split(given: &[Value]) -> Result<(&[Value], Named), Error> {
    let Some((last, rest)) = given.split_last().filter(|(last, _)| last.is_kwargs()) else {
        return Ok((given, Vec::new()));
    };
    let kwargs = Kwargs::try_from(last.clone())?;
    let named = kwargs.args().map(|name| Ok((name.to_owned(), kwargs.get::<Value>(name)?)));
    Ok((rest, named.collect::<Result<_, Error>>()?))
}
