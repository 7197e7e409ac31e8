//! Artifacts: revisions whose files are written byte for byte, whatever attributes they contain; and what is known of how
//! they were made.

use std::path::{Path, PathBuf};

use crate::wire::{Origin, Revision, is_artifact_commit};

use super::git::Git;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::way;

/// Attributes of the repository itself take precedence over those of its files.
const ATTRIBUTES: &str = "* -text -eol -crlf -ident -filter -working-tree-encoding\n";

const ATTRIBUTES_FILE: &str = ".git/info/attributes";

fn attributes(tree: &Path) -> PathBuf {
    tree.join(ATTRIBUTES_FILE)
}

fn note(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-origin")
}

/// Takes the effect from the attributes of a tree that is to be checked out, if its revision is an artifact.
///
/// `is_known`: whether it is one, if the deployer has told.
pub fn prepare(git: &Git, tree: &Path, revision: &Revision, is_known: Option<bool>) -> Result<(), Fault> {
    // What is wrong with the commit is told when it is checked out.
    let ask = || {
        let answer = git.call(&["cat-file", "commit", revision.as_str()], Feed::Nothing)?;
        Ok::<_, Fault>(answer.exit.is_ok() && is_artifact_commit(&answer.text()))
    };
    if is_exact(tree) || !is_known.map_or_else(ask, Ok)? {
        return Ok(());
    }
    let path = attributes(tree);
    let entry = way::in_tree(tree, Path::new(ATTRIBUTES_FILE), true).tried("write", &path)?;
    entry.map_or(Ok(()), |entry| files::write_entry_or_keep(&entry, ATTRIBUTES.as_bytes(), 0o666))
}

/// Whether a tree is that of an artifact: it has no submodules and no pointers to large files, and its files are what the
/// objects are.
pub fn is_exact(tree: &Path) -> bool {
    files::read(&attributes(tree)).is_ok_and(|text| text == ATTRIBUTES.as_bytes())
}

/// Notes how the revision of a request was made, beside its tree.
pub fn note_origin(job: &Job) -> Result<(), Fault> {
    let Some(origin) = &job.request.origin else { return Ok(()) };
    let bytes = serde_json::to_vec(origin).unwrap_or_default();
    files::write(&note(&job.layout.rev(&job.request.revision)), &bytes, 0o666)
}

/// How the revision of a tree was made, if that is known.
pub fn origin(tree: &Path) -> Option<Origin> {
    serde_json::from_slice(&files::read(&note(tree)).ok()?).ok()
}
