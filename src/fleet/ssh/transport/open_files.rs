//! The limit on open files, which limits the number of sessions of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors of a session: its socket, once for the library and once for [`crate::fleet::ssh::Link`].
const PER_SESSION: u64 = 2;
/// File descriptors for everything else: journals, logs, packs, pipes to git, the agent.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard limit, as any process may. The soft limit is usually 1024, for programs that use
/// select(2).
pub(in crate::fleet::ssh) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            log::debug!("the limit on open files stays at {:?}: {error}", limit.current);
        }
    }
}

/// The number of sessions that can be open at the same time; at least one.
pub(in crate::fleet::ssh) fn sessions() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHERS) / PER_SESSION).unwrap_or(usize::MAX).max(1)
}
