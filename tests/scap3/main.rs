//! Repositories, deploy hosts and targets as users of Scap 3 have them, and services under a real supervisor.

#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod keys;
mod page;
mod service;
mod takeover;
