//! The stage `undrain`: a host that was drained, and whose stage came to no good end, is put back into service if it is
//! healthy on whatever is live.

use crate::wire::{CheckPoint, Stage};

use super::checks;
use super::service;
use crate::local::drain;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::state::going_live;
use crate::local::state::layout::Link;

/// Puts the host back into service, if it was drained and is healthy. Where a revision never came to the end of its
/// promote or rollback, the services are restarted first: what they run is not known, and nobody is served by them.
pub fn run(job: &Job) -> Result<(), Fault> {
    let job = &match job.request.command {
        // Whoever reads the output of a command reads nothing else.
        Some(_) => Job { out: job.out.in_background(), ..job.clone() },
        None => job.clone(),
    };
    if !drain::is_drained(job) {
        job.out.info("this host is not drained");
        return Ok(());
    }
    if going_live::is_marked(&job.layout) {
        service::restart(job)?;
    }
    if_healthy(job)
}

/// The same without a restart.
pub fn if_healthy(job: &Job) -> Result<(), Fault> {
    if !drain::is_drained(job) {
        return Ok(());
    }
    let Some(live) = job.layout.read(Link::Current) else {
        return Err(Fault::failed("the host is drained, and nothing is live there"));
    };
    service::look(job)?;
    for stage in [Stage::Promote, Stage::RestartService] {
        match live == job.request.revision {
            true => checks::run(job, CheckPoint::After(stage), &live)?,
            false => checks::run_for_restored(job, CheckPoint::After(stage), &live)?,
        }
    }
    drain::undrain(job)
}
