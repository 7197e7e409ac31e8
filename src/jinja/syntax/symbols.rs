//! The names of a scope, and the initial value of each.

use std::collections::HashSet;
use std::rc::Rc;

use indexmap::IndexMap;

/// A name of a template.
pub type Name = Rc<str>;

/// Where a scope's own name gets its initial value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// It is assigned by the construct: a loop's variable, a macro's argument.
    Given,
    /// From the context.
    Context,
    /// From the enclosing scope.
    Outer,
    Undefined,
}

/// The names of a scope.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    parent: Option<Rc<Symbols>>,
    /// The scope's own names, without those that it only reads from an enclosing scope.
    pub own: HashSet<Name>,
    pub loads: IndexMap<Name, Load>,
    /// The names that it sets.
    pub stores: HashSet<Name>,
}

impl Symbols {
    /// The symbols of a scope within `parent`, which `fill` adds.
    pub fn of(parent: Option<&Rc<Symbols>>, fill: impl FnOnce(&mut Symbols)) -> Rc<Symbols> {
        let mut symbols = Symbols { parent: parent.cloned(), ..Symbols::default() };
        fill(&mut symbols);
        Rc::new(symbols)
    }

    fn known_outside(&self, name: &Name) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.knows(name))
    }

    /// Whether this scope or an enclosing one has the name.
    pub fn knows(&self, name: &Name) -> bool {
        self.own.contains(name) || self.known_outside(name)
    }

    fn define(&mut self, name: &Name, load: Load) {
        self.own.insert(name.clone());
        self.loads.insert(name.clone(), load);
    }

    pub fn given(&mut self, name: &Name) {
        self.stores.insert(name.clone());
        self.define(name, Load::Given);
    }

    pub fn store(&mut self, name: &Name) {
        self.stores.insert(name.clone());
        if !self.own.contains(name) {
            let load = if self.known_outside(name) { Load::Outer } else { Load::Undefined };
            self.define(name, load);
        }
    }

    pub fn load(&mut self, name: &Name) {
        if !self.knows(name) {
            self.define(name, Load::Context);
        }
    }

    /// Merges the symbols of the branches of an `if`. A name that any branch sets is the scope's own, and keeps its value if
    /// the branch is not taken.
    pub fn join(&mut self, branches: Vec<Symbols>) {
        let mut stores: HashSet<Name> = HashSet::new();
        for branch in &branches {
            stores.extend(branch.stores.difference(&self.stores).cloned());
        }
        for branch in branches {
            self.own.extend(branch.own);
            self.loads.extend(branch.loads);
            self.stores.extend(branch.stores);
        }
        for name in stores {
            let load = if self.known_outside(&name) { Load::Outer } else { Load::Context };
            self.loads.insert(name, load);
        }
    }
}
