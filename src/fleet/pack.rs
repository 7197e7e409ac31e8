//! What a host lacks, as one file that is sent to it.

use std::sync::Arc;

pub use crate::repo::Pack;
use crate::repo::Packs;
use crate::wire::Revision;

/// Who makes packs.
pub trait PackSource: Send + Sync {
    /// The pack for hosts that have the commits `cached` and all that they lead to; `None` when that is everything.
    /// It is called from many threads at once, and makes a pack once for all hosts that lack the same.
    fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>>;
}

impl PackSource for Packs {
    fn pack(&self, cached: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>> {
        Packs::pack(self, cached)
    }
}
