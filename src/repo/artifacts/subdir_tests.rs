use std::fs;
use std::path::Path;

use super::*;
use crate::repo::testing::{Scratch, git};

const NOTHING: Wanted = Wanted { submodules: false, large_files: false };
const ALL: Wanted = Wanted { submodules: true, large_files: true };

/// Files and links below a folder, without git's own: the path, then what it is.
fn listing(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    use std::os::unix::fs::PermissionsExt;
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let what = match about.file_type() {
                _ if path.ends_with(".git") => continue,
                kind if kind.is_dir() => {
                    folders.push(path);
                    continue;
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                _ => fs::read(&path).unwrap(),
            };
            let mode = u8::from(about.permissions().mode() & 0o100 != 0);
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), [&[mode], what.as_slice()].concat());
        }
    }
    found
}

/// A repository with a store of artifacts.
fn scratch() -> (Scratch, Repo) {
    let scratch = Scratch::new();
    let repo = scratch.repo.clone().with_artifacts(&scratch.path().join(".git/state"));
    (scratch, repo)
}

/// The files of an artifact, byte for byte.
fn exported(repo: &Repo, revision: &Revision) -> tempfile::TempDir {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = repo.artifacts().unwrap();
    git(folder.path(), &["clone", "-q", "--bare", store.git_dir().to_str().unwrap(), "it"]);
    let it = folder.path().join("it");
    fs::create_dir_all(it.join("info")).unwrap();
    fs::write(it.join("info/attributes"), "* -text -eol -ident -filter -working-tree-encoding\n").unwrap();
    let fetch = format!("+{revision}:refs/heads/it");
    git(&it, &["-c", "uploadpack.allowAnySHA1InWant=true", "fetch", "-q", store.git_dir().to_str().unwrap(), &fetch]);
    let work_tree = format!("--work-tree={}", out.path().display());
    git(&it, &["--git-dir=.", &work_tree, "checkout", "-q", "-f", "it", "--", "."]);
    out
}

/// Holds a directory of a commit to what a checkout of all of it has there.
fn is_as_checked_out(scratch: &Scratch, repo: &Repo, subdir: &str, wanted: Wanted) -> Revision {
    let commit = scratch.head();
    let revision = repo.subdir_revision(&commit, subdir, wanted).unwrap();
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["clone", "-q", "--no-checkout", scratch.path().to_str().unwrap(), "whole"]);
    let whole = folder.path().join("whole");
    git(&whole, &["checkout", "-q", "--detach", commit.as_str()]);
    if wanted.submodules {
        git(&whole, &["submodule", "-q", "update", "--init", "--recursive"]);
    }
    let (got, expected) = (listing(exported(repo, &revision).path()), listing(&whole.join(subdir)));
    assert!(!expected.is_empty());
    assert_eq!(got, expected, "{subdir} of {commit}");
    revision
}

