//! Git's index of a working tree: which file holds which blob, and what the file looked like when that was so.
//!
//! Read and written here are the plain forms, versions 2 and 3 of git's `gitformat-index`. Whatever else an index may be
//! (compressed names, split in two, sparse, watched by a monitor) is left to git.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha1::Digest;

use crate::local::os::files;

/// What an index notes of a file: the fields of `lstat`, cut to 32 bits as git cuts them. The device is left out, as git
/// leaves it out: its number may change when the host is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Seconds and nanoseconds.
    pub ctime: (u32, u32),
    pub mtime: (u32, u32),
    pub inode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u32,
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Stat {
        let cut = |number: i64| number as u32;
        Stat {
            ctime: (cut(meta.ctime()), cut(meta.ctime_nsec())),
            mtime: (cut(meta.mtime()), cut(meta.mtime_nsec())),
            inode: meta.ino() as u32,
            uid: meta.uid(),
            gid: meta.gid(),
            size: meta.size() as u32,
        }
    }
}

impl Stat {
    /// Whether both are of one file that was not written in between; links that it got or lost make no difference.
    pub fn same_but_for_links(&self, other: &Stat) -> bool {
        Stat { ctime: other.ctime, ..*self } == *other
    }
}

/// What git tracks at a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Object {
    /// `0o100644`, `0o100755`, `0o120000` for a symbolic link, `0o160000` for a submodule.
    pub mode: u32,
    /// The blob's name, in bytes.
    pub name: Vec<u8>,
}

/// A file, link or submodule that git tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub stat: Stat,
    pub object: Object,
    /// Nothing is special about it: it is in no conflict, and git is to look at it.
    pub plain: bool,
    /// Relative to the top of the tree.
    pub path: Vec<u8>,
    /// Where the entry stands in the bytes that it was read from.
    pub at: usize,
}

impl IndexEntry {
    /// A plain file that a checkout writes, executable or not.
    pub fn is_file(&self) -> bool {
        self.plain && matches!(self.object.mode, 0o100644 | 0o100755)
    }
}

/// The mode of an entry that is a submodule.
pub const SUBMODULE: u32 = 0o160000;

const SIGNATURE: &[u8; 4] = b"DIRC";

/// The bytes of an entry ahead of the blob's name.
const STAT: usize = 40;

/// Flags of an entry: to be taken for unchanged, more flags follow, its stage in a conflict, the length of its name.
const ASSUME_VALID: u16 = 0x8000;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
const NAME: u16 = 0x0fff;

/// The entries of an index in git's order; `None` when it is not of the plain kind, or damaged. A blob's name has
/// `name` bytes, 20 or 32.
pub fn read(bytes: &[u8], name: usize) -> Option<Vec<IndexEntry>> {
    let body = bytes.get(..bytes.len().checked_sub(name)?)?;
    let version = word(body, 4)?;
    if body.get(..4)? != SIGNATURE || !matches!(version, 2 | 3) {
        return None;
    }
    let count = word(body, 8)? as usize;
    let mut entries = Vec::with_capacity(count.min(body.len() / STAT));
    let mut at = 12;
    for _ in 0..count {
        let field = |index: usize| word(body, at + 4 * index);
        let flags_at = at + STAT + name;
        let flags = half(body, flags_at)?;
        let mut path_at = flags_at + 2;
        let mut more = 0;
        if flags & EXTENDED != 0 {
            more = half(body, path_at)?;
            path_at += 2;
        }
        let length = body.get(path_at..)?.iter().position(|byte| *byte == 0)?;
        if usize::from(flags & NAME) != length.min(usize::from(NAME)) {
            return None;
        }
        entries.push(IndexEntry {
            stat: Stat {
                ctime: (field(0)?, field(1)?),
                mtime: (field(2)?, field(3)?),
                inode: field(5)?,
                uid: field(7)?,
                gid: field(8)?,
                size: field(9)?,
            },
            object: Object { mode: field(6)?, name: body.get(at + STAT..flags_at)?.to_owned() },
            plain: flags & (ASSUME_VALID | STAGE) == 0 && more == 0,
            path: body.get(path_at..path_at + length)?.to_owned(),
            at,
        });
        at += (path_at + length - at + 8) & !7;
    }
    // What an extension in small letters says has to be understood.
    while at < body.len() {
        let optional = body.get(at)?.is_ascii_uppercase() && body.get(at..at + 4)? != b"FSMN";
        if !optional {
            return None;
        }
        at = at.checked_add(8)?.checked_add(word(body, at + 4)? as usize)?;
    }
    (at == body.len()).then_some(entries)
}

