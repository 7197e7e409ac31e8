//! Who keeps a lock on the deploy host, and what for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::wire::Holder;

/// What a lock is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A deployment is under way.
    #[default]
    Deploy,
    /// Somebody keeps deployments out.
    Lock,
    /// A deployment was rolled back, and nobody has said yet that the next one may begin.
    Rollback,
}

/// Who keeps a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    #[serde(flatten)]
    pub holder: Holder,
    #[serde(default)]
    pub purpose: Purpose,
    /// When it is let go at the latest; RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl From<Holder> for LockOwner {
    /// A deployment's.
    fn from(holder: Holder) -> LockOwner {
        LockOwner { holder, purpose: Purpose::Deploy, until: None }
    }
}

impl fmt::Display for LockOwner {
    /// `is being deployed by …`, or `is locked by alice on deploy1, 3 min ago, until 2026-11-23 15:04 CET at the latest: 'why'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { user, host, since, message, .. } = &self.holder;
        if self.purpose == Purpose::Deploy {
            return write!(f, "is being deployed by {}", self.holder);
        }
        let by = if self.purpose == Purpose::Rollback { "after a rollback, by a run of" } else { "by" };
        write!(f, "is locked {by} {user} on {host}, {}", clock::ago(since))?;
        if let Some(until) = &self.until {
            write!(f, ", until {} at the latest", clock::local_with_zone(until))?;
        }
        if message.is_empty() { Ok(()) } else { write!(f, ": '{message}'") }
    }
}
