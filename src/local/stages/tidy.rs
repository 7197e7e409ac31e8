//! Removing what nothing needs any more: old trees, and what only they needed.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use crate::wire::{Revision, SharedPaths};

use crate::local::fault::{Fault, Tried};
use crate::local::job::{Job, tag};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::out::Out;
use crate::local::shared::Shared;
use crate::local::state::config_files;
use crate::local::state::layout::{Layout, Link};
use crate::local::state::links;
use crate::local::state::moved_on::Known;
use crate::local::state::record;
use crate::local::tree::artifact;
use crate::local::tree::cache;
use crate::local::tree::git::Git;
use crate::local::tree::index_stamp::Index;
use crate::local::tree::lfs;
use crate::local::tree::refs;
use crate::local::tree::submodules;
use crate::local::tree::waste;

/// Seconds that git may tidy its objects for.
const TIDYING: u64 = 300;

/// What is kept, and the means to remove the rest.
pub struct Tidying<'a> {
    pub layout: &'a Layout,
    pub out: &'a Out,
    pub deadline: Deadline,
    pub known: Known<'a>,
    pub cache_revs: usize,
}

impl<'a> From<&'a Job> for Tidying<'a> {
    fn from(job: &'a Job) -> Tidying<'a> {
        Tidying {
            layout: &job.layout,
            out: &job.out,
            deadline: job.deadline,
            known: Known::from(&job.request),
            cache_revs: job.request.cache_revs,
        }
    }
}

/// Removes what was only kept for a rollback of the run, which has ended well.
pub fn after_the_run(tidying: &Tidying) {
    let layout = tidying.layout;
    let done = [layout.read(Link::Done), layout.read(Link::Current)];
    if done.iter().all(|link| link.as_ref() == Some(tidying.known.revision)) {
        tidy_up(tidying, &BTreeSet::new());
    }
}

/// Removes what nothing needs any more: trees, and what only they needed. Trouble with that is no failure.
pub fn tidy_up(tidying: &Tidying, needed: &BTreeSet<Revision>) {
    let layout = tidying.layout;
    let artifacts = artifacts(layout);
    // What one of them cannot remove, the next one may come upon, too.
    let mut told = BTreeSet::new();
    for step in [
        remove_old(tidying, needed),
        layout.sweep(),
        cache::sweep(layout),
        tidy_cache(tidying, artifacts > self::artifacts(layout)),
        lfs::prune(layout),
        config_files::prune(layout),
        record::prune(layout, tidying.known.run),
    ] {
        if let Err(fault) = step
            && told.insert(fault.reason())
        {
            tidying.out.warn(format!("tidying up: {}", fault.reason()));
        }
    }
}

/// Removes all but `cache_revs` of the revisions that are not live; those that are needed count first, and stay in any case.
fn remove_old(tidying: &Tidying, needed: &BTreeSet<Revision>) -> Result<(), Fault> {
    let layout = tidying.layout;
    let mut live: BTreeSet<Revision> =
        links::load(layout).iter().filter_map(|path| links::revision_behind(layout, path)).collect();
    live.insert(tidying.known.revision.clone());
    let mut old: Vec<Revision> = layout.folders().into_iter().filter(|revision| !live.contains(revision)).collect();
    old.sort_by_key(|revision| (needed.contains(revision), last_used(layout, revision)));
    old.reverse();
    let doomed: Vec<&Revision> =
        old.iter().skip(tidying.cache_revs).filter(|revision| !needed.contains(revision)).collect();
    if doomed.is_empty() {
        return Ok(());
    }
    // The files that doomed trees share lose a link, which their other trees' indexes should hear of: the next deployment
    // takes from what is live, and a rollback goes to what was.
    let heirs = [Some(tidying.known.revision), tidying.known.restore];
    let heirs = heirs.into_iter().flatten().filter(|heir| !doomed.contains(heir));
    let heirs = heirs.filter_map(|heir| Index::read(&layout.rev(heir), heir.as_str().len() / 2));
    let heirs: Vec<(Index, Vec<usize>)> = heirs.map(|index| (index.proven(), index)).map(|(a, b)| (b, a)).collect();
    // One that is not this user's to remove keeps no other.
    let mut first = Ok(());
    for revision in doomed {
        tidying.deadline.check()?;
        let tree = layout.rev(revision);
        let shared = Shared { layout, out: tidying.out, deadline: tidying.deadline };
        let removed = shared
            .rescue(&tree, revision, &SharedPaths::default())
            .and_then(|()| files::remove_tree(&tree, &tag(tidying.known.run)));
        if removed.is_ok() {
            tidying.out.debug(format!("removed {}", layout.name(revision)));
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
    let paths = [layout.last_live(revision), tree.join(".git/HEAD"), tree];
    let time = |path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    paths.into_iter().find_map(time).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// How many trees are those of artifacts.
fn artifacts(layout: &Layout) -> usize {
    layout.folders().iter().filter(|revision| artifact::is_exact(&layout.rev(revision))).count()
}

/// Lets the cache keep the objects of just those revisions that have a tree, then lets git tidy up if it sees fit.
/// `has_lost_artifact`: the tree of one was removed.
fn tidy_cache(tidying: &Tidying, has_lost_artifact: bool) -> Result<(), Fault> {
    let deadline = tidying.deadline.half(TIDYING);
    let Some(git) = cache::open_to_write(tidying.layout, deadline) else { return Ok(()) };
    let trees: Vec<String> = tidying.layout.folders().iter().map(Revision::to_string).collect();
    let kept = referenced(&git)?;
    let lacking: Vec<String> = trees.iter().filter(|name| !kept.contains(&cache::reference(name))).cloned().collect();
    let mut changes = String::new();
    let present = git.commits_present(&lacking)?;
    for revision in tidying.layout.folders().iter().filter(|it| present.iter().any(|name| name == it.as_str())) {
        cache::keep(&git, revision)?;
    }
    for reference in &kept {
        // `refs/hoist/REVISION`, `refs/hoist-submodules/REVISION/COMMIT`
        let of = reference.split('/').nth(2).unwrap_or_default();
        if trees.iter().any(|name| name == of) {
            continue;
        }
        match refs::remove(git.dir(), reference) {
            Some(removed) => removed?,
            None => changes.push_str(&format!("delete {reference}\n")),
        }
    }
    // Most targets of most deployments have nothing to tidy: they are spared the processes.
    if !changes.is_empty() {
        let answer = git.call(&["update-ref", "--stdin"], Feed::text(changes))?;
        git.expect(&answer, "update-ref")?;
    }
    if has_lost_artifact {
        waste::remove(&git)?;
    }
    if cache::may_need_gc(tidying.layout) {
        let answer = git.call(&["gc", "--auto", "--quiet"], Feed::Nothing)?;
        git.expect(&answer, "gc")?;
    }
    Ok(())
}

fn referenced(git: &Git) -> Result<Vec<String>, Fault> {
    if let Some(refs) = refs::read(git.dir()) {
        let ours = |name: &String| name.starts_with("refs/hoist/") || name.starts_with(submodules::REFS);
        return Ok(refs.into_keys().filter(ours).collect());
    }
    let args = ["for-each-ref", "--format=%(refname)", "refs/hoist/", submodules::REFS];
    let answer = git.call(&args, Feed::Nothing)?;
    git.expect(&answer, "for-each-ref")?;
    Ok(answer.text().lines().map(str::to_owned).collect())
}
