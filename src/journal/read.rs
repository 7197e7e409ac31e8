//! Reading the journals of a folder: which deployment is unfinished, and what the finished ones hold.

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::files::no_links;
use crate::files::ownership::Denied;
use crate::invocation::Invocation;

use super::file::{Journal, claim};
use super::parse::{Parsed, Wrong, is_finished, parse};
use super::unfinished::Unfinished;
use super::unreadable::Unreadable;

/// What the names of journals end in.
const JOURNAL: &str = "journal";

/// How a run ended that died before it touched anything.
pub const UNTOUCHED: &str = "ended before anything was touched";

/// So much of the end of a journal is read first: it holds the last line of one that is finished.
const TAIL: u64 = 64 << 10;

/// The unfinished deployment of a folder, if there is one that may have touched a host. Call it with the repository's
/// lock held.
///
/// One that ended before it touched anything is passed over: there is nothing to go back to. [`close_untouched`] ends it.
///
/// # Errors
/// An unfinished journal that this build cannot read: a newer one's is left alone, one whose first line is damaged is
/// moved out of the way. `here`: the command line that asks, for the commands that the error names.
pub fn unfinished(folder: &Path, here: &Invocation) -> Result<Option<Unfinished>> {
    for path in journals(folder)? {
        match look(&path)? {
            Found::Finished | Found::Blank => {}
            Found::Newer(version) => return Err(newer(&path, &version)),
            Found::Unreadable(why) => return Err(set_aside(&path, &why, here)),
            Found::Unfinished(found) if found.live || found.touched() => return Ok(Some(*found)),
            Found::Unfinished(_) => {}
        }
    }
    Ok(None)
}

