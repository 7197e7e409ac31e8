//! Taking the locks of the deploy host, and waiting for them while others have them.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::deploy;
use crate::exit_code::ExitCode;
use crate::locks::{LockOwner, Locks, NotTaken};
use crate::wire::Holder;

use super::{Frontend, Refused};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// The locks that a deployment of the repository needs here.
pub fn lock(config: &Config, holder: &Holder, front: &dyn Frontend) -> Result<Locks, Refused> {
    // Nothing listens for signals yet: one ends the process, and its wait.
    take_locks(config, &LockOwner::from(holder.clone()), &|| false, front)
}

/// The same, whatever for. `stopped` ends the wait for others.
pub fn take_locks(
    config: &Config,
    owner: &LockOwner,
    stopped: &dyn Fn() -> bool,
    front: &dyn Frontend,
) -> Result<Locks, Refused> {
    let places = deploy::lock_places(config);
    for_lock(config.lock_timeout(), &config.settings.git_repo, stopped, front, || Locks::take(&places, owner))
}

/// Tries `take` until it has the lock, `timeout` is over, or `stopped` says so. Who is waited for is said once for each.
pub fn for_lock<T>(
    timeout: Duration,
    what: &str,
    stopped: &dyn Fn() -> bool,
    front: &dyn Frontend,
    mut take: impl FnMut() -> Result<T, NotTaken>,
) -> Result<T, Refused> {
    let until = Instant::now() + timeout;
    let mut told = String::new();
    loop {
        let kept = match take() {
            Ok(lock) => return Ok(lock),
            Err(NotTaken::Failed(error)) => return Err(error.into()),
            Err(NotTaken::Refused(kept)) => kept.to_string(),
        };
        if stopped() || Instant::now() >= until {
            front.remark(&format!("hoist: {what} {kept}"));
            return Err(Refused::Told(ExitCode::Locked));
        }
        if told != kept {
            let seconds = timeout.as_secs();
            front.remark(&format!("hoist: {what} {kept}; waiting for up to {seconds} s (lock_timeout)"));
            told = kept;
        }
        std::thread::sleep(PAUSE);
    }
}
