//! Revisions that are no commits of the repository's history: where they are kept, and what is known of them.

mod history;
mod store;
mod subdir;

pub use history::Place;
pub use store::{ARCHIVES, ArtifactStore, BUILDS, Noted};
