//! The way to an entry, part by part, each in the directory before it that is held open. This is what openat2 does, on
//! every supported kernel, and with a choice of links.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use super::dir::{Dir, Entry};
use super::sys;
use crate::text;

/// Which links are followed on the way to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Those that root or this process's user has made, wherever they lead: the operator's.
    Operators,
    /// Those that lead to somewhere below the directory where the way begins, but not to git's own directory: a
    /// revision's.
    Below,
}

/// A way to an entry.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub follow: Follow,
    /// Whether a link at the entry itself is followed too.
    pub to_the_end: bool,
    /// Whether directories that are missing are made.
    pub make: bool,
}

/// Links that are followed one after the other, as the kernel does.
const LINKS: usize = 40;

/// A part of a path that is still to be walked.
struct Part {
    name: OsString,
    /// It is of the path itself, and not of a link.
    is_own: bool,
}

fn parts(path: &Path, is_own: bool) -> impl Iterator<Item = Part> {
    path.components().rev().map(move |part| Part { name: part.as_os_str().to_owned(), is_own })
}

/// Finds the entry at a path in a working tree. Links are followed if they stay in the tree. `None` if a directory above it
/// is missing, unless `make` has it made.
pub fn in_tree(tree: &Path, path: &Path, make: bool) -> io::Result<Option<Entry>> {
    let way = Way { follow: Follow::Below, to_the_end: false, make };
    match Dir::open(tree).and_then(|tree| find(&tree, path, way)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !make => Ok(None),
        found => found.map(Some),
    }
}

/// Finds the entry at a path below a directory.
///
/// # Errors
/// A link that is not followed, a directory that is missing, and what else the system says.
pub fn find(from: &Rc<Dir>, path: &Path, way: Way) -> io::Result<Entry> {
    let mut trail = vec![from.clone()];
    let mut rest: Vec<Part> = parts(path, true).collect();
    let (mut links, mut last_link) = (0, None);
    while let Some(Part { name, is_own }) = rest.pop() {
        let Some(here) = trail.last() else { break };
        let entry = here.at(&name);
        match Path::new(&name).components().next() {
            Some(Component::RootDir) => trail.push(Dir::open(Path::new("/"))?),
            Some(Component::ParentDir) if way.follow == Follow::Below => drop(trail.pop()),
            Some(Component::ParentDir) => trail.extend(entry.open_dir()?),
            Some(Component::Normal(_)) => {
                let is_last = rest.is_empty();
                let seen = match entry.look() {
                    _ if is_last && !way.to_the_end => return Ok(entry),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    other => Some(other?),
                };
                match seen {
                    Some(seen) if seen.meta.is_symlink() => {
                        links += 1;
                        let target = seen.link()?;
                        may_follow(&entry, &seen.meta, &target, way.follow, links)?;
                        rest.extend(parts(&target, false));
                        last_link = Some((entry.path(), target));
                    }
                    _ if is_last => return Ok(entry),
                    Some(_) => trail.push(entry.open_dir()?.ok_or(io::ErrorKind::NotADirectory)?),
                    None if way.make && is_own => trail.push(entry.make_dir()?),
                    None => return Err(missing(last_link.filter(|_| !is_own))),
                }
            }
            _ => {}
        }
    }
    match trail.last() {
        Some(here) => Ok(here.at(".")),
        None => Err(io::Error::other(format!("the path leads out of {}", from.path().display()))),
    }
}

fn may_follow(link: &Entry, meta: &Metadata, target: &Path, follow: Follow, count: usize) -> io::Result<()> {
    let shown = link.path();
    let refused = match follow {
        _ if count > LINKS => return Err(Errno::LOOP.into()),
        Follow::Operators => {
            let owner = meta.uid();
            let is_trusted = owner == 0 || owner == sys::user_id();
            (!is_trusted).then(|| {
                format!(
                    "{} is a link that user {owner} made, and is not followed: remove it, or run `chown -h 0 {}`",
                    shown.display(),
                    text::quoted(&shown.to_string_lossy())
                )
            })
        }
        Follow::Below => {
            let is_gits = target.components().any(|part| part.as_os_str().as_bytes().eq_ignore_ascii_case(b".git"));
            let leads_out = target.is_absolute() || is_gits;
            leads_out.then(|| format!("{} is a link to {}, and is not followed", shown.display(), target.display()))
        }
    };
    refused.map_or(Ok(()), |why| Err(io::Error::other(why)))
}

fn missing(link: Option<(PathBuf, PathBuf)>) -> io::Error {
    let kind = io::ErrorKind::NotFound;
    match link {
        Some((link, target)) => io::Error::new(
            kind,
            format!(
                "{} is a link to {}, which does not exist; a disk may not be mounted",
                link.display(),
                target.display()
            ),
        ),
        None => kind.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    fn scene() -> (tempfile::TempDir, Rc<Dir>) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/real/.git")).unwrap();
        fs::create_dir_all(dir.path().join("tree/.git")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        let tree = Dir::open(&dir.path().join("tree")).unwrap();
        (dir, tree)
    }

    fn way(follow: Follow) -> Way {
        Way { follow, to_the_end: false, make: true }
    }

    #[test]
    fn links_in_a_tree_are_followed_unless_they_leave_it_or_lead_to_gits_own_directory() {
        let (dir, tree) = scene();
        let link = |target: &str, name: &str| symlink(target, tree.path().join(name)).unwrap();
        link("real", "alias");
        link("../tree/real", "around");
        link("real/../real", "inside");
        link("../outside", "out");
        link("real/.git", "git");
        link("loop", "loop");
        link("nowhere", "broken");
        symlink(dir.path().join("outside"), tree.path().join("absolute")).unwrap();
        let find = |path: &str| find(&tree, Path::new(path), way(Follow::Below));
        for name in ["alias", "inside"] {
            find(&format!("{name}/new/file")).unwrap().create(0o600).unwrap();
            fs::remove_file(tree.path().join("real/new/file")).unwrap();
        }
        for name in ["around", "out", "git", "loop", "absolute", "broken"] {
            assert!(find(&format!("{name}/file")).is_err(), "{name}");
        }
        // The last part is not followed, and may be a link that leads anywhere.
        assert!(find("out").unwrap().read_link().is_ok());
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
        assert!(!tree.path().join("nowhere").exists(), "what a link lacks is not made");
    }

    #[test]
    fn of_links_to_shared_content_only_the_operators_are_followed() {
        let (dir, tree) = scene();
        let link = tree.path().join("uploads");
        symlink(dir.path().join("outside"), &link).unwrap();
        let to_the_end = Way { to_the_end: true, ..way(Follow::Operators) };
        let inner = || find(&tree, Path::new("uploads/x/file"), way(Follow::Operators));
        inner().unwrap().create(0o600).unwrap();
        assert!(dir.path().join("outside/x/file").exists());
        let content = find(&tree, Path::new("uploads"), to_the_end).unwrap();
        assert!(content.open_dir().unwrap().unwrap().at("x").exists());
        if lchown(&link, Some(65534), None).is_ok() {
            let refused = |found: io::Result<Entry>| found.unwrap_err().to_string();
            assert!(refused(inner()).contains("uploads is a link that user 65534 made, and is not followed"));
            assert!(refused(find(&tree, Path::new("uploads"), to_the_end)).contains("is not followed"));
        }
    }
}
