//! The deployment: its plan, its story, its host table, its verdict.

mod asked;
mod calls;
mod contact;
mod control;
pub mod health;
mod holder;
mod interrupts;
mod look;
mod new_hosts;
mod operator;
mod plan;
mod preflight;
mod prepare;
mod probe;
mod relay;
mod requests;
mod revision;
mod rollback;
mod story;
mod table;
mod undrain;
mod verdict;
mod watch;
mod way_out;

pub use asked::Asked;
pub use control::{Digests, WorkingTree, changed};
pub use holder::{holder, lock_places, long_message};
pub use look::{Look, close, look};
pub use new_hosts::for_new_hosts;
pub use operator::{Answer, Operator, Question};
pub use plan::{GatePlan, GroupId, Kind, Plan, StagePlan};
pub use prepare::{Choice, Prepared, prepare};
pub use relay::{Observer, relay};
pub use requests::{Requests, parts, requests};
pub use story::deploy;
pub use verdict::Verdict;
