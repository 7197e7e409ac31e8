//! What a host lacks, as one file that is sent to it.

use std::fs::File;
use std::sync::Arc;

use crate::wire::Revision;

/// Bytes to send: `bytes` of them from the beginning of `file`, which many hosts read at once, each at its own place.
#[derive(Debug)]
pub struct Pack {
    pub file: File,
    pub bytes: u64,
}

/// Who makes packs.
pub trait PackSource: Send + Sync {
    /// The pack for hosts that have the commits `cached` and all that they lead to; `None` when that is everything.
    /// It is called from many threads at once, and makes a pack once for all hosts that lack the same.
    fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>>;
}
