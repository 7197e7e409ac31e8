//! Taking this host out of service before its services are taken down, and putting it back once they are healthy (R15).
//!
//! The intent is on the disk before the drain begins and until the undrain has ended well. In between, anything may die:
//! the next rollback, promote or undrain here finds the record and ends what was begun.

mod command;
mod deployer;

pub use deployer::Deployer;

use std::time::Duration;

use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::state::drained;
use crate::local::state::layout::Link;
use crate::local::waiting::Waiting;
use crate::timings;
use crate::timings::Part;
use crate::wire::{Drain, DrainOn, DrainPart, NO_DEPLOYER};

/// How much longer than the commands may take the deployer is waited for.
const SLACK: Duration = Duration::from_secs(5);

/// Whether the host is on record as drained.
pub fn is_drained(job: &Job) -> bool {
    drained::read(&job.layout).is_some()
}

/// How the host is drained; `None`: not at all. Where nothing is live, nobody is served.
fn wanted(job: &Job) -> Option<&Drain> {
    job.request.drain.as_deref().filter(|_| job.layout.read(Link::Current).is_some())
}

/// Takes the host out of service, if the run is to do that. Where that fails nothing was changed yet: the host is put back
/// at once.
pub fn before_restart(job: &Job) -> Result<(), Fault> {
    let Some(how) = wanted(job) else { return Ok(()) };
    somebody_can(job, how, DrainPart::Drain)?;
    let was_drained = is_drained(job);
    drained::note(&job.layout, &job.request, how)?;
    let Err(fault) = carry_out(job, how, DrainPart::Drain) else {
        job.out.info("drained");
        return Ok(());
    };
    // What an earlier stage drained may not be healthy.
    if was_drained {
        return Err(fault);
    }
    match undrain(job) {
        Ok(()) => Err(fault),
        Err(other) => Err(Fault::failed(format!("{}; then {}", fault.reason(), other.reason()))),
    }
}

/// The same on the way back, which a drain that fails does not stop.
pub fn before_rollback(job: &Job) {
    let Some(how) = wanted(job) else { return };
    let possible = somebody_can(job, how, DrainPart::Drain);
    let noted = possible.and_then(|()| drained::note(&job.layout, &job.request, how));
    match noted.and_then(|()| carry_out(job, how, DrainPart::Drain)) {
        Ok(()) => job.out.info("drained"),
        Err(fault) => job.out.warn(format!("{}; the rollback continues", fault.reason())),
    }
}

/// Puts the host back into service, if it was drained. To be called when it is healthy.
pub fn undrain(job: &Job) -> Result<(), Fault> {
    let Some(record) = drained::read(&job.layout) else { return Ok(()) };
    let how = match &job.request.drain {
        Some(how) => how.as_ref().clone(),
        None if record.how.on == DrainOn::Target && record.how.undrain.is_some() => record.how,
        None => {
            return Err(Fault::failed(format!(
                "the host is {}, and undrain is not set: set drain and undrain again, and reconcile the host (see \
                 hoist-reconcile(1))",
                record.drained.time()
            )));
        }
    };
    carry_out(job, &how, DrainPart::Undrain)?;
    drained::forget(&job.layout)?;
    job.out.info("back in service");
    Ok(())
}

fn carry_out(job: &Job, how: &Drain, part: DrainPart) -> Result<(), Fault> {
    let _timed = timings::during(Part::Drain);
    if how.on == DrainOn::Target {
        return command::run(job, how, part);
    }
    let name = part.keys().0;
    let deployer = deployer(job, part)?;
    let limit = Duration::from_secs(how.timeout).min(job.deadline.left());
    let _told = Waiting::start(&job.out, format!("{name} on the deploy host"), limit);
    let until = job.deadline.within(limit + SLACK);
    deployer.ask(&job.out, part, until).map_err(|fault| match fault {
        Fault::Failed { reason, .. } if !reason.starts_with(name) => Fault::failed(format!("{name}: {reason}")),
        fault => fault,
    })
}

/// Fails where a part has to be done on the deploy host, and nobody is there who could: the watcher of a lease has no
/// deployer. A drain that cannot begin must not be on record.
fn somebody_can(job: &Job, how: &Drain, part: DrainPart) -> Result<(), Fault> {
    match how.on {
        DrainOn::Target => Ok(()),
        DrainOn::DeployHost => deployer(job, part).map(drop),
    }
}

fn deployer(job: &Job, part: DrainPart) -> Result<&Deployer, Fault> {
    let name = part.keys().0;
    job.deployer.as_ref().ok_or_else(|| Fault::failed(format!("{name}: {NO_DEPLOYER}")))
}
