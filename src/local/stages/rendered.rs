//! The configuration files of a revision, from their rendering to their end.
//!
//! What config_deploy renders is kept aside as long as the revision may be the one that is live: nothing that is live
//! changes before promote. What stood in a file's place is saved first, so that a rollback brings it back as it was.
//!
//! ```text
//! .hoist/config/<sha>/
//!     saved.json    what stood in the places before a run changed them; the files themselves are in saved/
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::text;
use crate::wire::{Revision, RunId};

use crate::local::fault::{Fault, Tried};
use crate::local::job::Job;
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::local::os::sys;
use crate::local::state::config_files::{
    Lost, Rendered, Set, discard, folder, held, lost, make_private, place, placed, read, staged, write,
};
use crate::local::state::layout::{Layout, Link};
use crate::local::state::links;
use crate::local::tree::verify;

/// Permissions of a rendered file, less the umask. Services trust what it says, so nobody but its owner may write it.
pub const MODE: u32 = 0o644;

/// Files that one message names.
const SHOWN: usize = 3;

/// What stood in the places of files before a run changed them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    run: RunId,
    /// The tree was never live, and had no such files: what it has got since may be looked at, and promoted.
    fresh: bool,
    /// Whether there was a `placed.json`, which is in `saved/` then.
    placed: bool,
    /// The file that stood at the nth of these is `saved/n`.
    files: Vec<SavedFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedFile {
    path: String,
    was_there: bool,
}

fn saved(layout: &Layout, revision: &Revision) -> PathBuf {
    folder(layout, revision).join("saved.json")
}

fn saved_files(layout: &Layout, revision: &Revision) -> PathBuf {
    folder(layout, revision).join("saved")
}

/// Takes what was rendered for the request's revision. It is put in place at once where nothing that is live can change by
/// that, else at promote.
pub fn stage(job: &Job, files: Vec<Rendered>) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let set = Set { run: job.request.header.holder.run.clone(), mode: MODE & !sys::umask(), files };
    write(&staged(layout, revision), &set)?;
    if is_in_use(job) && would_change(job)? {
        job.out.info(format!("{} may be live: promote puts its configuration files in place", job.name(revision)));
        return Ok(());
    }
    put_in_place(job)
}

/// Takes it that no files are configured any more: those that the revision has go at promote.
pub fn stage_none(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let has_some = read::<Set>(&placed(layout, revision))?.is_some_and(|set| !set.files.is_empty());
    let none = Set { run: job.request.header.holder.run.clone(), mode: MODE, files: Vec::new() };
    if has_some { write(&staged(layout, revision), &none) } else { discard(layout, revision) }
}

/// Whether the request's revision is live, or what a rollback would make live.
pub fn is_in_use(job: &Job) -> bool {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let links = [layout.read(Link::Current), layout.read(Link::Done), job.request.restore.clone()];
    layout.is_live(revision) || links.iter().flatten().any(|link| link == revision)
}

/// Whether promote has files to put in place, or to remove, for the request's revision.
pub fn would_change(job: &Job) -> Result<bool, Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let Some(set) = read::<Set>(&staged(layout, revision))? else { return Ok(false) };
    Ok(!set.changed(layout, revision).is_empty() || !obsolete(layout, revision, &set)?.is_empty())
}

/// Files of an earlier rendering that are not configured any more.
fn obsolete(layout: &Layout, revision: &Revision, set: &Set) -> Result<Vec<String>, Fault> {
    let mut paths = links::stored(layout, revision);
    let before = read::<Set>(&placed(layout, revision))?;
    let inside =
        before.into_iter().flat_map(|set| set.files).map(|file| file.path).filter(|path| !path.starts_with('/'));
    paths.extend(inside);
    paths.retain(|path| !set.files.iter().any(|file| file.path == *path));
    Ok(paths)
}

