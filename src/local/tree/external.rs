//! What belongs into a working tree beside the revision's own files: submodules, large files, links to shared content.

use std::collections::BTreeSet;
use std::path::Path;

use crate::wire;
use crate::wire::Revision;

use super::artifact;
use super::content::{ExternalContent, FAT, LFS, Part, SUBMODULES, record, recorded};
use super::describe;
use super::fat;
use super::git::Git;
use super::lfs;
use super::submodules;
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::os::sys;
use crate::local::shared::record::Record;
use crate::local::state::layout;

/// Fails where a program is missing that they need.
pub fn check_programs(extras: &ExternalContent) -> Result<(), Fault> {
    let git = Git::bare(Path::new("/"), extras.deadline);
    if extras.wanted.lfs.is_some() {
        lfs::require(&git)?;
    }
    if extras.wanted.fat { fat::require(&git) } else { Ok(()) }
}

/// Puts them into a tree that is checked out, and links to shared content.
pub fn add(extras: &ExternalContent, revision: &Revision, tree: &Path) -> Result<(), Fault> {
    add_parts(extras, revision, tree)?;
    extras.shared().add(tree, revision, &extras.wanted.shared, &extras.inherited)
}

/// Until this is done the tree does not count as whole.
fn add_parts(extras: &ExternalContent, revision: &Revision, tree: &Path) -> Result<(), Fault> {
    let names = names(&extras.wanted);
    if names.is_empty() || artifact::is_exact(tree) {
        return Ok(());
    }
    check_programs(extras)?;
    let half = layout::half_marker(tree);
    files::write(&half, b"", 0o666)?;
    let mut parts = vec![Part {
        git_dir: tree.join(".git"),
        tree: tree.to_owned(),
        server: match &extras.wanted.lfs {
            Some(wire::LfsSource::Server { url }) => Some(url.clone()),
            _ => None,
        },
    }];
    if let Some(source) = &extras.wanted.submodules {
        submodules::check_out(extras, source, revision, &mut parts)?;
    }
    if extras.wanted.lfs.is_some() {
        lfs::check_out(extras, revision, &parts)?;
    }
    if extras.wanted.fat {
        fat::check_out(extras, revision, &parts[0])?;
    }
    // What the record tells of has to last as long as it does.
    sys::sync_file_system(tree).tried("sync", tree)?;
    let mut has = recorded(tree);
    has.extend(names.into_iter().map(str::to_owned));
    let lines: String = has.iter().map(|name| format!("{name}\n")).collect();
    files::write(&record(tree), lines.as_bytes(), 0o666)?;
    files::remove(&half).map(drop)
}

fn names(wanted: &wire::ExternalContent) -> Vec<&'static str> {
    let all = [(wanted.submodules.is_some(), SUBMODULES), (wanted.lfs.is_some(), LFS), (wanted.fat, FAT)];
    all.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, name)| name).collect()
}

/// Whether a tree has all that is wanted.
pub fn are_in(wanted: &wire::ExternalContent, tree: &Path) -> bool {
    parts_are_in(wanted, tree) && {
        let is_linked = |shared: &wire::SharedPaths| {
            let record = Record::of(tree);
            let is_behind =
                |path: &wire::SharedPath| path.as_path().ancestors().skip(1).any(|above| record.covers(above));
            shared.iter().all(|(path, kind)| record.links.iter().any(|link| link == (path, kind)) || is_behind(path))
        };
        wanted.shared.is_empty() || is_linked(&wanted.shared)
    }
}

/// Whether a tree has its submodules and large files.
pub fn parts_are_in(wanted: &wire::ExternalContent, tree: &Path) -> bool {
    let wanted = names(wanted);
    // Most trees want nothing, which needs no look at the disk.
    wanted.is_empty() || artifact::is_exact(tree) || {
        let has = if describe::is_clone(tree) { found(tree) } else { recorded(tree) };
        wanted.into_iter().all(|name| has.contains(name))
    }
}

/// What a tree has that Scap made: nothing there says so but what is in it.
fn found(tree: &Path) -> BTreeSet<String> {
    let mut has = recorded(tree);
    let git = tree.join(".git");
    if submodules::are_all_there(tree) {
        has.insert(SUBMODULES.to_owned());
    }
    for (folder, name) in [("lfs", LFS), ("fat", FAT)] {
        if git.join(folder).is_dir() {
            has.insert(name.to_owned());
        }
    }
    has
}
