//! The syntax tree of a template.

use std::cell::OnceCell;
use std::rc::Rc;

pub use super::symbols::Name;
use super::symbols::Symbols;
use crate::jinja::values::Value;
pub use crate::jinja::values::comparison::Comparison;
pub use crate::jinja::values::operators::Operator;

/// An expression and its line, from 1.
#[derive(Debug)]
pub struct Expr {
    pub line: usize,
    pub node: Node,
    /// The depth of nested expressions in it.
    pub height: usize,
}

#[derive(Debug)]
pub enum Node {
    Constant(Value),
    Name(Name),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// Test, value, and the value otherwise.
    Conditional(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    Or(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    /// Whether it is a minus.
    Signed(bool, Box<Expr>),
    Attribute(Box<Expr>, Name),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Args),
    /// Without a value it is the filter of a block, applied to the block's text.
    Filter(Option<Box<Expr>>, Name, Args),
    Test(Box<Expr>, Name, Args),
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub struct Args {
    pub positional: Vec<Expr>,
    pub named: Vec<(Name, Expr)>,
    pub rest: Option<Box<Expr>>,
    pub more_named: Option<Box<Expr>>,
}

/// The target of an assignment.
#[derive(Debug)]
pub enum Target {
    Name(Name),
    Tuple(Vec<Target>),
    /// An attribute of a namespace.
    Attribute(Name, Name),
}

/// The names of a scope, which are determined once the whole template is parsed.
pub type Scoped = OnceCell<Rc<Symbols>>;

pub type Body = Vec<Statement>;

#[derive(Debug)]
pub enum Statement {
    Data(String),
    Output(Expr),
    For(Rc<For>),
    /// The tests and their bodies, and the body of `else`.
    If(Vec<(Expr, Body)>, Body),
    Set(usize, Target, Expr),
    SetBlock(Rc<SetBlock>),
    With(Rc<With>),
    Macro(Rc<Signature>),
    CallBlock(Expr, Rc<Signature>),
    FilterBlock(Rc<FilterBlock>),
    Block(Rc<Block>),
    Extends(Expr),
    Include(Include),
    Import(Import),
    /// The names, and their names here.
    FromImport(Import, Vec<(Name, Name)>),
    /// `autoescape false`, which is only a scope.
    Scope(Rc<Scope>),
}

#[derive(Debug)]
pub struct For {
    pub line: usize,
    pub target: Target,
    pub items: Items,
    pub recursive: bool,
    /// Whether the body needs `loop`.
    pub extended: OnceCell<bool>,
    pub body: Part,
    /// What is rendered if there is no item.
    pub otherwise: Part,
}

/// What a loop goes over.
#[derive(Debug)]
pub struct Items {
    pub iterable: Expr,
    pub test: Option<LoopTest>,
}

/// Statements with a scope of their own.
#[derive(Debug)]
pub struct Part {
    pub body: Body,
    pub scope: Scoped,
}

impl From<Body> for Part {
    fn from(body: Body) -> Part {
        Part { body, scope: OnceCell::new() }
    }
}

/// The `if` of a loop, which sees the loop's names.
#[derive(Debug)]
pub struct LoopTest {
    pub condition: Expr,
    pub scope: Scoped,
}

#[derive(Debug)]
pub struct SetBlock {
    pub line: usize,
    pub target: Target,
    pub filter: Option<Expr>,
    pub body: Body,
    pub scope: Scoped,
}

#[derive(Debug)]
pub struct With {
    pub line: usize,
    pub assignments: Vec<(Target, Expr)>,
    pub body: Body,
    pub scope: Scoped,
}

/// A macro, or the body of a `call`.
#[derive(Debug)]
pub struct Signature {
    pub line: usize,
    /// `None` for that of a `call`.
    pub name: Option<Name>,
    pub arguments: Vec<Name>,
    /// Of the last arguments.
    pub defaults: Vec<Expr>,
    pub body: Part,
    pub special: OnceCell<Special>,
}

/// Which of a macro's special names the body uses.
#[derive(Debug, Clone, Copy)]
pub struct Special {
    pub caller: bool,
    pub kwargs: bool,
    pub varargs: bool,
}

#[derive(Debug)]
pub struct FilterBlock {
    pub filter: Expr,
    pub body: Body,
    pub scope: Scoped,
}

#[derive(Debug)]
pub struct Scope {
    pub value: Expr,
    pub body: Body,
    pub scope: Scoped,
}

#[derive(Debug)]
pub struct Block {
    pub line: usize,
    pub name: Name,
    pub template: Name,
    pub scoped: bool,
    pub required: bool,
    pub body: Body,
    pub scope: Scoped,
    /// Whether it uses `self` and `super`.
    pub uses: OnceCell<(bool, bool)>,
}

#[derive(Debug)]
pub struct Include {
    pub template: Expr,
    pub ignore_missing: bool,
    pub with_context: bool,
}

#[derive(Debug)]
pub struct Import {
    pub template: Expr,
    /// The name of the module, for `import`.
    pub name: Option<Name>,
    pub with_context: bool,
}

/// A whole template.
#[derive(Debug)]
pub struct Template {
    pub name: Name,
    pub body: Body,
    pub blocks: Vec<Rc<Block>>,
    pub extends: bool,
    pub uses_self: bool,
    pub scope: Rc<Symbols>,
    /// The module that an import without context gives, made once.
    pub module: OnceCell<Value>,
}
