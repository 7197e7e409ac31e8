//! Which revisions are behind one another on a target, as the journals tell.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::deploy::Kind;
use crate::targets::Target;
use crate::wire::Revision;

use super::history::{History, PastRun};

/// A revision, and the run that brought it last; `None`: it was there before the first run on that target.
pub type Layer = (Option<usize>, Revision);

/// A target, and the revision that it had before; `None`: there was none.
pub type Before<'a> = (&'a Target, Option<Revision>);

/// What the journals tell of one target.
#[derive(Debug, Clone, Default, PartialEq)]
struct TargetPast {
    /// The revisions that are behind one another on it, the deployed one last.
    stack: Vec<Layer>,
    /// The last run that concerned it, whether its revision stayed there or not, and whether that took it back: a rollback
    /// that did not fail there, or a deployment that was undone there.
    last: Option<(usize, bool)>,
}

impl History {
    /// The revisions that are behind one another on a target after the first `runs` runs, the deployed one last. To
    /// deploy puts a revision on top; to go back to one takes away those above it, so that going back once more leads
    /// further back, and not forth. A target that catches up with others, by `hoist reconcile` or by a deployment of what
    /// they run to it alone, is as if it had been there when they got it.
    pub fn stack(&self, target: &Target, runs: usize) -> Vec<Layer> {
        self.pasts(runs).swap_remove(target).unwrap_or_default().stack
    }

    fn pasts(&self, runs: usize) -> IndexMap<&Target, TargetPast> {
        let mut pasts: IndexMap<&Target, TargetPast> = IndexMap::new();
        for (index, run) in self.runs.iter().enumerate().take(runs) {
            let others = self.caught_up_with(run, &pasts);
            for target in &run.targets {
                let past = pasts.entry(target).or_default();
                let stays = run.stayed_on.contains(target);
                match &others {
                    Some(others) if stays => self.catch_up(target, past, others),
                    _ => {
                        if stays {
                            put(index, run, target, &mut past.stack);
                        }
                        if run.moved_hosts() {
                            let goes_back = match run.kind {
                                Kind::Rollback => stays,
                                _ => run.promotes && (run.undone || run.rolled_back) && !stays,
                            };
                            past.last = Some((index, goes_back));
                        }
                    }
                }
            }
        }
        pasts
    }

    /// What the targets have on which a run's revision is live already, if the run is only for others, and these are not
    /// more: then they catch up.
    fn caught_up_with(&self, run: &PastRun, pasts: &IndexMap<&Target, TargetPast>) -> Option<TargetPast> {
        if run.kind != Kind::Deploy {
            return None;
        }
        let has_it = |(target, past): &(&&Target, &TargetPast)| {
            past.stack.last().is_some_and(|(_, revision)| *revision == run.revision) && !run.targets.contains(target)
        };
        let there: Vec<&TargetPast> = pasts.iter().filter(has_it).map(|(_, past)| past).collect();
        let newest = there.iter().max_by_key(|past| (past.stack.last().map(|(index, _)| *index), past.last))?;
        (there.len() >= run.stayed_on.len()).then(|| (*newest).clone())
    }

    /// Puts a target to where others are.
    fn catch_up(&self, target: &Target, past: &mut TargetPast, others: &TargetPast) {
        let Some(top) = others.stack.last() else { return };
        let missed = |index: &usize| self.runs[*index].targets.contains(target);
        match past.stack.iter().rposition(|layer| layer == top) {
            Some(place) => past.stack.truncate(place + 1),
            // It was not there yet, or it was to get what they got.
            None if past.stack.is_empty() || top.0.as_ref().is_some_and(missed) => past.stack.clone_from(&others.stack),
            None => past.stack.push(top.clone()),
        }
        past.last = others.last;
    }

