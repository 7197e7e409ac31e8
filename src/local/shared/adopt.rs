//! Putting one link of a tree in order, whatever is in its place.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::text;
use crate::wire::{Revision, SharedKind};

use super::Shared;
use super::merge;
use super::merge::Merge;
use super::place::{Found, Place};
use crate::local::fault::{Fault, Tried};
use crate::local::os::files;
use crate::local::os::mounts::Mounts;
use crate::local::os::sys;

/// Files that are named to the operator, at the most.
const NAMED: usize = 3;

/// Which of two files with different content keeps the name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// The shared one: the operator may have prepared it.
    Shared,
    /// The tree's, which a service has put in the link's place while the tree was live.
    Tree,
}

impl Shared<'_> {
    /// Makes the place a link to the shared content. What is there is moved into `shared/`.
    pub(super) fn put_in_order(&self, place: &Place, revision: &Revision, prefer: Prefer) -> Result<(), Fault> {
        match place.found()? {
            Found::Ours => Ok(()),
            _ if let Some(why) = super::judge::astray(self.layout, place) => Err(Fault::failed(why)),
            Found::Nothing => {
                place.clear_mark()?;
                files::make_dir(files::parent(&place.here))?;
                files::point(&place.here, &place.link)
            }
            Found::Blocked(by) => Err(Fault::failed(place.blocked(&by))),
            Found::Foreign(text) => self.move_link(place, &text),
            Found::Real(meta) => self.move_content(place, &meta, revision, prefer),
        }
    }

    /// A link that somebody made in the tree. One that leads to the same place from anywhere is moved as it is.
    fn move_link(&self, place: &Place, text: &Path) -> Result<(), Fault> {
        if let Some(why) = super::judge::foreign(place, text) {
            return Err(Fault::failed(why));
        }
        self.clear(place)?;
        exchange(place)
    }

    fn move_content(&self, place: &Place, meta: &Metadata, revision: &Revision, prefer: Prefer) -> Result<(), Fault> {
        if !place.is_of_kind(meta) {
            return Err(Fault::failed(place.wrong_kind(&place.here, meta)));
        }
        self.clear(place)?;
        let to = &place.there;
        match fs::symlink_metadata(to) {
            Err(_) => exchange(place)?,
            Ok(_) if !fs::metadata(to).is_ok_and(|meta| place.is_of_kind(&meta)) => {
                let meta = fs::metadata(to).or_else(|_| fs::symlink_metadata(to)).tried("look at", to)?;
                return Err(Fault::failed(place.wrong_kind(to, &meta)));
            }
            Ok(_) => return self.merge(place, revision, prefer),
        }
        let (name, path) = (self.layout.name(revision), place.path);
        self.out.info(format!("moved {path} of {name} to {}", to.display()));
        Ok(())
    }

    /// Makes way in `shared/`: a link that a killed process left, and an empty directory.
    fn clear(&self, place: &Place) -> Result<(), Fault> {
        let there = &place.there;
        files::make_dir(files::parent(there))?;
        place.clear_mark()?;
        if merge::is_removable(there) {
            fs::remove_dir(there).tried("remove", there)?;
        }
        Ok(())
    }

    /// Moves content to where there is some already.
    fn merge(&self, place: &Place, revision: &Revision, prefer: Prefer) -> Result<(), Fault> {
        let (from, to) = (&place.here, &place.there);
        let (deadline, kept) = (self.deadline, Vec::new());
        let mut merge = Merge { deadline, suffix: format!("from-{}", revision.short()), kept };
        let result = match place.kind {
            SharedKind::Dir => merge_directory(place, &mut merge),
            SharedKind::File if prefer == Prefer::Tree && replace_file(place, revision, &mut merge)? => Ok(()),
            SharedKind::File => merge_file(place, &mut merge),
        };
        let name = self.layout.name(revision);
        if let [_, ..] = merge.kept.as_slice() {
            let names: Vec<String> = merge.kept.iter().take(NAMED).map(|path| path.display().to_string()).collect();
            let (count, names) = (merge.kept.len(), text::first(&names, merge.kept.len(), NAMED));
            let (path, there) = (place.path, to.display());
            self.out.warn(match prefer {
                Prefer::Tree if place.kind == SharedKind::File && result.is_ok() => {
                    format!("{path}: the file that {name} had in the link's place is in {there} now; the one before is {names}")
                }
                _ => {
                    let files = text::counted(count, "file");
                    format!("{path}: {name} had other content than {there}: {files} kept as {names}")
                }
            });
        }
        result?;
        self.out.info(format!("moved {} of {name} into {}", place.path, to.display()));
        sys::sync_file_system(files::parent(from)).tried("sync", from)?;
        sys::sync_file_system(to).tried("sync", to)
    }
}

