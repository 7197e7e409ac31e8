//! The deploy host's locks: who holds a repository, and Scap's own lock files.

mod lock;
mod owner;
mod places;
mod scap_lock;

pub use lock::{DeployLock, LockError, LockHolder, default_lock_path};
pub use owner::{Ended, LockOwner, Purpose, end, nameless};
pub use places::{LockPlaces, Locks, NotTaken, Refusal};
pub use scap_lock::{ScapHolds, ScapLock, ScapLockError};
