//! The files of a revision that git-lfs keeps, and where the deploy host has them.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Repo;
use crate::wire::{LargeFile, Revision};

/// A pointer is shorter than this: git-lfs looks at no longer file.
const POINTER: u64 = 1024;

/// Missing files that an error names.
const NAMED: usize = 3;

/// A large file, and the file here that has its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub file: LargeFile,
    pub path: PathBuf,
}

/// A repository whose commit may have large files, and where they may be.
pub struct Searched<'a> {
    pub repo: &'a Repo,
    pub commit: &'a Revision,
    /// Ahead of paths in errors.
    pub shown: &'a str,
    /// git-lfs's folders `objects`.
    pub stores: Vec<PathBuf>,
}

/// The files that git-lfs keeps for these commits, each content once.
///
/// # Errors
/// Contents that are not here, with how to get them.
pub fn large_files(searched: &[Searched<'_>]) -> anyhow::Result<Vec<StoredFile>> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for Searched { repo, commit, shown, stores } in searched {
        for (path, file) in pointers(repo, commit)? {
            let is_whole = |path: &PathBuf| path.metadata().is_ok_and(|it| it.is_file() && it.len() == file.bytes());
            let place = stores.iter().map(|store| store.join(file.path())).find(is_whole);
            match place {
                // git-lfs makes an empty file of its own accord.
                _ if file.bytes() == 0 => {}
                Some(path) => drop(found.insert(file.oid().to_owned(), StoredFile { file, path })),
                None => missing.push(format!("{shown}{path}")),
            }
        }
    }
    let Some(Searched { commit, .. }) = searched.first().filter(|_| !missing.is_empty()) else {
        return Ok(found.into_values().collect());
    };
    let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
    missing.truncate(NAMED);
    bail!(
        "git-lfs has no content here for {}{more}: run `git lfs fetch origin {}`{}",
        missing.join(", "),
        commit.short(),
        if searched.len() > 1 { ", and in submodules `git lfs fetch`" } else { "" }
    )
}

/// The pointers in a commit that attributes give to git-lfs.
fn pointers(repo: &Repo, commit: &Revision) -> anyhow::Result<Vec<(String, LargeFile)>> {
    let mut small = repo.entries(commit)?;
    // To ask for attributes takes an index of the whole commit.
    if !small.iter().any(|entry| entry.path.rsplit('/').next() == Some(".gitattributes")) {
        return Ok(Vec::new());
    }
    small
        .retain(|entry| entry.mode.starts_with("100") && entry.bytes.is_some_and(|bytes| bytes > 0 && bytes < POINTER));
    let paths: Vec<&str> = small.iter().map(|entry| entry.path.as_str()).collect();
    let given = given_to_lfs(repo, commit, &paths)?;
    small.retain(|entry| given.contains(&entry.path));
    if small.is_empty() {
        return Ok(Vec::new());
    }
    let asked: String = small.iter().map(|entry| format!("{}\n", entry.object)).collect();
    let answer = repo.feed(repo.command(&["cat-file", "--batch=%(objectsize)"]), asked.as_bytes())?;
    let mut rest = answer.as_slice();
    let mut pointers = Vec::new();
    for entry in small {
        let content =
            next_blob(&mut rest).with_context(|| format!("git cat-file gave no content of {}", entry.path))?;
        pointers.extend(pointer(&String::from_utf8_lossy(content)).map(|file| (entry.path, file)));
    }
    Ok(pointers)
}

/// Takes `SIZE\nCONTENT\n` off the front.
fn next_blob<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let bytes: usize = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let content = rest.get(end + 1..end + 1 + bytes)?;
    *rest = rest.get(end + bytes + 2..)?;
    Some(content)
}

/// Reads a pointer in git-lfs's format, version 1; what is none is a file like others.
pub(crate) fn pointer(text: &str) -> Option<LargeFile> {
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("version ")?;
    if !["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"].contains(&version) {
        return None;
    }
    let (mut oid, mut bytes) = (None, None);
    for line in lines {
        match line.split_once(' ')? {
            ("oid", value) => oid = value.strip_prefix("sha256:"),
            ("size", value) => bytes = value.parse().ok(),
            _ => {}
        }
    }
    LargeFile::new(oid?, bytes?).ok()
}

