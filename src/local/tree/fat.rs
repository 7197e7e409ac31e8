//! Files that git-fat keeps out of git. It fetches them by itself, with rsync, from where the repository's `.gitfat` says.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::wire::Revision;

use super::content::{ExternalContent, Part};
use super::git::Git;
use super::index::Hash;
use super::put;
use super::put::Put;
use crate::local::fault::{Fault, Tried};
use crate::local::os::deadline::Deadline;
use crate::local::os::files;
use crate::local::os::process::Feed;
use crate::local::os::way;
use crate::local::shared::record::Record;

/// What stands in git for a file of git-fat's is this long, and begins like this: git-fat's own format.
const PLACEHOLDER: (u64, &[u8]) = (74, b"#$# git-fat ");

/// Digits of the SHA-1 that follows.
const SUM: usize = 40;

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
    let left: Vec<Left> = answer
        .paths()
        .filter(|path| !record.covers(path))
        .filter_map(|path| Some(Left { path: path.to_owned(), placeholder: placeholder(&part.tree, path)? }))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let paths: Vec<PathBuf> = left.iter().map(|file| file.path.clone()).collect();
    let beside = put::beside(&extras.layout, revision, "fat");
    let put = Put { git, top: &part.tree, tree: &part.tree, beside };
    // It opens files by their paths, and reads its configuration beside them: it works where nobody else writes.
    let with_configuration = [&paths[..], &[PathBuf::from(CONFIGURATION)]].concat();
    put.filled_files(&with_configuration, |beside| {
        let git = Git::at(&part.git_dir, beside, extras.deadline);
        let pull = || {
            call(&git, "pull")?;
            match left.iter().find(|file| is_placeholder(beside, &file.path)) {
                Some(file) => Err(Fault::failed(format!("git-fat found no content for {}", file.path.display()))),
                None => damaged(beside, &left, extras.deadline),
            }
        };
        let damaged = pull()?;
        if damaged.is_empty() {
            return Ok(());
        }
        // git-fat keeps what it has fetched, and takes that for whole from then on.
        for file in damaged {
            files::remove(&part.git_dir.join("fat/objects").join(file.sum()))?;
            let place = beside.join(&file.path);
            fs::write(&place, &file.placeholder).tried("write", &place)?;
        }
        match pull()?.first() {
            Some(file) => Err(Fault::failed(format!(
                "what git-fat brings for {} is damaged: its SHA-1 is not {}",
                file.path.display(),
                file.sum()
            ))),
            None => Ok(()),
        }
    })?;
    put.remember(&paths)?;
    extras.out.info("git-fat checked its files out");
    Ok(())
}

/// A file that git-fat is to fill.
struct Left {
    path: PathBuf,
    placeholder: Vec<u8>,
}

impl Left {
    /// The SHA-1 of the content, in hexadecimal digits.
    fn sum(&self) -> String {
        let digits = &self.placeholder[PLACEHOLDER.1.len()..][..SUM];
        digits.iter().filter(|digit| digit.is_ascii_hexdigit()).map(|digit| char::from(*digit)).collect()
    }
}

/// Those of these files that were filled with another content than their placeholders name. It reads each once more, at
/// the speed of SHA-1; only files that are new in a tree are looked at.
fn damaged<'a>(beside: &Path, left: &'a [Left], deadline: Deadline) -> Result<Vec<&'a Left>, Fault> {
    let mut damaged = Vec::new();
    for file in left {
        let place = beside.join(&file.path);
        let mut hash = Hash::new(SUM / 2);
        files::read_in_pieces(&place, deadline, |piece| hash.add(piece))?;
        let sum: String = hash.end().iter().map(|byte| format!("{byte:02x}")).collect();
        if sum != file.sum() {
            damaged.push(file);
        }
    }
    Ok(damaged)
}

/// Whether a file of a tree is one that stands in git for a file of git-fat's.
pub fn is_placeholder(tree: &Path, path: &Path) -> bool {
    placeholder(tree, path).is_some()
}

/// What stands in git for a file of git-fat's, where that is in the file's place. No link is followed to it.
fn placeholder(tree: &Path, path: &Path) -> Option<Vec<u8>> {
    let may_be = fs::symlink_metadata(tree.join(path)).is_ok_and(|found| found.len() == PLACEHOLDER.0);
    let entry = || way::in_tree(tree, path, false).ok().flatten();
    let file = may_be.then(entry).flatten().and_then(|entry| entry.open_file().ok());
    let mut text = Vec::new();
    file?.take(PLACEHOLDER.0).read_to_end(&mut text).ok()?;
    (text.len() as u64 == PLACEHOLDER.0 && text.starts_with(PLACEHOLDER.1)).then_some(text)
}
