//! The configuration files that are kept for a revision: what was rendered for it, and what of that is in place.
//!
//! ```text
//! .hoist/config/<sha>/
//!     staged.json   rendered, and not yet in place
//!     placed.json   what was put in place last: a copy, should the tree lose a file
//!     prepared      a file that is about to be put in place
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::no_links;
use crate::wire::{Revision, RunId, config_path_taken};

use super::layout::Layout;
use super::rights::Rights;
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::local::os::files::Belongs;
use crate::local::os::way;
use crate::paths;
use crate::procfs;
use crate::text;

/// A configuration file with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// As it is configured: absolute, or relative to the tree.
    pub path: String,
    pub text: String,
    /// What is configured for it beside the mode of all.
    #[serde(default, skip_serializing_if = "Rights::is_unset")]
    pub rights: Rights,
}

/// All configuration files of a revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Set {
    pub run: RunId,
    /// Of files that have none of their own.
    pub mode: u32,
    pub files: Vec<Rendered>,
}

impl Set {
    /// The files that do not stand in their places as they should.
    pub fn changed<'a>(&'a self, layout: &Layout, revision: &Revision) -> Vec<&'a Rendered> {
        self.files.iter().filter(|file| !self.stands(layout, revision, file)).collect()
    }

    /// Whether just this file stands in its place.
    fn stands(&self, layout: &Layout, revision: &Revision, file: &Rendered) -> bool {
        let Ok(Some(entry)) = held(layout, revision, &file.path, false) else { return false };
        let rights = Rights { mode: file.rights.mode.or(Some(self.mode)), ..file.rights };
        let looks_so = |meta: fs::Metadata| {
            meta.is_file() && rights.differ(&meta).is_none() && meta.len() == file.text.len() as u64
        };
        entry.metadata().is_ok_and(looks_so) && entry.read().is_ok_and(|now| now == file.text.as_bytes())
    }

    /// Puts a file in its place, in one step.
    pub fn put(&self, layout: &Layout, revision: &Revision, file: &Rendered) -> Result<(), Fault> {
        let Some(entry) = held(layout, revision, &file.path, true)? else { return Ok(()) };
        let Rights { mode, owner, group } = file.rights;
        let belongs = Belongs { mode: mode.unwrap_or(self.mode), owner, group };
        // Whoever may read the tree is not to find a secret under a second name there.
        let aside = folder(layout, revision).join("prepared");
        let aside = Entry::of(&aside).tried("open", &aside)?;
        files::write_entry_as(&entry, &aside, file.text.as_bytes(), belongs)
    }
}

pub fn folder(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.own().join("config").join(revision.as_str())
}

pub fn staged(layout: &Layout, revision: &Revision) -> PathBuf {
    folder(layout, revision).join("staged.json")
}

pub fn placed(layout: &Layout, revision: &Revision) -> PathBuf {
    folder(layout, revision).join("placed.json")
}

pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Fault> {
    let bytes = match no_links::read_own(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.tried("read", path)?,
    };
    // The files may hold secrets: no core dump is to contain them, and what is wrong with one is not said.
    procfs::stay_private();
    let damaged = |_| Fault::failed(format!("{} is damaged; remove it and run config_deploy again", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

pub fn write(path: &Path, value: &impl Serialize) -> Result<(), Fault> {
    make_private(files::parent(path))?;
    let text = serde_json::to_vec(value).map_err(|error| Fault::failed(format!("cannot keep the files: {error}")))?;
    if text.len() as u64 > no_links::LARGEST {
        let (size, most) = (text::bytes(text.len() as u64), text::bytes(no_links::LARGEST));
        return Err(Fault::failed(format!("the configuration files have {size} together, and {most} is the most")));
    }
    files::write(path, &text, 0o600)
}

pub fn make_private(folder: &Path) -> Result<(), Fault> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).tried("create", folder)
}

/// Why an absolute file of a revision cannot be linked to: it is not rendered, in place or not.
pub fn lacks(layout: &Layout, revision: &Revision, path: &str) -> Option<String> {
    let is_staged = || {
        let set = read::<Set>(&staged(layout, revision)).ok().flatten();
        set.is_some_and(|set| set.files.iter().any(|file| file.path == path))
    };
    let is_rendered = layout.rendered(revision, path).is_file() || is_staged();
    (!is_rendered)
        .then(|| format!("{path} is not rendered for {}: run the config_deploy stage first", revision.short()))
}

/// Forgets what is staged.
pub fn discard(layout: &Layout, revision: &Revision) -> Result<(), Fault> {
    files::remove(&staged(layout, revision)).map(drop)
}

/// Where a file is rendered to: never outside of the revision's tree, and never among git's own files.
pub fn place(layout: &Layout, revision: &Revision, path: &str) -> Result<PathBuf, Fault> {
    if let Some(why) = taken(layout, Path::new(path)) {
        return Err(Fault::failed(format!("config file {path:?} is {why}; choose another path")));
    }
    if path.starts_with('/') {
        if !paths::is_plain_absolute(Path::new(path)) || path.ends_with('/') || path.contains("//") {
            return Err(Fault::failed(format!("config file {path:?} is not a plain absolute path; correct it")));
        }
        return Ok(layout.rendered(revision, path));
    }
    if !paths::is_plain_relative(path) || paths::is_gits_own(path.as_bytes()) {
        return Err(Fault::failed(format!("config file {path:?} is not a plain path in the repository; correct it")));
    }
    let tree = layout.rev(revision);
    let real_tree = fs::canonicalize(&tree).tried("find", &tree)?;
    let mut folder = tree.clone();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        // A link of the repository's may lead anywhere; what is not there yet will be a folder of ours.
        if let Ok(real) = fs::canonicalize(&folder) {
            if !real.starts_with(&real_tree) || real.starts_with(real_tree.join(".git")) {
                return Err(Fault::failed(format!("config file {path:?} leaves the working tree through a link")));
            }
        } else if fs::symlink_metadata(&folder).is_ok() {
            return Err(Fault::failed(format!("config file {path:?} goes through a broken link")));
        }
    }
    Ok(tree.join(path))
}

