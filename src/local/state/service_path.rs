//! The path that the service uses, and the other links of a repository, where something else stands in their places.

use std::fs;
use std::path::{Path, PathBuf};

use crate::text;
use crate::wire::Occupant;

use super::layout::{Layout, Link};
use crate::local::fault::Fault;
use crate::local::os::dir::Entry;
use crate::local::os::mounts::Mounts;

/// Fails where what stands in a link's place cannot be moved aside: before promote has changed anything.
pub fn is_clear(layout: &Layout) -> Result<(), Fault> {
    let links = [Link::Current, Link::Done, Link::InProgress].map(|link| layout.link(link));
    for path in links.iter().map(PathBuf::as_path).chain([layout.live()]) {
        let Ok(found) = fs::symlink_metadata(path) else { continue };
        if found.is_symlink() {
            continue;
        }
        let shown = path.display();
        if Entry::of(path).is_ok_and(|entry| entry.is_fixed()) {
            return Err(Fault::failed(format!(
                "{shown}, which is to become a link, cannot be moved aside, because it is immutable or append-only: run \
                 `chattr -ia {}`",
                text::quoted(&path.to_string_lossy())
            )));
        }
        if found.is_dir() && Mounts::read().is_at(path) {
            return Err(Fault::failed(format!(
                "{shown}, which is to become a link, cannot be moved aside, because a file system is mounted there: \
                 unmount it, or set git_deploy_dir"
            )));
        }
    }
    Ok(())
}

/// Whether something stands at the service's path that neither Hoist nor Scap has made.
pub fn is_foreign(layout: &Layout) -> bool {
    occupant(layout).is_some()
}

/// What stands at the service's path that neither Hoist nor Scap has made.
pub fn occupant(layout: &Layout) -> Option<Occupant> {
    let path = layout.live();
    let found = fs::symlink_metadata(path).ok()?;
    let what = match found.is_symlink() {
        true => format!("a link to {}", foreign_target(layout)?.display()),
        false if found.is_dir() => "a directory".to_owned(),
        false => "a file".to_owned(),
    };
    Some(Occupant { path: path.to_owned(), what })
}

/// Where the service's path leads if it is a link that neither Hoist nor Scap has made.
pub fn foreign_target(layout: &Layout) -> Option<PathBuf> {
    let target = fs::read_link(layout.live()).ok()?;
    let to = layout.live().parent()?.join(&target);
    // The folder may have been moved, with what leads into it; links on the way there may have names of their own.
    let root = layout.root().file_name()?;
    let leads_in = |path: &Path| path.components().any(|part| part.as_os_str() == root);
    let is_ours = leads_in(&to) || fs::canonicalize(&to).is_ok_and(|real| leads_in(&real));
    (!is_ours).then_some(target)
}
