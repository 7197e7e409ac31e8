//! The deploy host's side: its git repository, the packs made of it, the tags, the deployment's lock, the operator.

mod git;
mod keeper;
mod lock;
mod locks;
mod operator;
mod pack;
mod scap_lock;
mod tags;

pub use git::{Repo, TreeSize};
pub use keeper::{Ended, Keeper, Purpose, end};
pub use lock::{DeployLock, LockError, default_lock_path};
pub use locks::{Kept, LockPlaces, Locks};
pub use operator::{Operator, operator};
pub use pack::{Pack, Packs};
pub use tags::Tags;

#[cfg(test)]
mod testing;
