//! Whether what was new in one commit is reverted in a later one.

use std::collections::HashSet;

use super::Repo;
use crate::wire::Revision;

/// What `git revert` writes ahead of a commit's name.
const REVERTS: &str = "This reverts commit ";

/// The shortest beginning of a commit's name that is taken for it.
const SHORTEST: usize = 7;

/// Commits that are looked through; with more of them, only the trees are compared.
const MOST: usize = 5000;

/// A commit of a range.
struct Listed {
    name: String,
    parents: Vec<String>,
    /// Beginnings of the names of commits that its message says it reverts.
    reverts: Vec<String>,
}

impl Repo {
    /// Whether `revision` is `earlier` or follows from it.
    ///
    /// # Errors
    /// A repository that cannot be read, or lacks one of them.
    pub fn contains(&self, revision: &Revision, earlier: &Revision) -> anyhow::Result<bool> {
        if revision == earlier {
            return Ok(true);
        }
        let (Some((revision, _)), Some((earlier, _))) = (self.commit_of(revision), self.commit_of(earlier)) else {
            return Ok(false);
        };
        let missing = self.text(&["rev-list", "--max-count=1", earlier.as_str(), &format!("^{revision}")])?;
        Ok(missing.trim().is_empty())
    }

    /// The newest commits that `revision` follows from, at most so many.
    ///
    /// # Errors
    /// A repository that cannot be read.
    pub fn follows(&self, revision: &Revision, most: usize) -> anyhow::Result<Vec<Revision>> {
        let Some((revision, _)) = self.commit_of(revision) else { return Ok(Vec::new()) };
        let listing = self.text(&["rev-list", "--skip=1", &format!("--max-count={most}"), revision.as_str()])?;
        Ok(listing.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether what `bad` brought beyond `before` is reverted in `revision`, which follows from `bad`: every file that
    /// it changed is as in `before` again, or the messages of later commits say of each of its commits, or of the merge
    /// that brought it, that they revert it, and are not reverted themselves. If it brought no commit, there is nothing
    /// to revert.
    ///
    /// # Errors
    /// A repository that cannot be read, or lacks one of them.
    pub fn reverts(&self, before: &Revision, bad: &Revision, revision: &Revision) -> anyhow::Result<bool> {
        let brought = self.listed(before, bad)?;
        if brought.is_empty() {
            return Ok(true);
        }
        let changed = self.changed_paths(before, revision)?;
        if self.changed_paths(before, bad)?.is_disjoint(&changed) {
            return Ok(true);
        }
        let later = self.listed(bad, revision)?;
        if brought.len().max(later.len()) == MOST {
            return Ok(false);
        }
        let mut reverted: Vec<&str> = Vec::new();
        // The newest first, so that a revert that is reverted itself is known as such when it is met.
        for commit in &later {
            if !is_among(&reverted, &commit.name) {
                reverted.extend(commit.reverts.iter().map(String::as_str));
            }
        }
        let mut gone: HashSet<String> = HashSet::new();
        for commit in brought.iter().filter(|commit| is_among(&reverted, &commit.name)) {
            gone.insert(commit.name.clone());
            if let [first, _, ..] = commit.parents.as_slice() {
                let of_merge = self.text(&["rev-list", &commit.name, &format!("^{first}")])?;
                gone.extend(of_merge.lines().map(str::to_owned));
            }
        }
        // A merge brings nothing of its own.
        let (merges, own): (Vec<_>, Vec<_>) = brought.iter().partition(|commit| commit.parents.len() > 1);
        let all = if own.is_empty() { merges } else { own };
        Ok(all.iter().all(|commit| gone.contains(&commit.name)))
    }

    /// The commits that `of` has and `without` has not, children ahead of their parents.
    fn listed(&self, without: &Revision, of: &Revision) -> anyhow::Result<Vec<Listed>> {
        let (Some((without, _)), Some((of, subdir))) = (self.commit_of(without), self.commit_of(of)) else {
            return Ok(Vec::new());
        };
        let (most, range) = (format!("--max-count={MOST}"), format!("{without}..{of}"));
        let format = "--format=%H%n%P%n%B";
        let ahead = ["--literal-pathspecs", "log", "-z", "--topo-order", "--no-show-signature", "--encoding=UTF-8"];
        let arguments = ahead.into_iter().chain([most.as_str(), format, &range, "--"]).chain(subdir.as_deref());
        let listing = self.text(&arguments.collect::<Vec<_>>())?;
        let listed = |entry: &str| {
            let mut lines = entry.splitn(3, '\n');
            let (name, parents, message) = (lines.next()?, lines.next()?, lines.next().unwrap_or_default());
            let named = message.split(REVERTS).skip(1).map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
                rest[..end].to_ascii_lowercase()
            });
            Some(Listed {
                name: name.to_owned(),
                parents: parents.split(' ').filter(|parent| !parent.is_empty()).map(str::to_owned).collect(),
                reverts: named.filter(|name| name.len() >= SHORTEST).collect(),
            })
        };
        Ok(listing.split('\0').filter(|entry| !entry.trim().is_empty()).filter_map(listed).collect())
    }

