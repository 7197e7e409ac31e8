//! Waiting for a lock of the deploy host that others have.

use std::time::{Duration, Instant};

use crate::locks::NotTaken;

use super::Refused;
use super::out::complain_line;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries `take` until it has the lock, `timeout` is over, or `stopped` says so. Who is waited for is said once for each.
pub fn for_lock<T>(
    timeout: Duration,
    what: &str,
    stopped: &dyn Fn() -> bool,
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
            complain_line(&format!("hoist: {what} {kept}"));
            return Err(Refused::Locked);
        }
        if told != kept {
            let seconds = timeout.as_secs();
            complain_line(&format!("hoist: {what} {kept}; waiting for up to {seconds} s (lock_timeout)"));
            told = kept;
        }
        std::thread::sleep(PAUSE);
    }
}