    /// The newest revision that is deployed on any of these targets, as after the first `runs` runs, and for each target
    /// that has it the revision before it, `None` where there is none.
    pub fn newest<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a Target>,
        runs: usize,
    ) -> Option<(Revision, Vec<Before<'a>>)> {
        let pasts = self.pasts(runs);
        let stack = |target| pasts.get(target).map(|past| past.stack.clone()).unwrap_or_default();
        let stacks: Vec<(&Target, Vec<Layer>)> = targets.into_iter().map(|target| (target, stack(target))).collect();
        let newest = stacks.iter().filter_map(|(_, stack)| stack.last()).max_by_key(|(run, _)| *run)?.clone();
        let before = |(target, stack): (&'a Target, Vec<Layer>)| match stack.as_slice() {
            [.., (_, before), top] if *top == newest => Some((target, Some(before.clone()))),
            [top] if *top == newest => Some((target, None)),
            _ => None,
        };
        Some((newest.1.clone(), stacks.into_iter().filter_map(before).collect()))
    }

    /// What targets had finalized when their newest revision was deployed, and what nothing here tells of: a way back from
    /// there passes it over. If all targets of that deployment had it, it is on their stacks.
    pub fn passed_over<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Vec<(Revision, Target)> {
        let pasts = self.pasts(self.runs.len());
        let passed_over = |target: &Target| {
            let stack = &pasts.get(target)?.stack;
            let newest = stack.last()?.0.map(|index| &self.runs[index])?;
            let (_, had) = newest.before.iter().find(|(other, _)| other == target)?;
            stack.iter().all(|(_, revision)| revision != had).then(|| (had.clone(), target.clone()))
        };
        targets.into_iter().filter_map(passed_over).collect()
    }

    /// The last run on any of these targets, when it went back: a deployment that was rolled back, or a rollback after which
    /// none of the targets is left where it was. There is nothing to undo any more. A run that brought nothing live, such as
    /// one of `fetch` alone, is passed over, and so is a rollback that was turned back.
    pub fn went_back<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Option<(usize, &PastRun)> {
        let pasts = self.pasts(self.runs.len());
        let last = |target| {
            let (index, undone) = pasts.get(target)?.last?;
            Some((index, &self.runs[index], undone))
        };
        let lasts: Vec<(usize, &PastRun, bool)> = targets.into_iter().filter_map(last).collect();
        let newest = *lasts.iter().max_by_key(|(index, ..)| *index)?;
        let is_undone = newest.1.kind == Kind::Deploy && newest.2;
        (is_undone || lasts.iter().all(|(.., goes_back)| *goes_back)).then_some((newest.0, newest.1))
    }

    /// Whether a revision was never live as far as the journals tell, and all that they tell of it is that it was fetched.
    pub fn was_only_fetched(&self, revision: &Revision) -> bool {
        let mut runs = self.runs.iter().filter(|past| past.revision == *revision).peekable();
        let was_there = || self.runs.iter().flat_map(|past| &past.before).any(|(_, before)| before == revision);
        runs.peek().is_some() && runs.all(|past| !past.promotes && !past.rendered && !past.stayed()) && !was_there()
    }

    /// The revisions whose last deployment was undone.
    pub fn undone(&self) -> HashSet<Revision> {
        let mut undone = HashSet::new();
        for past in &self.runs {
            if past.undone {
                undone.insert(past.revision.clone());
            } else {
                undone.remove(&past.revision);
            }
        }
        undone
    }

    /// The revision of the last run that is for none of these. A rollback that was turned back is passed over.
    pub fn last_but(&self, except: &HashSet<Revision>) -> Option<&Revision> {
        let turned_back = |past: &PastRun| past.kind == Kind::Rollback && !past.stayed();
        let runs = self.runs.iter().filter(|past| !turned_back(past));
        runs.map(|past| &past.revision).rfind(|revision| !except.contains(*revision))
    }

    /// The deployment that brought a revision last.
    pub fn deployment_of(&self, revision: &Revision) -> Option<&PastRun> {
        self.runs.iter().rfind(|past| past.kind == Kind::Deploy && past.revision == *revision && past.stayed())
    }
}

