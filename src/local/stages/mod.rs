//! The stages: what each of them does on the target, its checks and services, and what makes a revision live.

pub mod checks;
pub mod config_deploy;
pub mod config_diff;
pub mod fetch;
pub mod finalize;
pub mod job;
pub mod own_checks;
pub mod promote;
pub mod render;
pub mod rendered;
pub mod rollback;
pub mod service;
pub mod stage;
pub mod vars;
