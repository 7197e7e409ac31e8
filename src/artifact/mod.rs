//! Archives and directories as git trees.
//!
//! A reader of a format ([`tar`], [`zip`], [`directory`]) hands its entries to the [`unpack::Unpacker`], which judges them
//! and writes them on to one `git fast-import` ([`import`]). Nothing is written to a working tree, a file is never in
//! memory as a whole, and an archive that is refused leaves nothing behind. The tree depends on names, contents, links and
//! executable bits alone, so a directory and any archive of it are the same revision.

mod compression;
pub mod digest;
mod directory;
mod download;
mod import;
mod names;
mod stream;
mod summary;
mod tar;
mod tree;
mod unpack;
mod zip;

pub use download::{Downloaded, Patience, download};
#[cfg(feature = "test-access")]
pub(crate) use import::judge;
pub use import::{Imported, REFERENCE, import, import_downloaded};
pub use summary::Summary;
