//! Who a run belongs to, and the locks that it takes on this host.

use anyhow::{Context, Result};

use crate::config::Config;
use crate::locks::LockPlaces;
use crate::wire::{Holder, Level, limits};

/// The paths of a repository's locks on this host.
pub fn lock_places(config: &Config) -> LockPlaces {
    let settings = &config.settings;
    LockPlaces::new(&settings.lock_dir, settings.lock_file.as_deref(), &settings.git_repo, config.is_known_to_scap())
}

/// The remark on a message that is too long for locks and requests.
pub fn long_message(message: &str) -> Option<(Level, String)> {
    let (length, most) = (message.len(), limits::MESSAGE);
    let note = format!("the message has {length} bytes; only the first {most} are kept");
    (length > most).then_some((Level::Warning, note))
}

/// Who a run belongs to. A message that is too long is cut, see [`long_message`].
pub fn holder(message: String) -> Result<Holder> {
    let operator = crate::repo::operator();
    // The random part distinguishes two runs of one process within a millisecond.
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
