//! Putting one link of a tree in order, whatever is in its place.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::text;
use crate::wire::{Revision, SharedKind};

use super::Shared;
use super::merge;
use super::merge::{Beside, Merge};
use super::place::{Found, Held, Place};
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir;
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::local::os::mounts::Mounts;

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
        let has_remainder = place.has_remainder();
        match place.found()? {
            Found::Ours if !has_remainder => return Ok(()),
            Found::Blocked(by) => return Err(Fault::failed(place.blocked(&by))),
            _ => {}
        }
        if let Some(why) = super::judge::astray(self.layout, place) {
            return Err(Fault::failed(why));
        }
        let held = place.hold(true)?;
        place.clear_mark(&held.there)?;
        if has_remainder {
            self.merge(place, &held, revision, |merge| merge_remainder(place, &held, merge))?;
        }
        match place.found()? {
            Found::Ours => Ok(()),
            Found::Nothing => files::point_entry(&held.here, &place.link),
            Found::Blocked(by) => Err(Fault::failed(place.blocked(&by))),
            Found::Foreign(text) => self.move_link(place, &held, &text),
            Found::Real(meta) => self.move_content(place, &held, &meta, revision, prefer),
        }
    }

    /// A link that somebody made in the tree. One that leads to the same place from anywhere is moved as it is.
    fn move_link(&self, place: &Place, held: &Held, text: &Path) -> Result<(), Fault> {
        if let Some(why) = super::judge::foreign(place, text) {
            return Err(Fault::failed(why));
        }
        clear(&held.there)?;
        exchange(place, held)
    }

    fn move_content(
        &self,
        place: &Place,
        held: &Held,
        meta: &Metadata,
        revision: &Revision,
        prefer: Prefer,
    ) -> Result<(), Fault> {
        if !place.is_of_kind(meta) {
            return Err(Fault::failed(place.wrong_kind(&place.here, meta)));
        }
        clear(&held.there)?;
        let to = &place.there;
        if !held.there.exists() {
            exchange(place, held)?;
            let (name, path) = (self.layout.name(revision), place.path);
            self.out.info(format!("moved {path} of {name} to {}", to.display()));
            return Ok(());
        }
        let content = held.content()?;
        let meta = content.metadata().or_else(|_| held.there.metadata()).tried("look at", to)?;
        if !place.is_of_kind(&meta) {
            return Err(Fault::failed(place.wrong_kind(to, &meta)));
        }
        let suffix = format!("before-{}", revision.short());
        self.merge(place, held, revision, |merge| match place.kind {
            SharedKind::Dir => merge_directory(place, held, merge).map(|()| false),
            SharedKind::File if prefer == Prefer::Tree && replace_file(place, held, suffix, merge)? => Ok(true),
            SharedKind::File => merge_file(place, held, &content, merge).map(|()| false),
        })
    }

    /// Moves content to where there is some already. `how` tells whether the tree's file has taken the place of the shared
    /// one.
    fn merge(
        &self,
        place: &Place,
        held: &Held,
        revision: &Revision,
        how: impl FnOnce(&mut Merge) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let (deadline, kept) = (self.deadline, Vec::new());
        let mut merge = Merge { deadline, suffix: format!("from-{}", revision.short()), kept };
        let result = how(&mut merge);
        let name = self.layout.name(revision);
        if let [_, ..] = merge.kept.as_slice() {
            let names: Vec<String> = merge.kept.iter().take(NAMED).map(|path| path.display().to_string()).collect();
            let (count, names) = (merge.kept.len(), text::first(&names, merge.kept.len(), NAMED));
            let (path, there) = (place.path, place.there.display());
            self.out.warn(match result {
                Ok(true) => format!(
                    "{path}: the file that {name} had in the link's place is in {there} now; the one before is {names}"
                ),
                _ => {
                    let files = text::counted(count, "file");
                    format!("{path}: {name} had other content than {there}: {files} kept as {names}")
                }
            });
        }
        result?;
        self.out.info(format!("moved {} of {name} into {}", place.path, place.there.display()));
        held.here.dir().sync_file_system().tried("sync", held.here.dir().path())?;
        let content = held.content()?;
        content.dir().sync_file_system().tried("sync", content.dir().path())
    }
}

/// Makes way in `shared/`: an empty directory.
fn clear(there: &Entry) -> Result<(), Fault> {
    if merge::is_removable(&there.path()) {
        there.remove_dir().tried("remove", &there.path())?;
    }
    Ok(())
}

