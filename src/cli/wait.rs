//! Waiting for a lock of the deploy host that others have.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::exit_code::ExitCode;
use crate::locks::Refusal;

use super::Refused;
use super::out::complain_line;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries `take` until it has the lock, `timeout` is over, or `stopped` says so; then the status for whoever wanted it
/// too. Who is waited for is said once for each.
pub fn for_lock<T>(
    timeout: Duration,
    what: &str,
    stopped: &dyn Fn() -> bool,
    mut take: impl FnMut() -> Result<Result<T, Refusal>>,
) -> Result<Result<T, ExitCode>, Refused> {
    let until = Instant::now() + timeout;
    let mut told = String::new();
    loop {
        let kept = match take()? {
            Ok(lock) => return Ok(Ok(lock)),
            Err(kept) => kept.to_string(),
        };
        if stopped() || Instant::now() >= until {
            complain_line(&format!("hoist: {what} {kept}"));
            return Ok(Err(ExitCode::Locked));
        }
        if told != kept {
            let seconds = timeout.as_secs();
            complain_line(&format!("hoist: {what} {kept}; waiting for up to {seconds} s (lock_timeout)"));
            told = kept;
        }
        std::thread::sleep(PAUSE);
    }
}