/// Puts what is staged in place, file by file, each in one step, after what stood there was saved. Links to files that are
/// not configured any more may still be in use: whoever has moved them calls [`drop_unlinked`].
pub fn put_in_place(job: &Job) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let Some(set) = read::<Set>(&staged(layout, revision))? else { return Ok(()) };
    let changed = set.changed(layout, revision);
    let obsolete = obsolete(layout, revision, &set)?;
    let paths = changed.iter().map(|file| file.path.as_str()).chain(obsolete.iter().map(String::as_str));
    save(job, paths)?;
    for file in changed {
        set.put(layout, revision, file)?;
    }
    let inside: Vec<&String> = obsolete.iter().filter(|path| !path.starts_with('/')).collect();
    for path in &inside {
        remove(layout, revision, path)?;
    }
    files::rename(&staged(layout, revision), &placed(layout, revision))?;
    // Where both were names of one file, as a rollback may have left them, that has changed nothing.
    discard(layout, revision)?;
    // A file that git tracks stood there before it was configured.
    if inside.is_empty() { Ok(()) } else { verify::restore(job, revision).map(drop) }
}

fn remove(layout: &Layout, revision: &Revision, path: &str) -> Result<(), Fault> {
    held(layout, revision, path, false)?.map_or(Ok(()), |entry| files::remove_entry(&entry).map(drop))
}

/// Reads back whether the files of a revision stand in their places, with the rights that are configured for them.
pub fn verify(layout: &Layout, revision: &Revision) -> Result<(), Fault> {
    let lost: Vec<String> = lost(layout, revision).iter().map(Lost::name).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let (short, names) = (revision.short(), text::some(&lost, SHOWN));
    Err(Fault::failed(format!("configuration files of {short} are not as they were written: {names}")))
}

/// Removes rendered files that are no longer configured, once nothing links to them: a rollback to this revision links
/// all that is there. They were saved when the others were put in place.
pub fn drop_unlinked(job: &Job, wanted: &[String]) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let mut unlinked = links::stored(layout, revision);
    unlinked.retain(|path| !wanted.contains(path));
    save(job, unlinked.iter().map(String::as_str))?;
    unlinked.iter().try_for_each(|path| files::remove(&layout.rendered(revision, path)).map(drop))
}

/// Saves tracked files that somebody has changed, where there is anything to save, before they are checked out again.
pub fn save_changed(job: &Job, paths: &[String]) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let is_file = |path: &&String| {
        let found = held(layout, revision, path, false).ok().flatten().and_then(|entry| entry.metadata().ok());
        found.is_some_and(|meta| !meta.is_dir())
    };
    save(job, paths.iter().filter(is_file).map(String::as_str))
}

/// Saves what stands in the places of files, unless this run has done so before.
fn save<'a>(job: &Job, paths: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let mut paths = paths.peekable();
    if paths.peek().is_none() {
        return Ok(());
    }
    let mut saved = match of_run(job)? {
        Some(saved) => saved,
        None => begin_to_save(job)?,
    };
    for path in paths {
        if saved.files.iter().any(|file| file.path == path) {
            continue;
        }
        let to = Entry::of(&saved_files(layout, revision).join(saved.files.len().to_string()));
        let to = to.tried("open", &saved_files(layout, revision))?;
        files::remove_entry(&to)?;
        let from = held(layout, revision, path, false)?;
        let was_there = match from.map(|from| (from.path(), from.metadata(), from)) {
            Some((shown, Ok(found), _)) if found.is_dir() => {
                let shown = shown.display();
                return Err(Fault::failed(format!(
                    "{shown} is a directory in the place of a configuration file; move it away"
                )));
            }
            Some((shown, Ok(_), from)) => copy(&from, &to).tried("save", &shown).map(|()| true)?,
            _ => false,
        };
        saved.files.push(SavedFile { path: path.to_owned(), was_there });
    }
    files::sync_dir(&saved_files(layout, revision))?;
    write(&self::saved(layout, revision), &saved)
}

/// What this run has saved for the request's revision.
fn of_run(job: &Job) -> Result<Option<Saved>, Fault> {
    let saved = read::<Saved>(&saved(&job.layout, &job.request.revision))?;
    Ok(saved.filter(|saved| saved.run == job.request.header.holder.run))
}

