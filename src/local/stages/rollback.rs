//! The stage `rollback`: back to the revision that was live before, and a look whether that is so.

use std::path::Path;

use crate::wire::{CheckPoint, Revision, Stage, State};

use super::checks;
use super::own_checks;
use super::promote;
use super::rendered;
use super::service;
use super::undrain;
use crate::local::drain;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::os::deadline::Deadline;
use crate::local::os::dir::Entry;
use crate::local::state::aside;
use crate::local::state::going_live;
use crate::local::state::layout::Link;
use crate::local::state::links;
use crate::local::state::links::{Kept, Linking};
use crate::local::state::observed;
use crate::local::state::record;
use crate::local::tree::checkout;
use crate::local::tree::content::ExternalContent;
use crate::local::tree::modified;
use crate::local::tree::verify;

/// Brings back what was live before the run. A part that fails does not keep the parts after it from being tried; the
/// first failure is the outcome.
pub fn run(job: &Job) -> Result<(), Fault> {
    let layout = &job.layout;
    let Some(restore) = &job.request.restore else {
        return match aside::is_noted_for_service(layout, &job.request.header.holder.run) {
            true => vacate(job),
            false => leave(job),
        };
    };
    if was_promoted(job, restore) { bring_back(job, restore) } else { clean_up(job, restore) }
}

/// There is nothing to go back to: what is live stays.
fn leave(job: &Job) -> Result<(), Fault> {
    let layout = &job.layout;
    job.remove(Link::InProgress)?;
    restore_done(job)?;
    for (path, aside) in aside::still_aside(layout, &job.request.header.holder.run) {
        let (path, aside) = (path.display(), aside.display());
        job.out.warn(format!("{aside} is what stood at {path} before this run; it is not moved back"));
    }
    job.out.info(format!("nothing of {} was live here before: left unchanged", layout.repo()));
    undrain::if_healthy(job)
}

/// Nothing of Hoist's was live, but something else stood at the path that the service uses: it has its place again, and
/// so have the configuration files. Nothing is live then, as it was.
fn vacate(job: &Job) -> Result<(), Fault> {
    let (layout, revision, run) = (&job.layout, &job.request.revision, &job.request.header.holder.run);
    let was_live = layout.read(Link::Current).is_some() || going_live::is_marked(layout);
    let mut parts = Parts::new(job, revision);
    let restarts = was_live && (job.request.service.names.is_empty() || service::any_here(job).unwrap_or(true));
    if restarts {
        drain::before_rollback(job);
    }
    let (kept, brought) = aside::bring_back((layout, &job.out, run), true, &[]);
    parts.note(brought);
    if !kept.has(layout.live()) {
        // The revision is what the service runs: it stays the live one, with its configuration files.
        let shown = layout.live().display();
        parts.note(Err(Fault::failed(format!("{shown} is not what it was before this run"))));
        return parts.end();
    }
    let make_room = |place: &Entry, path: &Path| aside::move_away(layout, None, place, path);
    parts.note(links::withdraw(&Linking { layout, out: &job.out, make_room: &make_room, kept: &kept }));
    parts.note(job.remove(Link::Current));
    parts.note(job.remove(Link::InProgress));
    parts.note(restore_done(job));
    if was_live {
        parts.note(service::restart(job));
    }
    parts.note(match observed::look(layout) {
        Ok(State { current: Some(current), .. }) => {
            Err(Fault::failed(format!("{} is live after the rollback to nothing", current.short())))
        }
        Ok(State { occupant: None, .. }) => {
            Err(Fault::failed(format!("{} is not what it was before this run", layout.live().display())))
        }
        Ok(_) => Ok(()),
        Err(fault) => Err(fault),
    });
    if parts.is_well() {
        parts.note(going_live::unmark(layout));
        parts.note(drain::undrain(job));
    }
    parts.end()
}

/// Whether the run may have changed what is live. Where its records are gone, the links tell.
fn was_promoted(job: &Job, restore: &Revision) -> bool {
    let (layout, revision) = (&job.layout, &job.request.revision);
    promote::was_begun(layout, &job.request.header.holder.run)
        || (restore != revision && layout.read(Link::Current).as_ref() == Some(revision))
}

/// What is live stays, but for files that the new revision's checks may have written to.
fn clean_up(job: &Job, restore: &Revision) -> Result<(), Fault> {
    let mut parts = Parts::new(job, restore);
    parts.note(modified::replace(job, restore, Some(&job.request.revision)));
    parts.note(rendered::take_back(job));
    parts.prepare(CheckPoint::Before(Stage::Rollback));
    parts.note(job.remove(Link::InProgress));
    parts.note(restore_done(job));
    job.out.info(format!("{} was not touched", job.name(restore)));
    parts.judge(CheckPoint::After(Stage::Rollback));
    if parts.is_well() {
        parts.note(undrain::if_healthy(job));
    }
    parts.end()
}

