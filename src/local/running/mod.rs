//! What the services of this host really run: whether they are up, on which process, and out of which revision's tree.

mod manager;
mod processes;
mod proof;
mod told;

pub use proof::Proof;
pub use told::{services, why_it_failed};
