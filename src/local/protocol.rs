//! Whether this build understands what it is asked.

use std::ops::RangeInclusive;

use serde::Deserialize;

use crate::wire::{OLDEST_KEPT, PROTOCOL};

use super::fault::Fault;

#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

/// Refuses a request of a deployer that speaks another version.
pub fn check(request: &[u8]) -> Result<(), Fault> {
    check_version(request, PROTOCOL..=PROTOCOL, |error| unreadable(&error))
}

/// Refuses a request that was kept by a build that is newer, or older than those whose requests are read.
pub fn check_kept(request: &[u8], wrong: impl FnOnce(serde_json::Error) -> Fault) -> Result<(), Fault> {
    check_version(request, OLDEST_KEPT..=PROTOCOL, wrong)
}

fn check_version(
    request: &[u8],
    read: RangeInclusive<u32>,
    wrong: impl FnOnce(serde_json::Error) -> Fault,
) -> Result<(), Fault> {
    let Version { protocol: theirs } = serde_json::from_slice(request).map_err(wrong)?;
    if read.contains(&theirs) {
        return Ok(());
    }
    let here = env!("CARGO_PKG_VERSION");
    Err(Fault::failed(format!(
        "the request speaks protocol {theirs}, hoist {here} on this host protocol {PROTOCOL}; update the older one"
    )))
}

/// Only the place is told of what is wrong: a request may hold secrets.
pub fn unreadable(error: &serde_json::Error) -> Fault {
    let place = match error.column() {
        0 => String::new(),
        column => format!(" (byte {column} of its line)"),
    };
    Fault::failed(format!("the request cannot be parsed{place}; the versions may differ"))
}
