//! The state of a rendering: the templates, the variables of each, and the scopes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use indexmap::IndexMap;

use crate::wire::OutputFormat;

use crate::jinja::error::{Error, refuse};
use crate::jinja::syntax::ast::{Block, Name, Template};
use crate::jinja::syntax::lexer::Delimiters;
use crate::jinja::syntax::symbols::{Load, Symbols};
use crate::jinja::syntax::undefined::Undefined;
use crate::jinja::values::Value;

pub type Variables = HashMap<Name, Value>;

/// The deepest nesting of calls of macros, blocks, includes and recursive loops: about Python's own limit.
const DEEPEST: usize = 400;

/// The deepest nesting of statements and expressions over all calls: as many as fit on the stack.
const MOST_NESTED: usize = 4_000;

/// The most expressions that one file may evaluate: far above what people write, and done in some seconds.
const MOST_STEPS: u64 = 50_000_000;

/// Undefined values that are told of.
const MOST_UNDEFINED: usize = 20;

/// Names of variables, and whether one of them was looked up.
#[derive(Debug)]
pub struct Watched {
    names: HashSet<Name>,
    pub seen: Cell<bool>,
}

/// The state that all templates of a rendering share.
#[derive(Debug)]
pub struct Engine {
    pub sources: IndexMap<String, String>,
    pub delimiters: Delimiters,
    pub format: OutputFormat,
    pub templates: RefCell<HashMap<String, Rc<Template>>>,
    /// Undefined values that were printed.
    pub undefined: RefCell<BTreeSet<Undefined>>,
    pub watched: Rc<Watched>,
    depth: Cell<usize>,
    nested: Cell<usize>,
    steps: Cell<u64>,
}

impl Engine {
    pub fn new(sources: &IndexMap<String, String>, delimiters: Delimiters, format: OutputFormat) -> Rc<Engine> {
        Engine::watching(sources, delimiters, format, HashSet::new())
    }

    /// One that notes whether any of these names is looked up.
    pub fn watching(
        sources: &IndexMap<String, String>,
        delimiters: Delimiters,
        format: OutputFormat,
        names: HashSet<Name>,
    ) -> Rc<Engine> {
        Rc::new(Engine {
            sources: sources.clone(),
            delimiters,
            format,
            templates: RefCell::default(),
            undefined: RefCell::default(),
            watched: Rc::new(Watched { names, seen: Cell::new(false) }),
            depth: Cell::new(0),
            nested: Cell::new(0),
            steps: Cell::new(0),
        })
    }

    /// Notes a value that is printed, if it is undefined.
    pub fn note_undefined(&self, value: &Value, template: &Name, line: usize) {
        let Value::Undefined(Some(name)) = value else { return };
        let mut undefined = self.undefined.borrow_mut();
        if undefined.len() < MOST_UNDEFINED {
            let (template, name, hint) = (template.to_string(), name.to_string(), String::new());
            undefined.insert(Undefined { template, line, name, hint });
        }
    }

    /// Does `work` one call deeper.
    pub fn deeper<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if self.depth.get() >= DEEPEST {
            return Err(refuse(format!("macros, includes or loops are nested more than {DEEPEST} deep")));
        }
        self.depth.set(self.depth.get() + 1);
        let done = work();
        self.depth.set(self.depth.get() - 1);
        done
    }

    /// Counts one round of a loop or one expression.
    pub fn step(&self) -> Result<(), Error> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MOST_STEPS {
            return Err(refuse("too many steps: a loop is too long"));
        }
        Ok(())
    }

    /// Does `work` as a step that is nested in all unfinished ones.
    pub fn within<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.step()?;
        if self.nested.get() >= MOST_NESTED {
            return Err(refuse("macros, includes or loops are nested too deep"));
        }
        self.nested.set(self.nested.get() + 1);
        let done = work();
        self.nested.set(self.nested.get() - 1);
        done
    }
}

/// The variables of a template, and the blocks that it and those that it extends have.
#[derive(Debug)]
pub struct Context {
    pub name: Name,
    /// The variables that it was given.
    pub parent: Rc<Variables>,
    /// The variables that its outermost scope has set so far.
    pub vars: RefCell<Variables>,
    pub exported: RefCell<HashSet<Name>>,
    /// By name; that of the most derived template first.
    pub blocks: RefCell<HashMap<Name, Vec<Rc<Block>>>>,
    watched: Rc<Watched>,
}

impl Context {
    pub fn new(engine: &Engine, template: &Template, parent: Variables) -> Rc<Context> {
        let blocks = template.blocks.iter().map(|block| (block.name.clone(), vec![block.clone()])).collect();
        Rc::new(Context {
            name: template.name.clone(),
            parent: Rc::new(parent),
            vars: RefCell::default(),
            exported: RefCell::default(),
            blocks: RefCell::new(blocks),
            watched: engine.watched.clone(),
        })
    }

