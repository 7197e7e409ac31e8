//! Hoist deploys a git revision to groups of hosts over SSH. DESIGN.md has the map of the modules.

pub mod cli;
mod clock;
pub mod config;
pub mod deploy;
pub mod exit_code;
pub mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod gitmodules;
mod jinja;
pub mod journal;
pub mod local;
pub mod logs;
mod memory;
mod ownership;
mod procfs;
pub mod repo;
pub mod report;
pub mod run;
mod scap_state;
mod shared;
pub mod targets;
mod terminal;
mod text;
pub mod wire;
mod within;
mod yaml;
