//! How fast a command sends files to all hosts together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was not sent for so long is not caught up on, so that a pause is not followed by a burst.
const CAUGHT_UP: Duration = Duration::from_millis(200);

/// The least number of bytes that are worth a packet.
const LEAST: u64 = 1024;

/// A limit on bytes a second, which sessions on many threads share. Nobody is kept waiting here: whoever gets nothing
/// serves its session, and asks again.
#[derive(Debug)]
pub struct TransferLimit {
    rate: u64,
    /// Up to when the bytes that were given away have used the time up.
    used_up: Mutex<Instant>,
}

impl TransferLimit {
    /// So many bytes a second, at least one, from now on.
    pub fn new(rate: u64) -> TransferLimit {
        TransferLimit { rate: rate.max(1), used_up: Mutex::new(Instant::now()) }
    }

    /// How many of `wanted` bytes may be sent now.
    ///
    /// # Errors
    /// None yet; says when to ask again.
    pub fn take(&self, now: Instant, wanted: usize) -> Result<usize, Instant> {
        let least = (wanted as u64).min((self.rate / 50).max(LEAST));
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        let most = CAUGHT_UP.max(self.time_of(LEAST * 2));
        if let Some(earliest) = now.checked_sub(most) {
            *used_up = earliest.max(*used_up);
        }
        let unused = u64::try_from(now.saturating_duration_since(*used_up).as_nanos()).unwrap_or(u64::MAX);
        let available = u64::try_from(u128::from(unused) * u128::from(self.rate) / 1_000_000_000).unwrap_or(u64::MAX);
        if available < least {
            return Err(*used_up + self.time_of(least));
        }
        let given = available.min(wanted as u64);
        *used_up += self.time_of(given);
        Ok(usize::try_from(given).unwrap_or(wanted))
    }

    /// How long so many bytes take, rounded up.
    fn time_of(&self, bytes: u64) -> Duration {
        let nanoseconds = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_the_time_allows_however_many_ask_and_next_to_nothing_is_lost() {
        for rate in [1024, 100_000, 10_000_000_000] {
            let limit = TransferLimit::new(rate);
            let start = *limit.used_up.lock().unwrap();
            let (mut now, mut sum) = (start, 0);
            for turn in 0..2000 {
                now = match limit.take(now, 32 << (turn % 12)) {
                    Ok(given) => {
                        assert!(given > 0);
                        sum += given as u64;
                        now
                    }
                    Err(later) => {
                        assert!(later > now, "nobody is sent round in circles");
                        later
                    }
                };
                let allowed = rate as f64 * (now - start).as_secs_f64();
                assert!(sum as f64 <= allowed + 1.0, "{sum} bytes, {allowed} allowed");
            }
            let allowed = rate as f64 * (now - start).as_secs_f64();
            assert!(sum as f64 >= allowed * 0.9 - 65536.0, "{sum} bytes of {allowed} were given away");
        }
    }

    #[test]
    fn a_pause_is_not_followed_by_a_burst() {
        let limit = TransferLimit::new(1_000_000);
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(limit.take(later, usize::MAX), Ok(200_000));
        assert!(limit.take(later, 1).is_err());
    }
}