    fn resolve(&self, name: &Name) -> Option<Value> {
        if self.watched.names.contains(name) {
            self.watched.seen.set(true);
        }
        self.vars.borrow().get(name).or_else(|| self.parent.get(name)).cloned()
    }

    /// All variables, including those of the enclosing scopes.
    pub fn all(&self, frame: &Frame) -> Variables {
        let mut all = (*self.parent).clone();
        all.extend(self.vars.borrow().iter().map(|(name, value)| (name.clone(), value.clone())));
        all.extend(frame.locals());
        all
    }

    /// A copy with the variables of the enclosing scopes, for a scoped block.
    pub fn derived(&self, frame: &Frame) -> Rc<Context> {
        Rc::new(Context {
            name: self.name.clone(),
            parent: Rc::new(self.all(frame)),
            vars: RefCell::default(),
            exported: RefCell::default(),
            blocks: RefCell::new(self.blocks.borrow().clone()),
            watched: self.watched.clone(),
        })
    }
}

/// The variables of a scope while it is rendered.
#[derive(Debug)]
pub struct Frame {
    symbols: Rc<Symbols>,
    vars: RefCell<Variables>,
    parent: Option<Rc<Frame>>,
}

impl Frame {
    pub fn new(symbols: &Rc<Symbols>, parent: Option<&Rc<Frame>>) -> Rc<Frame> {
        Rc::new(Frame { symbols: symbols.clone(), vars: RefCell::default(), parent: parent.cloned() })
    }

    /// Sets the scope's own names to their initial values.
    pub fn enter(&self, context: &Context) {
        for (name, load) in &self.symbols.loads {
            let value = match load {
                Load::Given => continue,
                Load::Undefined => None,
                Load::Context => context.resolve(name),
                Load::Outer => self.parent.as_ref().and_then(|parent| parent.find(name).ok().flatten()),
            };
            match value {
                Some(value) => self.vars.borrow_mut().insert(name.clone(), value),
                None => self.vars.borrow_mut().remove(name),
            };
        }
    }

    pub fn set(&self, name: &Name, value: Value) {
        self.vars.borrow_mut().insert(name.clone(), value);
    }

    /// The value of a name; `None` while it has none.
    ///
    /// # Errors
    /// If no scope has the name, where Jinja2 fails too.
    pub fn find(&self, name: &Name) -> Result<Option<Value>, Error> {
        let mut frame = self;
        loop {
            if frame.symbols.own.contains(name) {
                return Ok(frame.vars.borrow().get(name).cloned());
            }
            frame = match &frame.parent {
                Some(parent) => parent,
                None => return Err(refuse(format!("{name} cannot be used here: set a variable to it before"))),
            };
        }
    }

    /// The variables that this scope and the enclosing ones have set.
    fn locals(&self) -> Variables {
        let mut locals = Variables::new();
        let mut seen = HashSet::new();
        let mut frame = Some(self);
        while let Some(here) = frame {
            for name in &here.symbols.stores {
                if seen.insert(name.clone())
                    && let Ok(Some(value)) = self.find(name)
                {
                    locals.insert(name.clone(), value);
                }
            }
            frame = here.parent.as_deref();
        }
        locals
    }
}

/// Where a statement is rendered.
#[derive(Debug, Clone)]
pub struct Scope {
    pub engine: Rc<Engine>,
    pub context: Rc<Context>,
    pub frame: Rc<Frame>,
    /// The template that the statement is of.
    pub template: Name,
    /// Whether it is the outermost scope of a template.
    pub toplevel: bool,
    /// Whether output is dropped once the template extends another one.
    pub checked: bool,
    /// The template that was extended.
    pub extended: Rc<RefCell<Option<Rc<Template>>>>,
}

impl Scope {
    /// The scope of a block.
    pub fn new(engine: &Rc<Engine>, context: &Rc<Context>, frame: Rc<Frame>, template: &Name) -> Scope {
        Scope {
            engine: engine.clone(),
            context: context.clone(),
            frame,
            template: template.clone(),
            toplevel: false,
            checked: false,
            extended: Rc::default(),
        }
    }

    /// A scope within this one.
    pub fn inner(&self, frame: Rc<Frame>) -> Scope {
        Scope { frame, toplevel: false, ..self.clone() }
    }

    /// As [`Scope::inner`], but its output is never dropped.
    pub fn captured(&self, frame: Rc<Frame>) -> Scope {
        Scope { checked: false, ..self.inner(frame) }
    }
}
