//! Which revision a rollback goes back to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use crate::clock;
use crate::config::Config;
use crate::deploy;
use crate::deploy::Kind;
use crate::journal;
use crate::journal::{History, PastRun};
use crate::repo::{Repo, Tags};
use crate::targets::{Target, fold};
use crate::wire::Revision;

use super::standing::most;
use super::way_back::{Found, Why};
use super::{Refused, View, state_folder};

/// Digits that the beginning of a commit's name has at least.
const SHORTEST: usize = 7;

/// Revisions, each with the targets that have it.
type Held = BTreeMap<Revision, Vec<Target>>;

/// What helps where no revision can be found.
fn name_one(config: &Config) -> String {
    let list = config.invocation.on_these_hosts("rollback --list");
    format!("name a revision; `{list}` shows those that the hosts keep")
}

/// The revision of this name. Targets may keep one that this repository has not, so a full name is enough.
pub fn named(config: &Config, repo: &Repo, name: &str) -> Result<Revision, Refused> {
    match (repo.resolve(name), name.parse()) {
        // Who names a commit means what was made of it.
        (Ok(commit), _) => Ok(deploy::chosen(config, repo, Kind::Deploy, commit)?.0),
        (Err(_), Ok(revision)) => Ok(revision),
        (Err(error), Err(_)) => Err(error.into()),
    }
}

/// What a name stands for on hosts: of a commit that they keep as it is, it stands for that, and not for what is made of
/// commits by now.
pub fn as_kept(repo: &Repo, made: Revision, name: Option<&str>, views: &[View]) -> Revision {
    let keeps = |revision: &Revision| views.iter().any(|view| view.kept().contains(revision));
    // Of two commits, the same may be made.
    let is_made_of =
        |commit: &Revision| repo.origin(&made).is_some_and(|origin| origin.source.as_ref() == Some(commit));
    let commit = name.and_then(|name| repo.resolve(name).ok());
    commit.filter(|commit| keeps(commit) && !(keeps(&made) && is_made_of(commit))).unwrap_or(made)
}

