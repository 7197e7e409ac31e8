//! A revision's working tree.

use std::fs;
use std::path::Path;

use crate::files::no_links;
use crate::wire::Revision;

use super::artifact;
use super::cache;
use super::content::ExternalContent;
use super::describe;
use super::external;
use super::git::Git;
use super::index_stamp;
use super::put;
use super::put::Put;
use super::share;
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::os::files::TEMPORARY;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::state::config_files;
use crate::local::state::layout::Layout;

/// The cache's objects, from a working tree's `.git/objects`: relative, so that the whole can be moved.
const CACHE_FROM_TREE: &str = "../../../..";

/// Checks a revision out of the cache, beside its place, and puts it there once it is whole and on the disk. Files that
/// another tree has as well are shared with it, where that is wanted.
pub fn build(extras: &ExternalContent, revision: &Revision, tag: &str) -> Result<(), Fault> {
    let layout = &extras.layout;
    let place = layout.rev(revision);
    let beside = layout.revs().join(format!("{revision}{TEMPORARY}{tag}"));
    let result = check_out(extras, revision, &beside)
        .and_then(|()| external::add(extras, revision, &beside))
        .map(|()| describe::add_to_new(extras, revision, &beside))
        .and_then(|()| extras.shared().rescue(&place, revision, &extras.wanted.shared))
        .and_then(|()| sys::sync_file_system(&beside).tried("sync", &beside))
        .and_then(|()| install(layout, &beside, &place, tag));
    if result.is_err() {
        // A full disk has to have room for what is still to be written.
        let _ = files::remove_leftover(&beside);
    }
    // A tree that stood here before may have had configuration files.
    result.and_then(|()| config_files::bring_back(layout, revision, None))
}

fn check_out(extras: &ExternalContent, revision: &Revision, beside: &Path) -> Result<(), Fault> {
    let (layout, deadline) = (&extras.layout, extras.deadline);
    let git = Git::tree(beside, deadline);
    let force = || force(&git, beside, (revision, extras.is_artifact));
    prepare(layout, &git, revision, beside)?;
    if extras.link_files
        && let Some(shared) = share::into(layout, deadline, revision, beside)?
    {
        match force() {
            Ok(()) if shared.holds(beside, revision) => return index_stamp::put(beside),
            Ok(()) => log::debug!("{}: other attributes change the files", beside.display()),
            Err(Fault::Failed { reason, .. }) => log::debug!("a checkout with {} shared files: {reason}", shared.count),
            Err(fault) => return Err(fault),
        }
        prepare(layout, &git, revision, beside)?;
    }
    force()?;
    index_stamp::put(beside)
}

/// Makes a repository without a single file, which borrows the cache's objects.
fn prepare(layout: &Layout, git: &Git, revision: &Revision, beside: &Path) -> Result<(), Fault> {
    let Some(cache) = cache::git_dir(&layout.cache()) else {
        return Err(Fault::CacheBroken { reason: format!("{} is not a git repository", layout.cache().display()) });
    };
    files::remove_leftover(beside)?;
    git.init(revision.as_str().len() == 64)?;
    let inside = cache.strip_prefix(layout.root()).unwrap_or(&cache);
    let objects = match layout.revs_are_inside() {
        true => format!("{CACHE_FROM_TREE}/{}/objects\n", inside.display()),
        false => format!("{}/objects\n", cache.display()),
    };
    let path = beside.join(".git/objects/info/alternates");
    fs::write(&path, objects).tried("write", &path)?;
    if let Ok(shallow) = no_links::read_own(&cache.join("shallow")) {
        let path = beside.join(".git/shallow");
        fs::write(&path, shallow).tried("write", &path)?;
    }
    Ok(())
}

fn install(layout: &Layout, beside: &Path, place: &Path, tag: &str) -> Result<(), Fault> {
    // Half a tree that stands in the place, an interrupted one of Scap's say, may be live: it is swapped, not removed
    // first. Where the file system cannot swap, the moment without the tree is as short as it can be.
    if fs::symlink_metadata(place).is_ok() {
        if sys::exchange(beside, place).is_err() {
            let third = files::parent(place).join(format!("old{TEMPORARY}{tag}"));
            fs::rename(place, &third).tried("rename", place)?;
            fs::rename(beside, place).tried("rename", beside)?;
            files::remove_leftover(&third)?;
        } else {
            files::remove_leftover(beside)?;
        }
    } else {
        fs::rename(beside, place).tried("rename", beside)?;
    }
    files::sync_dir(&layout.revs())
}

/// Puts the tracked files of a tree that is there back as they were committed; what git does not know of stays.
pub fn repair(extras: &ExternalContent, revision: &Revision, tag: &str) -> Result<(), Fault> {
    let tree = extras.layout.rev(revision);
    // Only one stage works at a time, so these locks are of a git that was killed.
    for lock in ["index.lock", "HEAD.lock"] {
        files::remove(&tree.join(".git").join(lock))?;
    }
    let git = Git::tree(&tree, extras.deadline);
    artifact::prepare(&git, &tree, revision, extras.is_artifact)?;
    let beside = put::beside(&extras.layout, revision, tag);
    Put { git, top: &tree, tree: &tree, beside }.commit(revision)?;
    external::add(extras, revision, &tree)?;
    // They may be tracked files as well.
    config_files::bring_back(&extras.layout, revision, None)?;
    sys::sync_file_system(&tree).tried("sync", &tree)
}

fn force(git: &Git, tree: &Path, (revision, is_artifact): (&Revision, Option<bool>)) -> Result<(), Fault> {
    artifact::prepare(git, tree, revision, is_artifact)?;
    let args = ["checkout", "--quiet", "--force", "--detach", revision.as_str()];
    // Whoever calls this syncs the whole file system once.
    let answer = git.unsynced().call(&args, Feed::Nothing)?;
    git.expect_whole(&answer, "checkout")
}

/// Makes sure that a revision's tree is whole: repairs the one that is there, or checks it out anew.
pub fn ensure(extras: &ExternalContent, revision: &Revision, tag: &str) -> Result<(), Fault> {
    let layout = &extras.layout;
    if layout.complete(revision) {
        return Ok(());
    }
    let is_repository = files::look(&layout.rev(revision).join(".git/objects")).is_ok_and(|found| found.is_dir());
    if is_repository && repair(extras, revision, tag).is_ok() && layout.complete(revision) {
        return Ok(());
    }
    build(extras, revision, tag)
}
