//! What files of the working tree hold, beside what commits hold at their place.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;

use super::Repo;
use super::tree::TreeEntry;
use crate::wire::Revision;

/// Arguments of one command: far from what a system takes.
const AT_ONCE: usize = 500;

/// More of a line is not read, in bytes.
const LINE: usize = 4096;

impl Repo {
    /// Whether a revision holds a file (not a folder) at this path, which is relative to the top.
    pub fn file_exists(&self, revision: &Revision, path: &str) -> anyhow::Result<bool> {
        let listing =
            self.run(&["--literal-pathspecs", "ls-tree", "-z", "--full-tree", revision.as_str(), "--", path])?;
        Ok(listing.split(|byte| *byte == 0).any(|entry| {
            let mut parts = entry.splitn(2, |byte| *byte == b'\t');
            let head = parts.next().unwrap_or_default();
            parts.next() == Some(path.as_bytes()) && head.split(|byte| *byte == b' ').nth(1) == Some(b"blob")
        }))
    }

    /// The first line of a revision's file, without its newline; what is not UTF-8 is replaced.
    pub fn first_line(&self, revision: &Revision, path: &str) -> anyhow::Result<String> {
        let content = self.run(&["cat-file", "blob", &format!("{revision}:{path}")])?;
        let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(String::from_utf8_lossy(&line[..line.len().min(LINE)]).into_owned())
    }

    /// What these files and links of a commit hold, in their order.
    pub(super) fn contents(&self, entries: &[TreeEntry]) -> anyhow::Result<Vec<Vec<u8>>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let asked: String = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
        let answer = self.feed(self.command(&["cat-file", "--batch=%(objectsize)"]), asked.as_bytes())?;
        let mut rest = answer.as_slice();
        let content = |entry: &TreeEntry| {
            let content = next_blob(&mut rest).map(<[u8]>::to_vec);
            content.with_context(|| format!("git cat-file gave no content of {}", entry.path))
        };
        entries.iter().map(content).collect()
    }

    /// Git's names of what files hold now, in their order, made as `git add` would make them.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn hash_files(&self, paths: &[PathBuf]) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for some in paths.chunks(AT_ONCE) {
            let arguments = ["hash-object", "--"].map(OsString::from).into_iter();
            let arguments: Vec<OsString> = arguments.chain(some.iter().map(OsString::from)).collect();
            names.extend(self.text(&arguments)?.lines().map(str::to_owned));
        }
        anyhow::ensure!(names.len() == paths.len(), "git hash-object named {} of {} files", names.len(), paths.len());
        Ok(names)
    }

    /// Git's names of what a revision holds at those of these paths where it has a file.
    pub fn blobs(&self, revision: &Revision, paths: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
        let mut blobs = BTreeMap::new();
        for some in paths.chunks(AT_ONCE) {
            let arguments =
                ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", revision.as_str(), "--"].into_iter();
            let arguments: Vec<&str> = arguments.chain(some.iter().map(String::as_str)).collect();
            // `mode type object<TAB>path`
            let entry = |entry: &str| {
                let (head, path) = entry.split_once('\t')?;
                Some((path.to_owned(), head.split(' ').nth(2)?.to_owned()))
            };
            blobs.extend(self.text(&arguments)?.split('\0').filter_map(entry));
        }
        Ok(blobs)
    }

    /// Those of these paths that git does not track and is told to ignore.
    pub fn ignored(&self, paths: &[String]) -> anyhow::Result<BTreeSet<String>> {
        let mut ignored = BTreeSet::new();
        for some in paths.chunks(AT_ONCE) {
            let switches = ["ls-files", "-z", "--full-name", "--others", "--ignored", "--exclude-standard", "--"];
            let arguments = ["--literal-pathspecs"].into_iter().chain(switches);
            let arguments: Vec<&str> = arguments.chain(some.iter().map(String::as_str)).collect();
            ignored.extend(self.text(&arguments)?.split('\0').filter(|path| !path.is_empty()).map(str::to_owned));
        }
        Ok(ignored)
    }
}

/// Takes `SIZE\nCONTENT\n` off the front.
fn next_blob<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let bytes: usize = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let content = rest.get(end + 1..end + 1 + bytes)?;
    *rest = rest.get(end + bytes + 2..)?;
    Some(content)
}
