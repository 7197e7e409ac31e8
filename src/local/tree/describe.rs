//! The tags that describe a revision, and a remote by name, in its working tree: for `git describe`, and for what asks
//! git where the code is from.

use std::fs;
use std::path::Path;

use crate::wire::{DescribingTag, DescribingTags, Revision};

use super::cache;
use super::content::ExternalContent;
use super::git::Git;
use super::loose;
use super::objects;
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::os::process::Feed;

/// The file in a tree's git directory that says whose `packed-refs` is.
const OURS: &str = "hoist-tags";

/// Gives a revision's tree the tags that came with the request. A deployment does not fail for them.
pub fn add(extras: &ExternalContent, revision: &Revision) {
    if let Err(fault) = (Describing { extras, revision, is_new: false }).put(&extras.layout.rev(revision)) {
        extras.out.warn(format!("tags of {}: {}", revision.short(), fault.reason()));
    }
}

/// Gives the tags to a tree that is being made, whose file system is synced before it counts. Where that fails, [`add`]
/// tries again.
pub fn add_to_new(extras: &ExternalContent, revision: &Revision, tree: &Path) {
    if let Err(fault) = (Describing { extras, revision, is_new: true }).put(tree) {
        log::debug!("tags of {}: {}", tree.display(), fault.reason());
    }
}

struct Describing<'a> {
    extras: &'a ExternalContent,
    revision: &'a Revision,
    is_new: bool,
}

impl Describing<'_> {
    fn put(&self, tree: &Path) -> Result<(), Fault> {
        match &self.extras.describing {
            Some(tags) => self.tags(tree, tags).and_then(|()| self.remote(tree)),
            None => Ok(()),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), Fault> {
        if self.is_new { fs::write(path, content).tried("write", path) } else { files::write(path, content, 0o666) }
    }

    /// Writes the tree's refs, and the annotated tags' own objects. A clone of Scap's has its own, which stay.
    fn tags(&self, tree: &Path, tags: &DescribingTags) -> Result<(), Fault> {
        let (packed, ours) = (tree.join(".git/packed-refs"), tree.join(".git").join(OURS));
        if files::look(&packed).is_ok() && files::look(&ours).is_err() {
            return Ok(());
        }
        let mut tags_here: Vec<&DescribingTag> = tags.tags.iter().filter(|tag| is_name(&tag.name)).collect();
        if files::look(&tree.join(".git/shallow")).is_ok() {
            // What lies behind the end of this history is not here.
            let commits: Vec<String> = tags_here.iter().map(|tag| tag.commit.to_string()).collect();
            let present = match cache::open(&self.extras.layout, self.extras.deadline) {
                Some(cache) => cache.commits_present(&commits)?,
                None => Vec::new(),
            };
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
        if files::read(&packed).is_ok_and(|now| now == text.as_bytes()) {
            return Ok(());
        }
        self.unpack(&tree.join(".git"), &tags.pack)?;
        self.write(&ours, b"")?;
        self.write(&packed, text.as_bytes())
    }

    /// Writes the objects of a pack, given in hexadecimal digits.
    fn unpack(&self, git_dir: &Path, pack: &str) -> Result<(), Fault> {
        let pack = objects::bytes(pack).ok_or_else(|| Fault::failed("their pack cannot be read"))?;
        if pack.is_empty() {
            return Ok(());
        }
        let Some(objects) = loose::of_pack(&pack, self.revision.as_str().len() / 2) else {
            let git = Git::bare(git_dir, self.extras.deadline);
            let answer = git.call(&["unpack-objects", "-q"], Feed::text(pack))?;
            return git.expect(&answer, "unpack-objects");
        };
        for object in objects {
            let path = git_dir.join("objects").join(object.path);
            if !path.exists() {
                files::make_dir(files::parent(&path))?;
                self.write(&path, &object.bytes)?;
            }
        }
        Ok(())
    }

    /// Gives the tree a remote `origin`, as a clone has one: the cache.
    fn remote(&self, tree: &Path) -> Result<(), Fault> {
        let path = tree.join(".git/config");
        let text = String::from_utf8_lossy(&files::read(&path).tried("read", &path)?).into_owned();
        if text.lines().any(|line| line.trim_start().starts_with("[remote ")) {
            return Ok(());
        }
        let cache = self.extras.layout.cache().display().to_string();
        let quoted = cache.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!(
            "{}\n[remote \"origin\"]\n\turl = \"{quoted}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            text.trim_end()
        );
        self.write(&path, text.as_bytes())
    }
}

/// What git takes for the name of a ref (git-check-ref-format(1)), as far as a name could do harm in the file.
fn is_name(name: &str) -> bool {
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !name.contains(odd)
        && !name.contains("..")
        && !name.contains("@{")
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Whether a working tree is a clone that Scap made: Hoist's trees have no branches of a remote.
pub fn is_clone(tree: &Path) -> bool {
    tree.join(".git/refs/remotes/origin/HEAD").is_file()
}
