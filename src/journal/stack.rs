//! Which revisions are behind one another on a target, as the journals tell.

use std::collections::HashSet;

use crate::deploy::Kind;
use crate::targets::Target;
use crate::wire::Revision;

use super::history::{History, PastRun};

/// A revision, and the run that brought it last; `None`: it was there before the first run on that target.
pub type Layer = (Option<usize>, Revision);

/// A target, and the revision that it had before; `None`: there was none.
pub type Before<'a> = (&'a Target, Option<Revision>);

impl History {
    /// The revisions that are behind one another on a target after the first `runs` runs, the deployed one last. To
    /// deploy puts a revision on top; to go back to one takes away those above it, so that going back once more leads
    /// further back, and not forth.
    pub fn stack(&self, target: &Target, runs: usize) -> Vec<Layer> {
        let mut stack: Vec<Layer> = Vec::new();
        let mut is_first = true;
        for (index, past) in self.runs.iter().enumerate().take(runs) {
            if !past.stayed_on.contains(target) {
                continue;
            }
            if std::mem::take(&mut is_first) {
                let before = past.before.iter().find(|(other, _)| other == target);
                stack.extend(before.map(|(_, revision)| (None, revision.clone())));
            }
            let place = stack.iter().rposition(|(_, revision)| *revision == past.revision);
            match place {
                Some(place) if past.kind == Kind::Rollback => stack.truncate(place + 1),
                // The same once more is no step forward.
                Some(place) if place + 1 == stack.len() => stack[place].0 = Some(index),
                _ => stack.push((Some(index), past.revision.clone())),
            }
        }
        stack
    }

    /// The newest revision that is deployed on any of these targets, as after the first `runs` runs, and for each target
    /// that has it the revision before it, `None` where there is none.
    pub fn newest<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a Target>,
        runs: usize,
    ) -> Option<(Revision, Vec<Before<'a>>)> {
        let stacks: Vec<(&Target, Vec<Layer>)> =
            targets.into_iter().map(|target| (target, self.stack(target, runs))).collect();
        let newest = stacks.iter().filter_map(|(_, stack)| stack.last()).max_by_key(|(run, _)| *run)?.clone();
        let before = |(target, stack): (&'a Target, Vec<Layer>)| match stack.as_slice() {
            [.., (_, before), top] if *top == newest => Some((target, Some(before.clone()))),
            [top] if *top == newest => Some((target, None)),
            _ => None,
        };
        Some((newest.1.clone(), stacks.into_iter().filter_map(before).collect()))
    }

    /// The last run on any of these targets, when it went back: a deployment that was rolled back, or a rollback after which
    /// none of the targets is left where it was. There is nothing to undo any more. A run that brought nothing live, such as
    /// one of `fetch` alone, is passed over.
    pub fn went_back<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Option<(usize, &PastRun)> {
        let goes_back = |past: &PastRun| past.kind == Kind::Rollback || past.was_undone();
        let last = |target: &Target| {
            self.runs.iter().enumerate().rfind(|(_, past)| past.targets.contains(target) && past.moved_hosts())
        };
        let lasts: Vec<(usize, &PastRun)> = targets.into_iter().filter_map(last).collect();
        let newest = *lasts.iter().max_by_key(|(index, _)| *index)?;
        (newest.1.was_undone() || lasts.iter().all(|(_, past)| goes_back(past))).then_some(newest)
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

    /// The revision of the last run, of those whose last deployment was not undone.
    pub fn last_deployed(&self) -> Option<&Revision> {
        let undone = self.undone();
        self.runs.iter().map(|past| &past.revision).rfind(|revision| !undone.contains(*revision))
    }

    /// The deployment that brought a revision last.
    pub fn deployment_of(&self, revision: &Revision) -> Option<&PastRun> {
        self.runs.iter().rfind(|past| past.kind == Kind::Deploy && past.revision == *revision && past.stayed())
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
            interrupted: false,
            undone: kind == Deploy && stayed_on.is_empty(),
            promotes: true,
            left_mixed: false,
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
    fn what_was_deployed_last_is_what_was_not_undone_since() {
        let undone = |digit| PastRun { undone: true, ..run(Deploy, digit, "a", "") };
        let last = |runs| history(runs).last_deployed().map(|revision| revision.as_str()[..1].to_owned());
        assert_eq!(last(Vec::new()), None);
        assert_eq!(last(vec![run(Deploy, 'a', "a", "a"), undone('b')]).as_deref(), Some("a"));
        let again = vec![run(Deploy, 'a', "a", "a"), undone('b'), run(Deploy, 'b', "a", "a")];
        assert_eq!(last(again).as_deref(), Some("b"));
        assert_eq!(last(vec![run(Deploy, 'b', "a", "a"), run(Rollback, 'a', "a", "a")]).as_deref(), Some("a"));
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
