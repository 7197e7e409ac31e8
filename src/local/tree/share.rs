//! Files that two revisions' trees have in common, so that a small change writes few files.
//!
//! A new tree takes files from one that stands: a clone of the same blocks (reflink) where the file system has that,
//! otherwise a second name of the same file (hard link). Only what the old tree's index says is offered, only when the
//! file on the disk is proven to be what the index says, and only when a checkout would make it the same today: its
//! owner, its permissions. Git then checks the revision out on top, and writes what was not offered or is not wanted; it
//! never writes into a file, it replaces it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::wire::Revision;

use super::artifact;
use super::git::Git;
use super::index;
use super::index::{Hash, IndexEntry, Object, Stat};
use super::index_stamp;
use super::index_stamp::Index;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::sys;
use crate::local::shared::record::Record;
use crate::local::state::layout::{Layout, Link};

/// Attributes by which a checkout writes something else than the blob, in git's order of asking.
const CONVERTING: [&str; 5] = ["filter", "ident", "eol", "crlf", "working-tree-encoding"];

/// Words without which no file of attributes sets one of [`CONVERTING`] to such an effect.
const CONVERTING_WORDS: [&str; 4] = ["filter", "ident", "crlf", "working-tree-encoding"];

/// Pieces that files are read in.
const PIECE: usize = 64 << 10;

/// The files of attributes of a tree: path, mode, blob. `None`: they have no effect.
type Attributes = Option<Vec<(Vec<u8>, Object)>>;

/// What a tree was given ahead of its checkout.
pub struct SharedFiles {
    attributes: Attributes,
    /// How many files.
    pub count: usize,
}

impl SharedFiles {
    /// Whether what was shared is what the checkout, which is done now, would have written: the same blob may become
    /// another file by other attributes.
    pub fn holds(&self, tree: &Path, revision: &Revision) -> bool {
        let index = Index::read(tree, revision.as_str().len() / 2);
        index.is_some_and(|index| attributes(tree, &index.entries) == self.attributes)
    }
}

/// Puts into the tree `to`, which has a `.git` and nothing else, what a standing tree offers to `revision`, and an index
/// that says so. `None` when no tree offers anything; `to` is as it was then.
///
/// # Errors
/// The time limit, and a disk that cannot be written. What is strange about the old tree is no error.
pub fn into(layout: &Layout, deadline: Deadline, revision: &Revision, to: &Path) -> Result<Option<SharedFiles>, Fault> {
    for base in bases(layout, revision) {
        let Some(standing) = Standing::open(&layout.rev(&base), revision, deadline)? else { continue };
        let shared = standing.give(to, deadline)?;
        if shared.count > 0 {
            return Ok(Some(shared));
        }
    }
    Ok(None)
}

/// The trees to take from, best first: the live one, the one that was done, then the youngest.
fn bases(layout: &Layout, revision: &Revision) -> Vec<Revision> {
    let age =
        |other: &Revision| fs::metadata(layout.rev(other).join(".git/HEAD")).and_then(|meta| meta.modified()).ok();
    let mut others = layout.revisions();
    others.sort_by_key(|other| std::cmp::Reverse(age(other)));
    let mut bases: Vec<Revision> = Vec::new();
    for base in
        [layout.read(Link::Current), layout.read(Link::Done)].into_iter().flatten().chain(others.into_iter().take(1))
    {
        if base != *revision && !bases.contains(&base) && layout.complete(&base) {
            bases.push(base);
        }
    }
    bases
}

fn attributes(tree: &Path, entries: &[IndexEntry]) -> Attributes {
    if artifact::is_exact(tree) {
        return None;
    }
    let named = |entry: &&IndexEntry| entry.path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
    Some(entries.iter().filter(named).map(|entry| (entry.path.clone(), entry.object.clone())).collect())
}

/// A tree that stands.
struct Standing {
    index: Index,
    /// Which entries may be given, in the index's order.
    offered: Vec<bool>,
    attributes: Attributes,
}

