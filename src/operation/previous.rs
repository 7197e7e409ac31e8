//! Which revision a rollback goes back to.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::config::Config;
use crate::journal;
use crate::journal::Finalized;
use crate::repo::{Repo, Tags};
use crate::targets::{Target, fold};
use crate::wire::{Revision, State};

use super::{Frontend, Refused, state_folder, status};

/// Revisions, each with the targets that have it.
type Held = BTreeMap<Revision, Vec<Target>>;

/// The revision of this name. Targets may keep one that this repository has not, so a full name is enough.
pub fn named(repo: &Repo, name: &str) -> Result<Revision, Refused> {
    match (repo.resolve(name), name.parse()) {
        (Ok(revision), _) | (Err(_), Ok(revision)) => Ok(revision),
        (Err(error), Err(_)) => {
            Err(error.context("not in this repository; the full name of a commit that targets keep is enough").into())
        }
    }
}

/// The revision before the deployed one, as the journals tell; before the first of them, what targets had finalized
/// then, whoever deployed it.
pub fn before(config: &Config, repo: &Repo, history: &[Finalized], front: &dyn Frontend) -> Result<Revision, Refused> {
    let folder = state_folder(config);
    let Some(first) = history.first() else { return before_all_journals(config, repo, front) };
    let found = held(journal::done_before(&folder, &first.run)?);
    let bottom = match found.len() {
        1 => found.keys().next().cloned(),
        _ => None,
    };
    match (journal::stack(bottom, history).as_slice(), found.len()) {
        ([.., before, _], _) => Ok(before.clone()),
        ([only], 2..) if *only == first.revision => Err(Refused::new(format!(
            "before {}, targets had different revisions finalized ({}): name one with --to",
            only.short(),
            shown(&found)
        ))),
        ([only], _) => Err(Refused::new(format!(
            "nothing was finalized before {}, as far as the journals go back: name a revision with --to",
            only.short()
        ))),
        ([], _) => Err(Refused::new("the journals tell of no revision: name one with --to")),
    }
}

/// Where Hoist never deployed: a deployment of Scap's that was not finalized is undone; else what its tags name is
/// offered.
fn before_all_journals(config: &Config, repo: &Repo, front: &dyn Frontend) -> Result<Revision, Refused> {
    let none =
        format!("no deployment of {} is unfinished, and no journal tells of a finished one", config.settings.git_repo);
    if !config.is_known_to_scap() {
        return Err(Refused::new(format!("{none}: name a revision with --to")));
    }
    let (groups, _) = config.groups(None)?;
    let seen = status::ask(config, groups, false, front)?
        .into_iter()
        .filter_map(|view| Some((view.target, view.known.state?)));
    let seen: Vec<(Target, State)> = seen.collect();
    let of = |which: fn(&State) -> Option<&Revision>| {
        held(seen.iter().filter_map(|(target, state)| Some((which(state)?.clone(), target.clone()))))
    };
    let (done, live) = (of(|state| state.done.as_ref()), of(|state| state.current.as_ref()));
    let mut finalized = done.keys();
    if let (Some(only), None) = (finalized.next(), finalized.next()) {
        if live.keys().any(|live| live != only) {
            return Ok(only.clone());
        }
        let tagged = Tags::new(repo, &config.control_name).revisions().context("cannot read the deployment tags")?;
        let earlier = tagged.iter().skip_while(|(_, revision)| revision != only).find(|(_, revision)| revision != only);
        if let Some((tag, revision)) = earlier {
            return Err(Refused::new(format!(
                "{none}: {} is live and finalized; the deployment before it was of {} ({tag}): `hoist rollback --to {}` \
                 goes there",
                only.short(),
                revision.short(),
                revision.short()
            )));
        }
    }
    let shown = if done.is_empty() { String::new() } else { format!(" (finalized: {})", shown(&done)) };
    Err(Refused::new(format!("{none}{shown}: name a revision with --to")))
}

fn held(found: impl IntoIterator<Item = (Revision, Target)>) -> Held {
    let mut held = Held::new();
    for (revision, target) in found {
        held.entry(revision).or_default().push(target);
    }
    held
}

fn shown(held: &Held) -> String {
    let one = |(revision, targets): (&Revision, &Vec<Target>)| format!("{} on {}", revision.short(), fold(targets));
    held.iter().map(one).collect::<Vec<_>>().join(", ")
}
