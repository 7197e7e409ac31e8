//! Loads templates by their names.

use std::cell::OnceCell;
use std::rc::Rc;

use super::context::{Engine, Variables};
use crate::jinja::check;
use crate::jinja::error::{Error, refuse};
use crate::jinja::syntax::ast::{Name, Template};
use crate::jinja::syntax::{lexer, scopes, statements};
use crate::jinja::values::object::Object;
use crate::jinja::values::{Key, Value};

/// Jinja2's global functions.
pub fn globals() -> Variables {
    let names = ["range", "dict", "lipsum", "cycler", "joiner", "namespace"];
    names.into_iter().map(|name| (name.into(), Value::object(Object::Function(name)))).collect()
}

/// Parses a template, which may still have mistakes that `check` finds.
///
/// # Errors
/// A syntax error, with template and line.
pub fn read(engine: &Engine, name: &str, source: &str) -> Result<Template, Error> {
    let name: Name = name.into();
    // As in Jinja2, all line ends become newlines.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let at = |(error, line): (Error, usize)| error.at(&name, line);
    let tokens = lexer::tokens(&source, &engine.delimiters).map_err(at)?;
    let (body, found) = statements::parse(&tokens, &name).map_err(at)?;
    let (scope, uses_self) = scopes::template(&body, &found.blocks);
    let (blocks, extends) = (found.blocks, found.extends);
    Ok(Template { name, body, blocks, extends, uses_self, scope, module: OnceCell::new() })
}

/// The template that a value names.
///
/// # Errors
/// When there is none.
pub fn named(engine: &Rc<Engine>, name: &Value) -> Result<Rc<Template>, Error> {
    let missing = || Error { not_found: true, ..refuse("this template does not exist") };
    let Some(name) = name.as_str() else {
        Key::of(name)?;
        return Err(if name.is_undefined() { name.unfit("include") } else { missing() });
    };
    if let Some(template) = engine.templates.borrow().get(name) {
        return Ok(template.clone());
    }
    let Some(source) = engine.sources.get(name) else {
        return Err(missing());
    };
    let template = Rc::new(read(engine, name, source)?);
    if let Some((line, why)) = check::template(&template).mistakes.into_iter().next() {
        return Err(refuse(why).at(&template.name, line));
    }
    engine.templates.borrow_mut().insert(name.to_owned(), template.clone());
    Ok(template)
}

/// The first template that there is of a list of names, or the one of a single name.
///
/// # Errors
/// When there is none.
pub fn any_of(engine: &Rc<Engine>, names: &Value) -> Result<Rc<Template>, Error> {
    if names.as_str().is_some() || names.is_undefined() {
        return named(engine, names);
    }
    let missing = || Error { not_found: true, ..refuse("none of these templates exists") };
    if !names.is_true()? {
        return Err(missing());
    }
    for name in names.items()? {
        match named(engine, &name) {
            Err(error) if error.not_found || name.is_undefined() => {}
            found => return found,
        }
    }
    let counted = match names {
        Value::List(_) | Value::Tuple(_) => true,
        Value::Object(object) => matches!(&**object, Object::Range(_)),
        _ => false,
    };
    Err(if counted { missing() } else { names.unfit("include") })
}