/// Puts the revision of a run on a target's stack.
fn put(index: usize, run: &PastRun, target: &Target, stack: &mut Vec<Layer>) {
    if stack.is_empty() {
        let before = run.before.iter().find(|(other, _)| other == target);
        stack.extend(before.map(|(_, revision)| (None, revision.clone())));
    }
    // Somebody else has deployed since, of whom these journals do not tell.
    let found = run.found.as_ref().filter(|found| run.kind == Kind::Deploy && run.had(target, found));
    if let Some(found) = found.filter(|found| stack.last().is_some_and(|(_, top)| top != *found)) {
        match stack.iter().rposition(|(_, revision)| revision == found) {
            Some(place) => stack.truncate(place + 1),
            None => stack.push((Some(index), found.clone())),
        }
    }
    let place = stack.iter().rposition(|(_, revision)| *revision == run.revision);
    match place {
        Some(place) if run.kind == Kind::Rollback => stack.truncate(place + 1),
        // The same once more is no step forward.
        Some(place) if place + 1 == stack.len() => stack[place].0 = Some(index),
        _ => stack.push((Some(index), run.revision.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::StartedBy;
    use Kind::{Deploy, Rollback};

    fn revision(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn targets(names: &str) -> Vec<Target> {
        names.split(' ').filter(|name| !name.is_empty()).map(|name| name.parse().unwrap()).collect()
    }

    /// A run of these targets that stayed on some of them.
    fn run(kind: Kind, digit: char, of: &str, stayed_on: &str) -> PastRun {
        PastRun {
            run: "20261123T144552.123Z-4711-7d3f".parse().unwrap(),
            kind,
            revision: revision(digit),
            by: StartedBy { user: "op".into(), deploy_host: "deploy1".into() },
            targets: targets(of),
            stayed_on: targets(stayed_on),
            before: Vec::new(),
            found: None,
            interrupted: false,
            undone: kind == Deploy && stayed_on.is_empty(),
            promotes: true,
            rendered: false,
            left_mixed: false,
            tried: true,
            rolled_back: false,
            asked: None,
            control_files: Default::default(),
            steps: Default::default(),
        }
    }

    fn history(runs: Vec<PastRun>) -> History {
        History { runs, warnings: Vec::new() }
    }

    fn stack_of(runs: &[(Kind, char)]) -> String {
        let history = history(runs.iter().map(|(kind, digit)| run(*kind, *digit, "a", "a")).collect());
        let stack = history.stack(&"a".parse().unwrap(), runs.len());
        stack.iter().map(|(_, revision)| &revision.as_str()[..1]).collect()
    }

    #[test]
    fn going_back_twice_leads_further_back() {
        assert_eq!(stack_of(&[]), "");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Deploy, 'b'), (Deploy, 'c')]), "abc");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Deploy, 'c'), (Rollback, 'b')]), "ab");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Rollback, 'a'), (Deploy, 'd')]), "ad");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Rollback, 'a'), (Deploy, 'b')]), "ab");
    }

    #[test]
    fn a_revision_that_is_deployed_again_later_is_new_and_one_from_before_the_journals_is_put_on_top() {
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Deploy, 'a')]), "aba");
        assert_eq!(stack_of(&[(Deploy, 'b'), (Rollback, 'a')]), "ba");
    }

    /// The newest revision, and what was before it: `c: a b`.
    fn newest(history: &History, of: &str) -> String {
        let targets = targets(of);
        let Some((newest, before)) = history.newest(&targets, history.runs.len()) else { return String::new() };
        let digit = |revision: &Revision| revision.as_str()[..1].to_owned();
        let before: Vec<_> = before.iter().map(|(_, it)| it.as_ref().map_or("-".into(), digit)).collect();
        format!("{}: {}", digit(&newest), before.join(" "))
    }

    #[test]
    fn what_some_hosts_got_by_themselves_is_gone_back_from_on_those_and_the_others_have_their_own_past() {
        let parts = history(vec![
            run(Deploy, 'a', "a b c", "a b c"),
            run(Deploy, 'b', "a b c", "a b c"),
            run(Rollback, 'a', "a", "a"),
        ]);
        assert_eq!(newest(&parts, "a b c"), "b: a a", "the rollback of one host is not that of the fleet");
        assert_eq!(newest(&parts, "a"), "a: -");
        let canary =
            history(vec![run(Deploy, 'a', "a b", "a b"), run(Deploy, 'b', "a b", "a b"), run(Deploy, 'c', "a", "a")]);
        assert_eq!((newest(&canary, "a b"), newest(&canary, "b")), ("c: b".into(), "b: a".into()));
        assert_eq!(newest(&history(Vec::new()), "a b"), "");
    }

    #[test]
    fn what_all_hosts_were_found_with_was_deployed_before_whoever_did_that() {
        let finds = |digit, on: &str, found| PastRun {
            before: targets(on).into_iter().map(|target| (target, revision(found))).collect(),
            found: Some(revision(found)),
            ..run(Deploy, digit, "a b", "a b")
        };
        let before =
            |last: PastRun| history(vec![run(Deploy, '1', "a b", "a b"), run(Deploy, '2', "a b", "a b"), last]);
        assert_eq!(newest(&before(finds('4', "a b", '3')), "a b"), "4: 3 3");
        assert_eq!(newest(&before(finds('4', "a b", '2')), "a b"), "4: 2 2", "the journals tell of it");
        assert_eq!(newest(&before(finds('2', "a b", '3')), "a b"), "2: 3 3", "it was deployed again");
        assert_eq!(newest(&before(finds('4', "a", '3')), "a b"), "4: 3 2", "one had it already");
        let went_back = before(finds('4', "a b", '1'));
        assert_eq!(newest(&went_back, "a b"), "4: 1 1", "somebody else went back");
        let differ = PastRun { found: None, ..finds('4', "a", '3') };
        let differ = before(differ);
        assert_eq!(newest(&differ, "a b"), "4: 2 2", "one alone had it");
        let passed_over = differ.passed_over(&targets("a b"));
        assert_eq!(passed_over, [(revision('3'), "a".parse().unwrap())], "which is told");
        let below = went_back.stack(&"a".parse().unwrap(), 3);
        assert_eq!(below.len(), 2, "and 2 is not what is behind that");
        let mut back = before(finds('4', "a b", '3'));
        back.runs.push(run(Rollback, '3', "a b", "a b"));
        assert_eq!(newest(&back, "a b"), "3: 2 2");
    }

    #[test]
    fn who_catches_up_with_others_goes_back_with_them() {
        let deployed = |missed_by_c: bool| {
            let there = if missed_by_c { "a b" } else { "a b c" };
            vec![run(Deploy, '1', "a b c", "a b c"), run(Deploy, '2', "a b c", there), run(Deploy, '3', "a b c", there)]
        };
        let and = |runs: Vec<PastRun>, more: Vec<PastRun>| history(runs.into_iter().chain(more).collect());
        let missed = and(deployed(true), vec![run(Deploy, '3', "c", "c")]);
        assert_eq!(newest(&missed, "a b c"), "3: 2 2 2", "it missed two deployments, and not the way back");
        let added = and(deployed(false), vec![run(Deploy, '3', "d", "d")]);
        assert_eq!(newest(&added, "a b c d"), "3: 2 2 2 2", "it is new");
        let tried = and(deployed(false), vec![run(Deploy, '1', "c", "c"), run(Deploy, '3', "c", "c")]);
        assert_eq!(newest(&tried, "a b c"), "3: 2 2 2", "it is where it was");
        let rolled_back = vec![run(Rollback, '2', "a b c", "a b"), run(Deploy, '2', "c", "c")];
        let rolled_back = and(deployed(false), rolled_back);
        assert_eq!(newest(&rolled_back, "a b c"), "2: 1 1 1", "it followed those that went back");
        assert_eq!(rolled_back.went_back(&targets("a b c")).map(|(index, _)| index), Some(3));
        let rest = and(deployed(false), vec![run(Deploy, '4', "a", "a"), run(Deploy, '4', "b c", "b c")]);
        assert_eq!(newest(&rest, "b c"), "4: 3 3", "the rest of a fleet does not catch up with its canary");
        let undone = PastRun { left_mixed: true, rolled_back: true, ..run(Deploy, '4', "a b c", "c") };
        let mended = and(deployed(false), vec![undone, run(Deploy, '3', "c", "c")]);
        assert_eq!(newest(&mended, "a b c"), "3: 2 2 2");
        assert_eq!(mended.went_back(&targets("a b c")).map(|(index, _)| index), Some(3), "4 was undone");
    }

    #[test]
    fn what_was_deployed_last_is_what_was_not_undone_since() {
        let undone = |digit| PastRun { undone: true, ..run(Deploy, digit, "a", "") };
        let last = |runs| {
            let history = history(runs);
            history.last_but(&history.undone()).map(|revision| revision.as_str()[..1].to_owned())
        };
        assert_eq!(last(Vec::new()), None);
        assert_eq!(last(vec![run(Deploy, 'a', "a", "a"), undone('b')]).as_deref(), Some("a"));
        let again = vec![run(Deploy, 'a', "a", "a"), undone('b'), run(Deploy, 'b', "a", "a")];
        assert_eq!(last(again).as_deref(), Some("b"));
        assert_eq!(last(vec![run(Deploy, 'b', "a", "a"), run(Rollback, 'a', "a", "a")]).as_deref(), Some("a"));
        assert_eq!(last(vec![run(Deploy, 'b', "a", "a"), run(Rollback, 'a', "a", "")]).as_deref(), Some("b"));
    }

    #[test]
    fn who_calls_second_is_told_that_somebody_has_gone_back_already() {
        let went_back = |runs: Vec<PastRun>, of: &str| history(runs).went_back(&targets(of)).map(|(index, _)| index);
        let deployed = || vec![run(Deploy, 'a', "a b", "a b"), run(Deploy, 'b', "a b", "a b")];
        let and = |last: PastRun| deployed().into_iter().chain([last]).collect::<Vec<_>>();
        assert_eq!(went_back(deployed(), "a b"), None);
        assert_eq!(went_back(and(run(Rollback, 'a', "a b", "a b")), "a b"), Some(2));
        assert_eq!(went_back(and(run(Deploy, 'c', "a b", "")), "a b"), Some(2), "it was rolled back");
        assert_eq!(went_back(and(run(Rollback, 'a', "a b", "")), "a b"), None, "it did not succeed");
        assert_eq!(went_back(and(run(Rollback, 'a', "a", "a")), "a b"), None, "one host is still there");
        assert_eq!(went_back(and(run(Rollback, 'a', "a b", "a")), "a b"), None, "one host failed, and is still there");
        let not_well = PastRun { left_mixed: true, ..run(Rollback, 'a', "a b", "") };
        assert_eq!(went_back(and(not_well), "a b"), None, "it was turned back");
        assert_eq!(went_back(and(run(Rollback, 'a', "a", "a")), "a"), Some(2));
        assert_eq!(
            went_back(and(run(Deploy, 'c', "a", "")), "a b"),
            Some(2),
            "what one host was to get was taken back"
        );
        assert_eq!(went_back(Vec::new(), "a"), None);
        let fetched = PastRun { undone: false, promotes: false, ..run(Deploy, 'c', "a b", "") };
        assert_eq!(went_back(and(fetched.clone()), "a b"), None, "what was only fetched was not undone");
        assert_eq!(went_back(and(PastRun { undone: true, ..fetched.clone() }), "a b"), None, "nor if the fetch failed");
        let both = and(run(Rollback, 'a', "a b", "a b")).into_iter().chain([fetched]).collect();
        assert_eq!(went_back(both, "a b"), Some(2), "a fetch does not hide it");
    }
}
