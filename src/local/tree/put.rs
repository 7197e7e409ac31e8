//! Tracked files that are put into a working tree that stands already, and may be live: a service may own directories of
//! it, and replace them with links at any moment. Git itself opens each file by its whole path, and follows a link that
//! appears between its look at the directories and that. So git writes beside the tree, where nobody else writes, and
//! what it wrote is brought to its place from one directory that is held open to the next.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::wire::Revision;

use super::git::Git;
use super::index::{self, IndexEntry, Read, Stat};
use super::index_stamp;
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir::{Dir, Entry};
use crate::local::os::files;
use crate::local::os::files::TEMPORARY;
use crate::local::os::process::Feed;
use crate::local::shared::record::Record;
use crate::local::state::layout::Layout;

/// Settings with which git writes an index that [`index`] reads, whatever the repository's own configuration says.
const PLAIN_INDEX: [&str; 6] =
    ["-c", "index.version=2", "-c", "core.splitIndex=false", "-c", "core.untrackedCache=false"];

/// How often files are written that differ from the index: other attributes may have come with the first ones.
const ROUNDS: usize = 2;

/// The files of one repository, the revision's own or a submodule's, in a revision's tree.
pub struct Put<'a> {
    pub git: Git,
    /// The tree of the revision.
    pub top: &'a Path,
    /// The repository's own, which is there or below it.
    pub tree: &'a Path,
    /// A path of the same file system that nothing is at; see [`beside`].
    pub beside: PathBuf,
}

/// Where the files of a revision's tree are written first.
pub fn beside(layout: &Layout, revision: &Revision, tag: &str) -> PathBuf {
    layout.revs().join(format!("{revision}{TEMPORARY}files-{tag}"))
}

