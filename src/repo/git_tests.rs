use std::fs;

use super::*;
use crate::repo::testing::{Scratch, git};
use crate::repo::{Commits, Distance, TreeSize};

#[test]
fn a_revision_is_found_in_every_spelling_of_git() {
    let scratch = Scratch::new();
    let first = scratch.commit("a", b"1");
    let second = scratch.commit("b", b"2");
    scratch.git(&["tag", "-a", "-m", "annotated", "v1", first.as_str()]);
    scratch.git(&["checkout", "-q", "--detach"]);
    for rev in ["HEAD", "main", second.short(), second.as_str(), ":/change b", "@"] {
        assert_eq!(scratch.repo.resolve(rev).unwrap(), second, "{rev}");
    }
    for rev in ["HEAD~1", "v1", "refs/tags/v1", "v1^{}", ":/change a", "HEAD^{/change a}"] {
        assert_eq!(scratch.repo.resolve(rev).unwrap(), first, "{rev}");
    }
}

#[test]
fn a_revision_that_is_not_there_is_named_with_its_repository() {
    let scratch = Scratch::new();
    scratch.commit("a", b"1");
    let blob = scratch.git(&["rev-parse", "HEAD:a"]);
    let range = ["HEAD..HEAD", "^HEAD", "-h", "--all", "--help", "", " ", "HEAD\n", "nul\0", "nowhere", blob.as_str()];
    for rev in range {
        let error = format!("{:#}", scratch.repo.resolve(rev).unwrap_err());
        let top = scratch.repo.top().display().to_string();
        assert!(error.contains(&format!("{rev:?}")) && error.contains(&top), "{error}");
    }
}

#[test]
fn commits_of_histories_that_have_nothing_in_common_are_each_on_their_side() {
    let scratch = Scratch::new();
    scratch.commit("a", b"1");
    let old = scratch.commit("b", b"2");
    scratch.git(&["checkout", "-q", "--orphan", "rewritten"]);
    let first = scratch.commit("c", b"3");
    let second = scratch.commit("d", b"4");
    let third = scratch.commit("e", b"5");
    let Distance::Diverged { new, missing } = scratch.repo.distance(&old, &third, 9).unwrap() else { panic!() };
    let named = |commits: &Commits| commits.newest.iter().map(|it| it.revision.clone()).collect::<Vec<_>>();
    assert_eq!((new.count, named(&new)), (3, vec![third, second, first]));
    assert_eq!((missing.count, missing.newest.len()), (2, 2));
    assert_eq!(missing.newest[0].revision, old);
}

#[test]
fn an_option_is_never_taken_for_a_revision_nor_obeyed() {
    let scratch = Scratch::new();
    scratch.commit("a", b"1");
    scratch.git(&["update-ref", "refs/heads/-q", "HEAD"]);
    assert_eq!(scratch.repo.resolve("-q").unwrap(), scratch.head());
    assert!(scratch.repo.resolve("--git-dir").is_err());
}

#[test]
fn a_folder_without_a_repository_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = format!("{:#}", Repo::open(folder.path()).unwrap_err());
    assert!(error.contains(folder.path().to_str().unwrap()) && error.contains("not a git repository"), "{error}");
    assert!(Repo::open(Path::new("/nonexistent")).is_err());
    git(folder.path(), &["init", "-q", "--bare"]);
    let error = format!("{:#}", Repo::open(folder.path()).unwrap_err());
    assert!(error.contains("work tree"), "{error}");
}

#[test]
fn a_repository_whose_path_has_a_newline_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let top = fs::canonicalize(folder.path()).unwrap().join("two\nlines\n");
    fs::create_dir(&top).unwrap();
    git(&top, &["init", "-q"]);
    let repo = Repo::open(&top).unwrap();
    assert_eq!((repo.top(), repo.git_dir()), (top.as_path(), top.join(".git").as_path()));
}

