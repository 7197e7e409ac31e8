//! Telling others of a run: what of it is announced, once, whoever lives to see it; and what a dead deployer left unsaid.

mod announcer;
mod dead;
mod run;
mod unsent;
mod watched;

pub use announcer::Announcer;
pub use dead::{catch_up, report_dead};
pub use unsent::told;