impl Put<'_> {
    /// Writes these files of the index anew, which are named from the repository's tree.
    pub fn files(&self, paths: &[PathBuf]) -> Result<(), Fault> {
        self.filled_files(paths, |_| Ok(()))
    }

    /// As [`Put::files`], once `fill` has given them another content, in the directory that it is told.
    pub fn filled_files(&self, paths: &[PathBuf], fill: impl Fn(&Path) -> Result<(), Fault>) -> Result<(), Fault> {
        if paths.is_empty() {
            return Ok(());
        }
        files::remove_leftover(&self.beside)?;
        let result = self.write(paths, fill);
        // What stood in the way is gone with it.
        result.and(files::remove_leftover(&self.beside))
    }

    fn write(&self, paths: &[PathBuf], fill: impl Fn(&Path) -> Result<(), Fault>) -> Result<(), Fault> {
        files::make_dir(&self.beside)?;
        let names: Vec<u8> = paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
        let prefix = format!("--prefix={}/", self.beside.display());
        // Whoever calls this syncs the whole file system once.
        let git = self.git.unsynced();
        let answer = git.call(&["checkout-index", "--force", &prefix, "-z", "--stdin"], Feed::text(names))?;
        git.expect_whole(&answer, "checkout-index")?;
        fill(&self.beside)?;
        let way = self.way()?;
        for path in paths {
            self.git.deadline().check()?;
            way.bring(path).tried("write", &self.tree.join(path))?;
        }
        Ok(())
    }

    fn way(&self) -> Result<ToPlaces, Fault> {
        Ok(ToPlaces {
            from: Dir::open(&self.beside).tried("open", &self.beside)?,
            top: Dir::open(self.top).tried("open", self.top)?,
            prefix: self.prefix().to_owned(),
        })
    }

    /// The way from the revision's tree to the repository's own.
    pub fn prefix(&self) -> &Path {
        self.tree.strip_prefix(self.top).unwrap_or(Path::new(""))
    }

    /// Makes the tracked files those of a commit, as `git checkout --force --detach` does it; what git does not know of
    /// stays, and so does what is there behind links to shared content.
    pub fn commit(&self, commit: &Revision) -> Result<(), Fault> {
        let git = self.git.unsynced();
        let name = commit.as_str().len() / 2;
        let before = match index::read_of(git.dir(), name) {
            Read::Entries(entries) => entries,
            Read::Unusual | Read::Damaged => {
                files::remove(&git.dir().join("index"))?;
                Vec::new()
            }
        };
        let answer =
            git.call(&[&PLAIN_INDEX[..], &["read-tree", "--reset", commit.as_str()]].concat(), Feed::Nothing)?;
        git.expect_whole(&answer, "read-tree")?;
        for _ in 0..ROUNDS {
            let changed = self.changed(name)?;
            self.files(&changed)?;
            if !changed.iter().any(|path| path.ends_with(".gitattributes")) {
                break;
            }
        }
        // What was just written is remembered as that.
        self.refresh()?;
        self.clear(&before, name)?;
        files::write(&git.dir().join("HEAD"), format!("{commit}\n").as_bytes(), 0o666)
    }

    /// Has the index remember what the files look like that are as it says.
    fn refresh(&self) -> Result<(), Fault> {
        let args = ["update-index", "-q", "--ignore-submodules", "--refresh"];
        // It fails if a file has changed, which is seen in what it writes.
        self.git.unsynced().call(&[&PLAIN_INDEX[..], &args].concat(), Feed::Nothing).map(drop)
    }

    /// Has the index remember what files look like whose content is another one than what git stores of them. Git itself
    /// takes one of another size for changed, and does not ask the filter.
    pub fn remember(&self, paths: &[PathBuf]) -> Result<(), Fault> {
        let git = self.git.unsynced();
        let call = |args: &[&str], feed: Feed| {
            let answer = git.call(&[&PLAIN_INDEX[..], args].concat(), feed)?;
            git.expect(&answer, args[0]).map(|()| answer.output)
        };
        let paths: HashSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let listing = call(&["ls-files", "-z", "--stage"], Feed::Nothing)?;
        // `mode object stage TAB path`, which forgets the size where it is read.
        let is_ours = |entry: &&[u8]| staged_path(entry).is_some_and(|path| paths.contains(path));
        let ours: Vec<u8> = listing.split_inclusive(|byte| *byte == 0).filter(is_ours).flatten().copied().collect();
        call(&["update-index", "-z", "--index-info"], Feed::text(ours))?;
        self.refresh()
    }

    /// The files of the index, links and submodules left out.
    pub fn tracked(&self) -> Result<Vec<PathBuf>, Fault> {
        let answer = self.git.call(&["ls-files", "-z", "--stage"], Feed::Nothing)?;
        self.git.expect(&answer, "ls-files")?;
        let files = answer.output.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"100"));
        Ok(files.filter_map(staged_path).map(Path::to_owned).collect())
    }

    /// The files that are not what the index says.
    fn changed(&self, name: usize) -> Result<Vec<PathBuf>, Fault> {
        self.refresh()?;
        let record = Record::of(self.top);
        let prefix = self.prefix();
        let mut folders = Folders::of(self.tree);
        let mut changed = Vec::new();
        for entry in &self.entries(name)? {
            let Some(path) = index_stamp::plain_path(entry) else { continue };
            // What is there behind a link to shared content is others' to change.
            if record.covers(&prefix.join(path)) && self.tree.join(path).exists() {
                continue;
            }
            let found = fs::symlink_metadata(self.tree.join(path)).ok().filter(|_| folders.are_real(path));
            let is_as_it_was = match entry.object.mode {
                index::SUBMODULE => found.is_some_and(|meta| meta.is_dir()),
                _ => found.is_some_and(|meta| Stat::from(&meta) == entry.stat),
            };
            if !is_as_it_was {
                changed.push(path.to_owned());
            }
        }
        Ok(changed)
    }

    fn entries(&self, name: usize) -> Result<Vec<IndexEntry>, Fault> {
        match index::read_of(self.git.dir(), name) {
            Read::Entries(entries) => Ok(entries),
            _ => Err(Fault::failed(format!("the index that git wrote in {} cannot be read", self.git.dir().display()))),
        }
    }

    /// Removes files that were tracked before and are not any more.
    fn clear(&self, before: &[IndexEntry], name: usize) -> Result<(), Fault> {
        let now: HashSet<Vec<u8>> = self.entries(name)?.into_iter().map(|entry| entry.path).collect();
        let gone = before.iter().filter(|entry| entry.object.mode != index::SUBMODULE && !now.contains(&entry.path));
        let tree = Dir::open(self.top).tried("open", self.top)?;
        let prefix = self.prefix();
        for path in gone.filter_map(index_stamp::plain_path) {
            remove(&tree, &prefix.join(path)).tried("remove", &self.tree.join(path))?;
        }
        Ok(())
    }
}

