//! Doors for `tests/fuzz` to readers of foreign bytes that nobody else reaches by themselves. No interface to build on.

use std::path::Path;

use crate::fleet::ssh::known_hosts::KnownHosts;

/// Reads a file of host keys and asks it about a host; gives the remarks on its lines.
pub fn known_hosts(path: &Path, host: &str, key: &[u8]) -> Vec<String> {
    let known = KnownHosts::load(&[path.to_owned()]);
    let _ = (known.key_types(host, 22), known.check(host, 2222, key));
    known.notes().to_vec()
}
