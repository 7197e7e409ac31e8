//! How two commits stand to each other, and what lies between them.

use anyhow::Context;
use serde::Serialize;

use super::subject::cut_subject;
use super::{Place, Repo};
use crate::wire::Revision;

/// A commit as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    pub revision: Revision,
    /// The first line of its message, cut where it is long.
    pub subject: String,
}

/// Commits that one of two has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commits {
    pub count: usize,
    /// The newest of them first; some of them when there are many.
    pub newest: Vec<Commit>,
}

/// How one commit stands to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distance {
    Same,
    /// It follows from the other one.
    Forward(Commits),
    /// The other one follows from it.
    Back(Commits),
    /// Either has commits that the other has not.
    Diverged {
        new: Commits,
        missing: Commits,
    },
    /// It cannot be told, and why.
    Unknown(&'static str),
}

impl Repo {
    /// How `to` stands to `from`; of commits between them no more than `most` are named.
    ///
    /// # Errors
    /// A repository that cannot be read.
    pub fn distance(&self, from: &Revision, to: &Revision, most: usize) -> anyhow::Result<Distance> {
        if from == to {
            return Ok(Distance::Same);
        }
        let (Place::Commit { commit: from, .. }, Place::Commit { commit: to, subdir }) =
            (self.place_of(from), self.place_of(to))
        else {
            return Ok(Distance::Unknown("it is not known which commit an artifact was made from"));
        };
        if from == to {
            return Ok(Distance::Unknown("both were made from the same commit"));
        }
        if self.has(&[from.clone(), to.clone()])?.len() < 2 {
            return Ok(Distance::Unknown("the live revision is not in this repository"));
        }
        let between = Between { repo: self, from: &from, to: &to, subdir: subdir.as_deref() };
        let (missing, new) = between.counts()?;
        let (missing, new) = (between.newest(&from, &to, missing, most)?, between.newest(&to, &from, new, most)?);
        Ok(match (new.count, missing.count) {
            (0, 0) if between.subdir.is_some() => Distance::Unknown("no commit between them changes the directory"),
            (_, 0) => Distance::Forward(new),
            (0, _) => Distance::Back(missing),
            // Where the history is cut off, so may be what they have in common.
            _ if !self.shallow()?.is_empty() => Distance::Unknown("this clone is shallow"),
            _ => Distance::Diverged { new, missing },
        })
    }
}

/// Two commits, and the one directory that counts, if there is one.
struct Between<'a> {
    repo: &'a Repo,
    from: &'a Revision,
    to: &'a Revision,
    subdir: Option<&'a str>,
}

impl Between<'_> {
    /// How many commits each of them has that the other lacks; with a directory, those that change something in it.
    fn counts(&self) -> anyhow::Result<(usize, usize)> {
        let text = self.listed(&["--count", "--left-right"], &format!("{}...{}", self.from, self.to))?;
        let (left, right) = text.trim().split_once('\t').with_context(|| format!("git rev-list counted {text:?}"))?;
        Ok((left.parse()?, right.parse()?))
    }

    /// The newest of the `count` commits that one of them has and the other lacks; at most `most`.
    fn newest(&self, of: &Revision, other: &Revision, count: usize, most: usize) -> anyhow::Result<Commits> {
        if count == 0 {
            return Ok(Commits { count, newest: Vec::new() });
        }
        // Git's --left-only has no effect on commits that have nothing in common.
        let (range, most) = (format!("{other}..{of}"), format!("--max-count={most}"));
        let listing = self.listed(&["--encoding=UTF-8", "--format=%H%x00%s", &most], &range)?;
        let commit = |line: &str| {
            let (revision, subject) = line.split_once('\0')?;
            Some(Commit { revision: revision.parse().ok()?, subject: cut_subject(subject) })
        };
        Ok(Commits { count, newest: listing.lines().filter_map(commit).collect() })
    }

    fn listed(&self, switches: &[&str], range: &str) -> anyhow::Result<String> {
        let ahead = ["--literal-pathspecs", "rev-list"];
        let arguments = [&ahead[..], switches, &[range, "--"]].concat();
        self.repo.text(&arguments.into_iter().chain(self.subdir).collect::<Vec<_>>())
    }
}