/// Moves the content of the tree's directory. The link takes its name in one step: whoever looks at the path finds the
/// one or the other.
fn merge_directory(place: &Place, held: &Held, merge: &mut Merge) -> Result<(), Fault> {
    let to = &held.folder()?;
    if let Some(fault) = merge::obstacle(&held.here, to, &Mounts::read(), merge.deadline)? {
        return Err(fault);
    }
    // What a service writes meanwhile is moved too, as long as it is less each time.
    let mut last = usize::MAX;
    loop {
        let moved = merge.bring(&held.here, to, &place.link)?;
        if moved == 0 || moved >= last {
            break;
        }
        last = moved;
    }
    let beside = files::prepared(&held.here);
    beside.remove_if_there().tried("remove", &beside.path())?;
    beside.make_link(&place.link).tried("write", &beside.path())?;
    match beside.exchange(&held.here) {
        Ok(()) => {
            held.here.dir().sync().tried("sync", held.here.dir().path())?;
            // With what both had, and what was written to it meanwhile.
            merge.directory(&beside, to, &place.link)
        }
        Err(error) if dir::cannot_exchange(&error) => {
            beside.remove().tried("remove", &beside.path())?;
            merge.directory(&held.here, to, &place.link)?;
            files::point_entry(&held.here, &place.link)
        }
        Err(error) => {
            let _ = beside.remove();
            Err(error).tried("link", &place.here)
        }
    }
}

/// Goes on where a process was killed behind the exchange.
fn merge_remainder(place: &Place, held: &Held, merge: &mut Merge) -> Result<bool, Fault> {
    merge.directory(&files::prepared(&held.here), &held.folder()?, &place.link).map(|()| false)
}

/// Makes a file of the tree the shared one, which is kept beside it. Tells whether that could be done.
fn replace_file(place: &Place, held: &Held, suffix: String, merge: &mut Merge) -> Result<bool, Fault> {
    let Held { here: from, there: to } = held;
    let is_file = to.metadata().is_ok_and(|meta| meta.is_file());
    if !is_file || merge::is_identical(from, to, merge.deadline)? {
        return Ok(false);
    }
    let sync = || to.dir().sync().tried("sync", to.dir().path());
    // A killed process may have come as far as the exchange.
    if !merge::has_name_beside(from, to, &suffix) {
        let before = Merge { deadline: merge.deadline, suffix, kept: Vec::new() };
        let beside = before.place_beside(to, to)?;
        if !beside.exists && to.hard_link(&beside.entry).is_err() {
            return Ok(false);
        }
        sync()?;
        if from.exchange(to).is_err() {
            return Ok(false);
        }
        sync()?;
        merge.kept.push(beside.entry.path());
    }
    files::point_entry(from, &place.link)?;
    Ok(true)
}

fn merge_file(place: &Place, held: &Held, content: &Entry, merge: &mut Merge) -> Result<(), Fault> {
    let Held { here: from, there: to } = held;
    if !merge::is_identical(from, content, merge.deadline)? {
        let Beside { entry: beside, exists } = merge.place_beside(from, to)?;
        if !exists {
            // The file keeps its name in the tree until the link takes it.
            if from.hard_link(&beside).is_err() && !from.rename_new(&beside).tried("move", &place.here)? {
                return Err(Fault::failed(format!("{} appeared meanwhile; try again", beside.path().display())));
            }
            to.dir().sync().tried("sync", to.dir().path())?;
            merge.kept.push(beside.path());
        }
    }
    files::point_entry(from, &place.link)
}

/// Gives the tree the link and `shared/` what the tree had, in one step: there is no moment in which the path leads
/// nowhere.
fn exchange(place: &Place, held: &Held) -> Result<(), Fault> {
    let Held { here, there } = held;
    there.make_link(&place.marked()).tried("write", &place.there)?;
    let take_back = || drop(there.remove());
    match here.exchange(there) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            take_back();
            return Err(merge::other_disk(&place.here, &place.there));
        }
        Err(error) if dir::cannot_exchange(&error) => {
            take_back();
            here.rename(there).tried("move", &place.here)?;
        }
        Err(error) => {
            take_back();
            return Err(error).tried("move", &place.here);
        }
    }
    there.dir().sync().tried("sync", there.dir().path())?;
    files::point_entry(here, &place.link)
}
