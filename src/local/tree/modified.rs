//! Files that two revisions share and that somebody wrote to in one of them: the other has the change too. Before such a
//! revision goes live again, its files are checked out afresh.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::text;
use crate::wire::Revision;

use super::git::Git;
use super::index::{IndexEntry, Stat};
use super::index_stamp;
use super::index_stamp::Index;
use super::share;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::os::way;
use crate::local::shared::record::Record;
use crate::local::state::config_files;

/// Files that are named to the operator, at the most.
const NAMED: usize = 3;

/// Replaces the changed files of a revision that have another name somewhere: with `by`, only those that this revision has
/// too. Files of one name only, which somebody changed on purpose, stay. It costs a look at each file.
pub fn replace(job: &Job, revision: &Revision, by: Option<&Revision>) -> Result<(), Fault> {
    let tree = job.layout.rev(revision);
    let Some(index) = Index::read(&tree, revision.as_str().len() / 2) else { return Ok(()) };
    let other = by.map(|other| job.layout.rev(other));
    let git = Git::tree(&tree, job.deadline);
    // What was rendered in a tracked file's place is meant to differ from what was committed.
    let rendered = config_files::inside(&job.layout, revision);
    let shared = Record::of(&tree);
    let mut modified: Vec<&Path> = Vec::new();
    for entry in index.entries.iter().filter(|entry| entry.is_file()) {
        job.deadline.check()?;
        let Some(path) = index_stamp::plain_path(entry).filter(|path| !shared.covers(path)) else { continue };
        let Ok(meta) = fs::symlink_metadata(tree.join(path)) else { continue };
        if !meta.is_file() || meta.nlink() < 2 || is_unchanged(entry, &meta, tree.join(path)) {
            continue;
        }
        let same = |found: Metadata| (found.dev(), found.ino()) == (meta.dev(), meta.ino());
        if !rendered.iter().any(|file| Path::new(file) == path)
            && other.as_ref().is_none_or(|other| fs::symlink_metadata(other.join(path)).is_ok_and(same))
        {
            modified.push(path);
        }
    }
    if !modified.is_empty() {
        leave_out_filtered(&git, &mut modified)?;
    }
    if modified.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = modified.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    job.out.warn(format!(
        "{}: restored {} that {} changed in place, in this revision or in one that shares them: {}",
        job.name(revision),
        text::counted(modified.len(), "file"),
        if modified.len() == 1 { "was" } else { "were" },
        text::first(&names, modified.len(), NAMED)
    ));
    let beside = tree.join(".git/hoist-afresh");
    files::remove_leftover(&beside)?;
    let prefix = "--prefix=.git/hoist-afresh/";
    let answer = git.call(&["checkout-index", "--force", "-z", "--stdin", prefix], Feed::text(lines(&modified)))?;
    git.expect_whole(&answer, "checkout-index")?;
    sys::sync_file_system(&tree).tried("sync", &tree)?;
    for path in &modified {
        put(&tree, Path::new(path)).tried("replace", &tree.join(path))?;
    }
    files::remove_leftover(&beside)?;
    sys::sync_file_system(&tree).tried("sync", &tree)
}

/// Puts a file in its place that was checked out afresh. A service may write to directories of the tree, and replace them
/// with links meanwhile.
fn put(tree: &Path, path: &Path) -> io::Result<()> {
    let entry = |path: &Path| way::in_tree(tree, path, false)?.ok_or(io::Error::from(io::ErrorKind::NotFound));
    entry(&Path::new(".git/hoist-afresh").join(path))?.rename(&entry(path)?)
}

/// Takes those files out that a program such as git-lfs fills: trees never share them, so another name of one is somebody's
/// own, and they never hold what the index says.
fn leave_out_filtered(git: &Git, paths: &mut Vec<&Path>) -> Result<(), Fault> {
    let mut values = git.attribute("filter", paths)?.into_iter();
    paths.retain(|_| values.next().is_none_or(|value| matches!(value.as_str(), "unspecified" | "unset")));
    Ok(())
}

fn lines(paths: &[&Path]) -> Vec<u8> {
    paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect()
}

/// Whether a shared file has the content, the owner and the executable bit that the index says.
fn is_unchanged(entry: &IndexEntry, meta: &Metadata, path: PathBuf) -> bool {
    let now = Stat::from(meta);
    let executable = (meta.mode() & 0o100 != 0) == (entry.object.mode == 0o100755);
    let owned = (now.uid, now.gid) == (entry.stat.uid, entry.stat.gid);
    now == entry.stat
        || executable
            && owned
            && share::read_blob(&path, meta, entry.object.name.len()).is_ok_and(|it| it == entry.object.name)
}
