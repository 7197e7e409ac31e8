//! Files that git-fat keeps out of git. It fetches them by itself, with rsync, from where the repository's `.gitfat` says.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::wire::Revision;

use super::content::{ExternalContent, Part};
use super::git::Git;
use super::put;
use super::put::Put;
use crate::local::fault::Fault;
use crate::local::os::process::Feed;
use crate::local::os::way;
use crate::local::shared::record::Record;

/// What stands in git for a file of git-fat's is this long, and begins like this: git-fat's own format.
const PLACEHOLDER: (u64, &[u8]) = (74, b"#$# git-fat ");

/// Says where its server is, at the top of a tree.
const CONFIGURATION: &str = ".gitfat";

/// Fails where git-fat is not installed.
pub fn require(git: &Git) -> Result<(), Fault> {
    let answer = git.call(&["fat"], Feed::Nothing)?;
    if answer.errors.contains("is not a git command") {
        return Err(Fault::failed("git_fat or git_binary_manager needs git-fat, which is not installed on this host"));
    }
    Ok(())
}

/// Has git-fat bring the content of its files, and puts that into a tree.
pub fn check_out(extras: &ExternalContent, revision: &Revision, part: &Part) -> Result<(), Fault> {
    let git = part.git(extras.deadline);
    let call = |git: &Git, step: &str| {
        let answer = git.call(&["fat", step], Feed::Nothing)?;
        git.expect(&answer, &format!("fat {step}"))
    };
    call(&git, "init")?;
    let answer = git.call(&["ls-files", "-z"], Feed::Nothing)?;
    git.expect(&answer, "ls-files")?;
    let record = Record::of(&part.tree);
    let is_left = |path: &&Path| !record.covers(path) && is_placeholder(&part.tree, path);
    let left: Vec<PathBuf> = answer.paths().filter(is_left).map(Path::to_owned).collect();
    if left.is_empty() {
        return Ok(());
    }
    let beside = put::beside(&extras.layout, revision, "fat");
    let put = Put { git, top: &part.tree, tree: &part.tree, beside };
    // It opens files by their paths, and reads its configuration beside them: it works where nobody else writes.
    let with_configuration = [&left[..], &[PathBuf::from(CONFIGURATION)]].concat();
    put.filled_files(&with_configuration, |beside| {
        call(&Git::at(&part.git_dir, beside, extras.deadline), "pull")?;
        match left.iter().find(|path| is_placeholder(beside, path)) {
            Some(path) => Err(Fault::failed(format!("git-fat found no content for {}", path.display()))),
            None => Ok(()),
        }
    })?;
    put.remember(&left)?;
    extras.out.info("git-fat checked its files out");
    Ok(())
}

/// Whether a file of a tree is one that stands in git for a file of git-fat's. No link is followed to it.
fn is_placeholder(tree: &Path, path: &Path) -> bool {
    let may_be = fs::symlink_metadata(tree.join(path)).is_ok_and(|found| found.len() == PLACEHOLDER.0);
    let entry = || way::in_tree(tree, path, false).ok().flatten();
    let file = may_be.then(entry).flatten().and_then(|entry| entry.open_file().ok());
    let mut start = [0; PLACEHOLDER.1.len()];
    file.is_some_and(|mut file| file.read_exact(&mut start).is_ok() && start == PLACEHOLDER.1)
}
