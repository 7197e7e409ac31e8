//! Plans: what they show of a deployment, plan files, and the signatures that a deployment needs.

#[path = "../common/mod.rs"]
mod common;

#[path = "../common/schema.rs"]
mod schema;

mod files;
mod shown;
mod signed;
