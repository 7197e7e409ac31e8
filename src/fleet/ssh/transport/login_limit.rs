//! Limits the logins under way at one server.
//!
//! sshd drops connections at random once too many have not logged in yet, by default ten (`MaxStartups 10:30:100` in
//! sshd_config(5)). Targets are usually separate machines with one connection each, and do not wait for each other; the
//! limit is for targets that share an address, and for proxy commands that go through one jump host.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// Half of the number from which a default sshd drops connections: it counts a login until shortly after it is done.
const AT_ONCE: usize = 5;

/// The logins under way, by server: an address, or another name for it.
#[derive(Debug, Default)]
pub struct LoginLimit {
    under_way: Mutex<HashMap<String, usize>>,
    freed: Condvar,
}

/// The permit for one login, until it is dropped.
#[derive(Debug)]
pub struct LoginPermit<'a> {
    limit: &'a LoginLimit,
    place: String,
}

impl LoginLimit {
    /// Waits until another login may begin at `place`.
    pub fn acquire(&self, place: String) -> LoginPermit<'_> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while under_way.get(&place).is_some_and(|count| *count >= AT_ONCE) {
            under_way = self.freed.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        *under_way.entry(place.clone()).or_default() += 1;
        LoginPermit { limit: self, place }
    }
}

impl Drop for LoginPermit<'_> {
    fn drop(&mut self) {
        let mut under_way = self.limit.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.place);
            }
        }
        // All are woken, since they may wait for different servers.
        self.limit.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn a_place_has_so_many_logins_under_way_and_another_place_is_not_held_up_by_it() {
        let limit = LoginLimit::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let held: Vec<_> = (0..AT_ONCE).map(|_| limit.acquire("busy".into())).collect();
        drop(limit.acquire("idle".into()));
        drop(held);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let _permit = limit.acquire("busy".into());
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= AT_ONCE);
        assert!(limit.under_way.lock().unwrap().is_empty());
    }
}
