//! The ids of hosts.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A target's index in the plan, over all groups in order. In a journal it is a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(usize);

impl HostId {
    /// The host with an index, from 0.
    pub const fn new(place: usize) -> HostId {
        HostId(place)
    }

    /// The index, for lists with one entry per host.
    pub const fn index(self) -> usize {
        self.0
    }

    /// The first `count` hosts.
    pub fn first(count: usize) -> HostIds {
        HostIds(0..count)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of hosts in the plan: those of a group or a subgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIds(Range<usize>);

impl HostIds {
    /// A part of the range, by indexes within it.
    pub fn part(&self, places: Range<usize>) -> HostIds {
        HostIds(self.0.start + places.start..self.0.start + places.end)
    }

    /// The next `count` hosts after these.
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
