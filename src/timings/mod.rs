//! Where the time of a step on a host goes: its parts, and the clock that measures them.

mod stopwatch;

pub use stopwatch::{
    Exchange, Timed, Waited, asked, awaited, during, exchange, round_trip, sent, so_far, start, started, stop, told,
    wait,
};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::named::named;

named! {
    /// A part of the time that a step takes on a host. Every moment belongs to exactly one.
    pub enum Part => phrase: &'static str {
        /// Until a thread and, with `max_unavailable` and the like, a place among the hosts at work is free.
        Queue = "queue" => "waiting for a slot",
        /// Until fewer logins are under way at the same address.
        LoginSlot = "login_slot" => "waiting to log in",
        /// Until `transfer_limit` lets more bytes pass.
        TransferLimit = "transfer_limit" => "waiting for transfer_limit",
        /// The name, the TCP connection, jump hosts and proxy commands, and pauses between attempts.
        Connect = "connect" => "connecting",
        /// SSH versions, key exchange, and the look at the host key.
        Handshake = "handshake" => "key exchange",
        Authentication = "authentication" => "authentication",
        /// Until the remote process runs: sshd, the login shell and its start-up files.
        Start = "start" => "starting remote processes",
        /// Sending files.
        Transfer = "transfer" => "transfer",
        /// Other waits for the network.
        Network = "network" => "round trips",
        /// On the target: locks.
        Lock = "lock" => "locks",
        Git = "git" => "git",
        /// Waiting for the disk.
        Sync = "sync" => "disk sync",
        Configuration = "configuration" => "configuration files",
        Drain = "drain" => "drain and undrain",
        Service = "service" => "services",
        Checks = "checks" => "checks",
        Command = "command" => "command",
        /// Whatever else the target does.
        Work = "work" => "other work on the target",
        /// Only in what a target reports: until the deployer has sent the request, or what follows it.
        Input = "input" => "input",
        /// What nothing else accounts for.
        Other = "other" => "other",
    }
}

impl Part {
    /// Whether the target works meanwhile.
    pub fn is_work(self) -> bool {
        (Part::Lock..=Part::Work).contains(&self)
    }
}

/// Times by part. In JSON an object of seconds; parts that took no time are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts(BTreeMap<Part, Duration>);

impl Parts {
    pub fn of(&self, part: Part) -> Duration {
        self.0.get(&part).copied().unwrap_or_default()
    }

    pub fn add(&mut self, part: Part, time: Duration) {
        if !time.is_zero() {
            *self.0.entry(part).or_default() += time;
        }
    }

    /// Adds the times of another step.
    pub fn add_all(&mut self, other: &Parts) {
        other.iter().for_each(|(part, time)| self.add(part, time));
    }

    pub fn iter(&self) -> impl Iterator<Item = (Part, Duration)> {
        self.0.iter().map(|(part, time)| (*part, *time))
    }

    /// All of it.
    pub fn whole(&self) -> Duration {
        self.0.values().sum()
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(part, time)| (part, seconds(time))).filter(|(_, time)| *time > 0.0))
    }
}

/// Whole microseconds.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// What is no time is passed over, and so is a part that only a newer build knows: a target may say anything.
impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parts, D::Error> {
        /// No step takes longer.
        const LONGEST: f64 = 1e9;
        let mut parts = Parts::default();
        for (name, seconds) in BTreeMap::<String, f64>::deserialize(deserializer)? {
            let part = Part::ALL.into_iter().find(|part| part.name() == name);
            if let (Some(part), Ok(time)) = (part, Duration::try_from_secs_f64(seconds.min(LONGEST))) {
                parts.add(part, time);
            }
        }
        Ok(parts)
    }
}

/// Where the time of one step on one host went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timings {
    pub parts: Parts,
    /// Bytes of files that were sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// How often commands waited for the network.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round_trips: u64,
    /// How long the fastest answer of the host's SSH server took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_seconds: Option<f64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_in_json_and_what_is_no_time_is_passed_over() {
        let mut parts = Parts::default();
        parts.add(Part::Git, Duration::from_micros(1_250_000));
        parts.add(Part::Sync, Duration::from_nanos(300));
        assert_eq!(serde_json::to_string(&parts).unwrap(), r#"{"git":1.25}"#);
        let said = r#"{"git":1.25,"checks":-1,"lock":1e300,"dreams":7.0}"#;
        let read: Parts = serde_json::from_str(said).unwrap();
        assert_eq!((read.of(Part::Git), read.of(Part::Checks)), (Duration::from_millis(1250), Duration::ZERO));
        assert_eq!(read.whole(), Duration::from_millis(1250) + Duration::from_secs(1_000_000_000));
    }
}
