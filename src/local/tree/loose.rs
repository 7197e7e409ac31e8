//! The objects of a small pack as loose ones, made without a process of git.

use std::fmt::Write as _;
use std::io::{Read, Write as _};

use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::index::Hash;

/// Kinds of objects by their numbers in a pack: gitformat-pack(5). What is more is a delta.
const KINDS: [&str; 4] = ["commit", "tree", "blob", "tag"];

/// Larger objects, in bytes, are left to git.
const LARGEST: u64 = 1 << 20;

/// An object and its file.
pub struct Loose {
    /// The path below `objects`.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// The objects of a pack; `None` where it is damaged or has deltas: git is to be asked then. An object's name has `name`
/// bytes.
pub fn of_pack(pack: &[u8], name: usize) -> Option<Vec<Loose>> {
    let (body, sum) = pack.split_at_checked(pack.len().checked_sub(name)?)?;
    let (head, mut rest) = body.split_at_checked(12)?;
    let word = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
    if digest(body, name) != sum || !head.starts_with(b"PACK") || word(4)? != 2 {
        return None;
    }
    let mut found = Vec::new();
    for _ in 0..word(8)? {
        let (kind, size) = header(&mut rest)?;
        let mut content = format!("{kind} {size}\0").into_bytes();
        let start = content.len() as u64;
        let mut unpacked = ZlibDecoder::new(rest);
        unpacked.by_ref().take(LARGEST).read_to_end(&mut content).ok()?;
        if content.len() as u64 - start != size {
            return None;
        }
        rest = unpacked.into_inner();
        found.push(loose(&content, name)?);
    }
    rest.is_empty().then_some(found)
}

/// The kind and the size of the object that follows.
fn header(rest: &mut &[u8]) -> Option<(&'static str, u64)> {
    let mut next = || {
        let (first, others) = rest.split_first()?;
        *rest = others;
        Some(*first)
    };
    let mut byte = next()?;
    let kind = KINDS.get(usize::from(byte >> 4 & 7).checked_sub(1)?)?;
    let (mut size, mut shift) = (u64::from(byte & 15), 4);
    while byte & 0x80 != 0 {
        byte = next()?;
        size |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
    }
    (size < LARGEST).then_some((kind, size))
}

fn loose(content: &[u8], name: usize) -> Option<Loose> {
    let mut path = String::new();
    for (place, byte) in digest(content, name).iter().enumerate() {
        let slash = if place == 1 { "/" } else { "" };
        write!(path, "{slash}{byte:02x}").ok()?;
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content).ok()?;
    Some(Loose { path, bytes: packed.finish().ok()? })
}

fn digest(bytes: &[u8], name: usize) -> Vec<u8> {
    let mut hash = Hash::new(name);
    hash.add(bytes);
    hash.end()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::local::tests::git;

    /// A pack of these objects, as git makes it.
    fn pack(dir: &Path, objects: &str, options: &str) -> Vec<u8> {
        let command = format!("printf '%s\\n' {objects} | git pack-objects -q {options} --stdout > pack");
        let status = std::process::Command::new("sh").args(["-c", &command]).current_dir(dir).status().unwrap();
        assert!(status.success());
        fs::read(dir.join("pack")).unwrap()
    }

    #[test]
    fn objects_of_a_pack_are_what_git_makes_of_them() {
        for (format, name) in [("sha1", 20), ("sha256", 32)] {
            let dir = tempfile::tempdir().unwrap();
            let made = |args: &[&str]| git(dir.path(), args);
            made(&["init", "-q", &format!("--object-format={format}")]);
            fs::write(dir.path().join("file"), "x".repeat(5000)).unwrap();
            made(&["add", "."]);
            made(&["commit", "-qm", "one"]);
            made(&["tag", "-a", "-m", &"a long message ".repeat(30), "annotated"]);
            let names = made(&["rev-parse", "annotated", "HEAD", "HEAD^{tree}", "HEAD:file"]);
            let pack = pack(dir.path(), &names.replace('\n', " "), "");
            let there = tempfile::tempdir().unwrap();
            git(there.path(), &["init", "-q", &format!("--object-format={format}")]);
            for object in of_pack(&pack, name).unwrap() {
                let path = there.path().join(".git/objects").join(object.path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, object.bytes).unwrap();
            }
            git(there.path(), &["fsck", "--strict"]);
            for object in names.lines() {
                let text = |dir: &Path| git(dir, &["cat-file", "-p", object]);
                assert_eq!(text(there.path()), text(dir.path()));
            }
            for place in 0..pack.len() {
                let mut damaged = pack.clone();
                damaged[place] ^= 4;
                assert!(of_pack(&damaged, name).is_none() && of_pack(&pack[..place], name).is_none(), "{place}");
            }
        }
    }

    #[test]
    fn deltas_are_left_to_git() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q"]);
        let text: String = (0..500).map(|line| format!("line {line}\n")).collect();
        let names = [text.clone(), text + "one more"].map(|text| {
            fs::write(dir.path().join("file"), text).unwrap();
            git(dir.path(), &["hash-object", "-w", "file"])
        });
        let whole = pack(dir.path(), &names.join(" "), "--window=0");
        assert_eq!(of_pack(&whole, 20).unwrap().len(), 2);
        let delta = pack(dir.path(), &names.join(" "), "--window=10");
        assert!(delta.len() < whole.len() && of_pack(&delta, 20).is_none());
    }
}
