//! Content that all revisions share: it is in `shared/`, and each working tree has links to it.
//!
//! What a tree has in a link's place, from before its path was shared say, is moved into `shared/` first. Nothing there
//! is replaced or removed. Each step can be killed: the tree's record names the path before anything is moved, so that
//! whoever comes next finds the link missing and goes on.

mod adopt;
pub mod judge;
pub mod merge;
pub mod place;
pub mod record;

use std::path::Path;

use crate::wire::{Revision, SharedKind, SharedPath, SharedPaths};

use super::fault::Fault;
use super::os::deadline::Deadline;
use super::os::files;
use super::out::Out;
use super::state::layout::{Layout, Link};
use adopt::Prefer;
use place::{Found, Place};
use record::Record;

/// The shared content of a repository on this target, and the means to work on it.
pub struct Shared<'a> {
    pub layout: &'a Layout,
    pub out: &'a Out,
    pub deadline: Deadline,
}

impl Shared<'_> {
    /// Fails if a shared file exists neither in `shared/` nor in the live tree, from which promote takes it.
    pub fn require(&self, wanted: &SharedPaths) -> Result<(), Fault> {
        let live = self.layout.read(Link::Current).map(|live| self.layout.rev(&live));
        for path in &wanted.files {
            let there = self.layout.shared().join(path.as_path());
            let in_live = live.as_ref().is_some_and(|live| live.join(path.as_path()).is_file());
            if !in_live && !there.is_file() {
                return Err(Fault::failed(judge::missing(path, &there)));
            }
        }
        Ok(())
    }

    /// Paths that are shared in the live tree, and no longer configured. They go on until their content is moved away.
    pub fn inherited(&self, wanted: &SharedPaths) -> SharedPaths {
        let Some(live) = self.layout.read(Link::Current) else { return SharedPaths::default() };
        let mut inherited = Record::of(&self.layout.rev(&live)).links;
        let replaced = |path: &SharedPath| wanted.iter().any(|(other, _)| other.overlaps(path.as_path()));
        inherited.dirs.retain(|path| !replaced(path));
        inherited.files.retain(|path| !replaced(path));
        inherited
    }

    /// Gives a tree of `revision` the links that are `wanted`, those that its record has, and those that are `inherited`
    /// unless the revision has something there itself.
    pub fn add(
        &self,
        tree: &Path,
        revision: &Revision,
        wanted: &SharedPaths,
        inherited: &SharedPaths,
    ) -> Result<(), Fault> {
        let mut record = Record::of(tree);
        if wanted.is_empty() && inherited.is_empty() && record.links.is_empty() {
            return Ok(());
        }
        let before = record.clone();
        // Behind a link that the tree has already, the content is where it belongs.
        let is_behind = |path: &SharedPath| path.as_path().ancestors().skip(1).any(|above| before.covers(above));
        for (path, kind) in wanted.iter().filter(|(path, _)| !is_behind(path)) {
            self.unlink_below(tree, &mut record, path)?;
            record.link(path, kind);
            let place = Place::new(self.layout, tree, path, kind);
            if let Some(why) = judge::astray(self.layout, &place) {
                return Err(Fault::failed(why));
            }
            place.prepare()?;
        }
        for (path, kind) in inherited.iter().filter(|(path, _)| !before.knows(path)) {
            let place = Place::new(self.layout, tree, path, kind);
            let there = place.there.display();
            match place.found()? {
                Found::Nothing if place.there.exists() => {
                    record.link(path, kind);
                    self.out.warn(format!(
                        "{path} is no longer in {}, but stays linked to {there}: to end that, move {there} away",
                        kind.key()
                    ));
                }
                Found::Real(_) | Found::Foreign(_) | Found::Blocked(_) => {
                    record.own.push(path.clone());
                    let name = self.layout.name(revision);
                    self.out
                        .info(format!("{path} is no longer shared: {name} has its own; the content stays in {there}"));
                }
                Found::Nothing | Found::Ours => {}
            }
        }
        if record != before {
            record.save(tree)?;
        }
        // What is live has priority over what another tree holds.
        let live = self.layout.read(Link::Current).filter(|live| live != revision);
        let is_occupied = |(path, kind)| {
            let found = Place::new(self.layout, tree, path, kind).found();
            found.is_ok_and(|found| matches!(found, Found::Real(_) | Found::Foreign(_)))
        };
        if let Some(live) = live.filter(|_| record.links.iter().any(is_occupied)) {
            self.take_over(&live, &record.links)?;
        }
        self.settle(tree, revision)
    }

    /// Moves into `shared/` what a tree has at these paths, and links it from there. A path that the tree has nothing at
    /// is left alone: its revision does not know it.
    pub fn take_over(&self, revision: &Revision, paths: &SharedPaths) -> Result<(), Fault> {
        let tree = self.layout.rev(revision);
        let mut record = Record::of(&tree);
        let before = record.clone();
        for (path, kind) in paths.iter() {
            let place = Place::new(self.layout, &tree, path, kind);
            if record.covers(path.as_path()) || matches!(place.found()?, Found::Nothing | Found::Blocked(_)) {
                continue;
            }
            if place.is_other_file(self.deadline)? {
                if !record.kept.contains(path) {
                    let (name, there) = (self.layout.name(revision), place.there.display());
                    self.out.info(format!("{path} of {name} differs from {there}: {name} keeps its own"));
                    record.kept.push(path.clone());
                }
                continue;
            }
            self.unlink_below(&tree, &mut record, path)?;
            record.link(path, kind);
            record.new.push(path.clone());
        }
        if record != before {
            record.save(&tree)?;
        }
        self.settle(&tree, revision)
    }

    /// Forgets the links below a path that becomes shared as a whole: their content is in its place in `shared/` already,
    /// and the merge of what is around them drops them. Those without content are removed.
    fn unlink_below(&self, tree: &Path, record: &mut Record, path: &SharedPath) -> Result<(), Fault> {
        for (inner, kind) in record.unlink_below(path) {
            let inner = Place::new(self.layout, tree, &inner, kind);
            if !inner.there.exists() && matches!(inner.found()?, Found::Ours) {
                files::remove_entry(&inner.in_tree(false)?)?;
            }
        }
        Ok(())
    }

    /// Makes sure, before `to` goes live, that it sees what the live tree has at shared paths, and the other way round
    /// should the run be rolled back.
    pub fn hand_over(&self, to: &Revision) -> Result<(), Fault> {
        let new = self.layout.rev(to);
        if let Some(live) = self.layout.read(Link::Current).filter(|live| live != to) {
            self.take_over(&live, &Record::of(&new).links)?;
            // A tree from before a path was shared, which is gone back to.
            let mut earlier = Record::of(&self.layout.rev(&live)).links;
            let known = Record::of(&new);
            earlier.dirs.retain(|path| !known.knows(path));
            earlier.files.retain(|path| !known.knows(path));
            self.take_over(to, &earlier)?;
        }
        self.settle(&new, to)
    }

    /// Moves into `shared/` what a tree has at shared paths, before it is removed or another one takes its place.
    pub fn rescue(&self, tree: &Path, revision: &Revision, wanted: &SharedPaths) -> Result<(), Fault> {
        let mut record = Record::of(tree);
        std::mem::take(&mut record.kept).iter().for_each(|path| record.link(path, SharedKind::File));
        wanted.iter().for_each(|(path, kind)| record.link(path, kind));
        for (path, kind) in record.links.iter() {
            let place = Place::new(self.layout, tree, path, kind);
            if place.has_remainder() || matches!(place.found()?, Found::Real(_) | Found::Foreign(_)) {
                self.put_in_order(&place, revision, Prefer::Shared)?;
            }
        }
        Ok(())
    }

    /// Puts the links of a tree in order. One path that cannot be linked does not keep the others from it; the first
    /// failure is returned.
    pub fn settle(&self, tree: &Path, revision: &Revision) -> Result<(), Fault> {
        let record = Record::of(tree);
        let is_live = self.layout.read(Link::Current).as_ref() == Some(revision);
        let mut first = Ok(());
        for (path, kind) in record.links.iter() {
            self.deadline.check()?;
            let had_link = is_live && !record.new.contains(path);
            let prefer = if had_link { Prefer::Tree } else { Prefer::Shared };
            first = first.and(self.put_in_order(&Place::new(self.layout, tree, path, kind), revision, prefer));
        }
        if first.is_ok() && !record.new.is_empty() {
            return Record { new: Vec::new(), ..record }.save(tree);
        }
        first
    }
}

/// The shared paths of a tree that are no links of ours.
pub fn broken(layout: &Layout, revision: &Revision) -> Vec<String> {
    let tree = layout.rev(revision);
    let links = Record::of(&tree).links;
    let is_broken = |(path, kind)| !matches!(Place::new(layout, &tree, path, kind).found(), Ok(Found::Ours));
    links.iter().filter(|link| is_broken(*link)).map(|(path, _)| path.to_string()).collect()
}

/// The shared paths of a tree whose links lead to nothing.
pub fn dangling(layout: &Layout, revision: &Revision) -> Vec<String> {
    let tree = layout.rev(revision);
    let links = Record::of(&tree).links;
    links.iter().filter(|(path, _)| !tree.join(path.as_path()).exists()).map(|(path, _)| path.to_string()).collect()
}