/// Those of these paths that the commit's own attributes give to git-lfs. They are asked of an index that is made for
/// the purpose: the revision need not be the one that is checked out.
fn given_to_lfs(repo: &Repo, commit: &Revision, paths: &[&str]) -> anyhow::Result<HashSet<String>> {
    if paths.is_empty() {
        return Ok(HashSet::new());
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let with_index = |arguments: &[&str]| {
        let mut command = repo.command(arguments);
        command.env("GIT_INDEX_FILE", folder.path().join("index")).env("GIT_ATTR_NOSYSTEM", "1");
        command
    };
    repo.feed(with_index(&["read-tree", commit.as_str()]), b"")?;
    let asked: String = paths.iter().map(|path| format!("{path}\0")).collect();
    let arguments = ["-c", "core.attributesFile=/dev/null", "check-attr", "--cached", "--stdin", "-z", "filter"];
    let answer = repo.feed(with_index(&arguments), asked.as_bytes())?;
    let answer = String::from_utf8_lossy(&answer);
    // `path`, `filter`, its value.
    let words: Vec<&str> = answer.split('\0').collect();
    Ok(words.chunks_exact(3).filter(|words| words[2] == "lfs").map(|words| words[0].to_owned()).collect())
}

/// Where git-lfs keeps its objects for a repository in `git_dir`, which its configuration may have moved.
pub fn store(git_dir: &Path, configured: Option<&str>) -> PathBuf {
    match configured.filter(|path| !path.is_empty()) {
        Some(path) => git_dir.join(path).join("objects"),
        None => git_dir.join("lfs/objects"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::Scratch;
    use std::fs;

    const OID: &str = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4";

    fn text(oid: &str, bytes: &str) -> String {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {bytes}\n")
    }

    #[test]
    fn a_pointer_is_read_and_what_is_none_is_not() {
        assert_eq!(pointer(&text(OID, "3")), Some(LargeFile::new(OID, 3).unwrap()));
        let extended = text(OID, "3").replace("oid", "ext-0-foo sha256:x\noid");
        assert_eq!(pointer(&extended).unwrap().oid(), OID);
        for bad in
            [text("../../etc/passwd", "3"), text(OID, "-3"), text(&OID[1..], "3"), "version x\n".into(), "".into()]
        {
            assert_eq!(pointer(&bad), None, "{bad}");
        }
    }

    fn find(scratch: &Scratch, commit: &Revision) -> anyhow::Result<Vec<StoredFile>> {
        let stores = vec![scratch.path().join(".git/lfs/objects")];
        large_files(&[Searched { repo: &scratch.repo, commit, shown: "", stores }])
    }

    #[test]
    fn only_pointers_that_attributes_give_to_git_lfs_are_large_files() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("sample.txt"), text(OID, "3")).unwrap();
        fs::write(scratch.path().join("plain.bin"), "not a pointer").unwrap();
        let first = scratch.commit(".gitattributes", b"*.bin filter=lfs\n");
        assert_eq!(find(&scratch, &first).unwrap(), []);
        let second = scratch.commit("d\u{e9}/x y.bin", text(OID, "3").as_bytes());
        let error = format!("{:#}", find(&scratch, &second).unwrap_err());
        assert!(error.contains("d\u{e9}/x y.bin: run `git lfs fetch origin"), "{error}");
        let place = scratch.path().join(".git/lfs/objects").join(LargeFile::new(OID, 3).unwrap().path());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "hi").unwrap();
        assert!(find(&scratch, &second).is_err(), "half a file is none");
        fs::write(&place, "hi\n").unwrap();
        assert_eq!(find(&scratch, &second).unwrap()[0].path, place);
        // What is checked out says nothing on an older revision.
        assert_eq!(find(&scratch, &first).unwrap(), []);
    }

    #[test]
    fn a_store_is_where_git_lfs_was_told_to_keep_it() {
        assert_eq!(store(Path::new("/r/.git"), None), Path::new("/r/.git/lfs/objects"));
        assert_eq!(store(Path::new("/r/.git"), Some("../big")), Path::new("/r/.git/../big/objects"));
        assert_eq!(store(Path::new("/r/.git"), Some("/big")), Path::new("/big/objects"));
    }
}
