//! Who a run belongs to, and the locks that it takes on this host.

use anyhow::{Context, Result};

use crate::config::Config;
use crate::locks::LockPlaces;
use crate::wire::{Holder, Level, limits};

/// Where the locks of a repository are on this host.
pub fn lock_places(config: &Config) -> LockPlaces {
    let settings = &config.settings;
    LockPlaces::new(&settings.lock_dir, settings.lock_file.as_deref(), &settings.git_repo, config.is_known_to_scap())
}

/// What is said of a message that is longer than locks and requests may carry.
pub fn long_message(message: &str) -> Option<(Level, String)> {
    let (length, most) = (message.len(), limits::MESSAGE);
    let note = format!("the message has {length} bytes; only the first {most} are kept");
    (length > most).then_some((Level::Warning, note))
}

/// Who a run belongs to. A long message is cut; [`long_message`] says so.
pub fn holder(message: String) -> Result<Holder> {
    let operator = crate::repo::operator();
    // Two runs within a millisecond by one process are told apart by the random part.
    let random = std::collections::hash_map::RandomState::new();
    let salt = std::hash::BuildHasher::hash_one(&random, 0u8) & 0xffff;
    let pid = std::process::id();
    let run = format!("{}-{pid}-{salt:04x}", crate::clock::run_id_stamp());
    Ok(Holder {
        run: run.parse().map_err(anyhow::Error::msg).context("cannot name the run")?,
        user: operator.user,
        host: operator.deploy_host,
        pid,
        since: crate::clock::rfc3339_utc(),
        message,
    }
    .bounded())
}
