//! A forced checkout of a revision that has a complete tree already.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::checkout;
use super::content::ExternalContent;
use super::external;
use super::git::Git;
use super::put;
use super::put::Put;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::shared::record::Record;
use crate::local::stages::rendered;
use crate::local::state::config_files;

/// Puts the tracked files of the request's revision back as they were committed. Where the tree may be live its
/// configuration files stay as they are until promote, and the others are saved first, so that a rollback brings back
/// what stood there.
pub fn check_out(job: &Job, extras: &ExternalContent) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    if !rendered::is_in_use(job) {
        return checkout::repair(extras, revision, &job.tag());
    }
    let top = layout.rev(revision);
    let git = Git::tree(&top, job.deadline);
    let list = |args: &[&str], step: &str| {
        let answer = git.call(args, Feed::Nothing)?;
        git.expect(&answer, step)?;
        Ok::<_, Fault>(answer.text().split_terminator('\0').map(str::to_owned).collect::<Vec<_>>())
    };
    let index = ["diff-index", "--cached", "--name-only", "-z", revision.as_str()];
    let configured: HashSet<String> = config_files::inside(layout, revision).into_iter().collect();
    let mut changed = list(&["ls-files", "-z", "--modified"], "ls-files")?;
    // A name that is no text does not come back from git as it is.
    let is_plain = changed.iter().all(|path| !path.contains(char::REPLACEMENT_CHARACTER));
    rendered::save_changed(job, &changed)?;
    if !is_plain || !list(&index, "diff-index")?.is_empty() {
        return checkout::repair(extras, revision, &job.tag());
    }
    let shared = Record::of(&top);
    changed.retain(|path| !configured.contains(path) && !shared.covers(Path::new(path)));
    if !changed.is_empty() {
        let paths: Vec<PathBuf> = changed.iter().map(PathBuf::from).collect();
        let beside = put::beside(layout, revision, &job.tag());
        Put { git, top: &top, tree: &top, beside }.files(&paths)?;
    }
    external::add(extras, revision, &top)?;
    sys::sync_file_system(&top).tried("sync", &top)
}
