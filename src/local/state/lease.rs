//! The lease of a promoted revision, on disk. Unless it is renewed, finalized or rolled back in time, the target goes
//! back by itself: `watcher` sees to that.
//!
//! `.hoist/lease.json` says what the lease is about, and changes under the stage's lock alone. `.hoist/lease-until` says
//! when it runs out; it is renewed by writing over it in place, which works on a full disk too. Both times count from the
//! boot of the host, so that nobody's clock can end a lease, or prolong it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::no_links;
use crate::wire::{Lease, LeaseStands, Outcome, Revision, RunId, Stage, StageRequest};

use super::hoist_dir;
use super::layout::{Layout, Link};
use super::record;
use crate::local::fault::{Fault, no_thread};
use crate::local::os::files;
use crate::local::os::sys;
use crate::local::os::sys::Process;
use crate::threads;

/// How often within its time a lease is renewed: one that is missed, and another one, does no harm.
const RENEWALS: u32 = 3;

/// What stands in `lease.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LeaseFile {
    #[serde(flatten)]
    lease: Lease,
    /// Which boot of the host the times are of.
    boot: String,
    /// When it runs out unless it is renewed, in milliseconds since the boot.
    until: u64,
    /// The process that watches it.
    watcher: u32,
}

/// How long a lease has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    In(Duration),
    Now,
    /// It is over, or another run's.
    Never,
}

fn path(layout: &Layout) -> PathBuf {
    layout.own().join("lease.json")
}

fn until_path(layout: &Layout) -> PathBuf {
    layout.own().join("lease-until")
}

fn read(layout: &Layout) -> Option<LeaseFile> {
    serde_json::from_slice(&no_links::read_own(&path(layout)).ok()?).ok()
}

fn write(layout: &Layout, kept: &LeaseFile) -> Result<(), Fault> {
    let text = serde_json::to_vec(kept).map_err(|error| Fault::failed(format!("cannot record the lease: {error}")))?;
    hoist_dir::write(&path(layout), &text)
}

/// What a lease of this request is about: the revision to go back to, and for how long. `None` when there is nothing to
/// go back to, or no lease is wanted. A revision that is deployed again with other files goes back to those it had.
pub fn wanted(request: &StageRequest, new_files: bool) -> Option<(&Revision, Duration)> {
    let restore = request.restore.as_ref().filter(|restore| new_files || **restore != request.revision)?;
    (request.confirm_timeout > 0).then(|| (restore, Duration::from_secs(request.confirm_timeout)))
}

/// Notes that the request's revision is on a lease from now on, in place of any lease before it.
pub fn open(layout: &Layout, request: &StageRequest, new_files: bool, watcher: u32) -> Result<(), Fault> {
    let Some((restore, time)) = wanted(request, new_files) else { return end(layout) };
    let until = after(time);
    let lease = Lease {
        run: request.header.holder.run.clone(),
        revision: request.revision.clone(),
        restore: restore.clone(),
        seconds: request.confirm_timeout,
        turn: request.lease_slot,
        since: crate::clock::rfc3339_utc(),
        stands: LeaseStands::Open,
    };
    // The time first: a lease is never found with the time of another one.
    hoist_dir::prepare(&layout.own())?;
    hoist_dir::write(&until_path(layout), time_text(until).as_bytes())?;
    write(layout, &LeaseFile { lease, boot: sys::boot_id(), until, watcher })
}

fn after(time: Duration) -> u64 {
    u64::try_from((sys::since_boot() + time).as_millis()).unwrap_or(u64::MAX)
}

/// Always of one length, so that it can be written over.
fn time_text(until: u64) -> String {
    format!("{until:020}\n")
}

/// Renews the lease if it is open and of this run. Trouble is not told: the next renewal may go better.
pub fn renew(layout: &Layout, run: &RunId) {
    let Some(kept) = read(layout).filter(|kept| kept.lease.run == *run && is_open(layout, kept)) else { return };
    let until = after(Duration::from_secs(kept.lease.seconds));
    if let Ok(file) = OpenOptions::new().write(true).open(until_path(layout)) {
        let _ = file.write_all_at(time_text(until).as_bytes(), 0);
    }
}

/// Whether a lease may be renewed, or run out. A finalize that was killed may have left one behind that is over.
fn is_open(layout: &Layout, kept: &LeaseFile) -> bool {
    kept.lease.stands == LeaseStands::Open && kept.boot == sys::boot_id() && !is_done(layout, kept)
}

fn is_done(layout: &Layout, kept: &LeaseFile) -> bool {
    // A revision that is deployed again was done before.
    kept.lease.revision != kept.lease.restore && layout.read(Link::Done).as_ref() == Some(&kept.lease.revision)
}

