//! The deploy host's side: its git repository, the packs made of it, its submodules and
//! large files, the tags, the deployment's lock, the operator.

mod git;
mod keeper;
mod large_files;
mod lock;
mod locks;
mod operator;
mod pack;
mod parts;
mod scap_lock;
mod submodules;
mod tags;

pub use git::{Repo, TreeSize};
pub use keeper::{Ended, Keeper, Purpose, end};
pub use large_files::StoredFile;
pub(crate) use large_files::pointer;
pub use lock::{DeployLock, LockError, default_lock_path};
pub use locks::{Kept, LockPlaces, Locks};
pub use operator::{Operator, group_name, operator, user_name};
pub use pack::{Pack, Packs};
pub use parts::{Parts, Wanted};
pub use submodules::Submodule;
pub use tags::Tags;

#[cfg(test)]
mod testing;
