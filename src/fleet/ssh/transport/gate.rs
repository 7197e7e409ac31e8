//! How many logins are under way at one place.
//!
//! sshd drops connections at random once more than so many have not logged in yet: ten, as it comes (`MaxStartups
//! 10:30:100` in sshd_config(5)). Targets are machines of their own and each gets one connection, so this holds nothing
//! up among them; it is for those that share an address, and for proxies that lead to one bastion.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// Half of what a default sshd begins to drop at: it counts a login for a moment after the client has got in.
const AT_ONCE: usize = 5;

/// The logins under way, by place: an address, or whatever else names one server.
#[derive(Debug, Default)]
pub struct Gate {
    under_way: Mutex<HashMap<String, usize>>,
    freed: Condvar,
}

/// A login under way; it is over when this is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    place: String,
}

impl Gate {
    /// Waits until fewer than the most are under way at `place`.
    pub fn enter(&self, place: String) -> Pass<'_> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while under_way.get(&place).is_some_and(|count| *count >= AT_ONCE) {
            under_way = self.freed.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        *under_way.entry(place.clone()).or_default() += 1;
        Pass { gate: self, place }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut under_way = self.gate.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.place);
            }
        }
        // Those that wait may wait for other places.
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn a_place_has_so_many_logins_under_way_and_another_place_is_not_held_up_by_it() {
        let gate = Gate::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let held: Vec<_> = (0..AT_ONCE).map(|_| gate.enter("busy".into())).collect();
        drop(gate.enter("idle".into()));
        drop(held);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let _pass = gate.enter("busy".into());
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= AT_ONCE);
        assert!(gate.under_way.lock().unwrap().is_empty());
    }
}