/// The place of a file, in a directory that is held open: a service may write to directories of the tree, and replace them
/// with links meanwhile. `None` if the directory is missing, unless `make` has it made.
pub fn held(layout: &Layout, revision: &Revision, path: &str, make: bool) -> Result<Option<Entry>, Fault> {
    let (tree, place) = (layout.rev(revision), place(layout, revision, path)?);
    let found = way::in_tree(&tree, place.strip_prefix(&tree).unwrap_or(&place), make);
    found.tried("open", files::parent(&place))
}

/// Whether a path is one of Hoist's own, by its name or by where its folder really is.
fn taken(layout: &Layout, path: &Path) -> Option<&'static str> {
    let (deploy_dir, repo) = (layout.deploy_dir(), layout.repo());
    let by_name = config_path_taken(deploy_dir, repo, path);
    if by_name.is_some() || !path.is_absolute() {
        return by_name;
    }
    let real = real_place(path)?;
    // What lies in the working tree by way of the service's path is in its revision, and no harm.
    if path.starts_with(layout.live()) || fs::canonicalize(layout.live()).is_ok_and(|tree| real.starts_with(tree)) {
        return None;
    }
    config_path_taken(&fs::canonicalize(deploy_dir).ok()?, repo, &real)
}

/// A path with the links on the way to it followed, as far as there is anything.
fn real_place(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).find_map(|folder| {
        let real = fs::canonicalize(folder).ok()?;
        Some(real.join(path.strip_prefix(folder).ok()?))
    })
}

/// A file that does not stand in its place as it was put there.
pub struct Lost {
    pub path: String,
    /// What has changed; `None`: it is missing, or emptied.
    changed: Option<String>,
}

impl Lost {
    /// With what is wrong with it, unless it is missing.
    pub fn name(&self) -> String {
        match &self.changed {
            Some(changed) => format!("{}: {changed}", self.path),
            None => self.path.clone(),
        }
    }
}

/// Files that were put into a revision's tree and are missing there, or emptied, or have lost the rights that were configured
/// for them.
pub fn lost(layout: &Layout, revision: &Revision) -> Vec<Lost> {
    let look = |file: Rendered| {
        let found = held(layout, revision, &file.path, false).ok().flatten().and_then(|entry| entry.metadata().ok());
        let is_there = |meta: &fs::Metadata| meta.is_file() && (meta.len() > 0 || file.text.is_empty());
        match found.filter(is_there) {
            None => Some(Lost { path: file.path, changed: None }),
            Some(meta) => {
                let changed = file.rights.differ(&meta)?;
                Some(Lost { path: file.path, changed: Some(changed) })
            }
        }
    };
    copies(layout, revision).filter_map(look).collect()
}

/// The relative files that were put into a revision's tree.
pub fn inside(layout: &Layout, revision: &Revision) -> Vec<String> {
    copies(layout, revision).map(|file| file.path).filter(|path| !path.starts_with('/')).collect()
}

fn copies(layout: &Layout, revision: &Revision) -> impl Iterator<Item = Rendered> {
    let set = read::<Set>(&placed(layout, revision)).ok().flatten();
    set.into_iter().flat_map(|set| set.files)
}

/// Puts the copies of a revision's files where their like is missing: all that are `lost`, or, after a checkout, which may have
/// written over them, all that differ.
pub fn bring_back(layout: &Layout, revision: &Revision, lost: Option<&[Lost]>) -> Result<(), Fault> {
    let Some(set) = read::<Set>(&placed(layout, revision))? else { return Ok(()) };
    let is_lost = |file: &&Rendered, lost: &[Lost]| lost.iter().any(|lost| lost.path == file.path);
    let files = match lost {
        Some(lost) => set.files.iter().filter(|file| is_lost(file, lost)).collect(),
        None => set.changed(layout, revision),
    };
    files.into_iter().try_for_each(|file| set.put(layout, revision, file))
}

/// Forgets the files of revisions whose trees are gone.
pub fn prune(layout: &Layout) -> Result<(), Fault> {
    let root = layout.own().join("config");
    for name in files::names(&root) {
        if !layout.revs().join(&name).exists() {
            files::remove_leftover(&root.join(name))?;
        }
    }
    Ok(())
}
