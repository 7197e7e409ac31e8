//! Deployments of other repositories that this one would take off the air, or be built into: where a repository's trees
//! are is made of its name, and one name may lead into what belongs to another.

use std::fs;
use std::path::{Path, PathBuf};

use super::Look;

/// How deep below a directory in the place of the service's path it is looked, and at how many directories.
const DEPTH: usize = 4;
const MOST: usize = 1000;

/// What to do about it.
const REMEDY: &str = "give one of them another git_repo or git_deploy_dir";

pub(super) fn look(look: &mut Look) {
    let live = look.layout.live();
    // The trees may be on another disk, by a link.
    let root = look.layout.root().canonicalize().unwrap_or_else(|_| look.layout.root().to_owned());
    let message = if let Some(other) = around(live).or_else(|| around(&root)) {
        Some(format!(
            "{} leads into {}, the deployment of another repository: {REMEDY}",
            live.display(),
            other.display()
        ))
    } else if live.is_symlink() {
        None
    } else {
        let other = (if is_deployment(live) { Some(live.to_owned()) } else { below(live) })
            .map(|other| other.display().to_string());
        other.map(|other| {
            format!("{} would replace {other}, the deployment of another repository: {REMEDY}", live.display())
        })
    };
    if let Some(message) = message {
        look.note(true, None, message);
    }
}

/// Whether a directory holds the trees of a deployment, Hoist's or Scap's.
fn is_deployment(folder: &Path) -> bool {
    folder.join("revs").is_dir() && [".hoist", "cache"].iter().any(|name| folder.join(name).is_dir())
}

/// The deployment in which a path's folder really is.
fn around(path: &Path) -> Option<PathBuf> {
    let folder = path.ancestors().skip(1).find_map(|folder| folder.canonicalize().ok())?;
    folder.ancestors().find(|folder| is_deployment(folder)).map(Path::to_owned)
}

/// A deployment below a directory.
fn below(folder: &Path) -> Option<PathBuf> {
    let mut folders = vec![(folder.to_owned(), DEPTH)];
    for _ in 0..MOST {
        let (folder, depth) = folders.pop()?;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if is_deployment(&entry.path()) {
                    return Some(entry.path());
                }
                if depth > 0 {
                    folders.push((entry.path(), depth - 1));
                }
            }
        }
    }
    None
}
