//! Macros, and the bodies of `call` blocks.

use std::rc::Rc;

use super::context::{Frame, Scope};
use super::{eval, statements};
use crate::jinja::error::{Error, refuse};
use crate::jinja::syntax::ast::{Name, Signature, Special};
use crate::jinja::values::arguments::no_such_argument;
use crate::jinja::values::object::TemplateObject;
use crate::jinja::values::{Dict, Key, Value, python};

#[derive(Debug)]
pub struct Macro {
    pub signature: Rc<Signature>,
    /// The scope of its definition, whose variables it sees.
    pub scope: Scope,
}

impl Macro {
    fn special(&self) -> Special {
        *self.signature.special.get_or_init(|| Special { caller: false, kwargs: false, varargs: false })
    }
}

impl TemplateObject for Macro {
    fn type_name(&self) -> &'static str {
        "a macro"
    }

    fn repr(&self) -> Result<String, Error> {
        let name =
            self.signature.name.as_ref().map_or(Ok("anonymous".to_owned()), |name| python::repr(&Value::text(name)));
        Ok(format!("<Macro {}>", name.unwrap_or_default()))
    }

    fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        let special = self.special();
        Ok(Some(match name {
            "name" => self.signature.name.as_ref().map_or(Value::None, Value::text),
            "arguments" => Value::tuple(self.signature.arguments.iter().map(Value::text).collect()),
            "catch_kwargs" => Value::Bool(special.kwargs),
            "catch_varargs" => Value::Bool(special.varargs),
            "caller" => Value::Bool(special.caller),
            "explicit_caller" => Value::Bool(self.signature.arguments.iter().any(|name| &**name == "caller")),
            _ => return Ok(None),
        }))
    }

    fn is_callable(&self) -> bool {
        true
    }

    /// Renders the macro.
    fn call(&self, positional: Vec<Value>, mut named: Vec<(Name, Value)>) -> Result<Value, Error> {
        let (it, special) = (&*self.signature, self.special());
        let called = it.name.as_deref().unwrap_or("caller");
        let frame = match it.body.scope.get() {
            Some(symbols) => Frame::new(symbols, Some(&self.scope.frame)),
            None => return Err(refuse("a macro that was not read")),
        };
        let mut take = |name: &str| named.iter().position(|(known, _)| &**known == name).map(|at| named.remove(at).1);
        let mut missing = Vec::new();
        let explicit_caller = it.arguments.iter().any(|name| &**name == "caller");
        for (place, name) in it.arguments.iter().enumerate() {
            match positional.get(place).cloned().or_else(|| take(name)) {
                Some(value) => frame.set(name, value),
                None => missing.push(place),
            }
        }
        let nobody = |name: &str| Value::Undefined(Some(name.into()));
        if special.caller && !explicit_caller {
            let caller = take("caller").filter(|value| !value.is_none()).unwrap_or_else(|| nobody("caller"));
            frame.set(&"caller".into(), caller);
        }
        if special.kwargs {
            let rest: Dict = named.drain(..).map(|(name, value)| (Key::text(name), value)).collect();
            frame.set(&"kwargs".into(), Value::dict(rest));
        } else if !named.is_empty() {
            return Err(refuse(format!("the macro {called} {}", no_such_argument(&it.arguments))));
        }
        let rest = positional.get(it.arguments.len()..).unwrap_or_default();
        if special.varargs {
            frame.set(&"varargs".into(), Value::tuple(rest.to_vec()));
        } else if !rest.is_empty() {
            return Err(refuse(format!("the macro {called} takes at most {} arguments", it.arguments.len())));
        }
        let scope = self.scope.captured(frame);
        scope.engine.deeper(|| {
            scope.frame.enter(&scope.context);
            let without_default = it.arguments.len() - it.defaults.len();
            for place in missing {
                let name = &it.arguments[place];
                let value = match place.checked_sub(without_default) {
                    Some(at) => eval::eval(&it.defaults[at], &scope)?,
                    None => nobody(name),
                };
                scope.frame.set(name, value);
            }
            let mut text = String::new();
            statements(&it.body.body, &scope, &mut text)?;
            Ok(Value::text(text))
        })
    }
}
