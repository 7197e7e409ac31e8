//! Starting the process that watches a lease.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::local::fault::{Fault, plain};
use crate::local::job::Job;
use crate::local::os::sys;
use crate::local::state::lease;
use crate::wire::{Request, StageRequest};

/// Puts the request's revision on a lease, and has it watched. To be called just before the revision goes live: when
/// nobody can watch, it does not. `new_files`: its configuration files change.
pub fn put_on_lease(job: &Job, new_files: bool) -> Result<(), Fault> {
    if lease::wanted(&job.request, new_files).is_none() {
        return lease::end(&job.layout);
    }
    let cannot = |error: io::Error| {
        let why = plain(&error);
        Fault::failed(format!(
            "cannot start the process that watches the lease: {why}; set confirm_timeout to 0 to do \
                               without it"
        ))
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg0("hoist").arg("deploy-local").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::detach(&mut command);
    let mut child = command.spawn().map_err(cannot)?;
    // The watcher reads its request first, so it looks at no lease before this one is there.
    let noted = lease::open(&job.layout, &job.request, new_files, child.id());
    let request = Request::Watch(Box::new(StageRequest { fetch: None, ..job.request.clone() }));
    let told = noted.and_then(|()| {
        let mut line = serde_json::to_vec(&request)
            .map_err(|error| Fault::failed(format!("cannot reach the process that watches the lease: {error}")))?;
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
