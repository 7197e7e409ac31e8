//! The process that watches a lease. It is a session of its own, without any of the connection's descriptors, so it
//! lives on when the deployer and the connection are gone; and it goes with a reboot, after which a probe tells of the
//! lease that was missed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::wire::{Action, Request, Stage};

use super::fault::{Fault, plain};
use super::os::deadline::Deadline;
use super::os::sys;
use super::out::{Audience, Out};
use super::stages::job::Job;
use super::stages::stage;
use super::stages::stage::By;
use super::state::layout::Layout;
use super::state::lease;
use super::state::lease::Due;
use super::state::lock;
use super::state::lock::Found;

/// The longest between two looks at the lease: so long a watcher outlives a lease that has ended.
const LOOK: Duration = Duration::from_secs(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(20);

/// The number of the rollback in the run's records. A deployer, which counts its tries from 0, does not get that far.
pub const ATTEMPT: u32 = 1_000_000;

/// Puts the request's revision on a lease, and has it watched. To be called just before the revision goes live: when
/// nobody can watch, it does not. `new_files`: its configuration files change.
pub fn put_on_lease(job: &Job, new_files: bool) -> Result<(), Fault> {
    if lease::wanted(&job.request, new_files).is_none() {
        return lease::end(&job.layout);
    }
    let cannot = |error: io::Error| {
        let why = plain(&error);
        Fault::failed(format!("cannot start the watcher of the lease: {why}; confirm_timeout: 0 does without"))
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg0("hoist").arg("deploy-local").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::detach(&mut command);
    let mut child = command.spawn().map_err(cannot)?;
    // The watcher reads its request first, so it looks at no lease before this one is there.
    let noted = lease::open(&job.layout, &job.request, new_files, child.id());
    let mut request = Request { action: Action::Watch, ..job.request.clone() };
    request.fetch = None;
    let told = noted.and_then(|()| {
        let mut line = serde_json::to_vec(&request)
            .map_err(|error| Fault::failed(format!("cannot tell the watcher of the lease: {error}")))?;
        line.push(b'\n');
        child.stdin.take().map_or(Ok(()), |mut input| input.write_all(&line)).map_err(cannot)
    });
    if told.is_err() {
        let _ = child.kill();
        let _ = child.wait();
        let _ = lease::end(&job.layout);
    }
    told
}

/// Waits for the end of the lease of the request's run, and rolls back if it ran out.
pub fn run(layout: Layout, request: Request) -> u8 {
    let run = request.holder.run.clone();
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
                let deadline = Deadline::after(request.timeout);
                let job = Job { request: request.clone(), layout: layout.clone(), out: log(&layout), deadline };
                // Another look tells what came of it: the host went back, or somebody was there first.
                stage::run(job, Stage::Rollback, ATTEMPT, Box::new(io::empty()), By::Watcher);
                thread::sleep(LOOK);
            }
        }
    }
}

fn is_held_by_another(layout: &Layout, request: &Request) -> bool {
    lock::holder(&lock::run_path(layout)).is_some_and(|note| note.holder.run != request.holder.run)
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
        log(layout).warn(format!("the lease ran out, and the host cannot go back: {who}"));
    }
    stranger.is_some()
}

/// What happens at the rollback is for whoever comes later.
fn log(layout: &Layout) -> Out {
    let mut options = File::options();
    options.create(true).append(true).mode(0o600);
    match options.open(layout.own().join("lease.log")) {
        Ok(file) => Out::new(file, Audience::Person),
        Err(_) => Out::new(io::sink(), Audience::Person),
    }
}