/// The old revision goes live again and is restarted; then its checks judge it.
fn bring_back(job: &Job, restore: &Revision) -> Result<(), Fault> {
    let layout = &job.layout;
    // Without the old tree there is nothing to go back to; what is live stays.
    checkout::ensure(&ExternalContent::of_earlier(job, restore), restore, &job.tag())?;
    let looked = verify::restore(job, restore)?;
    let mut parts = Parts::new(job, restore);
    if looked.is_suspect {
        parts.note(modified::replace(job, restore, None));
    }
    // A revision that was deployed again has its own files again before it goes live.
    let again = *restore == job.request.revision;
    if again {
        parts.note(rendered::take_back(job));
    }
    parts.prepare(CheckPoint::Before(Stage::Rollback));
    parts.prepare(CheckPoint::Before(Stage::Promote));
    if job.request.service.names.is_empty() || service::any_here(job).unwrap_or(true) {
        drain::before_rollback(job);
    }
    // A full disk may refuse the note; the links, which need no room, are what counts.
    if let Err(fault) = going_live::mark_back(layout, restore) {
        job.out.warn(fault.reason());
    }
    // The content is not lost where it cannot be moved now: it stays in the tree, which is kept.
    if let Err(fault) = job.shared().hand_over(restore) {
        job.out.warn(fault.reason());
    }
    let (run, linked) = (&job.request.header.holder.run, links::stored(layout, restore));
    let (kept, brought) = aside::bring_back((layout, &job.out, run), promote::has_begun(layout, run), &linked);
    parts.note(brought);
    parts.note(promote::go_live(job, restore, &linked, Some(&kept)));
    if !again {
        parts.note(rendered::take_back(job));
    }
    parts.note(job.remove(Link::InProgress));
    parts.note(restore_done(job));
    if layout.read(Link::Current).as_ref() == Some(restore) && layout.is_live(restore) {
        job.out.info(format!("{} is live again", job.name(restore)));
    }
    parts.prepare(CheckPoint::Before(Stage::RestartService));
    parts.note(service::restart(job));
    parts.note(verify(job, restore, &kept));
    let is_running = parts.failed.is_none();
    for at in [Stage::Promote, Stage::RestartService, Stage::Rollback] {
        parts.judge(CheckPoint::After(at));
    }
    // What was finalized here has passed its checks once. Anything else is promoted again until it does.
    if is_running && (parts.found.is_empty() || layout.read(Link::Done).as_ref() == Some(restore)) {
        parts.note(going_live::unmark(layout));
    }
    parts.note(own_checks::put_back(job, restore));
    if parts.is_well() {
        parts.note(drain::undrain(job));
    }
    parts.end()
}

/// Brings back what `.done` named before the run. Only finalize has moved it, and the run's first record here tells from
/// where.
fn restore_done(job: &Job) -> Result<(), Fault> {
    let (layout, run) = (&job.layout, &job.request.header.holder.run);
    let before = record::before(layout, run).filter(|_| record::was_started(layout, run, Stage::Finalize));
    match before.map(|before| before.done) {
        Some(before) if layout.read(Link::Done) == before => Ok(()),
        Some(Some(before)) => job.point(Link::Done, &before),
        Some(None) => job.remove(Link::Done),
        None => Ok(()),
    }
}

/// The parts of a rollback, the first that failed, and the checks that found fault with what came of it.
struct Parts<'a> {
    job: &'a Job,
    restore: &'a Revision,
    /// Checks ahead of the restart have to be done by then, all of them together.
    ahead: Deadline,
    failed: Option<Fault>,
    found: Vec<String>,
}

impl Parts<'_> {
    fn new<'a>(job: &'a Job, restore: &'a Revision) -> Parts<'a> {
        Parts { job, restore, ahead: job.deadline.half(u64::MAX), failed: None, found: Vec::new() }
    }

    fn note(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            if self.failed.is_some() {
                self.job.out.warn(fault.reason());
            }
            self.failed.get_or_insert(fault);
        }
    }

    fn prepare(&self, at: CheckPoint) {
        let job = Job { deadline: self.ahead, ..self.job.clone() };
        // The stage's own time is looked at by its other parts.
        let _ = checks::prepare(&job, at, self.restore);
    }

    /// Whether nothing stands against putting the host back into service.
    fn is_well(&self) -> bool {
        self.failed.is_none() && self.found.is_empty()
    }

    fn judge(&mut self, at: CheckPoint) {
        if let Err(fault) = checks::run_for_restored(self.job, at, self.restore) {
            self.found.push(fault.reason());
        }
    }

    fn end(self) -> Result<(), Fault> {
        match (self.failed, self.found.is_empty()) {
            (None, true) => Ok(()),
            (None, false) => Err(Fault::ChecksFailed { reason: self.found.join("; ") }),
            (Some(fault), _) => {
                self.found.iter().for_each(|found| self.job.out.warn(found));
                Err(fault)
            }
        }
    }
}

/// Reads back what the links say now. What is kept was read when it got its place again.
fn verify(job: &Job, restore: &Revision, kept: &Kept) -> Result<(), Fault> {
    let state = observed::look(&job.layout)?;
    if state.current.as_ref() != Some(restore) {
        let now = state.current.map_or("nothing".to_owned(), |current| current.short().to_owned());
        return Err(Fault::failed(format!("{now} is live after the rollback to {}", restore.short())));
    }
    if !job.layout.is_live(restore) && !kept.has(job.layout.live()) {
        let live = job.layout.live().display();
        return Err(Fault::failed(format!("{live} does not point to {} after the rollback", restore.short())));
    }
    match state.stray_links.iter().find(|path| !kept.has(Path::new(path))) {
        Some(path) => Err(Fault::failed(format!("{path} does not point into {} after the rollback", restore.short()))),
        None => rendered::verify(&job.layout, restore),
    }
}