/// Whether a name may be the beginning of a commit's.
pub fn is_prefix(name: &str) -> bool {
    name.len() >= SHORTEST && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The revision whose name begins so, among those that targets keep.
pub fn kept_by(config: &Config, views: &[View], prefix: &str) -> Result<Revision, Refused> {
    let prefix = prefix.to_ascii_lowercase();
    let kept: BTreeSet<&Revision> =
        views.iter().flat_map(View::kept).filter(|it| it.as_str().starts_with(&prefix)).collect();
    match kept.iter().collect::<Vec<_>>().as_slice() {
        [only] => Ok((**only).clone()),
        [] => Err(Refused::new(format!(
            "{prefix} is neither a commit of this repository nor a revision that a host keeps: {}",
            name_one(config)
        ))),
        _ => Err(Refused::new(format!(
            "{prefix} is not in this repository, and hosts keep several revisions that begin with it: write more digits"
        ))),
    }
}

/// Where a rollback leads that names no revision: to the one before the deployed one, as the journals tell; before the
/// first of them, to what targets had finalized then, whoever deployed it. A failed run that left the fleet mixed is
/// undone first.
pub fn find(config: &Config, repo: &Repo, history: &History, views: &[View]) -> Result<Found, Refused> {
    if let Some((wanted, run)) = mixed(history, views) {
        return Ok((wanted, Why::Mixed(run), Vec::new()));
    }
    let targets = || views.iter().map(|view| &view.target);
    let Some((newest, before)) = history.newest(targets(), history.runs.len()) else {
        return Ok((before_all_journals(config, repo, history, views)?, Why::Before, Vec::new()));
    };
    refuse_where_it_is_gone(config, (&newest, &before), history, views)?;
    refuse_after_others(config, repo, (&newest, history), views)?;
    let already = history.went_back(before.iter().map(|(target, _)| *target)).map(|(index, past)| Why::Further {
        done: what_was_done(history, index, past),
        called_for: past.kind == Kind::Rollback || past.interrupted,
    });
    let found = held(before.iter().filter_map(|(target, before)| Some((before.clone()?, (*target).clone()))));
    let mut revisions = found.keys();
    let short = newest.short();
    match (revisions.next(), revisions.next()) {
        (Some(only), None) => {
            let had_it = |target: &Target| before.iter().any(|(other, _)| *other == target);
            let is_apart = |view: &&View| !takes_part(view, &newest, only, had_it(&view.target));
            let apart = views.iter().filter(is_apart).map(|view| view.target.clone()).collect();
            Ok((only.clone(), already.unwrap_or(Why::Before), apart))
        }
        (Some(_), Some(_)) => Err(Refused::new(format!(
            "before {short}, targets had different revisions finalized ({}): roll back those of each revision on their own, \
             with -g or -l, or {}",
            shown(&found),
            name_one(config)
        ))),
        (None, _) => {
            let already = match already {
                Some(Why::Further { done, .. }) => format!("already rolled back: {done}; "),
                _ => String::new(),
            };
            Err(Refused::new(format!(
                "{already}the journals contain no revision that was finalized before {short}: {}",
                name_one(config)
            )))
        }
    }
}

/// Whether a target is one of those that a deployment went to, or was to go to, which is undone now. What others got by
/// themselves is none of its matters. `had_it`: as the journals tell, it has the revision.
fn takes_part(view: &View, undone: &Revision, to: &Revision, had_it: bool) -> bool {
    let is_on = |revision| view.live() == Some(revision);
    let was_for_it = view.known.wanted.as_ref() == Some(undone);
    was_for_it || if view.was_read() { is_on(undone) || is_on(to) } else { had_it || view.known.wanted.is_none() }
}

/// What all hosts should run, when a deployment failed and left some of them on something else, or a rollback was left half
/// done.
fn mixed(history: &History, views: &[View]) -> Option<(Revision, String)> {
    let concerns = |past: &&PastRun| past.moved_hosts() && views.iter().any(|view| past.targets.contains(&view.target));
    let last = history.runs.iter().rfind(concerns).filter(|past| past.left_mixed)?;
    let wanted = most(views.iter().filter_map(|view| view.known.wanted.as_ref()))?;
    let what = match last.kind {
        Kind::Rollback if last.revision == wanted => "rollback to",
        Kind::Deploy => "deployment of",
        _ => return None,
    };
    let is_elsewhere = |view: &View| view.was_read() && !view.serves(&wanted);
    views.iter().any(is_elsewhere).then(|| (wanted, format!("the {what} {} ended with status 3", by(last))))
}

/// `1111111111 by op@deploy1, 3 min ago`
fn by(past: &PastRun) -> String {
    format!("{} by {}, {},", past.revision.short(), past.by, clock::ago(&past.began()))
}

/// What a run did that went back.
fn what_was_done(history: &History, index: usize, past: &PastRun) -> String {
    if past.kind == Kind::Deploy {
        return format!("the deployment of {} was undone", by(past));
    }
    let (by, ago) = (&past.by, clock::ago(&past.began()));
    let from = match history.newest(&past.targets, index) {
        Some((from, _)) => format!("from {} ", from.short()),
        None => String::new(),
    };
    format!("{by} went back {from}to {} {ago}", past.revision.short())
}

/// Where Hoist never deployed: a deployment of Scap's that was not finalized is undone; else what its tags name is
/// offered.
fn before_all_journals(config: &Config, repo: &Repo, history: &History, views: &[View]) -> Result<Revision, Refused> {
    let none = format!(
        "no deployment of {} is unfinished, and there is no journal of a finished one",
        config.settings.git_repo
    );
    let seen = Seen::of(views);
    refuse_where_another_environment_has_deployed(config, &seen)?;
    if !config.is_known_to_scap() {
        return Err(Refused::new(format!("{none}: {}", name_one(config))));
    }
    let Some(only) = seen.finalized_everywhere() else {
        let shown = if seen.done.is_empty() { String::new() } else { format!(" (finalized: {})", shown(&seen.done)) };
        return Err(Refused::new(format!("{none}{shown}: {}", name_one(config))));
    };
    if seen.live.keys().any(|live| live != only) {
        return Ok(only.clone());
    }
    Err(match tagged_before(config, repo, only, history)? {
        Some(earlier) => Refused::new(format!("{none}: {} is live and finalized; {earlier}", only.short())),
        None => Refused::new(format!("{none} (finalized: {}): {}", shown(&seen.done), name_one(config))),
    })
}

/// Fails where the revision that the journals have as the last one is on no target any more: somebody else has deployed
/// since, and to go back from there is not to undo what the journals tell of.
fn refuse_after_others(
    config: &Config,
    repo: &Repo,
    (last, history): (&Revision, &History),
    views: &[View],
) -> Result<(), Refused> {
    let seen = Seen::of(views);
    if seen.done.is_empty() || seen.done.contains_key(last) || seen.live.contains_key(last) {
        return Ok(());
    }
    // Journals are in the order of their runs' ids.
    if let Some(ahead) = history.run_after(&clock::run_id_stamp()) {
        return Err(Refused::new(format!(
            "run {ahead} in the journals is ahead of the clock of this host, so they do not tell which deployment was \
             the last (finalized: {}): {}",
            shown(&seen.done),
            name_one(config)
        )));
    }
    refuse_where_another_environment_has_deployed(config, &seen)?;
    refuse_where_nobody_answers(config, (last, history), views, &seen)?;
    let earlier = match seen.finalized_everywhere().map(|only| tagged_before(config, repo, only, history)) {
        Some(found) => found?,
        None => None,
    };
    let back = config.invocation.on_these_hosts(&format!("rollback --to {}", last.short()));
    let offer = || format!("`{back}` goes to the last revision in the journals");
    Err(Refused::new(format!(
        "somebody else has deployed since the last deployment in the journals (finalized: {}); {}",
        shown(&seen.done),
        earlier.unwrap_or_else(offer)
    )))
}

/// Fails where the targets that answer have what the journals say that they have: nobody else has deployed, and those that
/// may have the last revision do not answer.
fn refuse_where_nobody_answers(
    config: &Config,
    (last, history): (&Revision, &History),
    views: &[View],
    seen: &Seen,
) -> Result<(), Refused> {
    let is_as_told = |view: &&View| {
        let stack = history.stack(&view.target, history.runs.len());
        stack.last().map(|(_, revision)| revision) == view.live()
    };
    let (read, silent): (Vec<&View>, Vec<&View>) = views.iter().partition(|view| view.was_read());
    if silent.is_empty() || !read.iter().all(is_as_told) {
        return Ok(());
    }
    let (short, silent) = (last.short(), fold(silent.iter().map(|view| &view.target)));
    Err(Refused::new(format!(
        "{short} is not on any host that answers (finalized: {}), so there is nothing to go back from there; {silent} may \
         have it, and did not answer: run this again when it does, or {}",
        shown(&seen.done),
        name_one(config)
    )))
}

/// Fails where targets have what was deployed from here in another environment: its journals are not looked at, since that
/// environment may have other targets, too.
fn refuse_where_another_environment_has_deployed(config: &Config, seen: &Seen) -> Result<(), Refused> {
    let environment = config.environment.as_deref();
    let is_seen = |revision: &Revision| seen.done.contains_key(revision);
    let Some((other, revision)) = journal::in_another_environment(&state_folder(config), environment, is_seen) else {
        return Ok(());
    };
    let there = other.as_ref().map_or("without an environment".to_owned(), |name| format!("in environment {name}"));
    let back = config.invocation.in_environment(other).on_these_hosts("rollback");
    let on = fold(seen.done.get(&revision).into_iter().flatten());
    let short = revision.short();
    Err(Refused::new(format!("{short} was deployed {there} to {on}, and not here: `{back}` undoes that")))
}

/// Fails where the newest revision is on no target any more, and all are back on what they had before it: their leases ran
/// out, say, in a run that nobody could roll back. There is nothing to undo, and who means that must not be taken further.
fn refuse_where_it_is_gone(
    config: &Config,
    (newest, before): (&Revision, &[(&Target, Option<Revision>)]),
    history: &History,
    views: &[View],
) -> Result<(), Refused> {
    let seen: Vec<&View> = views.iter().filter(|view| view.was_read()).collect();
    let is_back = |view: &&View| {
        let state = view.known.state.as_ref();
        let had = before.iter().find(|(target, _)| **target == view.target).and_then(|(_, before)| before.as_ref());
        had.is_some() && [state.and_then(|it| it.current.as_ref()), state.and_then(|it| it.done.as_ref())] == [had; 2]
    };
    let is_in_order = history.run_after(&clock::run_id_stamp()).is_none();
    if !is_in_order || seen.is_empty() || !seen.iter().all(is_back) {
        return Ok(());
    }
    let answers = |target: &Target| seen.iter().any(|view| view.target == *target);
    let had = before.iter().filter(|(target, _)| answers(target));
    let on = shown(&held(had.filter_map(|(target, had)| Some((had.clone()?, (*target).clone())))));
    Err(Refused::new(format!(
        "nothing to undo: {} is live on no host that answers, they are back on what they had before it ({on}); to go \
         further back, {}",
        newest.short(),
        name_one(config)
    )))
}

/// What targets that answer have.
struct Seen {
    done: Held,
    live: Held,
}

impl Seen {
    fn of(views: &[View]) -> Seen {
        let is_there = |view: &&View| view.was_read();
        let state = |view: &View| view.known.state.clone();
        let done = |view: &View| Some((state(view)?.done?, view.target.clone()));
        let live = |view: &View| Some((state(view)?.current?, view.target.clone()));
        let seen = || views.iter().filter(is_there);
        Seen { done: held(seen().filter_map(done)), live: held(seen().filter_map(live)) }
    }

    /// The one revision that is finalized wherever any is.
    fn finalized_everywhere(&self) -> Option<&Revision> {
        self.done.keys().next().filter(|_| self.done.len() == 1)
    }
}

/// How to go to the deployment before that of a revision, as the deployment tags tell; not to one of which the journals know
/// that it failed.
fn tagged_before(
    config: &Config,
    repo: &Repo,
    revision: &Revision,
    history: &History,
) -> Result<Option<String>, Refused> {
    let tagged = Tags::new(repo, &config.control_name).revisions().context("cannot read the deployment tags")?;
    let has_failed = |revision: &Revision| {
        let last = history.runs.iter().rfind(|past| past.kind == Kind::Deploy && past.revision == *revision);
        last.is_some_and(|past| past.undone || past.left_mixed)
    };
    let mut before = tagged.iter().skip_while(|(_, it)| it != revision);
    let earlier = before.find(|(_, it)| it != revision && !has_failed(it));
    Ok(earlier.map(|(tag, earlier)| {
        let short = earlier.short();
        let back = config.invocation.on_these_hosts(&format!("rollback --to {short}"));
        format!("the previous deployment was that of {short} ({tag}): `{back}` goes back to it")
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
