//! Reads templates: text into tokens, tokens into a syntax tree, and which scope each name of the tree belongs to.

pub mod ast;
mod expressions;
pub mod lexer;
mod parser;
pub mod scopes;
pub mod statements;
pub mod symbols;
mod targets;
pub mod undefined;
pub mod walk;
