//! What the hosts of a call are called by.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A target's place in the plan, over all groups in order. In a journal it is a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(usize);

impl HostId {
    /// The host at a place, counted from 0.
    pub const fn new(place: usize) -> HostId {
        HostId(place)
    }

    /// The place, for lists that have one entry a host.
    pub const fn index(self) -> usize {
        self.0
    }

    /// The first so many hosts.
    pub fn first(count: usize) -> HostIds {
        HostIds(0..count)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hosts that stand side by side in the plan: a group's or a subgroup's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIds(Range<usize>);

impl HostIds {
    /// Those of a part of these, by their places among them.
    pub fn part(&self, places: Range<usize>) -> HostIds {
        HostIds(self.0.start + places.start..self.0.start + places.end)
    }

    /// So many hosts that follow these.
    pub fn next_after(&self, count: usize) -> HostIds {
        HostIds(self.0.end..self.0.end + count)
    }

    pub fn contains(&self, host: HostId) -> bool {
        self.0.contains(&host.0)
    }
}

impl Iterator for HostIds {
    type Item = HostId;

    fn next(&mut self) -> Option<HostId> {
        self.0.next().map(HostId)
    }
}
