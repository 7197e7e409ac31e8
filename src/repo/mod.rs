//! The deploy host's side: its git repository, the packs made of it, the tags, the deployment's lock, the operator.

mod git;
mod lock;
mod operator;
mod pack;
mod tags;

pub use git::{Repo, TreeSize};
pub use lock::{DeployLock, LockError, default_lock_path};
pub use operator::{Operator, operator};
pub use pack::{Pack, Packs};
pub use tags::Tags;

#[cfg(test)]
mod testing;
