//! A deployment from its journal to its verdict: what it takes here beside the story, whether it begins or is gone on
//! with.

mod after_probe;
mod begin;
mod lock_after;
mod observe;
mod owed;
mod publish;
mod published;
mod run;
mod service_gates;
mod tag;

pub use begin::{
    begin, look_for_unfinished, refuse_another_environment, refuse_left_behind, refuse_live, refuse_unfinished,
};
pub use observe::Observations;
pub use run::RecordedRun;
pub use service_gates::{ServiceGates, most_common};
