//! What stands in the place of a link and is neither Hoist's nor Scap's: at the path that the service uses, or at that of a
//! configuration file. A promote gives it another name beside it, and a rollback of the run its place again.
//!
//! `.hoist/set-aside.json` says so before anything changes: wherever a promote was killed, the rollback knows what stood
//! there, and which name it has.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::no_links;
use crate::wire::RunId;

use super::layout::Layout;
use super::links;
use super::links::Kept;
use super::record;
use super::service_path;
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::local::out::Out;

/// What stood in a link's place when a run began, and the name that its promote gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Aside {
    run: RunId,
    path: PathBuf,
    aside: PathBuf,
}

fn list(layout: &Layout) -> PathBuf {
    layout.own().join("set-aside.json")
}

fn of_run(layout: &Layout, run: &RunId) -> Vec<Aside> {
    let text = no_links::read_own(&list(layout)).unwrap_or_default();
    let mut found: Vec<Aside> = serde_json::from_slice(&text).unwrap_or_default();
    found.retain(|aside| aside.run == *run);
    found
}

fn save(layout: &Layout, asides: &[Aside]) -> Result<(), Fault> {
    files::write(&list(layout), &serde_json::to_vec(asides).unwrap_or_default(), 0o600)
}

/// Whether something stands in the place of a link that Hoist may not remove.
fn is_foreign(layout: &Layout, path: &Path) -> bool {
    match path == layout.live() {
        true => service_path::is_foreign(layout),
        false => fs::symlink_metadata(path).is_ok() && !links::is_ours(layout, path),
    }
}

/// The place of a link; `None` if its directory is missing.
fn place(layout: &Layout, path: &Path) -> Result<Option<Entry>, Fault> {
    match path == layout.live() {
        true => Entry::of(path).map(Some).tried("open", files::parent(path)),
        false => links::held(path, false),
    }
}

/// Notes what a promote that links `wanted` will move aside, ahead of its first change. What a try of the same run has
/// noted before stays so: that is what stood there when the run began.
pub fn note(layout: &Layout, run: &RunId, wanted: &[String]) -> Result<(), Fault> {
    let mut noted = of_run(layout, run);
    let known = noted.len();
    for path in wanted.iter().map(Path::new).chain([layout.live()]) {
        if is_foreign(layout, path)
            && !noted.iter().any(|aside| aside.path == path)
            // What keeps the place from being reached keeps promote from linking it.
            && let Ok(Some(place)) = place(layout, path)
        {
            noted.push(named(run, path, &files::aside_of(&place)));
        }
    }
    if noted.len() == known { Ok(()) } else { save(layout, &noted) }
}

fn named(run: &RunId, path: &Path, aside: &Entry) -> Aside {
    Aside { run: run.clone(), path: path.to_owned(), aside: files::parent(path).join(aside.name()) }
}

/// Gives what stands at `path` its other name, which is returned. `run`: the one that a rollback gives it its place again
/// for; `None`: it came there after the run had begun.
pub fn move_away(layout: &Layout, run: Option<&RunId>, place: &Entry, path: &Path) -> Result<PathBuf, Fault> {
    let mut to = files::aside_of(place);
    if let Some(run) = run {
        let mut noted = of_run(layout, run);
        match noted.iter().find(|aside| aside.path == path) {
            Some(aside) => {
                let name = place.beside(aside.aside.file_name().unwrap_or_default());
                // What has the name already stood there first, and may have both: then promote was killed in between.
                if !name.exists() || are_one(&name, place) {
                    to = name;
                }
            }
            None => {
                noted.push(named(run, path, &to));
                save(layout, &noted)?;
            }
        }
    }
    files::set_entry_aside(place, &to)?;
    Ok(files::parent(path).join(to.name()))
}

fn are_one(one: &Entry, other: &Entry) -> bool {
    let identity = |entry: &Entry| entry.metadata().map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Gives those things their places again that the run has moved aside, in one step each. The returned places stand as the
/// run found them, and are to be left so; the first failure is returned beside them.
///
/// `linked`: the configuration files of what is gone back to. Unless promote `was_begun`, nothing that stands at their
/// paths was moved.
pub fn bring_back(
    (layout, out, run): (&Layout, &Out, &RunId),
    was_begun: bool,
    linked: &[String],
) -> (Kept, Result<(), Fault>) {
    let noted = of_run(layout, run);
    let listed = record::before(layout, run).map(|before| before.stray_links).unwrap_or_default();
    let mut kept = Kept::default();
    let mut first = Ok(());
    if noted.is_empty() && !was_begun {
        let places = linked.iter().map(Path::new).chain([layout.live()]);
        places.filter(|path| is_foreign(layout, path)).for_each(|path| kept.add(path, &listed));
    }
    for Aside { path, aside, .. } in noted {
        match put_back(layout, out, &path, &aside) {
            Ok(true) => kept.add(&path, &listed),
            Ok(false) => {}
            Err(fault) => first = first.and(Err(fault)),
        }
    }
    (kept, first)
}

/// Whether what is noted stands in its place again.
fn put_back(layout: &Layout, out: &Out, path: &Path, aside: &Path) -> Result<bool, Fault> {
    let Some(place) = place(layout, path)? else { return Ok(false) };
    let aside = place.beside(aside.file_name().unwrap_or_default());
    let Ok(moved) = aside.metadata() else {
        // It was not moved yet, or is back.
        let stands = is_foreign(layout, path);
        if !stands {
            let (shown, name) = (path.display(), aside.path());
            out.warn(format!("what stood at {shown} before this run is not at {} any more", name.display()));
        }
        return Ok(stands);
    };
    if are_one(&place, &aside) {
        // A file of two names: promote was killed before it had linked the place.
        files::remove_entry(&aside)?;
        return Ok(true);
    }
    if is_foreign(layout, path) {
        let newer = files::aside_of(&place);
        files::set_entry_aside(&place, &newer)?;
        let (shown, newer) = (path.display(), newer.name().to_string_lossy());
        out.warn(format!("{shown} was not a link of hoist; it was renamed to {newer}"));
    }
    if moved.is_dir() && place.exists() {
        // A directory cannot replace a link in one step, but change places with it.
        if aside.exchange(&place).is_ok() {
            files::remove_entry(&aside)?;
        } else {
            files::remove_entry(&place)?;
            aside.rename(&place).tried("put back", path)?;
        }
    } else {
        aside.rename(&place).tried("put back", path)?;
    }
    place.dir().sync().tried("sync", files::parent(path))?;
    let now = place.metadata().tried("put back", path)?;
    if (now.dev(), now.ino()) != (moved.dev(), moved.ino()) {
        return Err(Fault::failed(format!("{} is not what stood there before this run", path.display())));
    }
    out.info(format!("{} is again what it was before this run", path.display()));
    Ok(true)
}

/// Whether the run's promote was to move something at the path that the service uses.
pub fn is_noted_for_service(layout: &Layout, run: &RunId) -> bool {
    of_run(layout, run).iter().any(|aside| aside.path == layout.live())
}

/// The names of what the run has moved aside and is still there, each with the path where it stood.
pub fn still_aside(layout: &Layout, run: &RunId) -> Vec<(PathBuf, PathBuf)> {
    let noted = of_run(layout, run).into_iter();
    noted.filter(|aside| fs::symlink_metadata(&aside.aside).is_ok()).map(|it| (it.path, it.aside)).collect()
}
