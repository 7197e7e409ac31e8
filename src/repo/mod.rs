//! The deploy host's side: its git repository, the packs made of it, its submodules and
//! large files, the tags, the deployment's lock, the operator.

mod artifacts;
mod changed_files;
mod checkout;
mod commits;
mod contents;
mod describe;
mod fleet_refs;
mod git;
mod large_files;
mod operator;
mod pack;
mod parts;
mod reverts;
mod signed;
mod subject;
mod submodules;
mod tags;
mod tree;

pub use artifacts::{ARCHIVES, ArtifactStore, BUILDS, Noted, Place};
pub use changed_files::{ChangedFile, ChangedFiles};
pub use commits::{Commit, Commits, Distance};
pub use describe::describing;
pub use git::{MISLEADING, Repo};
pub use large_files::StoredFile;
pub use operator::{operator, operator_names};
pub use pack::{Pack, Packs};
pub use parts::{Named, Parts, Wanted};
pub use submodules::Submodule;
pub use tags::{NewestTag, PassedOver, Tagged, TaggedRun, Tags};
pub use tree::{Tree, TreeSize};

#[cfg(test)]
mod testing;
