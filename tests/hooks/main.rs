//! Announcements: real listeners, while deployments succeed, roll back, are killed and resumed.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/schema.rs"]
mod schema;

mod deployments;
mod killed;
mod listeners;
mod silent;
