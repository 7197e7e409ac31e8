//! The system's limit on open files, which bounds the sessions of one process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A session is a socket, which the library and [`crate::fleet::ssh::Link`] hold once each.
const A_SESSION: u64 = 2;
/// Journals, logs, packs, pipes of git, the agent.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one, which any process may. The soft one is 1024 nearly everywhere, for the sake of
/// programs that use select(2).
pub(in crate::fleet::ssh) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            log::debug!("the limit on open files stays at {:?}: {error}", limit.current);
        }
    }
}

/// How many sessions can be open at once; at least one.
pub(in crate::fleet::ssh) fn sessions() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHERS) / A_SESSION).unwrap_or(usize::MAX).max(1)
}
