//! Blocks as templates call them: `super()`, `self.title()`.

use std::rc::Rc;

use super::context::{Context, Engine, Frame, Scope};
use super::{statements, symbols};
use crate::jinja::error::{Error, refuse};
use crate::jinja::syntax::ast::{Block, Name};
use crate::jinja::values::object::{Object, TemplateObject, no_arguments};
use crate::jinja::values::{Value, python};

/// A block that can be called: `super()`, `self.title()`.
#[derive(Debug, Clone)]
pub struct BlockReference {
    pub engine: Rc<Engine>,
    pub name: Name,
    pub context: Rc<Context>,
    pub stack: Vec<Rc<Block>>,
    pub depth: usize,
}

impl BlockReference {
    /// The block of `self` with that name.
    pub fn first(engine: &Rc<Engine>, context: &Rc<Context>, name: &str) -> Option<BlockReference> {
        let (name, stack) = context.blocks.borrow().get_key_value(name).map(|(name, it)| (name.clone(), it.clone()))?;
        Some(BlockReference { engine: engine.clone(), name, context: context.clone(), stack, depth: 0 })
    }

    /// What `super` is within it.
    pub fn parent(&self) -> Value {
        match self.depth + 1 < self.stack.len() {
            true => BlockReference { depth: self.depth + 1, ..self.clone() }.into_value(),
            false => Value::Undefined(Some("super".into())),
        }
    }

    fn into_value(self) -> Value {
        Value::object(Object::OfTemplate(Rc::new(self)))
    }

    /// Writes the block.
    pub fn write(&self, out: &mut String) -> Result<(), Error> {
        let BlockReference { engine, context, stack, depth, .. } = self;
        let it = &stack[*depth];
        engine.deeper(|| {
            let frame = Frame::new(symbols(&it.scope)?, None);
            let (uses_self, uses_super) = it.uses.get().copied().unwrap_or_default();
            if uses_self {
                frame.set(&"self".into(), own_blocks(engine, context));
            }
            if uses_super {
                // The block's position among the context's blocks, which may differ from the caller's.
                let stack = context.blocks.borrow().get(&it.name).cloned().unwrap_or_default();
                let depth = stack.iter().position(|other| Rc::ptr_eq(other, it)).unwrap_or(stack.len());
                let own = BlockReference { stack, depth, ..self.clone() };
                frame.set(&"super".into(), own.parent());
            }
            frame.enter(context);
            statements(&it.body, &Scope::new(engine, context, frame, &it.template), out)
        })
    }
}

impl TemplateObject for BlockReference {
    fn type_name(&self) -> &'static str {
        "a block"
    }

    fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(match name {
            "super" => Some(self.parent()),
            "name" => Some(Value::text(&self.name)),
            _ => None,
        })
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn call(&self, positional: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, Error> {
        no_arguments("a block", &positional, &named)?;
        let mut text = String::new();
        self.write(&mut text)?;
        Ok(Value::text(text))
    }
}

/// `self` of a template: its blocks by their names.
struct OwnBlocks(Rc<Engine>, Rc<Context>);

/// What `self` is in a template.
pub fn own_blocks(engine: &Rc<Engine>, context: &Rc<Context>) -> Value {
    Value::object(Object::OfTemplate(Rc::new(OwnBlocks(engine.clone(), context.clone()))))
}

impl TemplateObject for OwnBlocks {
    fn type_name(&self) -> &'static str {
        "self"
    }

    fn repr(&self) -> Result<String, Error> {
        Ok(format!("<TemplateReference {}>", python::repr(&Value::text(&self.1.name))?))
    }

    fn attribute(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(BlockReference::first(&self.0, &self.1, name).map(BlockReference::into_value))
    }

    fn is_callable(&self) -> bool {
        false
    }

    fn call(&self, _: Vec<Value>, _: Vec<(Rc<str>, Value)>) -> Result<Value, Error> {
        Err(refuse("self cannot be called"))
    }
}
