//! The stage `fetch`: the revision's objects and its working tree.

use std::io::Read;

use crate::wire::{CheckPoint, Fetch, Stage};

use super::checks;
use crate::local::fault::Fault;
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::state::going_live;
use crate::local::state::layout::Link;
use crate::local::tree::again;
use crate::local::tree::artifact;
use crate::local::tree::cache;
use crate::local::tree::cache::Supply;
use crate::local::tree::checkout;
use crate::local::tree::content::ExternalContent;
use crate::local::tree::describe;
use crate::local::tree::download;
use crate::local::tree::external;
use crate::local::tree::lfs;
use crate::local::tree::modified;
use crate::local::tree::verify;

/// Brings the revision; `input` holds the pack, if one was announced.
pub fn run(job: &Job, input: Box<dyn Read + Send>) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    checks::run(job, CheckPoint::Before(Stage::Fetch), revision)?;
    files::make_dir(&layout.revs())?;
    // What somebody else owns may not be for this user to remove; it is in nobody's way.
    if let Err(fault) = layout.sweep().and_then(|()| cache::sweep(layout)) {
        job.out.warn(format!("tidying up: {}", fault.reason()));
    }
    let mut extras = ExternalContent::of(job);
    external::check_programs(&extras)?;
    extras.is_artifact = Some(job.request.origin.is_some());
    extras.describing = job.request.fetch.as_ref().and_then(|fetch| fetch.describing.clone());
    extras.shared().require(&extras.wanted.shared)?;
    extras.inherited = extras.shared().inherited(&extras.wanted.shared);
    bring(job, input)?;
    job.deadline.check()?;
    if !layout.complete(revision) {
        job.out.info(format!("checking out {}", revision.short()));
        checkout::ensure(&extras, revision, &job.tag())?;
    } else if job.request.force {
        job.out.info(format!("checking out {} again", revision.short()));
        again::check_out(job, &extras)?;
    } else {
        let tree = layout.rev(revision);
        let has_directories = extras.wanted.shared.dirs.iter().all(|path| tree.join(path.as_path()).exists());
        let has_extras = has_directories && external::are_in(&extras.wanted, &tree);
        let what = if has_extras {
            "is already checked out"
        } else if external::parts_are_in(&extras.wanted, &tree) {
            "is checked out without its shared paths"
        } else {
            "is checked out without its submodules and large files"
        };
        job.out.info(format!("{} {what}", revision.short()));
        let looked = verify::restore(job, revision)?;
        if looked.restored && layout.read(Link::Current).as_ref() == Some(revision) {
            // A service that ran without them has to be restarted.
            going_live::mark(layout, revision)?;
        }
        if looked.is_suspect {
            modified::replace(job, revision, None)?;
        }
        if !has_extras {
            job.out.info(format!("completing {}", revision.short()));
            external::add(&extras, revision, &tree)?;
        }
    }
    if !layout.complete(revision) {
        return Err(Fault::failed(format!("{} is incomplete after its checkout", layout.rev(revision).display())));
    }
    describe::add(&extras, revision);
    artifact::note_origin(job)?;
    job.point(Link::InProgress, revision)?;
    checks::run(job, CheckPoint::After(Stage::Fetch), revision)?;
    verify::note_removed(job, revision)
}

fn bring(job: &Job, mut input: Box<dyn Read + Send>) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let nothing = Fetch::default();
    let fetch = job.request.fetch.as_ref().unwrap_or(&nothing);
    if let [_, ..] = fetch.large_files.as_slice() {
        job.out.debug(format!("receiving {} large files", fetch.large_files.len()));
    }
    lfs::receive(layout, &fetch.large_files, &mut input, job.deadline)?;
    if let Some(source) = &fetch.artifact {
        let is_here = layout.complete(revision) || cache::has(layout, job.deadline, revision)?;
        if is_here && !fetch.rebuild {
            return keep(job);
        }
        return download::bring(job, source, fetch.rebuild);
    }
    let supply = match (fetch.pack_bytes, &fetch.source) {
        (Some(bytes), _) => {
            job.out.debug(format!("receiving a pack of {bytes} bytes"));
            Supply::Pack { bytes, input, shallow: &fetch.shallow }
        }
        (None, Some(source)) => {
            job.out.debug(format!("fetching {} from the git server", source.reference));
            Supply::Server(source)
        }
        (None, None) if fetch.rebuild => {
            return Err(Fault::failed("the cache cannot be rebuilt: the request has neither a pack nor a git server"));
        }
        (None, None) => {
            // A tree that is there needs nothing, unless it is to be checked out again: that finds out for itself.
            if layout.complete(revision) || cache::has(layout, job.deadline, revision)? {
                return keep(job);
            }
            let (short, cache) = (revision.short(), layout.cache());
            let reason = format!("{} has no commit {short}, and no pack came with the request", cache.display());
            return Err(Fault::CacheBroken { reason });
        }
    };
    cache::bring(layout, job.deadline, revision, supply, fetch.rebuild, &job.tag())
}

/// Keeps the objects of a revision that was there already; it may be there by another ref that moves on.
fn keep(job: &Job) -> Result<(), Fault> {
    if !cache::has(&job.layout, job.deadline, &job.request.revision)? {
        return Ok(());
    }
    match cache::open_to_write(&job.layout, job.deadline) {
        Some(git) => cache::keep(&git, &job.request.revision),
        None => Ok(()),
    }
}