/// A repository's index.
pub enum Read {
    Entries(Vec<IndexEntry>),
    /// It is whole, and not of the plain kind.
    Unusual,
    /// There is none, or its checksum is wrong.
    Damaged,
}

/// Reads a repository's index, which is checked against its sum.
pub fn read_of(git_dir: &Path, name: usize) -> Read {
    let Ok(bytes) = files::read(&git_dir.join("index")) else { return Read::Damaged };
    let Some((body, sum)) = bytes.len().checked_sub(name).map(|at| bytes.split_at(at)) else { return Read::Damaged };
    let mut hash = Hash::new(name);
    hash.add(body);
    // Git leaves the sum out with index.skipHash.
    let is_right = body.starts_with(SIGNATURE) && (sum.iter().all(|byte| *byte == 0) || hash.end() == sum);
    match read(&bytes, name) {
        _ if !is_right => Read::Damaged,
        Some(entries) => Read::Entries(entries),
        None => Read::Unusual,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// The bytes of an index of plain entries, which are in git's order.
pub fn write(entries: &[IndexEntry], name: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + entries.len() * 128);
    bytes.extend_from_slice(SIGNATURE);
    for number in [2, entries.len() as u32] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for entry in entries {
        let start = bytes.len();
        let stat = &entry.stat;
        let (ctime, mtime) = (stat.ctime, stat.mtime);
        // Between the inode's fields, a device that nobody looks at.
        for number in
            [ctime.0, ctime.1, mtime.0, mtime.1, 0, stat.inode, entry.object.mode, stat.uid, stat.gid, stat.size]
        {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&entry.object.name);
        let flags = entry.path.len().min(usize::from(NAME)) as u16;
        bytes.extend_from_slice(&flags.to_be_bytes());
        bytes.extend_from_slice(&entry.path);
        let padded = (bytes.len() - start + 8) & !7;
        bytes.resize(start + padded, 0);
    }
    bytes.resize(bytes.len() + name, 0);
    set_sum(&mut bytes, name);
    bytes
}

/// Changes what the index, in bytes, remembers of an entry that was read from it. [`set_sum`] has to follow.
pub fn set_ctime(bytes: &mut [u8], entry: &IndexEntry, ctime: (u32, u32)) {
    if let Some(field) = bytes.get_mut(entry.at..entry.at + 8) {
        field[..4].copy_from_slice(&ctime.0.to_be_bytes());
        field[4..].copy_from_slice(&ctime.1.to_be_bytes());
    }
}

/// Puts the checksum where it belongs, in the last `name` bytes.
pub fn set_sum(bytes: &mut [u8], name: usize) {
    let (body, sum) = bytes.split_at_mut(bytes.len().saturating_sub(name));
    let mut hash = Hash::new(name);
    hash.add(body);
    if sum.len() == name {
        sum.copy_from_slice(&hash.end());
    }
}

/// The hash that a repository names its objects by.
pub enum Hash {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Hash {
    /// The one whose names have this many bytes.
    pub fn new(name: usize) -> Hash {
        if name == 32 { Hash::Sha256(sha2::Sha256::new()) } else { Hash::Sha1(sha1::Sha1::new()) }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        match self {
            Hash::Sha1(hash) => hash.update(bytes),
            Hash::Sha256(hash) => hash.update(bytes),
        }
    }

    pub fn end(self) -> Vec<u8> {
        match self {
            Hash::Sha1(hash) => hash.finalize().to_vec(),
            Hash::Sha256(hash) => hash.finalize().to_vec(),
        }
    }
}
