//! Which index of a working tree can be taken at its word, and keeping it so.
//!
//! An index remembers what each file looked like when it held what was committed: a file that still looks so needs no
//! reading. That is as good as whoever wrote the index; Hoist's own checkout, which has nobody's settings and filters,
//! leaves a seal beside it. Links that a file gets or loses change what it looks like, so Hoist tells the index of those
//! that it makes and removes itself.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::index;
use super::index::{IndexEntry, Stat};
use crate::local::fault::{Fault, Tried};
use crate::local::os::dir::Entry;
use crate::local::os::files;
use crate::paths;

/// A working tree's index as it was read.
pub struct Index {
    pub tree: PathBuf,
    pub entries: Vec<IndexEntry>,
    bytes: Vec<u8>,
    /// The length of an object's name in bytes.
    pub name: usize,
    /// When it was written, if it bears the seal: what changed since then is younger.
    sealed: Option<(i64, i64)>,
}

fn path_of(tree: &Path) -> PathBuf {
    tree.join(".git/index")
}

fn seal_of(tree: &Path) -> PathBuf {
    tree.join(".git/hoist-index")
}

fn text_of(meta: &Metadata) -> String {
    format!("{} {} {}.{:09}\n", meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())
}

/// Seals the index of a tree that Hoist has checked out from nothing.
pub fn put(tree: &Path) -> Result<(), Fault> {
    let path = seal_of(tree);
    let text = files::look(&path_of(tree)).map(|meta| text_of(&meta));
    text.and_then(|text| write_anew(&path, text.as_bytes())).map(drop).tried("write", &path)
}

/// Writes a file in place of what is there, and tells what it looks like.
fn write_anew(path: &Path, content: &[u8]) -> io::Result<Metadata> {
    let entry = Entry::of(path)?;
    entry.remove_if_there()?;
    let mut file = entry.create(0o666)?;
    file.write_all(content)?;
    file.metadata()
}

/// Where an entry's file is, below the top of its tree. Git takes no path that leads elsewhere; neither does this.
pub fn plain_path(entry: &IndexEntry) -> Option<&Path> {
    let plain = entry.path.split(|byte| *byte == b'/').all(paths::is_plain_name) && !paths::is_gits_own(&entry.path);
    plain.then(|| Path::new(OsStr::from_bytes(&entry.path)))
}

impl Index {
    /// The index of a tree; `None` for one that is missing, damaged or not of the plain kind.
    pub fn read(tree: &Path, name: usize) -> Option<Index> {
        let path = path_of(tree);
        let meta = files::look(&path).ok()?;
        let bytes = files::read(&path).ok()?;
        let entries = index::read(&bytes, name)?;
        let is_sealed = files::read(&seal_of(tree)).is_ok_and(|text| text == text_of(&meta).as_bytes());
        let sealed = is_sealed.then_some((meta.mtime(), meta.mtime_nsec()));
        Some(Index { tree: tree.to_owned(), entries, bytes, name, sealed })
    }

    /// Whether a file, which looks like `meta` now, is proven to be what its entry says without being read.
    pub fn proves(&self, entry: &IndexEntry, meta: &Metadata) -> bool {
        // What was written at the very moment of the index may have been written again in that moment.
        let older = self.sealed.is_some_and(|written| (meta.ctime(), meta.ctime_nsec()) < written);
        older && entry.stat == Stat::from(meta)
    }

    /// The files that are proven now, by their places among the entries.
    pub fn proven(&self) -> Vec<usize> {
        let is_proven = |entry: &IndexEntry| {
            let meta = plain_path(entry).and_then(|path| fs::symlink_metadata(self.tree.join(path)).ok());
            entry.is_file() && meta.is_some_and(|meta| self.proves(entry, &meta))
        };
        (0..self.entries.len()).filter(|place| self.sealed.is_some() && is_proven(&self.entries[*place])).collect()
    }

    /// What files look like now, by their places among the entries.
    pub fn look_at(&self, places: &[usize]) -> Vec<(usize, Stat)> {
        let look = |place: &usize| {
            let path = self.tree.join(plain_path(self.entries.get(*place)?)?);
            Some((*place, Stat::from(&fs::symlink_metadata(path).ok()?)))
        };
        places.iter().filter_map(look).collect()
    }

