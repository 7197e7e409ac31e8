//! A request for the tests that talk to targets.

use hoist::wire::{Header, Revision, StageRequest};

/// A stage of a revision for a group, with nothing that is not needed: no service, no checks, no configuration files.
pub fn plain(header: Header, group: &str, revision: Revision) -> StageRequest {
    let nrpe_dir = "/etc/nagios/nrpe.d".into();
    StageRequest { cache_revs: 5, nrpe_dir, ..StageRequest::new(header, group, revision) }
}
