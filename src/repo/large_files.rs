//! The files of a revision that git-lfs keeps, and where the deploy host has them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Repo;
use super::tree::TreeEntry;
use crate::wire::{LargeFile, Revision};

/// Missing files that an error names.
const NAMED: usize = 3;

/// A large file, and the file here that has its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub file: LargeFile,
    pub path: PathBuf,
    /// Its path in the revision, as it is shown.
    pub shown: String,
}

/// A repository whose commit may have large files, and where they may be.
pub struct Searched<'a> {
    pub repo: &'a Repo,
    pub commit: &'a Revision,
    /// Ahead of paths in errors.
    pub shown: String,
    /// git-lfs's folders `objects`.
    pub stores: Vec<PathBuf>,
}

/// The files that git-lfs keeps for these commits, each content once.
///
/// # Errors
/// Contents that are not here, with how to get them.
pub fn large_files(searched: &[Searched<'_>]) -> anyhow::Result<Vec<StoredFile>> {
    let by_content = located(searched, "")?.into_iter().map(|(_, stored)| (stored.file.oid().to_owned(), stored));
    Ok(by_content.collect::<BTreeMap<_, _>>().into_values().collect())
}

/// The files that git-lfs keeps for these commits, by their paths as they are shown; only those whose shown path begins
/// so.
///
/// # Errors
/// Contents that are not here, with how to get them.
pub(super) fn located(searched: &[Searched<'_>], below: &str) -> anyhow::Result<Vec<(String, StoredFile)>> {
    let (mut found, mut missing, mut unlike) = (Vec::new(), Vec::new(), Vec::new());
    // The first repository is the one that is deployed; the others are its submodules.
    let mut first_lacks = false;
    for (number, Searched { repo, commit, shown, stores }) in searched.iter().enumerate() {
        for (path, file) in pointers(repo, commit)? {
            let path = format!("{shown}{path}");
            if !path.starts_with(below) {
                continue;
            }
            let places = || stores.iter().map(|store| store.join(file.path()));
            let length = |path: &PathBuf| path.metadata().ok().filter(|it| it.is_file()).map(|it| it.len());
            let place = places().find(|path| length(path) == Some(file.bytes()));
            match place {
                // git-lfs makes an empty file of its own accord.
                _ if file.bytes() == 0 => {}
                Some(place) => {
                    let shown = path.clone();
                    found.push((path, StoredFile { file, path: place, shown }));
                }
                None => match places().find_map(|stored| Some((length(&stored)?, stored))) {
                    Some(stored) => unlike.push((path, file.bytes(), stored)),
                    None => {
                        first_lacks |= number == 0;
                        missing.push(path);
                    }
                },
            }
        }
    }
    if let Some((path, meant, (length, stored))) = unlike.first() {
        bail!(
            "git-lfs has {length} bytes for {path} here, and its pointer says {meant}: remove {} and run `git lfs fetch`, \
             or, if the pointer is wrong, commit the file anew",
            stored.display()
        );
    }
    let Some(Searched { repo, commit, .. }) = searched.first().filter(|_| !missing.is_empty()) else {
        return Ok(found);
    };
    let lacking = crate::text::some(&missing, NAMED);
    if !first_lacks {
        bail!(
            "git-lfs has no content for {lacking} here: run `git lfs fetch` in its submodule, and in submodules of that"
        );
    }
    let Some(remote) = remote(repo) else {
        bail!(
            "git-lfs has no content for {lacking} here, and this repository has no remote to fetch it from: add one with \
             `git remote add`, or put the content into {} from a clone that has it",
            searched[0].stores.first().map_or(Path::new(".git/lfs/objects"), PathBuf::as_path).display()
        )
    };
    bail!(
        "git-lfs has no content for {lacking} here: run `git lfs fetch {remote} {}`{}",
        commit.short(),
        if searched.len() > 1 { ", and in submodules `git lfs fetch`" } else { "" }
    )
}

/// The remote that contents are fetched from.
fn remote(repo: &Repo) -> Option<String> {
    let answer = repo.feed(repo.command(&["remote"]), b"").unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().find(|name| *name == "origin").or(answer.lines().next()).map(str::to_owned)
}

/// How a pointer of git-fat begins.
const FAT: &str = "#$# git-fat ";

/// The files among a commit's entries that are deployed as pointers when nobody checks out what they point to: those of
/// git-lfs, and those of git-fat.
pub(super) fn pointer_paths(
    repo: &Repo,
    commit: &Revision,
    entries: &[TreeEntry],
) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut lfs, mut fat) = (Vec::new(), Vec::new());
    for (filter, path, text) in filtered(repo, commit, entries, &["lfs", "fat"])? {
        match filter.as_str() {
            "lfs" if LargeFile::of_pointer(&text).is_some() => lfs.push(path),
            "fat" if text.starts_with(FAT) => fat.push(path),
            _ => {}
        }
    }
    Ok((lfs, fat))
}

/// The pointers in a commit that attributes give to git-lfs.
fn pointers(repo: &Repo, commit: &Revision) -> anyhow::Result<Vec<(String, LargeFile)>> {
    let files = filtered(repo, commit, &repo.entries(commit)?, &["lfs"])?;
    Ok(files.into_iter().filter_map(|(_, path, text)| Some((path, LargeFile::of_pointer(&text)?))).collect())
}

