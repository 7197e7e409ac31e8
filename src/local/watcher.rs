//! The process that watches a lease. It is a session of its own, without any of the connection's descriptors, so it
//! lives on when the deployer and the connection are gone; and it goes with a reboot, after which a probe tells of the
//! lease that was missed.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::Duration;

use crate::wire::{Stage, StageRequest};

use super::job::Job;
use super::os::deadline::Deadline;
use super::out::{Audience, Out};
use super::stages::stage;
use super::stages::stage::By;
use super::state::layout::Layout;
use super::state::lease;
use super::state::lease::Due;
use super::state::lock;
use super::state::lock::Found;
use super::state::record;

/// The longest between two looks at the lease: so long a watcher outlives a lease that has ended.
const LOOK: Duration = Duration::from_secs(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(20);

/// Waits for the end of the lease of the request's run, and rolls back if it ran out.
pub fn run(layout: Layout, request: StageRequest) -> u8 {
    let run = request.header.holder.run.clone();
    let mut told = false;
    loop {
        match lease::due(&layout, &run) {
            Due::Never => return 0,
            Due::In(left) => thread::sleep(left.clamp(SHORTEST_LOOK, LOOK)),
            // A rollback that cannot have the lock changes nothing, and is due again: it is told once.
            Due::Now if is_held_by_a_stranger(&layout, &mut told) => thread::sleep(LOOK),
            // Another run is at work here. Its own promote or rollback ends this lease; if it goes without, it is due.
            Due::Now if is_held_by_another(&layout, &request) => thread::sleep(LOOK),
            Due::Now => {
                let deadline = Deadline::after(request.header.timeout);
                let job = Job {
                    secrets: None,
                    request: request.clone(),
                    layout: layout.clone(),
                    out: log(&layout),
                    deadline,
                    after_lease: true,
                    deployer: None,
                };
                // Another look tells what came of it: the host went back, or somebody was there first.
                stage::run(job, Stage::Rollback, record::BY_WATCHER, Box::new(io::empty()), By::Watcher);
                thread::sleep(LOOK);
            }
        }
    }
}

fn is_held_by_another(layout: &Layout, request: &StageRequest) -> bool {
    lock::holder(&lock::run_path(layout)).is_some_and(|note| note.holder.run != request.header.holder.run)
}

fn is_held_by_a_stranger(layout: &Layout, told: &mut bool) -> bool {
    let found = [lock::run_path(layout), lock::stage_path(layout)].map(|path| lock::look(&path));
    let stranger = found.into_iter().find_map(|found| match found {
        Found::Stranger(who) => Some(who),
        Found::Nobody | Found::Run(_) => None,
    });
    if let Some(who) = &stranger
        && !std::mem::replace(told, true)
    {
        log(layout).warn(format!("the lease expired, but the host cannot roll itself back: {who}"));
    }
    stranger.is_some()
}

/// What happens at the rollback is for whoever comes later.
fn log(layout: &Layout) -> Out {
    let mut options = File::options();
    options.create(true).append(true).mode(0o600);
    match options.open(layout.own().join("lease.log")) {
        Ok(file) => Out::new(file, Audience::Person).unwrap_or_else(|_| Out::nowhere()),
        Err(_) => Out::nowhere(),
    }
}