#[test]
fn a_repository_is_opened_from_below_and_from_another_working_tree_of_it() {
    let scratch = Scratch::new();
    scratch.commit("deep/er/file", b"1");
    let top = fs::canonicalize(scratch.path()).unwrap();
    let below = Repo::open(&scratch.path().join("deep/er")).unwrap();
    assert_eq!((below.top(), below.git_dir()), (top.as_path(), top.join(".git").as_path()));
    let other = tempfile::tempdir().unwrap();
    let tree = other.path().join("tree");
    scratch.git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    let tree = Repo::open(&tree).unwrap();
    assert_eq!(tree.git_dir(), top.join(".git"));
    assert_eq!(tree.resolve("HEAD").unwrap(), scratch.head());
}

#[test]
fn a_changed_file_makes_the_tree_dirty_and_an_unknown_one_does_not() {
    let scratch = Scratch::new();
    scratch.commit("a", b"1");
    fs::write(scratch.path().join("unknown"), "x").unwrap();
    assert!(scratch.repo.changed_files().unwrap().is_empty());
    fs::write(scratch.path().join("a"), "changed").unwrap();
    assert_eq!(scratch.repo.changed_files().unwrap(), ["a"]);
    scratch.git(&["add", "a"]);
    assert_eq!(scratch.repo.changed_files().unwrap(), ["a"]);
}

#[test]
fn the_edge_of_a_shallow_clone_is_known() {
    let scratch = Scratch::new();
    scratch.commit("a", b"1");
    let second = scratch.commit("a", b"2");
    let third = scratch.commit("a", b"3");
    assert_eq!(scratch.repo.shallow().unwrap(), []);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", scratch.path().display());
    git(folder.path(), &["clone", "-q", "--depth=2", &url, "clone"]);
    let clone = Repo::open(&folder.path().join("clone")).unwrap();
    assert_eq!(clone.shallow().unwrap(), [second]);
    assert_eq!(clone.resolve("HEAD").unwrap(), third);
}

#[test]
fn a_tree_takes_whole_blocks_and_an_inode_for_all_that_stands_in_it() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("with\nnewline"), "").unwrap();
    std::os::unix::fs::symlink("a", scratch.path().join("link")).unwrap();
    scratch.commit("dir/sub/big", &[0; 4097]);
    let head = scratch.commit("a", b"1");
    // The top, dir, dir/sub; big, the empty file, the link, a.
    let size = scratch.repo.tree(&head).unwrap().size();
    assert_eq!(size, TreeSize { bytes: 3 * 4096 + 8192 + 4096 + 4096, inodes: 7 });
}

#[test]
fn only_commits_that_are_here_are_said_to_be() {
    let scratch = Scratch::new();
    let first = scratch.commit("a", b"1");
    let second = scratch.commit("a", b"2");
    let stranger: Revision = "1".repeat(40).parse().unwrap();
    let tree: Revision = scratch.git(&["rev-parse", "HEAD^{tree}"]).parse().unwrap();
    let asked = [stranger.clone(), second.clone(), tree, first.clone()];
    assert_eq!(scratch.repo.has(&asked).unwrap(), [second.clone(), first]);
    assert_eq!(scratch.repo.has(&[]).unwrap(), []);
    // More than a pipe holds, both ways.
    let many: Vec<Revision> =
        (0..10_000).map(|n| format!("{n:040x}").parse().unwrap()).chain([second.clone()]).collect();
    assert_eq!(scratch.repo.has(&many).unwrap(), [second]);
}

#[test]
fn a_file_exists_in_its_revision_only_and_a_folder_is_none() {
    let scratch = Scratch::new();
    let first = scratch.commit("hoist/scripts/check*", b"1");
    let second = scratch.commit("-x", b"2");
    let exists = |revision, path| scratch.repo.file_exists(revision, path).unwrap();
    assert!(exists(&first, "hoist/scripts/check*") && exists(&second, "-x"));
    assert!(!exists(&first, "-x") && !exists(&first, "hoist/scripts") && !exists(&first, "hoist/scripts/"));
    assert!(!exists(&first, "hoist/scripts/c*") && !exists(&first, "*"));
}

#[test]
fn a_calling_hook_does_not_lead_git_to_another_repository() {
    let scratch = Scratch::new();
    scratch.commit("a", b"1");
    let command = scratch.repo.command(&["status"]);
    let removed = |name: &str| command.get_envs().any(|(key, value)| key == name && value.is_none());
    assert!(removed("GIT_DIR") && removed("GIT_INDEX_FILE") && removed("GIT_WORK_TREE"));
}
