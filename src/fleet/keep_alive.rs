//! Looking after the sessions that no step uses just now: between two steps, and while a question waits for its answer.
//!
//! A thread goes over them every so often. It answers the hosts' signs of life, which the library does only when it is
//! called, and tells each keeper that this deployer is there, so that the lease of a promoted host is renewed. Where a
//! promoted host's session is gone, it is made again: a lease must not run out for want of a session that can be had.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::Duration;

use super::hosts::FleetState;
use super::output_sink::OutputSink;
use super::work::Work;
use super::{Call, HostId, Step, Task};

/// How often within its time a lease is renewed.
const RENEWALS: u32 = 3;
/// However short leases are, sessions are looked after no more often than this.
const SHORTEST: Duration = Duration::from_millis(200);
/// Sessions that are made again at a time; most of those hosts will be out of reach, and only cost time.
const MENDERS: usize = 8;
/// What making a session again may take beyond connecting.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the thread. It ends when the fleet is gone.
pub(super) fn start(shared: &Arc<FleetState>) {
    let lease = lease_of(shared);
    let every = shared.ssh.shortest_keepalive() / 2;
    let every = lease.map_or(every, |lease| every.min(lease / RENEWALS)).max(SHORTEST);
    let (fleet, shared) = (shared, Arc::downgrade(shared));
    let thread = std::thread::Builder::new().name("sessions".into()).stack_size(256 << 10);
    let started = thread.spawn(move || {
        let mending = Arc::new(AtomicBool::new(false));
        loop {
            std::thread::sleep(every);
            let Some(shared) = Weak::upgrade(&shared) else { return };
            let broken = tend_all(&shared, lease.is_some());
            if !broken.is_empty() && !mending.swap(true, Ordering::SeqCst) {
                let (shared, mending) = (shared.clone(), mending.clone());
                std::thread::spawn(move || {
                    mend(&shared, broken);
                    mending.store(false, Ordering::SeqCst);
                });
            }
        }
    });
    if let Err(error) = started {
        fleet.ssh.remarks().warn(None, format!("parked sessions are not looked after: {error}"));
    }
}

/// How long a lease of this run lasts; `None`: there are none.
fn lease_of(shared: &FleetState) -> Option<Duration> {
    let (call, task) = nothing(0);
    let seconds = (shared.requests)(0, &call, &task).confirm_timeout;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn nothing(host: HostId) -> (Call, Task) {
    let call =
        Call { step: Step::Hold, group: String::new(), batch: 1, timeout: PATIENCE, force: false, recover: false };
    (call, Task { host, attempt: 0, restore: None })
}

/// One round; gives back the promoted hosts that have no session, or no keeper on it.
///
/// A session that a step is using is left alone: its host is being talked to, and a stage renews its lease by itself.
fn tend_all(shared: &FleetState, renew: bool) -> Vec<HostId> {
    let mut broken = Vec::new();
    for (id, host) in shared.hosts.iter().enumerate() {
        let mut session = match host.session.try_lock() {
            Ok(session) => session,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => continue,
        };
        let promoted = session.promoted;
        let alive = session.remote.as_mut().is_some_and(|remote| remote.is_alive() && !remote.has_lost_keeper());
        match &mut session.remote {
            Some(remote) if alive => remote.tend(renew && promoted),
            _ if renew && promoted => broken.push(id),
            _ => {}
        }
    }
    broken
}

/// Connects again, which takes the locks again and renews the leases.
fn mend(shared: &Arc<FleetState>, hosts: Vec<HostId>) {
    let hosts = Mutex::new(hosts.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..MENDERS {
            scope.spawn(|| {
                while let Some(id) = { hosts.lock().unwrap_or_else(PoisonError::into_inner).next() } {
                    mend_one(shared, id);
                }
            });
        }
    });
}

fn mend_one(shared: &FleetState, id: HostId) {
    let host = &shared.hosts[id];
    let Ok(mut session) = host.session.try_lock() else { return };
    // A step may have been quicker, or have ended the lease.
    if !session.promoted {
        return;
    }
    let (call, task) = nothing(id);
    let sink = OutputSink::new(id, &|_| {}, &shared.output, None);
    let mut work = Work { shared, call: &call, task: &task, target: &host.target, session: &mut session, sink };
    match work.ready() {
        Ok(()) => {
            let message = "the session was lost while it was parked, and is there again";
            shared.ssh.remarks().debug(Some(&host.target), message);
        }
        Err(outcome) => log::debug!("{}: the parked session is lost: {outcome}", host.target),
    }
}