impl Standing {
    /// `None` for a tree with an index that is not of the plain kind, or with attributes that nobody can be sure of.
    fn open(tree: &Path, revision: &Revision, deadline: Deadline) -> Result<Option<Standing>, Fault> {
        let Some(index) = Index::read(tree, revision.as_str().len() / 2) else {
            log::debug!("{} has an unsupported index: its files are not shared", tree.display());
            return Ok(None);
        };
        // What is behind a link to shared content is others' to change.
        let record = Record::of(tree);
        let is_shared = |entry: &IndexEntry| index_stamp::plain_path(entry).is_some_and(|path| record.covers(path));
        let offered = index.entries.iter().map(|entry| entry.is_file() && !is_shared(entry)).collect();
        let attributes = attributes(tree, &index.entries);
        let mut standing = Standing { index, offered, attributes };
        Ok(standing.leave_out_converted(deadline)?.then_some(standing))
    }

    /// Takes those files out that a checkout does not write as their blobs are. `false` when that cannot be found out.
    fn leave_out_converted(&mut self, deadline: Deadline) -> Result<bool, Fault> {
        if self.attributes.is_none() {
            return Ok(true);
        }
        let mut converts = false;
        for entry in self.index.entries.iter().filter(|entry| entry.path.ends_with(b".gitattributes")) {
            let text = match index_stamp::plain_path(entry) {
                Some(path) if entry.is_file() => self.read_whole(path, entry),
                _ => None,
            };
            let Some(text) = text else { return Ok(false) };
            converts |=
                CONVERTING_WORDS.iter().any(|word| text.windows(word.len()).any(|part| part == word.as_bytes()));
        }
        if !converts {
            return Ok(true);
        }
        let mut names = Vec::new();
        for entry in &self.index.entries {
            names.extend_from_slice(&entry.path);
            names.push(0);
        }
        let git = Git::tree(&self.index.tree, deadline);
        let args = [&["check-attr", "-z", "--stdin"], &CONVERTING[..]].concat();
        let answer = git.call(&args, Feed::text(names))?;
        let text = answer.text();
        let words: Vec<&str> = text.split_terminator('\0').collect();
        if !answer.exit.is_ok() || words.len() != self.index.entries.len() * CONVERTING.len() * 3 {
            log::debug!("{}: git check-attr printed only {} words", self.index.tree.display(), words.len());
            return Ok(false);
        }
        let harmless =
            |words: &[&str]| matches!(words[2], "unspecified" | "unset") || words[1] == "eol" && words[2] == "lf";
        for (offered, words) in self.offered.iter_mut().zip(words.chunks_exact(CONVERTING.len() * 3)) {
            *offered &= words.chunks_exact(3).all(harmless);
        }
        Ok(true)
    }

    /// The content of a small file, if it is what the index says.
    fn read_whole(&self, path: &Path, entry: &IndexEntry) -> Option<Vec<u8>> {
        let bytes = fs::read(self.index.tree.join(path)).ok()?;
        (blob(&mut bytes.as_slice(), bytes.len() as u64, entry.object.name.len()).ok()? == entry.object.name)
            .then_some(bytes)
    }

    /// Gives files to the tree `to`, and an index of just these.
    fn give(self, to: &Path, deadline: Deadline) -> Result<SharedFiles, Fault> {
        let fresh = Fresh::look(to)?;
        let (mut given, mut proven, mut clones, mut folder) = (Vec::new(), Vec::new(), true, None);
        for (place, entry) in self.index.entries.iter().enumerate().filter(|(place, _)| self.offered[*place]) {
            deadline.check()?;
            let Some(path) = index_stamp::plain_path(entry) else { continue };
            let (old, new) = (self.index.tree.join(path), to.join(path));
            let Ok(meta) = fs::symlink_metadata(&old) else { continue };
            let remembered = self.index.proves(entry, &meta);
            if !(meta.is_file()
                && fresh.would_be(&meta, entry)
                && (remembered || is_read_so(entry, &meta, &old, &fresh)))
            {
                continue;
            }
            if folder.as_deref() != new.parent() {
                folder = new.parent().map(Path::to_owned);
                files::make_dir(files::parent(&new))?;
            }
            let Ok(stat) = take(&old, &new, &meta, entry.object.mode, &mut clones) else { continue };
            // One file by two names looks the same by both; a clone has an inode of its own, and its original no new look.
            if remembered {
                proven.push((place, stat));
            }
            given.push(IndexEntry { stat, ..entry.clone() });
        }
        let shared = SharedFiles { attributes: self.attributes, count: given.len() };
        if shared.count > 0 {
            let path = to.join(".git/index");
            fs::write(&path, index::write(&given, self.index.name)).tried("write", &path)?;
        }
        if let Err(error) = self.index.renew(&proven) {
            log::debug!("the index of the shared tree is out of date: {error}");
        }
        Ok(shared)
    }
}

