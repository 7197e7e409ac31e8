//! The deployment: its plan, its story, its host table, its verdict.

mod operator;
mod plan;
mod probe;
mod story;
mod table;
mod verdict;

pub use operator::{Answer, Operator, Question};
pub use plan::{FailedTargets, Kind, Plan, StagePlan};
pub use story::deploy;
pub use verdict::Verdict;
