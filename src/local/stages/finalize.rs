//! The stage `finalize`: the live revision is done, old ones go.

use crate::wire::{CheckPoint, Stage, WENT_BACK};

use super::checks;
use super::tidy;
use super::tidy::Tidying;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::state::layout::Link;
use crate::local::state::lease;

/// Names the live revision as done. Once that is so, trouble with old revisions is a warning: the deployment is done.
pub fn run(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let current = layout.read(Link::Current);
    if job.request.confirm_timeout > 0
        && lease::was_rolled_back(layout, &job.request.header.holder.run, current.as_ref())
    {
        return Err(Fault::failed(WENT_BACK));
    }
    match layout.read(Link::Current) {
        Some(current) if current == *revision => {}
        other => {
            let now = other.map_or("nothing".to_owned(), |current| current.short().to_owned());
            return Err(Fault::failed(format!("{now} is live instead of {}; nothing is finalized", revision.short())));
        }
    }
    checks::run(job, CheckPoint::Before(Stage::Finalize), revision)?;
    let before = layout.read(Link::Done);
    let in_progress = layout.read(Link::InProgress);
    job.finish()?;
    if let Err(fault) = lease::end(layout) {
        job.out.warn(format!("tidying up: {}", fault.reason()));
    }
    // As long as the run is not over it may still go back, to a tree that is as it was.
    let needed = [before, job.request.restore.clone(), in_progress].into_iter().flatten().collect();
    tidy::tidy_up(&Tidying::from(job), &needed);
    checks::run(job, CheckPoint::After(Stage::Finalize), revision)
}
