//! Keeps idle sessions alive: between two steps, and while the operator is asked a question.
//!
//! A thread goes through them at an interval. It answers the hosts' keepalive messages, which the library does only when
//! it is called, and tells each lock holder that this deployer is alive, so that the lease of a promoted host is renewed. A
//! promoted host whose session was lost is reconnected, so that its lease does not expire while the host is reachable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::Duration;

use super::HostId;
use super::connection::Work;
use super::output_sink::OutputSink;
use super::sessions::FleetState;
use super::terms::Terms;
use crate::threads;

/// How many times within its duration a lease is renewed.
const RENEWALS: u32 = 3;
/// The shortest interval, however short leases are.
const SHORTEST: Duration = Duration::from_millis(200);
/// Hosts that are reconnected at a time. Most of them are unreachable, and wait for a timeout.
const RECONNECTS: usize = 8;
/// The time limit for the probe of a new session.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the thread. It ends when the fleet is gone.
pub(super) fn start(shared: &Arc<FleetState>) {
    let lease = lease_of(shared);
    let every = shared.ssh.shortest_keepalive() / 2;
    let every = lease.map_or(every, |lease| every.min(lease / RENEWALS)).max(SHORTEST);
    let (fleet, shared) = (shared, Arc::downgrade(shared));
    let thread = std::thread::Builder::new().name("sessions".into()).stack_size(256 << 10);
    let started = thread.spawn(move || {
        let reconnecting = Arc::new(AtomicBool::new(false));
        loop {
            std::thread::sleep(every);
            let Some(shared) = Weak::upgrade(&shared) else { return };
            let lost = keep_all_alive(&shared, lease.is_some());
            if !lost.is_empty() && !reconnecting.swap(true, Ordering::SeqCst) {
                let (shared, reconnecting) = (shared.clone(), reconnecting.clone());
                let over = reconnecting.clone();
                let started = std::thread::Builder::new().name("reconnects".into()).spawn(move || {
                    reconnect(&shared, lost);
                    reconnecting.store(false, Ordering::SeqCst);
                });
                // Else the next round tries again.
                if started.is_err() {
                    over.store(false, Ordering::SeqCst);
                }
            }
        }
    });
    if let Err(error) = started {
        fleet.ssh.remarks().warn(None, format!("cannot keep idle sessions alive: {error}"));
    }
}

/// How long a lease of this run lasts; `None`: there are none.
fn lease_of(shared: &FleetState) -> Option<Duration> {
    let seconds = shared.requests.deployment()?.confirm_timeout;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// One round; returns the promoted hosts that have no session, or no lock holder.
///
/// Sessions that a step is using are skipped: a stage renews its lease itself.
fn keep_all_alive(shared: &FleetState, renew: bool) -> Vec<HostId> {
    let mut lost = Vec::new();
    for (id, host) in HostId::first(shared.hosts.len()).zip(&shared.hosts) {
        let mut session = match host.session.try_lock() {
            Ok(session) => session,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => continue,
        };
        let promoted = session.promoted;
        let alive = session.remote.as_mut().is_some_and(|remote| remote.is_alive() && !remote.has_lost_lock_holder());
        match &mut session.remote {
            Some(remote) if alive => remote.keep_alive(renew && promoted),
            _ if renew && promoted => lost.push(id),
            _ => {}
        }
    }
    lost
}

/// Reconnects, which takes the locks again and renews the leases.
fn reconnect(shared: &Arc<FleetState>, hosts: Vec<HostId>) {
    let hosts = Mutex::new(hosts.into_iter());
    threads::on_several(RECONNECTS, || {
        while let Some(id) = { hosts.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            reconnect_one(shared, id);
        }
    });
}

fn reconnect_one(shared: &FleetState, id: HostId) {
    let host = &shared.hosts[id.index()];
    let Ok(mut session) = host.session.try_lock() else { return };
    // A step may have reconnected first, or ended the lease.
    if !session.promoted {
        return;
    }
    let sink = OutputSink::new(id, PATIENCE, &|_| {}, &shared.output, None);
    let mut work = Work::new(shared, &Terms::beside(id, PATIENCE), &mut session, sink);
    match work.ready() {
        Ok(()) => {
            let message = "the idle session was lost, and was reopened";
            shared.ssh.remarks().debug(Some(&host.target), message);
        }
        Err(fault) => log::debug!("{}: the idle session is lost: {fault}", host.target),
    }
}
