//! The stage `finalize`: the live revision is done, old ones go.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use crate::wire::{CheckPoint, Revision, Stage};

use super::checks;
use super::job::Job;
use super::promote;
use super::rendered;
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::state::layout::{Layout, Link};
use crate::local::state::lease;
use crate::local::state::links;
use crate::local::state::record;
use crate::local::tree::cache;
use crate::local::tree::git::Git;
use crate::local::tree::index_stamp::Index;
use crate::local::tree::lfs;
use crate::local::tree::submodules;

/// Seconds that git may tidy its objects for.
const TIDYING: u64 = 300;

/// Names the live revision as done. Once that is so, trouble with old revisions is a warning: the deployment is done.
pub fn run(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let current = layout.read(Link::Current);
    if job.request.confirm_timeout > 0 && lease::was_rolled_back(layout, &job.request.holder.run, current.as_ref()) {
        job.out.warn(format!("the lease ran out and this host went back: {} goes live again", job.name(revision)));
        promote::run(job)?;
    }
    match layout.read(Link::Current) {
        Some(current) if current == *revision => {}
        other => {
            let now = other.map_or("nothing".to_owned(), |current| current.short().to_owned());
            return Err(Fault::failed(format!(
                "{now} is live where {} should be; nothing is finalized",
                revision.short()
            )));
        }
    }
    checks::run(job, CheckPoint::Before(Stage::Finalize), revision)?;
    let before = layout.read(Link::Done);
    let in_progress = layout.read(Link::InProgress);
    layout.point(Link::Done, revision)?;
    let ended = lease::end(layout);
    layout.remove(Link::InProgress)?;
    if let Err(fault) = ended {
        job.out.warn(format!("tidying up: {}", fault.reason()));
    }
    // As long as the run is not over it may still go back, to a tree that is as it was.
    let needed = [before, job.request.restore.clone(), in_progress].into_iter().flatten().collect();
    tidy_up(job, &needed);
    checks::run(job, CheckPoint::After(Stage::Finalize), revision)
}

/// Removes what was only kept for a rollback of the run, which has ended well.
pub fn after_the_run(job: &Job) {
    let layout = &job.layout;
    let done = [layout.read(Link::Done), layout.read(Link::Current)];
    if done.iter().all(|link| link.as_ref() == Some(&job.request.revision)) {
        tidy_up(job, &BTreeSet::new());
    }
}

/// Removes what nothing needs any more: trees, and what only they needed. Trouble with that is no failure.
fn tidy_up(job: &Job, needed: &BTreeSet<Revision>) {
    let layout = &job.layout;
    for step in [
        remove_old(job, needed),
        layout.sweep(),
        cache::sweep(layout),
        tidy(job),
        lfs::prune(layout),
        rendered::prune(layout),
        record::prune(layout, &job.request.holder.run),
    ] {
        if let Err(fault) = step {
            job.out.warn(format!("tidying up: {}", fault.reason()));
        }
    }
}

/// Removes all but `cache_revs` of the revisions that are not live; those that are needed count first, and stay in any case.
fn remove_old(job: &Job, needed: &BTreeSet<Revision>) -> Result<(), Fault> {
    let layout = &job.layout;
    let mut live: BTreeSet<Revision> =
        links::load(layout).iter().filter_map(|path| links::revision_behind(layout, path)).collect();
    live.insert(job.request.revision.clone());
    let mut old: Vec<Revision> = layout.folders().into_iter().filter(|revision| !live.contains(revision)).collect();
    old.sort_by_key(|revision| (needed.contains(revision), last_used(layout, revision)));
    old.reverse();
    let doomed: Vec<&Revision> =
        old.iter().skip(job.request.cache_revs).filter(|revision| !needed.contains(revision)).collect();
    // The files that doomed trees share lose a link, which their other trees' indexes should hear of: the next deployment
    // takes from what is live, and a rollback goes to what was.
    let heirs =
        if doomed.is_empty() { Vec::new() } else { vec![Some(&job.request.revision), job.request.restore.as_ref()] };
    let heirs = heirs.into_iter().flatten().filter(|heir| !doomed.contains(heir));
    let heirs = heirs.filter_map(|heir| Index::read(&layout.rev(heir), heir.as_str().len() / 2));
    let heirs: Vec<(Index, Vec<usize>)> = heirs.map(|index| (index.proven(), index)).map(|(a, b)| (b, a)).collect();
    // One that is not this user's to remove keeps no other.
    let mut first = Ok(());
    for revision in doomed {
        job.deadline.check()?;
        let removed = files::remove_tree(&layout.rev(revision), &job.tag());
        if removed.is_ok() {
            job.out.debug(format!("removed {}", job.name(revision)));
        }
        first = first.and(removed);
    }
    for (index, proven) in heirs {
        let path = index.tree.join(".git/index");
        let now = index.look_at(&proven);
        index.renew(&now).tried("renew", &path)?;
    }
    first.and(files::sync_dir(&layout.revs()))
}

/// When a revision went live last; for one that never did, and for those of Scap's, when it was checked out.
fn last_used(layout: &Layout, revision: &Revision) -> SystemTime {
    let tree = layout.rev(revision);
    let paths = [promote::last_live(layout, revision), tree.join(".git/HEAD"), tree];
    let time = |path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    paths.into_iter().find_map(time).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Lets the cache keep the objects of just those revisions that have a tree, then lets git tidy up if it sees fit.
fn tidy(job: &Job) -> Result<(), Fault> {
    let deadline = job.deadline.half(TIDYING);
    let Some(git) = cache::open_to_write(&job.layout, deadline) else { return Ok(()) };
    let trees: Vec<String> = job.layout.folders().iter().map(Revision::to_string).collect();
    let kept = referenced(&git)?;
    let lacking: Vec<String> = trees.iter().filter(|name| !kept.contains(&cache::reference(name))).cloned().collect();
    let mut changes = String::new();
    for name in git.present(&lacking)? {
        changes.push_str(&format!("update {} {name}\n", cache::reference(&name)));
    }
    for reference in &kept {
        // `refs/hoist/REVISION`, `refs/hoist-submodules/REVISION/COMMIT`
        let of = reference.split('/').nth(2).unwrap_or_default();
        if !trees.iter().any(|name| name == of) {
            changes.push_str(&format!("delete {reference}\n"));
        }
    }
    // Most targets of most deployments have nothing to tidy: they are spared the processes.
    if !changes.is_empty() {
        let answer = git.call(&["update-ref", "--stdin"], Feed::text(changes))?;
        git.expect(&answer, "update-ref")?;
    }
    if cache::may_need_gc(&job.layout) {
        let answer = git.call(&["gc", "--auto", "--quiet"], Feed::Nothing)?;
        git.expect(&answer, "gc")?;
    }
    Ok(())
}

fn referenced(git: &Git) -> Result<Vec<String>, Fault> {
    let args = ["for-each-ref", "--format=%(refname)", "refs/hoist/", submodules::REFS];
    let answer = git.call(&args, Feed::Nothing)?;
    git.expect(&answer, "for-each-ref")?;
    Ok(answer.output.lines().map(str::to_owned).collect())
}
