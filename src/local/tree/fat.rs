//! Files that git-fat keeps out of git. It fetches them by itself, with rsync, from where the repository's `.gitfat` says.

use std::fs::File;
use std::io::Read;

use super::content::{ExternalContent, Part};
use super::git::Git;
use crate::local::fault::Fault;
use crate::local::os::process::Feed;

/// What stands in git for a file of git-fat's is this long, and begins like this: git-fat's own format.
const PLACEHOLDER: (u64, &[u8]) = (74, b"#$# git-fat ");

/// Fails where git-fat is not installed.
pub fn require(git: &Git) -> Result<(), Fault> {
    let answer = git.call(&["fat"], Feed::Nothing)?;
    if answer.errors.contains("is not a git command") {
        return Err(Fault::failed("git_fat or git_binary_manager needs git-fat, which is not installed on this host"));
    }
    Ok(())
}

/// Has git-fat put its files into a tree.
pub fn check_out(extras: &ExternalContent, part: &Part) -> Result<(), Fault> {
    let git = part.git_of_programs(extras);
    for step in ["init", "pull"] {
        let answer = git.call(&["fat", step], Feed::Nothing)?;
        git.expect(&answer, &format!("fat {step}"))?;
    }
    let answer = git.call(&["ls-files", "-z"], Feed::Nothing)?;
    git.expect(&answer, "ls-files")?;
    let is_placeholder = |path: &&str| {
        let path = part.tree.join(path);
        let mut start = [0; PLACEHOLDER.1.len()];
        std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == PLACEHOLDER.0)
            && File::open(&path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
            && start == PLACEHOLDER.1
    };
    match answer.output.split('\0').find(is_placeholder) {
        Some(path) => Err(Fault::failed(format!("git-fat found no content for {path}"))),
        None => {
            extras.out.info("git-fat checked its files out");
            Ok(())
        }
    }
}
