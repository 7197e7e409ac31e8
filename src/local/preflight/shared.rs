//! Shared paths: whether they are there, what the live tree has in their places, and whether that can be moved.

use std::fs;
use std::io;
use std::path::Path;

use crate::wire::{CheckPoint, SharedKind, SharedPath, Stage};

use super::Look;
use super::places::writable;
use crate::local::fault::Fault;
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::mounts::Mounts;
use crate::local::os::sys;
use crate::local::shared::judge;
use crate::local::shared::merge;
use crate::local::shared::place::{Found, Place};
use crate::local::shared::record::Record;
use crate::local::state::layout::Link;

/// With fewer bytes free, nothing can be made on a file system.
const ROOM: u64 = 64 << 10;

/// Looks at each path that revisions are to share.
pub fn look(look: &mut Look, deadline: Deadline) {
    if !look.runs(Stage::Fetch) && !look.runs(Stage::Promote) {
        return;
    }
    let is_sure = !look.may_change_before(CheckPoint::After(Stage::Fetch));
    for (path, kind) in look.shared.iter() {
        if let Err(why) = judge(look, path, kind, deadline) {
            let why = if why.starts_with(kind.key()) { why } else { format!("{}: {path}: {why}", kind.key()) };
            look.note(is_sure, None, why);
        }
    }
}

/// Fails with what is in the way of a path.
fn judge(look: &Look, path: &SharedPath, kind: SharedKind, deadline: Deadline) -> Result<(), String> {
    let layout = look.layout;
    let live = layout.read(Link::Current).map(|live| layout.rev(&live));
    // What is behind a link of the live tree is in `shared/` already.
    let is_behind = |live: &Path| {
        let mut above = path.as_path().ancestors().skip(1);
        above.any(|above| live.join(above).is_symlink() && Record::of(live).covers(above))
    };
    let live = live.filter(|live| !is_behind(live));
    // Without a live tree, its place is a name that nothing has.
    let place = Place::new(layout, &live.unwrap_or_else(|| layout.revs().join("none")), path, kind);
    let (here, there) = (&place.here, &place.there);
    if let Some(why) = judge::astray(layout, &place) {
        return Err(why);
    }
    let mounts = Mounts::read();
    let is_taken = judge::is_taken(&place);
    if is_taken {
        let meta = fs::metadata(there).map_err(|_| format!("{} is a link that leads nowhere", there.display()))?;
        if !place.is_of_kind(&meta) {
            return Err(place.wrong_kind(there, &meta));
        }
    }
    let reason = |fault: Fault| fault.reason();
    match place.found().map_err(reason)? {
        Found::Ours | Found::Nothing if is_taken => return Ok(()),
        Found::Ours | Found::Nothing if kind == SharedKind::File => return Err(judge::missing(path, there)),
        Found::Ours | Found::Nothing => {}
        Found::Blocked(by) => return Err(place.blocked(&by)),
        Found::Foreign(text) => judge::foreign(&place, &text).map_or(Ok(()), Err)?,
        Found::Real(meta) if !place.is_of_kind(&meta) => return Err(place.wrong_kind(here, &meta)),
        Found::Real(_) if place.is_other_file(deadline).map_err(reason)? => return Ok(()),
        Found::Real(meta) => {
            writable(files::parent(here))?;
            if kind == SharedKind::Dir && is_taken {
                let held = place.hold(false).map_err(reason)?;
                let folder = held.folder().map_err(reason)?;
                let obstacle = merge::obstacle(&held.here, &folder, &mounts, deadline).map_err(reason)?;
                obstacle.map_or(Ok(()), |fault| Err(reason(fault)))?;
                return has_room(there).map_err(|why| format!("cannot write to {}: {why}", there.display()));
            }
            if is_taken {
                return Ok(());
            }
            merge::may_move(&place.in_tree(false).map_err(reason)?, &meta, &mounts).map_err(reason)?;
            merge::one_file_system(files::parent(here), standing(there), &mounts, (here, there)).map_err(reason)?;
        }
    }
    writable(files::parent(there))?;
    has_room(standing(there)).map_err(|why| format!("cannot create {}: {why}", there.display()))
}

/// The nearest directory above a path that exists.
fn standing(path: &Path) -> &Path {
    files::parent(path).ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

fn has_room(folder: &Path) -> io::Result<()> {
    let (bytes, inodes) = sys::free_space(folder)?;
    if bytes < ROOM || inodes == Some(0) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}
