//! Limits the number of concurrent logins at one server.
//!
//! sshd drops connections at random if too many are not logged in yet, by default ten (`MaxStartups 10:30:100` in
//! sshd_config(5)). Targets are usually separate machines with one connection each, which do not wait for each other. The
//! limit is for targets that share an address, and for proxy commands that use the same jump host.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// Half of the number at which sshd begins to drop connections by default: it counts a login until shortly after its end.
const MAX_LOGINS: usize = 5;

/// The number of current logins for each server: an address, or another name for it.
#[derive(Debug, Default)]
pub struct LoginLimit {
    current: Mutex<HashMap<String, usize>>,
    freed: Condvar,
}

/// The permit for one login, which ends when this is dropped.
#[derive(Debug)]
pub struct LoginPermit<'a> {
    limit: &'a LoginLimit,
    server: String,
}

impl LoginLimit {
    /// Waits until another login may begin at `server`.
    pub fn acquire(&self, server: String) -> LoginPermit<'_> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        while current.get(&server).is_some_and(|count| *count >= MAX_LOGINS) {
            current = self.freed.wait(current).unwrap_or_else(PoisonError::into_inner);
        }
        *current.entry(server.clone()).or_default() += 1;
        LoginPermit { limit: self, server }
    }
}

impl Drop for LoginPermit<'_> {
    fn drop(&mut self) {
        let mut current = self.limit.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = current.get_mut(&self.server) {
            *count -= 1;
            if *count == 0 {
                current.remove(&self.server);
            }
        }
        // All waiting threads are woken, since they may wait for different servers.
        self.limit.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn logins_at_a_server_are_limited_and_other_servers_do_not_wait_for_it() {
        let limit = LoginLimit::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let held: Vec<_> = (0..MAX_LOGINS).map(|_| limit.acquire("busy".into())).collect();
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
        assert!(most.load(Ordering::SeqCst) <= MAX_LOGINS);
        assert!(limit.current.lock().unwrap().is_empty());
    }
}
