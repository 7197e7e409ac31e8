//! Repositories, deploy hosts and targets as users of Scap 3 have them, and services under a real supervisor.

mod beliefs;
#[path = "../common/mod.rs"]
mod common;
mod fleet;
mod keys;
mod locks;
mod page;
mod service;
mod takeover;
mod way_back;
