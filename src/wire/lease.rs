//! The lease of a promoted target: how long it stays on a revision that nobody has confirmed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock;

use super::{Revision, RunId};

/// Why a target does not finalize a revision that it went back from by itself: it has to go live once more, by the rules for
/// that, which only the deployer can keep.
pub const WENT_BACK: &str = "the lease expired, and the host rolled itself back";

/// A revision that went live on a lease. A target has at most one; finalize and rollback end it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub run: RunId,
    /// What went live.
    pub revision: Revision,
    /// What the target goes back to.
    pub restore: Revision,
    /// How long the lease lasts without being renewed.
    pub seconds: u64,
    /// Seconds after that until it is this host's turn among those of its group.
    #[serde(default)]
    pub turn: u64,
    /// When it began: RFC 3339, UTC.
    pub since: String,
    pub stands: LeaseStands,
}

/// How a lease stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lease", rename_all = "snake_case")]
pub enum LeaseStands {
    /// It is renewed by a deployer, or runs.
    Open,
    /// It ran out and nobody was there to act on it: the host was down, or the watcher was killed.
    Missed,
    /// It ran out, and the target began to roll itself back.
    RollingBack { at: String },
    /// It ran out, and the target rolled itself back; `at` is RFC 3339, UTC, as above.
    RolledBack { at: String },
    /// It ran out, and the target could not roll itself back cleanly.
    RollbackFailed { at: String, reason: String },
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, new, old) = (&self.run, self.revision.short(), self.restore.short());
        match &self.stands {
            LeaseStands::Open => {
                write!(
                    f,
                    "{new} is live on a lease of run {run} since {}, not finalized; it goes back to {old} ",
                    clock::local_with_zone(&self.since)
                )?;
                write!(f, "{} s after its deployer has gone", self.seconds.saturating_add(self.turn))
            }
            LeaseStands::Missed => write!(
                f,
                "the lease of run {run} on {new} expired while the host could not act: {new} is live and was never \
                 finalized; deploy again, or roll back"
            ),
            LeaseStands::RollingBack { at } => {
                let at = clock::local_with_zone(at);
                write!(f, "the lease of run {run} on {new} expired at {at}; the rollback to {old} has not finished")
            }
            LeaseStands::RolledBack { at } => {
                let at = clock::local_with_zone(at);
                write!(f, "the lease of run {run} on {new} expired: the host rolled itself back to {old} at {at}")
            }
            LeaseStands::RollbackFailed { at, reason } => write!(
                f,
                "the lease of run {run} on {new} expired, and the host's rollback to {old} failed at {}: {reason}",
                clock::local_with_zone(at)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_lease_are_told_with_their_zone_and_recorded_in_utc() {
        let at = "2026-11-23T14:45:52Z".to_owned();
        let stands = [
            LeaseStands::Open,
            LeaseStands::RollingBack { at: at.clone() },
            LeaseStands::RolledBack { at: at.clone() },
            LeaseStands::RollbackFailed { at: at.clone(), reason: "no memory".into() },
        ];
        let (new, old): (Revision, Revision) = ("b".repeat(40).parse().unwrap(), "a".repeat(40).parse().unwrap());
        for stands in stands {
            let run = "20261123T144552.123Z-4711-7d3f".parse().unwrap();
            let (revision, restore, since) = (new.clone(), old.clone(), at.clone());
            let lease = Lease { run, revision, restore, seconds: 60, turn: 0, since, stands };
            let told = lease.to_string();
            assert!(told.contains(&clock::local_with_zone(&at)) && !told.contains(&at), "{told}");
            assert!(serde_json::to_string(&lease).unwrap().contains(&at), "{lease:?}");
        }
    }
}