/// Closes the journals of runs that ended before they touched anything. From then on a rollback leads further back than
/// the last of them, so that this is for a run that begins, and for who was told of it. Call it with the repository's lock
/// held.
pub fn close_untouched(folder: &Path) -> Result<()> {
    for path in journals(folder)? {
        match look(&path)? {
            Found::Blank => {
                // It tells of nothing; unless somebody is just writing its first line.
                let wrong = || format!("cannot remove {}", path.display());
                if claim(&no_links::open_own(&path).with_context(wrong)?) {
                    fs::remove_file(&path).map_err(|error| Denied::new(&path, error)).with_context(wrong)?;
                }
            }
            Found::Unfinished(found) if !found.live && !found.touched() => {
                Journal::reopen(&found)?.close(UNTOUCHED, 130, false)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The unfinished run of a folder that may have touched a host, and what to say of journals that could not be read.
/// Unlike [`unfinished`] it changes nothing, so it may be asked while a run is under way, and then finds that one.
pub fn open_run(folder: &Path) -> (Option<Unfinished>, Vec<String>) {
    let mut unreadable = Unreadable::default();
    let mut note = |error: anyhow::Error| unreadable.add(error);
    let paths = journals(folder).unwrap_or_else(|error| {
        note(error);
        Vec::new()
    });
    let found = paths.iter().find_map(|path| match look(path) {
        Ok(Found::Unfinished(found)) => Some(*found).filter(|found| found.live || found.touched()),
        Ok(Found::Newer(version)) => {
            note(newer(path, &version));
            None
        }
        Ok(Found::Unreadable(why)) => {
            note(anyhow!("{} is not finished, and damaged: {why}", path.display()));
            None
        }
        Err(error) => {
            note(error);
            None
        }
        Ok(Found::Finished | Found::Blank) => None,
    });
    (found, unreadable.lines(folder, "", ""))
}

fn newer(path: &Path, version: &str) -> anyhow::Error {
    anyhow!(
        "{} was written by a newer Hoist ({version}; this is {}), and its deployment is not finished: complete it \
         with that version",
        path.display(),
        env!("CARGO_PKG_VERSION")
    )
}

/// Nobody can say what a run did whose first line is lost. It is told once, and keeps nobody from deploying after that.
fn set_aside(path: &Path, why: &str, here: &Invocation) -> anyhow::Error {
    let there = path.with_extension("damaged");
    let shown = path.display();
    match fs::rename(path, &there).map_err(|error| Denied::new(path, error)) {
        Ok(()) => anyhow!(
            "{shown} is damaged: {why}; it does not show what its deployment did. It was renamed to {}, so the next \
             command can run; `{}` shows what the targets run",
            there.display(),
            here.command("status")
        ),
        Err(error) => anyhow!("{shown} is damaged: {why}; and it cannot be renamed: {error}"),
    }
}

/// The run id of the newest deployment when it died before it touched anything, and nobody has looked since.
pub fn abandoned(folder: &Path) -> Result<Option<String>> {
    let Some(path) = journals(folder)?.pop() else { return Ok(None) };
    let abandoned = match look(&path)? {
        Found::Blank => true,
        Found::Unfinished(found) => !found.live && !found.touched(),
        Found::Finished | Found::Newer(_) | Found::Unreadable(_) => false,
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(abandoned.then(|| name.into_owned()))
}

/// Removes all but the newest `keep` journals, and with them what their runs had to announce. A run that is not finished
/// keeps its journal, whatever its age.
pub fn prune(folder: &Path, keep: usize) -> Result<()> {
    let remove = |path: &Path| {
        let removed = fs::remove_file(path).map_err(|error| Denied::new(path, error));
        removed.with_context(|| format!("cannot remove {}", path.display()))
    };
    let (mut old, mut damaged) = (journals(folder)?, files(folder, "damaged")?);
    old.truncate(old.len().saturating_sub(keep));
    damaged.truncate(damaged.len().saturating_sub(keep));
    old.retain(|path| matches!(look(path), Ok(Found::Finished)));
    old.iter().chain(&damaged).try_for_each(|path| remove(path))?;
    let Some(newest) = old.last() else { return Ok(()) };
    // A run that was refused, or is just beginning, has announcements and no journal.
    let goes = |path: &&PathBuf| path.file_stem() <= newest.file_stem() && !path.with_extension(JOURNAL).exists();
    files(folder, "announcements")?.iter().filter(goes).try_for_each(|path| remove(path))
}

/// Every journal of a folder, oldest first: run ids sort by time.
pub(super) fn journals(folder: &Path) -> Result<Vec<PathBuf>> {
    files(folder, JOURNAL)
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let wrong = || format!("cannot read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Denied::new(folder, error)).with_context(wrong),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(wrong)?.path();
        if path.extension().is_some_and(|it| it == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// What a journal turns out to be.
pub(super) enum Found {
    /// Whatever else is in it.
    Finished,
    /// Torn within its first line: nothing had been done yet.
    Blank,
    /// Not finished, and of a form that this build does not know; the version that wrote it.
    Newer(String),
    /// Not finished, and its first line is damaged.
    Unreadable(String),
    Unfinished(Box<Unfinished>),
}

/// Looks at a journal. Of one that is finished only the end is read.
pub(super) fn look(path: &Path) -> Result<Found> {
    if ends_finished(path).unwrap_or(false) {
        return Ok(Found::Finished);
    }
    let bytes = read(path)?;
    if is_finished(&bytes) {
        return Ok(Found::Finished);
    }
    match parse(&bytes) {
        Parsed { opened: Ok(opened), read } => {
            let file = no_links::open_own(path).with_context(|| format!("cannot read {}", path.display()))?;
            let (path, live) = (path.to_owned(), !claim(&file));
            let opened = *opened;
            Ok(Found::Unfinished(Box::new(Unfinished { path, opened, read, live })))
        }
        Parsed { opened: Err(Wrong::Blank), .. } => Ok(Found::Blank),
        Parsed { opened: Err(Wrong::Newer(version)), .. } => Ok(Found::Newer(version)),
        Parsed { opened: Err(Wrong::Damaged(why)), .. } => Ok(Found::Unreadable(why)),
    }
}

/// Whether the end of a journal shows that its run is finished. If not, it has to be read whole.
fn ends_finished(path: &Path) -> std::io::Result<bool> {
    let file = no_links::open_own(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    let mut tail = Vec::new();
    (&file).seek(SeekFrom::Start(from))?;
    file.take(TAIL).read_to_end(&mut tail)?;
    // The first of these lines may have begun ahead of them.
    let begun = if from == 0 { 0 } else { tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |at| at + 1) };
    Ok(is_finished(&tail[begun..]))
}

/// All of a journal.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let read = no_links::read_own(path).map_err(|error| Denied::new(path, error));
    read.with_context(|| format!("cannot read {}", path.display()))
}
