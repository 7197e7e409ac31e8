//! `.config`, by which Scap's own `deploy-local` goes on this target: Puppet has it run, and it installs what that file
//! names. Where the file is, it follows what is live.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::files::no_links;
use crate::scap_state;
use crate::wire::{Revision, StageRequest};

use super::layout::Layout;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::os::files::Belongs;

/// Scap's file.
fn file(layout: &Layout) -> PathBuf {
    layout.root().join(".config")
}

/// The file as it was when a revision was live last.
fn kept(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.rev(revision).join(".git/hoist-scap-config")
}

/// Has the file speak of `revision`, which goes live in place of `before`. A deployment does not fail for it.
pub fn follow(job: &Job, revision: &Revision, before: Option<&Revision>) {
    if let Err(fault) = try_to_follow(job, revision, before) {
        job.out.warn(format!("cannot record {} for Scap's deploy-local: {}", revision.short(), fault.reason()));
    }
}

fn try_to_follow(job: &Job, revision: &Revision, before: Option<&Revision>) -> Result<(), Fault> {
    let (layout, path) = (&job.layout, file(&job.layout));
    let Ok(meta) = fs::symlink_metadata(&path) else { return Ok(()) };
    if job.request.scap.is_none() || !meta.is_file() {
        return Ok(());
    }
    let mode = meta.permissions().mode() & 0o777;
    let now = no_links::read_own(&path).tried("read", &path)?;
    if let Some(before) = before.filter(|before| *before != revision)
        && names(&now, before)
        && files::look(&kept(layout, before)).is_err()
    {
        write(&kept(layout, before), &now, mode)?;
    }
    let deployed = *revision == job.request.revision && !job.request.kept;
    let earlier = files::read(&kept(layout, revision)).ok().filter(|_| !deployed);
    let request = || StageRequest { revision: revision.clone(), ..job.request.clone() };
    let Some(text) = earlier.or_else(|| scap_state::text(&request(), None).map(String::into_bytes)) else {
        return Ok(());
    };
    write(&kept(layout, revision), &text, mode)?;
    if text == now { Ok(()) } else { write(&path, &text, mode) }
}

/// Whether the text is about a revision.
fn names(text: &[u8], revision: &Revision) -> bool {
    text.windows(revision.as_str().len()).any(|part| part == revision.as_str().as_bytes())
}

/// Variables may be secret: the copies are as readable as Scap's own file.
fn write(path: &Path, text: &[u8], mode: u32) -> Result<(), Fault> {
    files::write_as(path, text, Belongs { mode, owner: None, group: None })
}
