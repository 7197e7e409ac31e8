//! Which files differ between two commits.

use serde::Serialize;

use super::Repo;
use crate::wire::Revision;

/// A file that one of two commits has otherwise than the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedFile {
    /// As git's letters have it: `A` added, `D` deleted, `M` modified, `T` another type.
    pub status: char,
    pub path: String,
}

/// The files that differ between two commits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangedFiles {
    pub added: usize,
    pub modified: usize,
    pub deleted: usize,
    /// Lines of text files.
    pub lines_added: u64,
    pub lines_removed: u64,
    /// The first of them, in the order of their paths.
    pub first: Vec<ChangedFile>,
}

impl ChangedFiles {
    /// The number of files.
    pub fn count(&self) -> usize {
        self.added + self.modified + self.deleted
    }
}

impl Repo {
    /// The files that differ between two commits; no more than `most` of them are named.
    ///
    /// # Errors
    /// A repository that cannot be read.
    pub fn changed_between(&self, from: &Revision, to: &Revision, most: usize) -> anyhow::Result<ChangedFiles> {
        let plain = ["diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let listing = self.text(&[&plain[..], &[from.as_str(), to.as_str()]].concat())?;
        let mut found = ChangedFiles::default();
        let mut fields = listing.split('\0').filter(|field| !field.is_empty());
        while let Some(field) = fields.next() {
            // `:MODE MODE OBJECT OBJECT STATUS`, and the path in the next field.
            if field.starts_with(':') {
                let status = field.chars().next_back().unwrap_or('M');
                let path = fields.next().unwrap_or_default().to_owned();
                match status {
                    'A' => found.added += 1,
                    'D' => found.deleted += 1,
                    _ => found.modified += 1,
                }
                if found.first.len() < most {
                    found.first.push(ChangedFile { status, path });
                }
                continue;
            }
            // `ADDED<TAB>REMOVED<TAB>PATH`, with `-` for both in a binary file.
            let mut numbers = field.split('\t').map(|word| word.parse::<u64>().unwrap_or(0));
            found.lines_added += numbers.next().unwrap_or(0);
            found.lines_removed += numbers.next().unwrap_or(0);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::Scratch;

    #[test]
    fn files_are_counted_by_what_became_of_them_and_only_the_first_are_named() {
        let scratch = Scratch::new();
        scratch.commit("gone", b"1\n");
        scratch.commit("bin", b"\0\x01");
        let from = scratch.commit("text", b"1\n2\n");
        std::fs::remove_file(scratch.path().join("gone")).unwrap();
        std::fs::write(scratch.path().join("bin"), b"\0\x02").unwrap();
        std::fs::write(scratch.path().join("new\tname"), b"1\n2\n3\n").unwrap();
        let to = scratch.commit("text", b"1\n");
        let found = scratch.repo.changed_between(&from, &to, 3).unwrap();
        assert_eq!((found.added, found.modified, found.deleted), (1, 2, 1));
        assert_eq!((found.lines_added, found.lines_removed, found.count()), (3, 2, 4));
        let first: Vec<(char, &str)> = found.first.iter().map(|file| (file.status, file.path.as_str())).collect();
        assert_eq!(first, [('M', "bin"), ('D', "gone"), ('A', "new\tname")]);
        assert_eq!(scratch.repo.changed_between(&to, &to, 3).unwrap(), ChangedFiles::default());
    }
}