/// Forgets what an earlier run saved.
fn begin_to_save(job: &Job) -> Result<Saved, Fault> {
    let (layout, revision) = (&job.layout, &job.request.revision);
    let folder = saved_files(layout, revision);
    files::remove(&saved(layout, revision))?;
    files::remove_leftover(&folder)?;
    make_private(&folder)?;
    let placed = placed(layout, revision);
    if placed.exists() {
        copy_file(&placed, &folder.join("placed.json")).tried("save", &placed)?;
    }
    let (has_copies, was_live) = (placed.exists(), layout.last_live(revision).exists());
    let fresh = !has_copies && !was_live && links::stored(layout, revision).is_empty();
    Ok(Saved { run: job.request.header.holder.run.clone(), fresh, placed: has_copies, files: Vec::new() })
}

/// A second name of the same file: it is replaced afterwards, never written to. On another file system, a copy.
fn copy(from: &Entry, to: &Entry) -> io::Result<()> {
    if from.hard_link(to).is_ok() {
        return Ok(());
    }
    match from.read_link() {
        Ok(target) => to.make_link(&target),
        Err(_) => files::copy_whole(from, to),
    }
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    copy(&Entry::of(from)?, &Entry::of(to)?)
}

/// Brings back what stood in the places of the request's revision before this run. It may be called again, wherever it was
/// killed, and needs no room on the disk.
///
/// When a lease ran out the run may still go forward again, so what it rendered is staged again.
pub fn take_back(job: &Job) -> Result<(), Fault> {
    let (layout, revision, run) = (&job.layout, &job.request.revision, &job.request.header.holder.run);
    let staged = staged(layout, revision);
    let may_go_on = job.after_lease;
    let Some(saved) = of_run(job)? else {
        let is_ours = !may_go_on && read::<Set>(&staged)?.is_some_and(|set| set.run == *run);
        if !self::saved(layout, revision).exists() {
            // It was killed while it began to save.
            files::remove_leftover(&saved_files(layout, revision))?;
        }
        return if is_ours { discard(layout, revision) } else { Ok(()) };
    };
    let folder = saved_files(layout, revision);
    if saved.fresh && job.request.restore.as_ref() != Some(revision) {
        files::remove(&self::saved(layout, revision))?;
        return files::remove_leftover(&folder);
    }
    let placed = placed(layout, revision);
    if may_go_on && !staged.exists() && placed.exists() {
        copy_file(&placed, &staged).tried("keep", &placed)?;
    }
    let mut first = Ok(());
    if layout.rev(revision).exists() {
        for (number, file) in saved.files.iter().enumerate() {
            first = first.and(put_back(layout, revision, file, &folder.join(number.to_string())));
        }
    }
    first?;
    let copy_of_placed = folder.join("placed.json");
    if !saved.placed {
        files::remove(&placed)?;
    } else if copy_of_placed.exists() {
        fs::rename(&copy_of_placed, &placed).tried("put back", &placed)?;
    }
    if !may_go_on {
        discard(layout, revision)?;
    }
    files::remove(&self::saved(layout, revision))?;
    files::remove_leftover(&folder)
}

fn put_back(layout: &Layout, revision: &Revision, file: &SavedFile, from: &Path) -> Result<(), Fault> {
    if !file.was_there {
        return remove(layout, revision, &file.path);
    }
    let from = Entry::of(from).tried("open", from)?;
    let is_saved = from.exists();
    let path = place(layout, revision, &file.path)?;
    let Some(entry) = held(layout, revision, &file.path, is_saved)? else {
        return Err(io::ErrorKind::NotFound.into()).tried("put back", &path);
    };
    if is_saved {
        if from.rename(&entry).is_err() {
            let beside = entry.beside(".saved.hoist-tmp");
            files::remove_entry(&beside)?;
            copy(&from, &beside).and_then(|()| beside.rename(&entry)).tried("put back", &path)?;
        }
        entry.dir().sync().tried("sync", entry.dir().path())?;
    }
    entry.metadata().map(drop).tried("put back", &path)
}
