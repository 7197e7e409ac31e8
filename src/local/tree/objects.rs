//! Which objects a repository has, found in the indexes of its packs without a process of git.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::local::os::files;

/// The first bytes of a pack's index, with its version: gitformat-pack(5).
const MAGIC: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];

/// How many names begin with a byte of at most so much.
const FANOUT: usize = 256;

/// More names are quicker asked for in a process of git.
const AT_MOST: usize = 64;

/// Those of `names` that a repository has, in the order given; `None` where only git can tell. Nothing is read of the
/// objects: one that is damaged is found by whoever uses it.
pub fn present(git_dir: &Path, names: &[String]) -> Option<Vec<String>> {
    let [first, ..] = names else { return Some(Vec::new()) };
    if names.len() > AT_MOST {
        return None;
    }
    let objects = Objects::open(git_dir, first.len() / 2)?;
    let mut present = Vec::new();
    for name in names {
        if objects.has(name)? {
            present.push(name.clone());
        }
    }
    Some(present)
}

/// The objects of a repository of its own.
struct Objects {
    dir: PathBuf,
    packs: Vec<PackIndex>,
}

impl Objects {
    /// Reads which packs there are; `None` where only git can tell what they hold. `name` is the length of an object's
    /// name in bytes.
    fn open(git_dir: &Path, name: usize) -> Option<Objects> {
        let dir = git_dir.join("objects");
        if ["alternates", "http-alternates"].iter().any(|file| dir.join("info").join(file).exists()) {
            return None;
        }
        let folder = dir.join("pack");
        let mut packs = Vec::new();
        for file in files::names(&folder).iter().filter(|file| file.ends_with(".idx")) {
            let path = folder.join(file);
            // Without its pack an index is worth nothing.
            if fs::metadata(path.with_extension("pack")).is_ok_and(|meta| meta.len() > 0) {
                packs.push(PackIndex::open(&path, name)?);
            }
        }
        Some(Objects { dir, packs })
    }

    /// Whether there is an object of this name, given in hexadecimal digits.
    fn has(&self, name: &str) -> Option<bool> {
        let bytes = bytes(name)?;
        let (folder, file) = name.split_at_checked(2)?;
        // A power cut may have emptied one.
        if fs::metadata(self.dir.join(folder).join(file)).is_ok_and(|meta| meta.len() > 0) {
            return Some(true);
        }
        for pack in &self.packs {
            if pack.has(&bytes)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

struct PackIndex {
    file: File,
    fanout: Vec<u64>,
    name: usize,
}

impl PackIndex {
    fn open(path: &Path, name: usize) -> Option<PackIndex> {
        let file = File::open(path).ok()?;
        let mut head = vec![0; MAGIC.len() + FANOUT * 4];
        file.read_exact_at(&mut head, 0).ok()?;
        let (magic, counts) = head.split_at(MAGIC.len());
        let fanout: Vec<u64> =
            counts.chunks_exact(4).map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]).into()).collect();
        // Behind the names are a checksum and an offset for each, and the checksums of the pack and of the index.
        let least = head.len() as u64 + fanout[FANOUT - 1] * (name as u64 + 8) + 2 * name as u64;
        let is_whole = magic == MAGIC && fanout.is_sorted() && file.metadata().ok()?.len() >= least;
        is_whole.then_some(PackIndex { file, fanout, name })
    }

    fn has(&self, wanted: &[u8]) -> Option<bool> {
        if wanted.len() != self.name {
            return None;
        }
        let first = usize::from(wanted[0]);
        let mut low = if first == 0 { 0 } else { self.fanout[first - 1] };
        let mut high = self.fanout[first];
        let mut found = vec![0; self.name];
        while low < high {
            let middle = low + (high - low) / 2;
            let at = (MAGIC.len() + FANOUT * 4) as u64 + middle * self.name as u64;
            self.file.read_exact_at(&mut found, at).ok()?;
            match wanted.cmp(&found) {
                std::cmp::Ordering::Equal => return Some(true),
                std::cmp::Ordering::Less => high = middle,
                std::cmp::Ordering::Greater => low = middle + 1,
            }
        }
        Some(false)
    }
}

/// Bytes of their hexadecimal digits.
pub fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::git;

    #[test]
    fn objects_are_found_loose_and_packed_as_git_finds_them() {
        for (format, length) in [("sha1", 20), ("sha256", 32)] {
            let dir = tempfile::tempdir().unwrap();
            git(dir.path(), &["init", "-q", &format!("--object-format={format}")]);
            for number in 0..300 {
                fs::write(dir.path().join(number.to_string()), number.to_string()).unwrap();
            }
            git(dir.path(), &["add", "."]);
            git(dir.path(), &["commit", "-qm", "one"]);
            git(dir.path(), &["repack", "-q", "-a", "-d"]);
            fs::write(dir.path().join("loose"), "loose").unwrap();
            git(dir.path(), &["add", "."]);
            let all = git(dir.path(), &["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
            let git_dir = dir.path().join(".git");
            let objects = Objects::open(&git_dir, length).unwrap();
            assert_eq!(objects.packs.len(), 1);
            assert!(all.lines().count() > 300);
            for name in all.lines() {
                assert_eq!(objects.has(name), Some(true), "{name}");
            }
            for name in ["0", "f"].map(|digit| digit.repeat(length * 2)) {
                assert_eq!(objects.has(&name), Some(false));
            }
            assert_eq!(objects.has("00"), None);
        }
    }

    #[test]
    fn an_index_that_is_torn_or_of_another_kind_is_left_to_git() {
        let dir = tempfile::tempdir().unwrap();
        let packs = dir.path().join("objects/pack");
        fs::create_dir_all(&packs).unwrap();
        fs::write(packs.join("pack-1.idx"), [&MAGIC[..], &[0; FANOUT * 4]].concat()).unwrap();
        assert!(Objects::open(dir.path(), 20).is_some(), "an index without its pack is nothing");
        fs::write(packs.join("pack-1.pack"), "PACK").unwrap();
        assert!(Objects::open(dir.path(), 20).is_none(), "its end is missing");
        fs::write(packs.join("pack-1.idx"), [&MAGIC[..], &[0; FANOUT * 4 + 40]].concat()).unwrap();
        assert_eq!(Objects::open(dir.path(), 20).unwrap().has(&"1".repeat(40)), Some(false));
        fs::create_dir_all(dir.path().join("objects/info")).unwrap();
        fs::write(dir.path().join("objects/info/alternates"), "/elsewhere\n").unwrap();
        assert!(Objects::open(dir.path(), 20).is_none());
    }
}