/// The path of an entry of `git ls-files -z --stage`, with its NUL or without.
fn staged_path(entry: &[u8]) -> Option<&Path> {
    let entry = entry.strip_suffix(b"\0").unwrap_or(entry);
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    Some(Path::new(OsStr::from_bytes(&entry[tab + 1..])))
}

/// From where git wrote files to where they belong.
struct ToPlaces {
    from: Rc<Dir>,
    top: Rc<Dir>,
    /// The way from the top to where paths begin.
    prefix: PathBuf,
}

impl ToPlaces {
    fn bring(&self, path: &Path) -> io::Result<()> {
        let Some(name) = path.file_name() else { return Ok(()) };
        let above = path.parent().unwrap_or(Path::new(""));
        let folder = folder(&self.top, &self.prefix.join(above))?;
        let Some(from) = above.iter().try_fold(self.from.clone(), |dir, part| dir.at(part).open_dir().ok()?) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (from, to) = (from.at(name), folder.at(name));
        if from.metadata()?.is_dir() {
            // The place of a submodule.
            return self::folder(&folder, Path::new(name)).map(drop);
        }
        if to.open_dir().is_ok_and(|found| found.is_some()) {
            to.rename(&from.beside(format!("{}{TEMPORARY}in-the-way", name.display())))?;
        }
        match from.rename(&to) {
            // Something else is mounted there.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let prepared = files::prepared(&to);
                prepared.remove_if_there()?;
                files::copy_whole(&from, &prepared)?;
                prepared.rename(&to)
            }
            other => other,
        }
    }
}

/// Holds open the directory at a path. What stands in the way, links included, is replaced with directories, as git does
/// it.
fn folder(top: &Rc<Dir>, path: &Path) -> io::Result<Rc<Dir>> {
    let mut here = top.clone();
    for part in path {
        let entry = here.at(part);
        here = match entry.open_dir() {
            Ok(Some(folder)) => folder,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {
                entry.remove_if_there()?;
                entry.make_dir()?
            }
        };
    }
    Ok(here)
}

/// Removes a file or a link, and the directories above it that are empty then. No link is followed to it.
fn remove(top: &Rc<Dir>, path: &Path) -> io::Result<()> {
    let mut way: Vec<Entry> = Vec::new();
    let mut here = top.clone();
    for part in path {
        let entry = here.at(part);
        match entry.open_dir() {
            Ok(Some(folder)) => here = folder,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Only the last part may be what is removed.
            _ if way.len() + 1 < path.iter().count() => return Ok(()),
            _ => {
                entry.remove_if_there()?;
                // The last one that is not empty stays, with those above it.
                let _ = way.iter().rev().try_for_each(Entry::remove_dir);
                return Ok(());
            }
        }
        way.push(entry);
    }
    Ok(())
}

/// Directories of a tree that were found to be such, and no links in a directory's place.
pub struct Folders<'a> {
    top: &'a Path,
    known: HashSet<PathBuf>,
}

impl Folders<'_> {
    pub fn of(top: &Path) -> Folders<'_> {
        Folders { top, known: HashSet::new() }
    }

    /// Whether all directories above a path of the tree are real.
    pub fn are_real(&mut self, path: &Path) -> bool {
        let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return true };
        if self.known.contains(parent) {
            return true;
        }
        let is_real = fs::symlink_metadata(self.top.join(parent)).is_ok_and(|meta| meta.is_dir());
        let all = is_real && self.are_real(parent);
        if all {
            self.known.insert(parent.to_owned());
        }
        all
    }
}