/// The small files among a commit's entries that attributes give to one of these filters: the filter, the path, the text.
fn filtered(
    repo: &Repo,
    commit: &Revision,
    entries: &[TreeEntry],
    filters: &[&str],
) -> anyhow::Result<Vec<(String, String, String)>> {
    // To ask for attributes takes an index of the whole commit.
    if !entries.iter().any(|entry| entry.path.rsplit('/').next() == Some(".gitattributes")) {
        return Ok(Vec::new());
    }
    let is_small = |entry: &&TreeEntry| {
        entry.mode.starts_with("100") && entry.bytes.is_some_and(|bytes| bytes > 0 && bytes < LargeFile::POINTER)
    };
    let mut small: Vec<TreeEntry> = entries.iter().filter(is_small).cloned().collect();
    let paths: Vec<&str> = small.iter().map(|entry| entry.path.as_str()).collect();
    let mut given = given_to(filters, repo, commit, &paths)?;
    small.retain(|entry| given.contains_key(&entry.path));
    if small.is_empty() {
        return Ok(Vec::new());
    }
    let contents = repo.contents(&small)?;
    let text = |content: Vec<u8>| String::from_utf8_lossy(&content).into_owned();
    let file = |(entry, content): (TreeEntry, Vec<u8>)| {
        (given.remove(&entry.path).unwrap_or_default(), entry.path, text(content))
    };
    Ok(small.into_iter().zip(contents).map(file).collect())
}

/// Those of these paths that the commit's own attributes give to one of these filters, and to which. They are asked of an index that is made for
/// the purpose: the revision need not be the one that is checked out.
fn given_to(
    filters: &[&str],
    repo: &Repo,
    commit: &Revision,
    paths: &[&str],
) -> anyhow::Result<HashMap<String, String>> {
    if paths.is_empty() {
        return Ok(HashMap::new());
    }
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
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
    let ours = words.chunks_exact(3).filter(|words| filters.contains(&words[2]));
    Ok(ours.map(|words| (words[0].to_owned(), words[2].to_owned())).collect())
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

    fn find(scratch: &Scratch, commit: &Revision) -> anyhow::Result<Vec<StoredFile>> {
        let stores = vec![scratch.path().join(".git/lfs/objects")];
        large_files(&[Searched { repo: &scratch.repo, commit, shown: String::new(), stores }])
    }

    #[test]
    fn only_pointers_that_attributes_give_to_git_lfs_are_large_files() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("sample.txt"), text(OID, "3")).unwrap();
        fs::write(scratch.path().join("plain.bin"), "not a pointer").unwrap();
        let first = scratch.commit(".gitattributes", b"*.bin filter=lfs\n");
        assert_eq!(find(&scratch, &first).unwrap(), []);
        let second = scratch.commit("d\u{e9}/x y.bin", text(OID, "3").as_bytes());
        let fails = || format!("{:#}", find(&scratch, &second).unwrap_err());
        assert!(fails().contains("x y.bin here, and this repository has no remote to fetch it from"), "{}", fails());
        for (remote, named) in [("upstream", "upstream"), ("origin", "origin"), ("another", "origin")] {
            scratch.git(&["remote", "add", remote, "https://git.example.org/app"]);
            let says = format!("d\u{e9}/x y.bin here: run `git lfs fetch {named} {}`", second.short());
            assert!(fails().contains(&says), "{}", fails());
        }
        let place = scratch.path().join(".git/lfs/objects").join(LargeFile::new(OID, 3).unwrap().path());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "hi").unwrap();
        let error = format!("{:#}", find(&scratch, &second).unwrap_err());
        let says = format!("has 2 bytes for d\u{e9}/x y.bin here, and its pointer says 3: remove {}", place.display());
        assert!(error.contains(&says), "half a file is none: {error}");
        fs::write(&place, "hi\n").unwrap();
        assert_eq!(find(&scratch, &second).unwrap()[0].path, place);
        // What is checked out says nothing on an older revision.
        assert_eq!(find(&scratch, &first).unwrap(), []);
    }

    #[test]
    fn files_whose_content_nobody_checks_out_are_found_by_their_pointers() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("a.bin"), text(OID, "3")).unwrap();
        fs::write(scratch.path().join("b.bin"), "no pointer").unwrap();
        fs::write(scratch.path().join("c.jar"), "#$# git-fat 0123456789012345678901234567890123456789 5\n").unwrap();
        let commit = scratch.commit(".gitattributes", b"*.bin filter=lfs\n*.jar filter=fat\n");
        let found = |scratch: &Scratch, commit: &Revision| {
            pointer_paths(&scratch.repo, commit, &scratch.repo.entries(commit).unwrap()).unwrap()
        };
        assert_eq!(found(&scratch, &commit), (vec!["a.bin".into()], vec!["c.jar".into()]));
        let plain = Scratch::new();
        let commit = plain.commit("a.bin", text(OID, "3").as_bytes());
        assert_eq!(found(&plain, &commit), (vec![], vec![]));
    }

    #[test]
    fn a_store_is_where_git_lfs_was_told_to_keep_it() {
        assert_eq!(store(Path::new("/r/.git"), None), Path::new("/r/.git/lfs/objects"));
        assert_eq!(store(Path::new("/r/.git"), Some("../big")), Path::new("/r/.git/../big/objects"));
        assert_eq!(store(Path::new("/r/.git"), Some("/big")), Path::new("/big/objects"));
    }
}
