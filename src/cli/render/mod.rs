//! How the answers of commands look: text for people, JSON for programs.

pub mod check_config;
pub mod gates;
pub mod history;
pub mod hooks;
pub mod hosts;
pub mod log;
pub mod outlook;
pub mod plan;
pub mod reconcile;
pub mod rollback;
pub mod stats;
pub mod status;
pub mod steps;