    /// Remembers what links that came or went made of files that were proven just before, and look like this now. Only a
    /// sealed index is written, and only while nobody else is at it.
    pub fn renew(mut self, now: &[(usize, Stat)]) -> io::Result<()> {
        let path = path_of(&self.tree);
        let unchanged = |index: &Index| {
            let text = files::look(&path).map(|meta| text_of(&meta).into_bytes());
            let sealed = files::read(&seal_of(&index.tree));
            index.sealed.is_some() && matches!((text, sealed), (Ok(text), Ok(sealed)) if text == sealed)
        };
        let mut changed = false;
        for (place, now) in now {
            let entry = &self.entries[*place];
            if now.ctime != entry.stat.ctime && now.same_but_for_links(&entry.stat) {
                index::set_ctime(&mut self.bytes, entry, now.ctime);
                changed = true;
            }
        }
        if !changed || !unchanged(&self) || files::look(&path.with_extension("lock")).is_ok() {
            return Ok(());
        }
        index::set_sum(&mut self.bytes, self.name);
        let next = self.tree.join(".git/hoist-index.next");
        let text = text_of(&write_anew(&next, &self.bytes)?);
        // An index without its seal is believed less; never the other way about.
        Entry::of(&next)?.rename(&Entry::of(&path)?)?;
        write_anew(&seal_of(&self.tree), text.as_bytes()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::git;
    use std::time::Duration;

    /// A tree of two files with a sealed index, which is younger than both.
    fn sealed() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q"]);
        fs::write(dir.path().join("a"), "a").unwrap();
        fs::write(dir.path().join("b"), "b").unwrap();
        // The kernel's clock for files goes in steps.
        std::thread::sleep(Duration::from_millis(50));
        git(dir.path(), &["add", "a", "b"]);
        put(dir.path()).unwrap();
        dir
    }

    #[test]
    fn a_sealed_index_proves_what_nobody_touched() {
        let dir = sealed();
        assert_eq!(Index::read(dir.path(), 20).unwrap().proven(), [0, 1]);
        fs::write(dir.path().join("a"), "c").unwrap();
        assert_eq!(Index::read(dir.path(), 20).unwrap().proven(), [1]);
    }

    #[test]
    fn an_index_that_somebody_else_wrote_proves_nothing() {
        let dir = sealed();
        git(dir.path(), &["update-index", "--force-write-index"]);
        assert_eq!(Index::read(dir.path(), 20).unwrap().proven(), [0; 0]);
    }

    #[test]
    fn links_that_hoist_makes_and_removes_leave_the_proof_and_the_seal() {
        let dir = sealed();
        for turn in 0..2 {
            let index = Index::read(dir.path(), 20).unwrap();
            let proven = index.proven();
            assert_eq!(proven, [0, 1], "in turn {turn}");
            std::thread::sleep(Duration::from_millis(50));
            match turn {
                0 => fs::hard_link(dir.path().join("a"), dir.path().join("link")).unwrap(),
                _ => fs::remove_file(dir.path().join("link")).unwrap(),
            }
            assert_eq!(index.proven(), [1], "a link changes what a file looks like");
            let now = index.look_at(&proven);
            std::thread::sleep(Duration::from_millis(50));
            index.renew(&now).unwrap();
        }
        assert_eq!(Index::read(dir.path(), 20).unwrap().proven(), [0, 1]);
        git(dir.path(), &["fsck"]);
        git(dir.path(), &["diff-files", "--exit-code", "--quiet"]);
    }

    #[test]
    fn a_file_that_was_written_since_it_was_proven_is_not_proven_by_a_renewal() {
        let dir = sealed();
        let index = Index::read(dir.path(), 20).unwrap();
        let proven = index.proven();
        fs::write(dir.path().join("a"), "c").unwrap();
        fs::hard_link(dir.path().join("b"), dir.path().join("link")).unwrap();
        let now = index.look_at(&proven);
        std::thread::sleep(Duration::from_millis(50));
        index.renew(&now).unwrap();
        assert_eq!(Index::read(dir.path(), 20).unwrap().proven(), [1]);
    }

    #[test]
    fn an_index_that_git_is_at_is_left_alone() {
        let dir = sealed();
        let index = Index::read(dir.path(), 20).unwrap();
        let proven = index.proven();
        fs::hard_link(dir.path().join("b"), dir.path().join("link")).unwrap();
        fs::write(dir.path().join(".git/index.lock"), "").unwrap();
        let before = fs::read(path_of(dir.path())).unwrap();
        let now = index.look_at(&proven);
        index.renew(&now).unwrap();
        assert_eq!(fs::read(path_of(dir.path())).unwrap(), before);
    }

    #[test]
    fn a_path_that_leads_out_of_the_tree_or_into_gits_own_folder_is_nobodys() {
        let dir = sealed();
        let mut entry = Index::read(dir.path(), 20).unwrap().entries[0].clone();
        for bad in ["", "/etc/passwd", "../x", "a/../b", ".git/config", "a/.GIT/x", "a//b", "a/"] {
            entry.path = bad.into();
            assert_eq!(plain_path(&entry), None, "{bad}");
        }
        entry.path = "a/.gitignore".into();
        assert_eq!(plain_path(&entry), Some(Path::new("a/.gitignore")));
    }
}
