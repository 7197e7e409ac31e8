//! Avoids the penalties of OpenSSH 9.8 and later (PerSourcePenalties in sshd_config(5)).
//!
//! A connection on which a login failed adds five seconds to the penalty of its address, which passes with time. From
//! fifteen seconds on the server closes every connection from there, this deployment's and everybody else's. So whoever
//! has many keys to try goes slowly enough.

use std::time::{Duration, Instant};

const FAILED_LOGIN: Duration = Duration::from_secs(5);
/// Before a connection that may fail too, less than the server's limit less its own share, and a second for clocks.
const MOST: Duration = Duration::from_secs(9);

/// The penalty that one login has caused at a server.
#[derive(Debug, Default)]
pub struct Penalties {
    failed: u32,
    since: Option<Instant>,
}

impl Penalties {
    /// Counts a connection that is over, on which keys were `refused`, with a server of this banner. Gives the pause to
    /// make before the next one.
    pub fn pause(&mut self, banner: Option<&str>, refused: bool) -> Duration {
        if !refused || !banner.is_some_and(has_penalties) {
            return Duration::ZERO;
        }
        self.failed += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        (FAILED_LOGIN * self.failed).saturating_sub(MOST).saturating_sub(since.elapsed())
    }
}

/// `SSH-2.0-OpenSSH_9.8p1 Debian-1`
fn has_penalties(banner: &str) -> bool {
    let Some((_, version)) = banner.split_once("OpenSSH_") else { return false };
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (9, 8),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_of_a_server_that_has_one_never_reaches_its_limit() {
        let mut penalties = Penalties::default();
        let (mut now, mut penalty) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..20 {
            penalty += FAILED_LOGIN;
            assert!(penalty < Duration::from_secs(15), "{penalty:?} after {now:?}");
            // No time passes in the test itself.
            let pause = penalties.pause(Some("SSH-2.0-OpenSSH_9.8p1"), true).saturating_sub(now);
            now += pause;
            penalty = penalty.saturating_sub(pause);
        }
    }

    #[test]
    fn only_a_server_that_has_penalties_is_waited_for() {
        for (banner, has) in [
            ("SSH-2.0-OpenSSH_9.8", true),
            ("SSH-2.0-OpenSSH_10.0p2 Debian-7", true),
            ("SSH-2.0-OpenSSH_9.10p1", true),
            ("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7", false),
            ("SSH-2.0-OpenSSH_for_Windows_9.8", false),
            ("SSH-2.0-dropbear_2022.83", false),
        ] {
            assert_eq!(has_penalties(banner), has, "{banner}");
            let mut penalties = Penalties::default();
            let pauses: Vec<Duration> = (0..3).map(|_| penalties.pause(Some(banner), true)).collect();
            assert_eq!(pauses[0], Duration::ZERO);
            assert_eq!(pauses[2] > Duration::ZERO, has, "{banner}");
        }
        assert_eq!(Penalties::default().pause(None, true), Duration::ZERO);
    }
}
