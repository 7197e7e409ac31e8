//! How many sessions are open at once, and which of them is closed to make room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::HostId;

/// The open sessions, by when each was last used.
#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    /// `None`: as many as there are hosts.
    limit: Option<usize>,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    uses: u64,
    by_use: BTreeMap<u64, HostId>,
    last_use: HashMap<HostId, u64>,
}

impl OpenSessions {
    pub fn new(limit: Option<usize>) -> OpenSessions {
        OpenSessions { limit, order: Mutex::default() }
    }

    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// A host's session is about to be used or opened. If that makes too many, those that have been idle longest are
    /// closed: `close` does that, and returns `false` for a session in use.
    pub fn touch(&self, host: HostId, mut close: impl FnMut(HostId) -> bool) {
        let Some(limit) = self.limit else { return };
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.used(host);
        let too_many = order.by_use.len().saturating_sub(limit);
        let resting = order.by_use.values().copied().filter(|other| *other != host);
        let closed: Vec<HostId> = resting.filter(|other| close(*other)).take(too_many).collect();
        for host in closed {
            order.forget(host);
        }
    }

    /// A host's session is closed.
    pub fn forget(&self, host: HostId) {
        if self.limit.is_some() {
            self.order.lock().unwrap_or_else(PoisonError::into_inner).forget(host);
        }
    }
}

impl Order {
    fn used(&mut self, host: HostId) {
        self.forget(host);
        self.uses += 1;
        self.by_use.insert(self.uses, host);
        self.last_use.insert(host, self.uses);
    }

    fn forget(&mut self, host: HostId) {
        if let Some(use_) = self.last_use.remove(&host) {
            self.by_use.remove(&use_);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_that_has_rested_longest_makes_room_and_one_in_use_never_does() {
        let open = OpenSessions::new(Some(2));
        let touched = |host, in_use: &[usize]| {
            let mut closed = Vec::new();
            open.touch(HostId::new(host), |other| {
                let rests = !in_use.contains(&other.index());
                closed.extend(rests.then_some(other.index()));
                rests
            });
            closed
        };
        assert!(touched(0, &[]).is_empty());
        assert!(touched(1, &[]).is_empty());
        assert!(touched(0, &[]).is_empty());
        assert_eq!(touched(2, &[]), [1]);
        assert_eq!(touched(3, &[0]), [2]);
        // No session is idle, so one too many is open until one is.
        assert!(touched(4, &[0, 3]).is_empty());
        assert_eq!(touched(4, &[]), [0]);
        open.forget(HostId::new(3));
        assert!(touched(5, &[]).is_empty());
    }
}
