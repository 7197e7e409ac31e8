//! Working trees: the git cache they come from, how they are checked out, shared, verified and repaired.

pub mod again;
pub mod artifact;
pub mod cache;
pub mod checkout;
pub mod content;
pub mod describe;
pub mod download;
pub mod external;
pub mod fat;
pub mod git;
pub(crate) mod index;
pub mod index_stamp;
pub mod lfs;
pub mod loose;
pub mod modified;
pub mod objects;
pub mod put;
pub mod refs;
pub mod share;
pub mod submodules;
pub mod verify;
pub mod waste;