    /// The paths of files that are not the same in two commits.
    fn changed_paths(&self, one: &Revision, other: &Revision) -> anyhow::Result<HashSet<Vec<u8>>> {
        let listing =
            self.run(&["diff-tree", "-r", "-z", "--no-renames", "--name-only", one.as_str(), other.as_str()])?;
        Ok(listing.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect())
    }
}

/// Whether one of these beginnings is that of a commit's name.
fn is_among(beginnings: &[&str], name: &str) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::Scratch;

    /// A repository, what was live, and a bad revision with two commits.
    fn bad() -> (Scratch, Revision, Revision) {
        let scratch = Scratch::new();
        let before = scratch.commit("a", b"1\n\n\n\n\n\n\n\n");
        scratch.commit("b", b"1\n");
        let bad = scratch.commit("a", b"2\n\n\n\n\n\n\n\n");
        (scratch, before, bad)
    }

    fn revert(scratch: &Scratch, arguments: &[&str]) -> Revision {
        scratch.git(&[&["revert", "--no-edit"], arguments].concat());
        scratch.head()
    }

    #[test]
    fn a_revision_contains_itself_and_what_it_follows_from() {
        let (scratch, before, bad) = bad();
        let contains = |one, other| scratch.repo.contains(one, other).unwrap();
        assert!(contains(&bad, &before) && contains(&bad, &bad) && !contains(&before, &bad));
        scratch.git(&["checkout", "-q", "-b", "side", before.as_str()]);
        let side = scratch.commit("c", b"1\n");
        assert!(!contains(&side, &bad) && !contains(&bad, &side));
        assert!(scratch.repo.contains(&bad, &"1".repeat(40).parse().unwrap()).is_err());
    }

    #[test]
    fn every_commit_has_to_be_reverted_and_a_revert_that_is_reverted_is_none() {
        let (scratch, before, bad) = bad();
        let reverts = |revision: &Revision| scratch.repo.reverts(&before, &bad, revision).unwrap();
        assert!(!reverts(&bad));
        // Another change of the same files, so that the trees do not tell.
        let more = scratch.commit("a", b"2\n\n\n\n\n\n\n\nmore\n");
        assert!(!reverts(&more));
        let half = revert(&scratch, &["HEAD~1"]);
        assert!(!reverts(&half), "the file b is still there");
        let both = revert(&scratch, &[&format!("{bad}~1")]);
        assert!(reverts(&both));
        let again = revert(&scratch, &[both.as_str()]);
        assert!(!reverts(&again), "the revert of b is reverted");
        assert!(reverts(&revert(&scratch, &[again.as_str()])));
    }

    #[test]
    fn files_that_are_as_before_are_reverted_whatever_the_messages_say() {
        let (scratch, before, bad) = bad();
        scratch.commit("elsewhere", b"1\n");
        scratch.git(&["checkout", "-q", before.as_str(), "--", "a"]);
        scratch.git(&["rm", "-q", "b"]);
        let by_hand = scratch.commit("elsewhere", b"2\n");
        assert!(scratch.repo.reverts(&before, &bad, &by_hand).unwrap());
        let again = scratch.commit("b", b"1\n");
        assert!(!scratch.repo.reverts(&before, &bad, &again).unwrap());
    }

    #[test]
    fn the_revert_of_a_merge_reverts_what_it_brought() {
        let scratch = Scratch::new();
        let before = scratch.commit("a", b"1\n");
        scratch.git(&["checkout", "-q", "-b", "side"]);
        scratch.commit("b", b"1\n");
        scratch.commit("b", b"2\n");
        scratch.git(&["checkout", "-q", "main"]);
        scratch.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        let bad = scratch.head();
        scratch.git(&["revert", "--no-edit", "-m", "1", "HEAD"]);
        // Of the same name, so that the trees do not tell.
        let later = scratch.commit("b", b"another\n");
        assert!(scratch.repo.reverts(&before, &bad, &later).unwrap());
    }

    #[test]
    fn a_step_back_brings_nothing_that_could_be_reverted() {
        let (scratch, before, bad) = bad();
        assert!(scratch.repo.reverts(&bad, &before, &bad).unwrap());
    }
}
