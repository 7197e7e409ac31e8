//! Hoist deploys a git revision to groups of hosts over SSH. DESIGN.md has the map of the modules.

// A test may unwrap; the program may not: it names what is wrong and what to do.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::unwrap_in_result))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod artifact;
mod calendar;
pub mod cli;
mod clock;
pub mod config;
pub mod deploy;
pub mod exit_code;
mod files;
pub mod fleet;
pub mod fleet_state;
#[cfg(feature = "test-access")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gates;
mod gitmodules;
mod glob;
pub mod hooks;
mod inventory;
pub mod invocation;
mod jinja;
pub mod journal;
pub mod local;
pub mod locks;
pub mod logs;
mod named;
pub mod once;
pub mod operation;
mod paths;
mod placeholders;
pub mod problem;
mod procfs;
pub mod repo;
pub mod report;
pub mod run;
mod scap_state;
mod subprocess;
pub mod targets;
mod tcp;
mod terminal;
mod text;
mod threads;
pub mod timeline;
pub mod timings;
mod url;
pub mod wire;
mod yaml;
