//! The deploy host's locks: who holds a repository, and Scap's own lock files.

mod end;
mod kept;
mod lock;
mod owner;
mod places;
mod queue;
mod scap_lock;

pub use end::{Ended, end, nameless};
pub use kept::{end_kept, keep, kept};
pub use lock::{DeployLock, LockError, LockHolder, default_lock_path};
pub use owner::{LockOwner, Purpose};
pub use places::{LockPlaces, Locks, NotTaken, Refusal};
pub use queue::{Place, Waiting};
pub use scap_lock::{ScapHolds, ScapLock, ScapLockError};
