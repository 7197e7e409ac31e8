//! The links from where services read their configuration to the files that were rendered into a revision.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::no_links;
use crate::paths;
use crate::wire::Revision;

use super::layout::{Layout, RENDERED};
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir::{Dir, Entry};
use crate::local::os::files;
use crate::local::os::way;
use crate::local::os::way::{Follow, Way};
use crate::local::out::Out;
use crate::local::state::config_files;

fn list(layout: &Layout) -> PathBuf {
    layout.own().join("links.json")
}

/// The paths that are linked, absolute, sorted. A list that cannot be read counts as empty: the next promote or rollback
/// writes a new one.
pub fn load(layout: &Layout) -> Vec<String> {
    no_links::read_own(&list(layout)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn save(layout: &Layout, paths: &[String]) -> Result<(), Fault> {
    if load(layout) == paths {
        return Ok(());
    }
    let text = serde_json::to_vec(paths).unwrap_or_default();
    files::write(&list(layout), &text, 0o666)
}

/// Places of links that a rollback leaves as they are: the run found something else there.
#[derive(Debug, Default)]
pub struct Kept {
    places: Vec<(PathBuf, bool)>,
}

impl Kept {
    /// `listed`: the places that were on the list of links when the run began.
    pub fn add(&mut self, path: &Path, listed: &[String]) {
        self.places.push((path.to_owned(), listed.iter().any(|it| Path::new(it) == path)));
    }

    pub fn has(&self, path: &Path) -> bool {
        self.places.iter().any(|(kept, _)| kept == path)
    }

    fn is_listed(&self, path: &Path) -> bool {
        self.places.iter().any(|(kept, is_listed)| kept == path && *is_listed)
    }
}

/// The means to change links.
pub struct Linking<'a> {
    pub layout: &'a Layout,
    pub out: &'a Out,
    /// Gives what is somebody else's in the place of a link another name, which is returned.
    pub make_room: &'a dyn Fn(&Entry, &Path) -> Result<PathBuf, Fault>,
    pub kept: &'a Kept,
}

/// The place of a link, in its directory that is held open: a service may own a directory on the way, and replace one below
/// that with a link meanwhile. Only the operator's links are followed. `None` if a directory is missing, unless `make` has
/// it made.
///
/// # Errors
/// A link that somebody else made, by its name, and what else the system says.
pub fn held(path: &Path, make: bool) -> Result<Option<Entry>, Fault> {
    let way = Way { follow: Follow::Operators, to_the_end: false, make };
    match Dir::open(Path::new("/")).and_then(|root| way::find(&root, path, way)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !make => Ok(None),
        found => found.map(Some).tried(if make { "create" } else { "open" }, files::parent(path)),
    }
}

/// The absolute paths of the configuration files that were rendered into a revision, by Hoist or by Scap, sorted.
pub fn stored(layout: &Layout, revision: &Revision) -> Vec<String> {
    let root = layout.rendered_root(revision);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for name in files::names(&folder) {
            let path = folder.join(&name);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(_) if !files::is_preparation(&name) => found.extend(
                    path.strip_prefix(&root).ok().and_then(Path::to_str).map(|relative| format!("/{relative}")),
                ),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Linked paths that do not lead into the live revision, or lead nowhere.
pub fn stray(layout: &Layout, current: Option<&Revision>) -> Vec<String> {
    let mut paths = load(layout);
    paths.retain(|path| !current.is_some_and(|revision| leads_to(layout, revision, path)));
    paths
}

fn leads_to(layout: &Layout, revision: &Revision, path: &str) -> bool {
    let link = Path::new(path);
    let place = fs::read_link(link).map_or_else(|_| link.to_owned(), |target| files::parent(link).join(target));
    files::are_one(&place, &layout.rendered(revision, path))
}

/// Whether all of `wanted` lead into a revision, and nothing else is linked.
pub fn in_order(layout: &Layout, revision: &Revision, wanted: &[String]) -> bool {
    load(layout).iter().all(|path| wanted.contains(path)) && wanted.iter().all(|path| leads_to(layout, revision, path))
}

/// The revision that a linked path leads into, whole or not.
pub fn revision_behind(layout: &Layout, path: &str) -> Option<Revision> {
    let target = target_of(Path::new(path))?;
    let revs = layout.revs();
    let inside = target.strip_prefix(&revs).ok().or_else(|| target.strip_prefix(fs::canonicalize(&revs).ok()?).ok());
    inside?.iter().next()?.to_str()?.parse().ok()
}

/// Where a link leads, as an absolute path. A relative one, as Scap makes them, is followed from the folder's real place.
fn target_of(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    if target.is_absolute() {
        return Some(target);
    }
    Some(paths::without_dots(&fs::canonicalize(files::parent(link)).ok()?.join(target)))
}

/// Whether a path is a link to what was rendered into one of our working trees, dangling or not. A link to anything else
/// in a tree is somebody else's.
pub fn is_ours(layout: &Layout, path: &Path) -> bool {
    let Some(target) = target_of(path) else { return false };
    let is_rendered = |target: &Path, revs: &Path| {
        let inside = target.strip_prefix(revs).map(|inside| inside.iter().skip(1).collect::<PathBuf>());
        inside.is_ok_and(|inside| inside.starts_with(RENDERED))
    };
    if is_rendered(&target, &layout.revs()) || target.starts_with(layout.live().join(RENDERED)) {
        return true;
    }
    // The deploy directory may be reached by two names.
    match (fs::canonicalize(files::parent(&target)), fs::canonicalize(layout.revs())) {
        (Ok(target), Ok(revs)) => is_rendered(&target, &revs),
        _ => false,
    }
}

/// Fails for what would fail halfway: a file that was not rendered, or a directory in a link's place.
pub fn preflight(layout: &Layout, revision: &Revision, wanted: &[String]) -> Result<(), Fault> {
    for path in wanted {
        if let Some(reason) = config_files::lacks(layout, revision, path) {
            return Err(Fault::failed(reason));
        }
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
            return Err(Fault::failed(format!(
                "{path} is a directory in the place of a configuration file; move it away"
            )));
        }
    }
    Ok(())
}

/// Links `wanted` into a revision, and removes those links of ours that are not wanted: of the list, and of `before`,
/// the revision that was live. What else stands in a link's place is set aside, never removed, unless it is kept.
///
/// One bad path does not keep the others from their links; the first failure is returned.
pub fn apply(
    linking: &Linking,
    revision: &Revision,
    wanted: &[String],
    before: Option<&Revision>,
) -> Result<(), Fault> {
    let Linking { layout, kept, .. } = linking;
    let mut all = load(layout);
    all.extend(before.map(|before| stored(layout, before)).unwrap_or_default());
    all.extend_from_slice(wanted);
    all.sort();
    all.dedup();
    // The list first: whoever comes after a kill has to know of every link.
    let mut first = save(layout, &all);
    let mut left = Vec::new();
    for path in &all {
        let stays = kept.has(Path::new(path));
        let result = match wanted.contains(path) {
            _ if stays => Ok(()),
            true => place(linking, revision, path),
            false => take_away(linking, path, "is not configured in this revision"),
        };
        let is_listed = if stays { kept.is_listed(Path::new(path)) } else { wanted.contains(path) || result.is_err() };
        if is_listed {
            left.push(path.clone());
        }
        first = first.and(result);
    }
    first.and(save(layout, &left))
}

/// Removes all links of ours, but for what is kept.
pub fn withdraw(linking: &Linking) -> Result<(), Fault> {
    let all = load(linking.layout);
    let (mut first, mut left) = (Ok(()), Vec::new());
    for path in all {
        let result = match linking.kept.has(Path::new(&path)) {
            true => Ok(()),
            false => take_away(linking, &path, "did not exist before this run"),
        };
        if result.is_err() || linking.kept.is_listed(Path::new(&path)) {
            left.push(path);
        }
        first = first.and(result);
    }
    first.and(save(linking.layout, &left))
}

/// Whether a path is already the very link that a revision needs there.
pub fn is_in_place(layout: &Layout, revision: &Revision, link: &Path) -> bool {
    let wanted = link.to_str().map(|path| layout.link_target(link, &layout.rendered(revision, path)));
    fs::read_link(link).is_ok_and(|now| Some(now) == wanted)
}

fn place(linking: &Linking, revision: &Revision, path: &str) -> Result<(), Fault> {
    let layout = linking.layout;
    let link = Path::new(path);
    let Some(entry) = held(link, true)? else { return Ok(()) };
    let target = layout.link_target(link, &layout.rendered(revision, path));
    if is_in_place(layout, revision, link) {
        return Ok(());
    }
    if entry.exists() && !is_ours(layout, link) {
        let aside = (linking.make_room)(&entry, link)?;
        linking.out.warn(format!("{path} was not a link of hoist; it was renamed to {}", aside.display()));
    }
    files::point_entry(&entry, &target)
}

/// `why`: what is said of the path.
fn take_away(linking: &Linking, path: &str, why: &str) -> Result<(), Fault> {
    let link = Path::new(path);
    if is_ours(linking.layout, link) {
        let Some(entry) = held(link, false)? else { return Ok(()) };
        files::remove_entry(&entry)?;
        linking.out.warn(format!("{path} {why}; its link is removed"));
    }
    Ok(())
}
