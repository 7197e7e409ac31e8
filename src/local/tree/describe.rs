//! The tags that describe a revision, and a remote by name, in its working tree: for `git describe`, and for what asks
//! git where the code is from.

use std::fs;
use std::path::Path;

use crate::wire::{DescribingTag, DescribingTags};

use super::git::Git;
use super::objects;
use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::files;
use crate::local::os::process::Feed;

/// The file in a tree's git directory that says whose `packed-refs` is.
const OURS: &str = "hoist-tags";

/// Gives the tree of the request's revision the tags that came with it. A deployment does not fail for them.
pub fn add(job: &Job) {
    let Some(tags) = job.request.fetch.as_ref().and_then(|fetch| fetch.describing.as_ref()) else { return };
    let tree = job.layout.rev(&job.request.revision);
    if let Err(fault) = put(job, &tree, tags).and_then(|()| remote(job, &tree)) {
        job.out.warn(format!("tags of {}: {}", job.request.revision.short(), fault.reason()));
    }
}

/// Writes the tree's refs, and the annotated tags' own objects. A clone of Scap's has its own, which stay.
fn put(job: &Job, tree: &Path, tags: &DescribingTags) -> Result<(), Fault> {
    let (packed, ours) = (tree.join(".git/packed-refs"), tree.join(".git").join(OURS));
    if packed.exists() && !ours.exists() {
        return Ok(());
    }
    let git = Git::bare(&tree.join(".git"), job.deadline);
    let mut tags_here: Vec<&DescribingTag> = tags.tags.iter().filter(|tag| is_name(&tag.name)).collect();
    if tree.join(".git/shallow").exists() {
        // What lies behind the end of this history is not here.
        let commits: Vec<String> = tags_here.iter().map(|tag| tag.commit.to_string()).collect();
        let present = git.present(&commits)?;
        tags_here.retain(|tag| present.iter().any(|commit| commit == tag.commit.as_str()));
    }
    tags_here.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    for tag in tags_here {
        text.push_str(&format!("{} refs/tags/{}\n", tag.object, tag.name));
        if tag.is_annotated() {
            text.push_str(&format!("^{}\n", tag.commit));
        }
    }
    if fs::read_to_string(&packed).is_ok_and(|now| now == text) {
        return Ok(());
    }
    let pack = objects::bytes(&tags.pack).ok_or_else(|| Fault::failed("their pack cannot be read"))?;
    if !pack.is_empty() {
        let answer = git.call(&["unpack-objects", "-q"], Feed::text(pack))?;
        git.expect(&answer, "unpack-objects")?;
    }
    files::write(&ours, b"", 0o666)?;
    files::write(&packed, text.as_bytes(), 0o666)
}

/// What git takes for the name of a ref (git-check-ref-format(1)), as far as a name could do harm in the file.
fn is_name(name: &str) -> bool {
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !name.contains(odd)
        && !name.contains("..")
        && !name.contains("@{")
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Gives the tree a remote `origin`, as a clone has one: the cache.
fn remote(job: &Job, tree: &Path) -> Result<(), Fault> {
    let path = tree.join(".git/config");
    let text = fs::read_to_string(&path).tried("read", &path)?;
    if text.lines().any(|line| line.trim_start().starts_with("[remote ")) {
        return Ok(());
    }
    let quoted = job.layout.cache().display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!(
        "{}\n[remote \"origin\"]\n\turl = \"{quoted}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        text.trim_end()
    );
    files::write(&path, text.as_bytes(), 0o666)
}

/// Whether a working tree is a clone that Scap made: Hoist's trees have no branches of a remote.
pub fn is_clone(tree: &Path) -> bool {
    tree.join(".git/refs/remotes/origin/HEAD").is_file()
}
