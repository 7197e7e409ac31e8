//! The stage `rollback`: back to the revision that was done before, and a look whether that is so.

use crate::wire::{CheckPoint, Revision, Stage};

use super::checks;
use super::extras::Extras;
use super::fault::Fault;
use super::job::Job;
use super::layout::Link;
use super::links;
use super::promote;
use super::service;
use super::spoilt;
use super::tree;

/// Restores `request.restore`. A part that fails does not keep the parts after it from being tried; the first failure is
/// the outcome.
pub fn run(job: &Job) -> Result<(), Fault> {
    let layout = &job.layout;
    let Some(restore) = &job.request.restore else {
        layout.remove(Link::InProgress)?;
        job.out.info(format!("{} was never finalized here: left as it is", layout.repo()));
        return Ok(());
    };
    let promoted = promote::was_begun(layout, &job.request.holder.run);
    if !promoted && layout.read(Link::Current).as_ref() == Some(restore) {
        // What is live was not touched, but for files that the new revision's checks may have written to.
        let mut first = spoilt::replace(job, restore, Some(&job.request.revision));
        first = first.and(checks::run_for_restored(job, CheckPoint::Before(Stage::Rollback), restore));
        first = first.and(layout.remove(Link::InProgress));
        job.out.info(format!("{} was not touched", job.name(restore)));
        return first.and(checks::run_for_restored(job, CheckPoint::After(Stage::Rollback), restore));
    }
    // Without the old tree there is nothing to go back to; what is live stays.
    tree::ensure(&Extras::of_earlier(job, restore), restore, &job.tag())?;
    let mut parts = Parts { job, restore, first: None };
    parts.note(spoilt::replace(job, restore, None));
    parts.checks(CheckPoint::Before(Stage::Rollback));
    parts.checks(CheckPoint::Before(Stage::Promote));
    // A full disk may refuse the note; the links, which need no room, are what counts.
    if let Err(fault) = promote::mark(layout, restore) {
        job.out.warn(fault.reason());
    }
    parts.note(promote::go_live(job, restore, &links::stored(layout, restore)));
    parts.note(layout.remove(Link::InProgress));
    if layout.read(Link::Done).as_ref() != Some(restore) {
        parts.note(layout.point(Link::Done, restore));
    }
    job.out.info(format!("{} is live again", job.name(restore)));
    parts.checks(CheckPoint::After(Stage::Promote));
    parts.checks(CheckPoint::Before(Stage::RestartService));
    parts.note(service::restart(job));
    parts.checks(CheckPoint::After(Stage::RestartService));
    parts.checks(CheckPoint::After(Stage::Rollback));
    parts.note(verify(job, restore));
    if let Some(fault) = parts.first {
        return Err(fault);
    }
    promote::unmark(layout)
}

/// The parts of a rollback, and the first failure among them.
struct Parts<'a> {
    job: &'a Job,
    restore: &'a Revision,
    first: Option<Fault>,
}

impl Parts<'_> {
    fn note(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            if self.first.is_some() {
                self.job.out.warn(fault.reason());
            }
            self.first.get_or_insert(fault);
        }
    }

    fn checks(&mut self, at: CheckPoint) {
        let result = checks::run_for_restored(self.job, at, self.restore);
        self.note(result);
    }
}

/// Reads back what the links say now.
fn verify(job: &Job, restore: &Revision) -> Result<(), Fault> {
    let state = job.layout.state();
    if state.current.as_ref() != Some(restore) {
        let now = state.current.map_or("nothing".to_owned(), |current| current.short().to_owned());
        return Err(Fault::Failed(format!("{now} is live after the rollback to {}", restore.short())));
    }
    if !job.layout.is_live(restore) {
        let live = job.layout.live().display();
        return Err(Fault::Failed(format!("{live} does not lead to {} after the rollback", restore.short())));
    }
    match state.stray_links.first() {
        Some(path) => Err(Fault::Failed(format!("{path} does not lead into {} after the rollback", restore.short()))),
        None => Ok(()),
    }
}