/// How long the lease of a run has left.
pub fn due(layout: &Layout, run: &RunId) -> Due {
    match read(layout) {
        Some(kept) if kept.lease.run == *run && is_open(layout, &kept) => match left(layout, &kept) {
            Duration::ZERO => Due::Now,
            left => Due::In(left),
        },
        _ => Due::Never,
    }
}

fn left(layout: &Layout, kept: &LeaseFile) -> Duration {
    let renewed = no_links::read_own_text(&until_path(layout)).ok().and_then(|text| text.trim().parse().ok());
    let mut until = Duration::from_millis(renewed.unwrap_or(kept.until));
    // A host whose promote did not end well is out of service anyway, so it need not wait for its turn.
    if kept.lease.turn > 0 && record::ended_well(layout, &kept.lease.run, Stage::Promote) {
        until = until.saturating_add(Duration::from_secs(kept.lease.turn));
    }
    until.saturating_sub(sys::since_boot())
}

/// The lease as a probe tells of it.
pub fn facts(layout: &Layout) -> Option<Lease> {
    let kept = read(layout)?;
    if kept.lease.stands == LeaseStands::Open && is_done(layout, &kept) {
        return None;
    }
    let mut lease = kept.lease.clone();
    if lease.stands == LeaseStands::Open {
        let rebooted = kept.boot != sys::boot_id();
        let over = left(layout, &kept) == Duration::ZERO;
        if rebooted || (over && !is_watched(&kept)) {
            lease.stands = LeaseStands::Missed;
        }
    }
    Some(lease)
}

fn is_watched(kept: &LeaseFile) -> bool {
    match Process::open(kept.watcher) {
        Ok(watcher) => watcher.is_some_and(|watcher| watcher.is_there()),
        Err(_) => sys::is_alive(kept.watcher),
    }
}

/// Whether there is a lease, and it is this run's.
pub fn is_of(layout: &Layout, run: &RunId) -> bool {
    read(layout).is_some_and(|kept| kept.lease.run == *run)
}

/// Whether this run's lease ran out, and the host is back on what the lease said.
pub fn was_rolled_back(layout: &Layout, run: &RunId, current: Option<&Revision>) -> bool {
    read(layout).is_some_and(|kept| {
        kept.lease.run == *run && kept.lease.stands != LeaseStands::Open && current == Some(&kept.lease.restore)
    })
}

/// Notes that the lease ran out and the way back begins. Where the disk takes no note the way is gone all the same.
pub fn rolling_back(layout: &Layout) {
    let _ = note(layout, LeaseStands::RollingBack { at: crate::clock::rfc3339_utc() });
}

/// Notes how the way back ended.
pub fn went_back(layout: &Layout, outcome: &Outcome) {
    let at = crate::clock::rfc3339_utc();
    let failed = |reason| LeaseStands::RollbackFailed { at: at.clone(), reason };
    let stands = match outcome {
        Ok(()) => LeaseStands::RolledBack { at },
        Err(Fault::ChecksFailed { reason }) => failed(format!("it is live again, but {reason}")),
        Err(Fault::MovedOn { to }) => failed(format!("the host now runs {} of another deployment", to.short())),
        Err(fault) => failed(fault.reason()),
    };
    // A full disk takes no note, but lets go of one: the host must not go back again and again.
    if note(layout, stands).is_err() {
        let _ = end(layout);
    }
}

fn note(layout: &Layout, stands: LeaseStands) -> Result<(), Fault> {
    let Some(mut kept) = read(layout) else { return Ok(()) };
    kept.lease.stands = stands;
    write(layout, &kept)
}

/// Ends the lease, whoever's it is: the revision is finalized, rolled back, or no longer the live one.
pub fn end(layout: &Layout) -> Result<(), Fault> {
    files::remove(&path(layout))?;
    files::remove(&until_path(layout)).map(drop)
}

/// Renews the lease of a run for as long as this lives, and once more at its end.
pub struct Renewing {
    layout: Layout,
    run: RunId,
    stop: Option<Sender<()>>,
}

impl Renewing {
    /// For a stage of this request, which may itself be the one that begins the lease.
    ///
    /// # Errors
    /// There is no thread to renew it with.
    pub fn during(layout: &Layout, request: &StageRequest) -> Result<Renewing, Fault> {
        let (layout, run) = (layout.clone(), request.header.holder.run.clone());
        renew(&layout, &run);
        let mut stop = None;
        if request.confirm_timeout > 0 {
            let every = Duration::from_secs(request.confirm_timeout) / RENEWALS;
            let (tell, told) = mpsc::channel::<()>();
            let (layout, run) = (layout.clone(), run.clone());
            let renewing = threads::start(move || {
                while told.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    renew(&layout, &run);
                }
            });
            renewing.map_err(no_thread)?;
            stop = Some(tell);
        }
        Ok(Renewing { layout, run, stop })
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.stop = None;
        renew(&self.layout, &self.run);
    }
}
