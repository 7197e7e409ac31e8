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
            Err(error.context("not in this repository; write the full id of a commit that the targets have").into())
        }
    }
}

/// The revision before the deployed one, as the journals tell; before the first of them, what targets had finalized
/// then, whoever deployed it.
pub fn before(config: &Config, repo: &Repo, history: &[Finalized], front: &dyn Frontend) -> Result<Revision, Refused> {
    let folder = state_folder(config);
    let Some(first) = history.first() else { return before_all_journals(config, repo, front) };
    if let (Some(last), true) = (history.last(), config.is_known_to_scap()) {
        refuse_after_others(config, repo, &last.revision, front)?;
    }
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
            "the journals show nothing that was finalized before {}: name a revision with --to",
            only.short()
        ))),
        ([], _) => Err(Refused::new("the journals contain no revision: name one with --to")),
    }
}

/// Where Hoist never deployed: a deployment of Scap's that was not finalized is undone; else what its tags name is
/// offered.
fn before_all_journals(config: &Config, repo: &Repo, front: &dyn Frontend) -> Result<Revision, Refused> {
    let none = format!(
        "no deployment of {} is unfinished, and there is no journal of a finished one",
        config.settings.git_repo
    );
    if !config.is_known_to_scap() {
        return Err(Refused::new(format!("{none}: name a revision with --to")));
    }
    let seen = Seen::ask(config, front)?;
    let Some(only) = seen.finalized_everywhere() else {
        let shown = if seen.done.is_empty() { String::new() } else { format!(" (finalized: {})", shown(&seen.done)) };
        return Err(Refused::new(format!("{none}{shown}: name a revision with --to")));
    };
    if seen.live.keys().any(|live| live != only) {
        return Ok(only.clone());
    }
    Err(match tagged_before(config, repo, only)? {
        Some(earlier) => Refused::new(format!("{none}: {} is live and finalized; {earlier}", only.short())),
        None => Refused::new(format!("{none} (finalized: {}): name a revision with --to", shown(&seen.done))),
    })
}

/// Fails where the revision that the journals have as the last one is on no target any more: somebody else has deployed
/// since, and to go back from there is not to undo what the journals tell of.
fn refuse_after_others(config: &Config, repo: &Repo, last: &Revision, front: &dyn Frontend) -> Result<(), Refused> {
    let seen = Seen::ask(config, front)?;
    if seen.done.is_empty() || seen.done.contains_key(last) || seen.live.contains_key(last) {
        return Ok(());
    }
    let earlier = match seen.finalized_everywhere().map(|only| tagged_before(config, repo, only)) {
        Some(found) => found?,
        None => None,
    };
    let offer = || format!("`hoist rollback --to {}` goes to the last revision that they tell of", last.short());
    Err(Refused::new(format!(
        "somebody else has deployed since the last deployment that the journals tell of (finalized: {}); {}",
        shown(&seen.done),
        earlier.unwrap_or_else(offer)
    )))
}

/// What targets that answer have.
struct Seen {
    done: Held,
    live: Held,
}

impl Seen {
    fn ask(config: &Config, front: &dyn Frontend) -> Result<Seen, Refused> {
        let (groups, _) = config.groups(None)?;
        let views = status::ask(config, groups, false, front)?;
        let is_there = |view: &status::View| view.reached == Some(true);
        let seen: Vec<(Target, State)> =
            views.into_iter().filter(is_there).filter_map(|view| Some((view.target, view.known.state?))).collect();
        let of = |which: fn(&State) -> Option<&Revision>| {
            held(seen.iter().filter_map(|(target, state)| Some((which(state)?.clone(), target.clone()))))
        };
        Ok(Seen { done: of(|state| state.done.as_ref()), live: of(|state| state.current.as_ref()) })
    }

    /// The one revision that is finalized wherever any is.
    fn finalized_everywhere(&self) -> Option<&Revision> {
        self.done.keys().next().filter(|_| self.done.len() == 1)
    }
}

/// How to go to the deployment before that of a revision, as the deployment tags tell.
fn tagged_before(config: &Config, repo: &Repo, revision: &Revision) -> Result<Option<String>, Refused> {
    let tagged = Tags::new(repo, &config.control_name).revisions().context("cannot read the deployment tags")?;
    let earlier = tagged.iter().skip_while(|(_, it)| it != revision).find(|(_, it)| it != revision);
    Ok(earlier.map(|(tag, earlier)| {
        let short = earlier.short();
        format!("the deployment before it was of {short} ({tag}): `hoist rollback --to {short}` goes there")
    }))
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
