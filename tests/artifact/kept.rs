//! What the deploy host's store keeps, and what becomes of the rest.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use hoist::repo::{ArtifactStore, Repo};
use hoist::wire::Revision;

use super::{RULES, imported, sh};

/// An artifact of so many files that git keeps it as a pack.
fn artifact(dir: &Path, store: &ArtifactStore, number: usize) -> Revision {
    sh(dir, &format!("mkdir -p app; for file in {{1..150}}; do echo {number} $file >app/$file; done"));
    store.revision_of_tree(&imported(&dir.join("app"), store.git_dir(), &RULES).unwrap().tree).unwrap()
}

fn has(store: &ArtifactStore, object: &str) -> bool {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(store.git_dir()).args(["cat-file", "-e", object]);
    git.output().unwrap().status.success()
}

#[test]
fn objects_of_artifacts_that_nobody_needs_go_once_they_are_many_and_old() {
    let dir = tempfile::tempdir().unwrap();
    sh(dir.path(), "git init -q repo");
    let repo = Repo::open(&dir.path().join("repo")).unwrap();
    let store = ArtifactStore::open_or_create(&dir.path().join("state"), &repo).unwrap();
    let old: Vec<Revision> = (0..14).map(|number| artifact(dir.path(), &store, number)).collect();
    let first_file =
        |revision: &Revision| sh(store.git_dir(), &format!("git rev-parse {revision}:1")).trim().to_owned();
    let files: Vec<String> = old.iter().map(first_file).collect();
    sh(store.git_dir(), "find objects -type f -exec touch -d '3 days ago' {} +");
    let young = artifact(dir.path(), &store, 14);
    let young_file = first_file(&young);

    // An import may be under way: what is young stays, whether it is needed or not.
    let gone = store.retain(&HashSet::from([old[3].clone()])).unwrap();
    assert_eq!(gone.len(), 14);
    let left: Vec<usize> = (0..14).filter(|number| has(&store, &files[*number])).collect();
    assert_eq!(left, [3], "the file of the one that is needed");
    assert!(has(&store, &young_file) && !store.has(&young));
    assert_eq!(store.revisions().unwrap(), std::slice::from_ref(&old[3]));
    sh(store.git_dir(), "git fsck --strict --full");
}
