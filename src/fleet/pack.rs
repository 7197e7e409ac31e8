//! What a host lacks, as one file that is sent to it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

pub use crate::repo::Pack;
use crate::repo::Packs;
use crate::wire::{LargeFile, Revision};

/// Who makes packs.
pub trait PackSource: Send + Sync {
    /// The pack for hosts that have the commits `cached` and all that they lead to; `None` when that is everything.
    /// It is called from many threads at once, and makes a pack once for all hosts that lack the same.
    fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>>;

    /// The large files of the revision.
    fn large_files(&self) -> &[LargeFile] {
        &[]
    }

    /// The file here that has a large file's content.
    fn stored(&self, _: &LargeFile) -> Option<&Path> {
        None
    }

    /// A path of the revision at which this content of a large file stands.
    fn large_file_path(&self, _oid: &str) -> Option<&str> {
        None
    }
}

/// Appends `length` bytes of a file, from `offset` on.
///
/// The room for them is not filled with zeros first: many hosts are sent the same megabytes.
///
/// # Errors
/// They cannot be read, or the file ends before that.
pub fn read_onto(bytes: &mut Vec<u8>, file: &File, mut offset: u64, length: usize) -> io::Result<()> {
    let end = bytes.len() + length;
    bytes.reserve_exact(length);
    while bytes.len() < end {
        match rustix::io::pread(file, rustix::buffer::spare_capacity(bytes), offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => offset += got as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // There may have been room for more.
    bytes.truncate(end);
    Ok(())
}

/// For commands that send nothing.
pub struct NoPacks;

impl PackSource for NoPacks {
    fn pack(&self, _: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>> {
        Ok(None)
    }
}

/// All that is sent to one host behind a request.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// Files in order, each with its length; they go first.
    pub large_files: Vec<(PathBuf, u64)>,
    pub pack: Option<Arc<Pack>>,
}

impl From<Arc<Pack>> for Payload {
    fn from(pack: Arc<Pack>) -> Payload {
        Payload { large_files: Vec::new(), pack: Some(pack) }
    }
}

impl PackSource for Packs {
    fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>> {
        Packs::pack(self, cached)
    }

    fn large_files(&self) -> &[LargeFile] {
        Packs::large_files(self)
    }

    fn stored(&self, file: &LargeFile) -> Option<&Path> {
        Packs::stored(self, file)
    }

    fn large_file_path(&self, oid: &str) -> Option<&str> {
        Packs::large_file_path(self, oid)
    }
}
