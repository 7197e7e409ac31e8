//! What a deployment means to targets that run something else: the commits between, and which way it goes.

use std::collections::BTreeMap;

use crate::config::Note;
use crate::deploy::{Kind, Plan};
use crate::repo::{Commits, Distance, Repo};
use crate::targets::{Target, fold};
use crate::text::counted;
use crate::wire::{Level, Revision, Stage};

/// Commits that a remark names.
const COMMITS: usize = 5;

/// Revisions that are live on different targets, and compared.
const REVISIONS: usize = 3;

/// How what was just read from targets is known.
pub const LIVE: &str = "live";

/// A remark on each revision that is live on targets of the plan; `live` has those of all targets that are known.
/// `seen` says how it is known: [`LIVE`], `last seen live`. `has_force`: whoever reads them has a `--force` to use.
pub fn remarks<'a>(
    repo: &Repo,
    plan: &Plan,
    live: impl IntoIterator<Item = (&'a Target, &'a Revision)>,
    seen: &str,
    has_force: bool,
) -> Vec<Note> {
    if plan.kind != Kind::Deploy {
        return Vec::new();
    }
    let mut held: BTreeMap<&Revision, Vec<&Target>> = BTreeMap::new();
    for (target, revision) in live {
        held.entry(revision).or_default().push(target);
    }
    let mut held: Vec<_> = held.into_iter().collect();
    // What most targets have comes first.
    held.sort_by_key(|(_, targets)| std::cmp::Reverse(targets.len()));
    let promotes = !plan.force && plan.stages.iter().any(|it| it.stage == Stage::Promote);
    let one = |(from, targets): (&Revision, Vec<&Target>)| {
        if *from == plan.revision {
            let again = "it is promoted again only where that is needed";
            let force = if has_force { ", or with --force" } else { "" };
            let is_there = || format!("{} is already live on {}: {again}{force}", from.short(), fold(targets));
            return (seen == LIVE && promotes).then(|| (Level::Info, is_there()));
        }
        let place = format!("{}, {seen} on {}", from.short(), fold(targets));
        remark(repo, from, &plan.revision, &place)
    };
    held.into_iter().take(REVISIONS).filter_map(one).collect()
}

fn remark(repo: &Repo, from: &Revision, to: &Revision, place: &str) -> Option<Note> {
    let short = to.short();
    let (level, text) = match repo.distance(from, to, COMMITS) {
        Ok(Distance::Same) => return None,
        Ok(Distance::Forward(new)) => (Level::Info, format!("{} since {place}: {}", count(&new), named(&new))),
        Ok(Distance::Back(missing)) => {
            let text = format!("{short} is {} older than {place}; this removes: {}", count(&missing), named(&missing));
            (Level::Warning, text)
        }
        Ok(Distance::Diverged { new, missing }) => {
            let text = format!(
                "{short} has diverged from {place}: it adds {} ({}) and removes {} ({})",
                count(&new),
                named(&new),
                count(&missing),
                named(&missing)
            );
            (Level::Warning, text)
        }
        Ok(Distance::Unknown(why)) => (Level::Info, format!("cannot compare {short} with {place}: {why}")),
        Err(error) => (Level::Info, format!("cannot compare {short} with {place}: {error:#}")),
    };
    Some((level, text))
}

fn count(commits: &Commits) -> String {
    counted(commits.count, "commit")
}

/// `1a2b3c4d5e subject, … and 3 more`
fn named(commits: &Commits) -> String {
    let named = commits.newest.iter().map(|commit| format!("{} {:?}", commit.revision.short(), commit.subject));
    let named = named.collect::<Vec<_>>().join(", ");
    match commits.count.saturating_sub(commits.newest.len()) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
