//! Revisions that were rolled back, and later ones that still contain them.

use std::collections::BTreeMap;

use crate::clock;
use crate::deploy::Kind;
use crate::journal::{History, PastRun};
use crate::repo::Repo;
use crate::wire::Revision;

/// A revision that was rolled back and has not been deployed since.
struct RolledBack<'a> {
    revision: &'a Revision,
    /// What hosts went back to.
    before: Revision,
    /// The run that took it back.
    by: &'a PastRun,
}

/// Why a revision is doubtful: it was rolled back, or it contains one that was, without a revert of what was new in it.
/// `None`: it is not.
///
/// # Errors
/// A repository that cannot be read.
pub fn doubt(history: &History, repo: &Repo, revision: &Revision) -> anyhow::Result<Option<String>> {
    for old in rolled_back(history, repo)?.iter().rev() {
        let RolledBack { revision: bad, by, .. } = old;
        let by = format!("by {}, {} (run {})", by.by, clock::ago(&by.began()), by.run);
        if *bad == revision {
            return Ok(Some(format!("{} was rolled back {by}", revision.short())));
        }
        if has(repo, revision, old)? {
            let (short, bad) = (revision.short(), bad.short());
            return Ok(Some(format!("{short} contains {bad}, which was rolled back {by}, and does not revert it")));
        }
    }
    Ok(None)
}

/// The revisions that were rolled back, the last one last. One that was deployed since, or that a deployed one contains,
/// is not among them any more.
fn rolled_back<'a>(history: &'a History, repo: &Repo) -> anyhow::Result<Vec<RolledBack<'a>>> {
    let mut found: Vec<RolledBack> = Vec::new();
    let mut deployed: Option<&Revision> = None;
    for past in &history.runs {
        let revision = &past.revision;
        let taken_back = match past.kind {
            // Who stops a run, or undoes one whose deployer died, says nothing about its revision; nor do hosts that could
            // not be brought to what the fleet runs.
            Kind::Deploy if past.rolled_back && past.tried && !past.interrupted => {
                Some(revision).filter(|it| Some(*it) != deployed).zip(most(past))
            }
            Kind::Rollback if past.stayed() => deployed.filter(|it| *it != revision).zip(Some(revision.clone())),
            _ => None,
        };
        let stays = past.stayed() && !past.rolled_back;
        if stays {
            let mut left = Vec::new();
            for old in found {
                if old.revision != revision && !has(repo, revision, &old)? {
                    left.push(old);
                }
            }
            found = left;
            deployed = Some(revision);
        }
        if let Some((revision, before)) = taken_back {
            found.retain(|old| old.revision != revision);
            found.push(RolledBack { revision, before, by: past });
        }
    }
    Ok(found)
}

/// Whether a revision still has what was new in one that was rolled back. What is not in this repository is in none of
/// its revisions.
fn has(repo: &Repo, revision: &Revision, old: &RolledBack) -> anyhow::Result<bool> {
    let RolledBack { revision: bad, before, .. } = old;
    let are_here = repo.has(&[(*bad).clone(), before.clone(), revision.clone()])?.len() == 3;
    Ok(are_here && repo.contains(revision, bad)? && !repo.reverts(before, bad, revision)?)
}

/// What most hosts had before a run; `None`: none had anything.
fn most(past: &PastRun) -> Option<Revision> {
    let mut counts: BTreeMap<&Revision, usize> = BTreeMap::new();
    past.before.iter().for_each(|(_, before)| *counts.entry(before).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(before, _)| before.clone())
}