fn merge_directory(place: &Place, merge: &mut Merge) -> Result<(), Fault> {
    let (from, to) = (&place.here, &place.there);
    if let Some(fault) = merge::obstacle(from, to, &Mounts::read(), merge.deadline)? {
        return Err(fault);
    }
    loop {
        merge.directory(from, to)?;
        match fs::remove_dir(from) {
            // Somebody wrote to it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => merge.deadline.check()?,
            other => {
                other.tried("remove", from)?;
                return files::point(from, &place.link);
            }
        }
    }
}

/// Makes a file of the tree the shared one, which is kept beside it. Tells whether that could be done.
fn replace_file(place: &Place, revision: &Revision, merge: &mut Merge) -> Result<bool, Fault> {
    let (from, to) = (&place.here, &place.there);
    let is_file = fs::symlink_metadata(to).is_ok_and(|meta| meta.is_file());
    if !is_file || merge::is_identical(from, to, merge.deadline)? {
        return Ok(false);
    }
    let suffix = format!("before-{}", revision.short());
    // A killed process may have come as far as the exchange.
    if !merge::has_name_beside(from, to, &suffix) {
        let before = Merge { deadline: merge.deadline, suffix, kept: Vec::new() };
        let beside = before.place_beside(to, to)?;
        if !beside.exists && fs::hard_link(to, &beside.path).is_err() {
            return Ok(false);
        }
        files::sync_dir(files::parent(to))?;
        if sys::exchange(from, to).is_err() {
            return Ok(false);
        }
        files::sync_dir(files::parent(to))?;
        merge.kept.push(beside.path);
    }
    files::point(from, &place.link)?;
    Ok(true)
}

fn merge_file(place: &Place, merge: &mut Merge) -> Result<(), Fault> {
    let (from, to) = (&place.here, &place.there);
    if !merge::is_identical(from, &to.canonicalize().tried("find", to)?, merge.deadline)? {
        let beside = merge.place_beside(from, to)?;
        if !beside.exists {
            // The file keeps its name in the tree until the link takes it.
            if fs::hard_link(from, &beside.path).is_err() && !merge::move_new(from, &beside.path).tried("move", from)? {
                return Err(Fault::failed(format!("{} appeared meanwhile; try again", beside.path.display())));
            }
            files::sync_dir(files::parent(&beside.path))?;
            merge.kept.push(beside.path);
        }
    }
    files::point(from, &place.link)
}

/// Gives the tree the link and `shared/` what the tree had, in one step: there is no moment in which the path leads
/// nowhere.
fn exchange(place: &Place) -> Result<(), Fault> {
    let (here, there) = (&place.here, &place.there);
    let marked = place.marked();
    symlink(&marked, there).tried("write", there)?;
    let take_back = || drop(fs::remove_file(there));
    match sys::exchange(here, there) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            take_back();
            return Err(merge::other_disk(here, there));
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            take_back();
            fs::rename(here, there).tried("move", here)?;
        }
        Err(error) => {
            take_back();
            return Err(error).tried("move", here);
        }
    }
    files::sync_dir(files::parent(there))?;
    files::point(here, &place.link)
}