/// Whether a file holds what its entry says, found out by reading it. Its extended attributes have to be those of a new
/// file: what an index remembers does not tell of them.
fn is_read_so(entry: &IndexEntry, meta: &fs::Metadata, path: &Path, fresh: &Fresh) -> bool {
    sys::attribute_names(path).is_ok_and(|names| names == fresh.attribute_names)
        && read_blob(path, meta, entry.object.name.len()).is_ok_and(|blob| blob == entry.object.name)
}

/// What a file looks like that is made in a tree now.
struct Fresh {
    uid: u32,
    gid: u32,
    /// Permissions of files, and of executable ones.
    modes: (u32, u32),
    /// Extended attributes, which a security policy or the folder's may give.
    attribute_names: Vec<u8>,
}

impl Fresh {
    fn look(tree: &Path) -> Result<Fresh, Fault> {
        let path = tree.join("hoist-looks");
        let look = |mode: u32| {
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            let found = fs::symlink_metadata(&path).and_then(|meta| Ok((meta, sys::attribute_names(&path)?)));
            fs::remove_file(&path)?;
            found
        };
        let (plain, attribute_names) = look(0o666).tried("write", &path)?;
        let (executable, _) = look(0o777).tried("write", &path)?;
        let modes = (plain.mode() & 0o7777, executable.mode() & 0o7777);
        Ok(Fresh { uid: plain.uid(), gid: plain.gid(), modes, attribute_names })
    }

    /// Whether a checkout would give a file the owner and permissions that it has.
    fn would_be(&self, meta: &fs::Metadata, entry: &IndexEntry) -> bool {
        let mode = if entry.object.mode == 0o100755 { self.modes.1 } else { self.modes.0 };
        (meta.uid(), meta.gid(), meta.mode() & 0o7777) == (self.uid, self.gid, mode)
    }
}

/// Makes `new` the same file as `old`, which looked like `before`; how it looks now. Fails when that cannot be done, and
/// when somebody wrote to `old` meanwhile; there is no `new` then.
fn take(old: &Path, new: &Path, before: &fs::Metadata, mode: u32, clones: &mut bool) -> io::Result<Stat> {
    let taken = (|| {
        let before = Stat::from(before);
        if *clones {
            let mode = if mode == 0o100755 { 0o777 } else { 0o666 };
            let source = File::open(old)?;
            let copy = OpenOptions::new().write(true).create_new(true).mode(mode).open(new)?;
            match sys::clone_file(&source, &copy) {
                Ok(()) if Stat::from(&fs::symlink_metadata(old)?) == before => {
                    return Ok(Stat::from(&copy.metadata()?));
                }
                Ok(()) => return Err(io::Error::other("it is being written to")),
                // The file system cannot; it will not for the next file either.
                Err(_) => {
                    *clones = false;
                    fs::remove_file(new)?;
                }
            }
        }
        fs::hard_link(old, new)?;
        let now = Stat::from(&fs::symlink_metadata(new)?);
        if now.same_but_for_links(&before) { Ok(now) } else { Err(io::Error::other("it is being written to")) }
    })();
    if taken.is_err() {
        let _ = fs::remove_file(new);
    }
    taken
}

/// The name of the blob that a file's content makes.
pub fn read_blob(path: &Path, meta: &fs::Metadata, name: usize) -> io::Result<Vec<u8>> {
    blob(&mut File::open(path)?, meta.size(), name)
}

fn blob(input: &mut impl Read, size: u64, name: usize) -> io::Result<Vec<u8>> {
    let mut hash = Hash::new(name);
    hash.add(format!("blob {size}\0").as_bytes());
    let mut piece = vec![0; PIECE.min(size as usize + 1)];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(hash.end()),
            Ok(length) => hash.add(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