fn write(scratch: &Scratch, name: &str, content: &[u8]) {
    let path = scratch.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_directory_is_what_a_checkout_of_all_has_there_whatever_attributes_say_and_wherever() {
    let (scratch, repo) = scratch();
    write(
        &scratch,
        ".gitattributes",
        b"*.txt text eol=crlf\n*.id ident\n/a/b/odd working-tree-encoding=UTF-16LE\n*.f filter=none\n[attr]own text eol=crlf\n*.own own\n",
    );
    write(&scratch, "a/.gitattributes", b"*.sh text eol=lf\nauto text=auto\nraw.txt -text\n");
    write(&scratch, "a/b/.gitattributes", b"inner.txt eol=lf\n");
    for name in
        ["x.txt", "raw.txt", "inner.txt", "run.sh", "auto", "x.id", "x.f", "x.own", "deep/y.txt", "deep/$Id$.id"]
    {
        write(&scratch, &format!("a/b/{name}"), b"one\n$Id$\nthree\n");
    }
    write(&scratch, "a/b/odd", b"1\0\n\0");
    write(&scratch, "a/b/new\nline.txt", b"1\n");
    write(&scratch, "a/b/\"quoted\".txt", b"1\n");
    write(&scratch, "a/b/.gitmodules", b"not what it seems\n");
    fs::write(scratch.path().join("a/b").join(OsStr::from_bytes(b"\xff.txt")), "latin\n").unwrap();
    std::os::unix::fs::symlink("../../elsewhere", scratch.path().join("a/b/link.txt")).unwrap();
    git(&scratch.path(), &["update-index", "--add", "--chmod=+x", "a/b/run.sh"]);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(scratch.path().join("a/b/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let first = scratch.commit("other/file", b"1");
    let revision = is_as_checked_out(&scratch, &repo, "a/b", ALL);
    assert_ne!(revision, is_as_checked_out(&scratch, &repo, "a", ALL));
    is_as_checked_out(&scratch, &repo, "a/b/deep", ALL);
    // The operator's own settings are none of the targets'.
    scratch.git(&["config", "core.autocrlf", "true"]);
    assert_eq!(repo.subdir_revision(&first, "a/b", ALL).unwrap(), revision);
    scratch.git(&["config", "core.autocrlf", "false"]);
    // What else a commit changes does not count; what it changes by attributes above does.
    scratch.commit("other/file", b"2");
    assert_eq!(is_as_checked_out(&scratch, &repo, "a/b", ALL), revision);
    scratch.commit(".gitattributes", b"*.txt text\n");
    assert_ne!(is_as_checked_out(&scratch, &repo, "a/b", ALL), revision);
}

#[test]
fn submodules_below_a_directory_are_part_of_it_and_others_need_not_be_here() {
    let ((scratch, repo), inner, innermost) = (scratch(), Scratch::new(), Scratch::new());
    innermost.commit("deep.txt", b"deep\n");
    inner.git(&["submodule", "-q", "add", innermost.path().to_str().unwrap(), "nested"]);
    write(&inner, ".gitattributes", b"*.txt eol=crlf\n");
    inner.commit("lib.txt", b"lib\n");
    write(&scratch, "app/main", b"main\n");
    scratch.git(&["submodule", "-q", "add", inner.path().to_str().unwrap(), "app/lib"]);
    scratch.git(&["submodule", "-q", "add", innermost.path().to_str().unwrap(), "other"]);
    scratch.git(&["submodule", "-q", "update", "--init", "--recursive"]);
    let commit = scratch.commit("app/main", b"main\n");
    fs::remove_dir_all(scratch.path().join("other")).unwrap();
    fs::rename(scratch.path().join(".git/modules/other"), scratch.path().join("away")).unwrap();
    let revision = repo.subdir_revision(&commit, "app", ALL).unwrap();
    fs::rename(scratch.path().join("away"), scratch.path().join(".git/modules/other")).unwrap();
    assert_eq!(is_as_checked_out(&scratch, &repo, "app", ALL), revision);
    // It is whole without them.
    let without = exported(&repo, &repo.subdir_revision(&commit, "app", NOTHING).unwrap());
    assert_eq!(listing(without.path()).len(), 1);
    let error = repo.subdir_revision(&commit, "app/lib", ALL).unwrap_err().to_string();
    assert!(error.contains("app/lib of") && error.contains("is a submodule"), "{error}");
    fs::remove_dir_all(scratch.path().join(".git/modules/app/lib/modules")).unwrap();
    fs::remove_dir_all(scratch.path().join("app/lib/nested")).unwrap();
    let error = repo.subdir_revision(&commit, "app", ALL).unwrap_err().to_string();
    assert!(error.contains("submodule app/lib/nested") && error.contains("is not here"), "{error}");
}

#[test]
fn the_contents_of_large_files_are_part_of_a_directory() {
    use sha2::Digest;
    let (scratch, repo) = scratch();
    let content = b"large content\n";
    let digits: String = sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digits}\nsize {}\n", content.len());
    let absent = pointer.replace(&digits, &"a".repeat(64));
    write(&scratch, ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&scratch, "app/x.bin", pointer.as_bytes());
    let commit = scratch.commit("other/y.bin", absent.as_bytes());
    let pointers = exported(&repo, &repo.subdir_revision(&commit, "app", NOTHING).unwrap());
    assert_eq!(fs::read(pointers.path().join("x.bin")).unwrap(), pointer.as_bytes());
    let error = repo.subdir_revision(&commit, "app", ALL).unwrap_err().to_string();
    assert!(error.contains("git-lfs has no content for app/x.bin"), "{error}");
    let place = scratch.path().join(".git/lfs/objects").join(&digits[..2]).join(&digits[2..4]).join(&digits);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, content).unwrap();
    let whole = exported(&repo, &repo.subdir_revision(&commit, "app", ALL).unwrap());
    assert_eq!(fs::read(whole.path().join("x.bin")).unwrap(), content);
}

#[test]
fn what_is_no_directory_is_refused_and_both_are_named() {
    let (scratch, repo) = scratch();
    std::os::unix::fs::symlink("a", scratch.path().join("link")).unwrap();
    let commit = scratch.commit("a/file", b"1");
    let refused = |subdir: &str| repo.subdir_revision(&commit, subdir, ALL).unwrap_err().to_string();
    for (subdir, what) in [
        ("b", "has no directory b:"),
        ("a/c", "has no directory a/c:"),
        ("a/file", "subdir: a/file of"),
        ("a/file/x", "subdir: a/file of"),
        ("link", "is a symbolic link"),
        (":(glob)a", "has no directory :(glob)a"),
    ] {
        let error = refused(subdir);
        assert!(error.contains(what) && error.contains(commit.short()), "{subdir}: {error}");
    }
    assert!(ArtifactStore::open(&scratch.path().join(".git/state")).is_none(), "nothing was made");
}

#[test]
fn an_artifact_outlives_the_commit_that_it_was_made_from() {
    let (scratch, repo) = scratch();
    let commit = scratch.commit("a/file", b"1");
    let revision = repo.subdir_revision(&commit, "a", ALL).unwrap();
    scratch.git(&["checkout", "-q", "--orphan", "other"]);
    scratch.git(&["commit", "-q", "-m", "other", "--allow-empty"]);
    scratch.git(&["branch", "-q", "-D", "main"]);
    scratch.git(&["rm", "-q", "-r", "--cached", "."]);
    scratch.git(&["reflog", "expire", "--expire=now", "--all"]);
    scratch.git(&["gc", "-q", "--prune=now"]);
    git(repo.artifacts().unwrap().git_dir(), &["fsck", "--strict", "--full"]);
    assert_eq!(listing(exported(&repo, &revision).path()).len(), 1);
}
