//! The stage `promote`: the revision goes live, and the services are restarted.

use std::path::{Path, PathBuf};

use crate::files::no_links;
use crate::wire::{CheckPoint, Revision, RunId, Stage};

use super::checks;
use super::lease_watch;
use super::own_checks;
use super::rendered;
use super::service;
use super::undrain;
use crate::local::drain;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::local::state::aside;
use crate::local::state::config_files;
use crate::local::state::going_live;
use crate::local::state::hoist_dir;
use crate::local::state::layout::{Layout, Link};
use crate::local::state::lease;
use crate::local::state::links;
use crate::local::state::links::{Kept, Linking};
use crate::local::state::record;
use crate::local::state::scap_config;
use crate::local::state::service_path;
use crate::local::tree::external;
use crate::local::tree::modified;
use crate::local::tree::verify;

/// Makes the request's revision the live one.
pub fn run(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    // What is gone back to is as it was deployed.
    let has_extras = job.request.kept || external::are_in(&job.request.extras, &layout.rev(revision));
    if !layout.complete(revision) || !has_extras {
        let short = revision.short();
        return Err(Fault::failed(format!(
            "this host has no complete working tree of {short}; run the fetch stage first"
        )));
    }
    // A service that ran without what was restored has to be restarted.
    let looked = verify::restore(job, revision)?;
    let was_whole = !looked.restored;
    match (job.request.kept, &job.request.config_files) {
        (true, _) => config_files::discard(layout, revision)?,
        (false, None) => rendered::stage_none(job)?,
        (false, Some(_)) => {}
    }
    let wanted = job.linked_files();
    let new_files = rendered::would_change(job)?;
    if !job.request.force && !new_files && was_whole && is_done(layout, revision, &wanted) {
        config_files::discard(layout, revision)?;
        scap_config::follow(job, revision, None);
        job.out.info(format!("{} is already live (use --force to override)", job.name(revision)));
        return undrain::if_healthy(job);
    }
    // What this run's own fetch and its checks have made of the tree is wanted.
    let was_fetched = || record::was_started(layout, &job.request.header.holder.run, Stage::Fetch);
    if looked.is_suspect && layout.last_live(revision).exists() && !was_fetched() {
        modified::replace(job, revision, None)?;
    }
    let ahead = CheckPoint::Before(Stage::Promote);
    if checks::are_due(job, ahead) {
        begin(job, &wanted)?;
        checks::run(job, ahead, revision)?;
    }
    links::preflight(layout, revision, &wanted)?;
    service_path::is_clear(layout)?;
    let new_config = new_files || !links::in_order(layout, revision, &wanted);
    // From here on there is somebody to put the host back into service, whoever dies.
    lease_watch::put_on_lease(job, new_config)?;
    if job.request.service.names.is_empty() || service::any_here(job)? {
        drain(job)?;
    }
    // A rollback of what was drained, and no more, restarts nothing.
    begin(job, &wanted)?;
    going_live::mark(layout, revision)?;
    job.shared().hand_over(revision)?;
    rendered::put_in_place(job)?;
    go_live(job, revision, &wanted, None)?;
    remember(layout, revision)?;
    rendered::drop_unlinked(job, &wanted)?;
    rendered::verify(layout, revision)?;
    job.out.info(format!("{} is live", job.name(revision)));
    if job.request.kept {
        // What is gone back to comes back first, and is judged afterwards.
        service::run_for(job, revision)?;
        checks::run(job, CheckPoint::After(Stage::Promote), revision)?;
    } else {
        own_checks::keep(job)?;
        checks::run(job, CheckPoint::After(Stage::Promote), revision)?;
        service::run_for(job, revision)?;
    }
    verify::note_removed(job, revision)?;
    going_live::unmark(layout)?;
    drain::undrain(job)
}

/// Where the drain fails nothing was changed, so there is nothing for the lease to take back either.
fn drain(job: &Job) -> Result<(), Fault> {
    let drained = drain::before_restart(job);
    if drained.is_err() && !drain::is_drained(job) {
        lease::end(&job.layout)?;
    }
    drained
}

/// Whether there is nothing left to do: the links are right, and no promote that was begun is still to be finished.
fn is_done(layout: &Layout, revision: &Revision, wanted: &[String]) -> bool {
    layout.read(Link::Current).as_ref() == Some(revision)
        && layout.is_live(revision)
        && links::in_order(layout, revision, wanted)
        && !going_live::is_marked(layout)
}

/// Swaps all links to a revision: `current`, the service's path, the configuration files. `before` is what was live.
/// `kept`: on the way back, the places that stand as the run found them.
pub fn go_live(job: &Job, revision: &Revision, wanted: &[String], kept: Option<&Kept>) -> Result<(), Fault> {
    let (layout, nothing) = (&job.layout, Kept::default());
    let run = kept.is_none().then_some(&job.request.header.holder.run);
    let kept = kept.unwrap_or(&nothing);
    let make_room = |place: &Entry, path: &Path| aside::move_away(layout, run, place, path);
    let linking = Linking { layout, out: &job.out, make_room: &make_room, kept };
    let before = layout.read(Link::Current);
    scap_config::follow(job, revision, before.as_ref());
    job.point(Link::Current, revision)?;
    // Once it is live, one path that cannot be linked is no reason to leave the others behind.
    let live = if kept.has(layout.live()) { Ok(()) } else { link_live(&linking, revision) };
    live.and(links::apply(&linking, revision, wanted, before.as_ref()))
}

/// Points the path that the service uses at a revision.
fn link_live(linking: &Linking, revision: &Revision) -> Result<(), Fault> {
    let layout = linking.layout;
    let live = layout.live();
    if service_path::is_foreign(layout) {
        // Whoever made it may want it back.
        let was = match service_path::foreign_target(layout) {
            Some(to) => format!("was a link to {}", to.display()),
            None => "was not a link".to_owned(),
        };
        let aside = (linking.make_room)(&Entry::of(live).tried("move aside", live)?, live)?;
        linking.out.warn(format!("{} {was}; it was renamed to {}", live.display(), aside.display()));
    }
    files::point(live, &layout.link_target(live, &layout.rev(revision)))
}

/// The file whose run has begun with the first thing of promote that leaves a trace, which may be a check's.
fn begun(layout: &Layout) -> PathBuf {
    layout.own().join("promoting")
}

/// What is to be moved aside is noted first: where the file names a run, its notes are whole.
fn begin(job: &Job, wanted: &[String]) -> Result<(), Fault> {
    hoist_dir::prepare(&job.layout.own())?;
    aside::note(&job.layout, &job.request.header.holder.run, wanted)?;
    hoist_dir::write(&begun(&job.layout), job.request.header.holder.run.as_str().as_bytes())
}

/// Whether a run's promote has done anything here: one that refused at once has not.
pub fn was_begun(layout: &Layout, run: &RunId) -> bool {
    record::was_started(layout, run, Stage::Promote) && (going_live::is_marked(layout) || has_begun(layout, run))
}

/// Whether a run's promote has come to the first thing that leaves a trace.
pub fn has_begun(layout: &Layout, run: &RunId) -> bool {
    no_links::read_own_text(&begun(layout)).is_ok_and(|text| text == run.as_str())
}

fn remember(layout: &Layout, revision: &Revision) -> Result<(), Fault> {
    files::write(&layout.last_live(revision), b"", 0o666)
}
