//! How targets stand to what is wanted of them: one list of words for every command.

use std::collections::HashMap;

use crate::fleet_state::{FleetState, Known};
use crate::named::named;
use crate::targets::{Group, Target};
use crate::wire::Revision;

named! {
    /// How a target stands to what is wanted of it, in the order of the manual.
    pub enum Standing {
        /// It runs what is wanted of it, finalized, or nothing was deployed to the fleet from here yet.
        InSync = "in sync",
        /// A deployment went through without it.
        Behind = "behind",
        /// It is where a run has put it that is under way, or was left unfinished.
        Unfinished = "unfinished",
        /// It runs something else than is wanted of it, or what was not finalized there, its configuration links lead
        /// elsewhere, or it is drained.
        Drifted = "drifted",
        /// Nothing is deployed there, or nothing was from here: it was added, or installed anew.
        New = "new",
        /// It did not answer, or not as a target should; or what it runs is not known.
        Unreachable = "unreachable",
    }
}

impl Standing {
    /// Of a target of which this is known, and on which `wanted` should be live.
    pub fn of(known: &Known, wanted: Option<&Revision>) -> Standing {
        let Some(state) = &known.state else {
            return match known.owed {
                Some(_) => Standing::Behind,
                None if known.wanted.is_none() => Standing::New,
                None => Standing::Unreachable,
            };
        };
        match (&state.current, wanted) {
            (None, _) => Standing::New,
            _ if known.owed.is_some() => Standing::Behind,
            // Whoever deployed there, nothing else is wanted.
            (Some(live), None) if known.has(live) => Standing::InSync,
            (_, None) => Standing::Drifted,
            (_, Some(wanted)) if known.has(wanted) => Standing::InSync,
            _ if known.wanted.is_none() => Standing::New,
            _ => Standing::Drifted,
        }
    }

    /// The same while a run with this revision is not finished: what it has begun or done on the target is no drift.
    pub fn within(self, run: &Revision, known: &Known, wanted: Option<&Revision>) -> Standing {
        let Some(state) = known.state.as_ref().filter(|state| state.stray_links.is_empty()) else { return self };
        let is_as_wanted = wanted.is_some_and(|wanted| known.has(wanted));
        let is_put = state.in_progress.as_ref() == Some(run) || (state.current.as_ref() == Some(run) && !is_as_wanted);
        if is_put && self != Standing::Unreachable { Standing::Unfinished } else { self }
    }
}

/// What the targets of a fleet should run. One that no deployment went to yet should run what its group runs; one of a
/// new group, what the fleet runs.
pub struct Wanted<'a> {
    memory: &'a FleetState,
    groups: HashMap<&'a str, Option<Revision>>,
    fleet: Option<Revision>,
}

impl<'a> Wanted<'a> {
    /// `groups` are those of the whole fleet.
    pub fn new(memory: &'a FleetState, groups: &'a [Group]) -> Wanted<'a> {
        let of = |group: &'a Group| group.targets.iter().filter_map(|target| memory.of(target)?.wanted.as_ref());
        let groups_want =
            groups.iter().filter(|group| of(group).next().is_some()).map(|it| (it.name.as_str(), most(of(it))));
        Wanted { memory, groups: groups_want.collect(), fleet: most(groups.iter().flat_map(of)) }
    }

    /// What a target of a group should run; `None`: that cannot be told.
    pub fn of(&self, group: &str, target: &Target) -> Option<Revision> {
        let own = self.memory.of(target).and_then(|known| known.wanted.clone());
        own.or_else(|| self.groups.get(group).unwrap_or(&self.fleet).clone())
    }
}

/// The revision that is there most often; `None` where two are.
pub fn most<'a>(revisions: impl Iterator<Item = &'a Revision>) -> Option<Revision> {
    let mut counts: HashMap<&Revision, usize> = HashMap::new();
    revisions.for_each(|revision| *counts.entry(revision).or_default() += 1);
    let highest = *counts.values().max()?;
    let mut first = counts.into_iter().filter(|(_, count)| *count == highest);
    match (first.next(), first.next()) {
        (Some((revision, _)), None) => Some(revision.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet_state::Owed;
    use crate::wire::{DrainOn, Drained, State};

    fn revision(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn on(digit: char) -> Option<State> {
        Some(State { current: Some(revision(digit)), done: Some(revision(digit)), ..State::default() })
    }

    fn standing(known: Known, wanted: Option<char>) -> &'static str {
        Standing::of(&known, wanted.map(revision).as_ref()).name()
    }

    #[test]
    fn each_word_is_said_of_what_it_means() {
        let wants = |digit, state| Known { wanted: Some(revision(digit)), state, ..Known::default() };
        assert_eq!(standing(wants('a', on('a')), Some('a')), "in sync");
        assert_eq!(standing(wants('a', on('b')), Some('a')), "drifted");
        assert_eq!(standing(wants('a', Some(State::default())), Some('a')), "new", "it was installed anew");
        assert_eq!(standing(wants('a', None), Some('a')), "unreachable", "it is not known what it runs");
        let stray = on('a').map(|state| State { stray_links: vec!["/etc/app".into()], ..state });
        assert_eq!(standing(wants('a', stray), Some('a')), "drifted");
        let (since, run) = ("2026-11-23T14:45:52Z".to_owned(), "r1".parse().unwrap());
        let drained = Some(Box::new(Drained { since, run, on: DrainOn::Target, reason: None }));
        let out = on('a').map(|state| State { drained, ..state });
        assert_eq!(standing(wants('a', out), Some('a')), "drifted", "it is drained");
        let run = "20261123T144552.123Z-4711-7d3f".parse().unwrap();
        let owed = Some(Owed { revision: revision('b'), run, reason: "down".into(), again: false });
        assert_eq!(standing(Known { owed, ..wants('b', on('a')) }, Some('b')), "behind");
        // Never deployed to from here.
        let of = |state| Known { state, ..Known::default() };
        assert_eq!(standing(of(None), None), "new");
        assert_eq!(standing(of(on('a')), None), "in sync", "nothing else is wanted");
        let begun = on('a').map(|state| State { done: Some(revision('b')), ..state });
        assert_eq!(standing(of(begun), None), "drifted", "nobody has finalized it");
        assert_eq!(standing(of(on('a')), Some('a')), "in sync");
        assert_eq!(standing(of(on('a')), Some('b')), "new");
        let words = ["in sync", "behind", "unfinished", "drifted", "new", "unreachable"];
        assert_eq!(Standing::ALL.map(Standing::name), words);
        // Programs read the same words.
        assert!(Standing::ALL.iter().all(|it| serde_json::to_value(it).unwrap() == it.name()));
    }

    #[test]
    fn what_a_run_has_done_is_no_drift_until_it_is_finished() {
        let in_run = |state: State, wanted: Option<char>| {
            let wanted = wanted.map(revision);
            let known = Known { state: Some(state), wanted: wanted.clone(), ..Known::default() };
            Standing::of(&known, wanted.as_ref()).within(&revision('b'), &known, wanted.as_ref()).name()
        };
        let state = |current, done, in_progress: Option<char>| State {
            current: Some(revision(current)),
            done: Some(revision(done)),
            in_progress: in_progress.map(revision),
            ..State::default()
        };
        assert_eq!(in_run(state('a', 'a', None), Some('a')), "in sync", "it did nothing there");
        assert_eq!(in_run(state('a', 'a', Some('b')), Some('a')), "unfinished", "it fetched");
        assert_eq!(in_run(state('b', 'a', Some('b')), Some('a')), "unfinished");
        assert_eq!(in_run(state('b', 'b', None), Some('a')), "unfinished", "finalized");
        assert_eq!(in_run(state('b', 'b', None), None), "unfinished", "the first deployment");
        assert_eq!(in_run(state('b', 'b', None), Some('b')), "in sync", "deployed again");
        let stray = State { stray_links: vec!["/etc/app".into()], ..state('b', 'a', Some('b')) };
        assert_eq!(in_run(stray, Some('a')), "drifted");
        let elsewhere = Known { state: Some(state('c', 'c', None)), wanted: Some(revision('a')), ..Known::default() };
        let wanted = revision('a');
        let standing = Standing::of(&elsewhere, Some(&wanted)).within(&revision('b'), &elsewhere, Some(&wanted));
        assert_eq!(standing.name(), "drifted", "somebody else did that");
    }

    #[test]
    fn a_new_host_is_to_run_what_its_group_runs_unless_that_cannot_be_told() {
        let mut memory = FleetState::empty("app");
        let target = |name: &str| name.parse::<Target>().unwrap();
        for (name, digit) in [("web1", 'a'), ("web2", 'a'), ("web3", 'b'), ("api1", 'b'), ("api2", 'c')] {
            memory.entry(&target(name)).wanted = Some(revision(digit));
        }
        let group = |name: &str, hosts: &[&str]| Group {
            name: name.into(),
            targets: hosts.iter().map(|host| target(host)).collect(),
            ..Group::default()
        };
        let groups = [
            group("web", &["web1", "web2", "web3", "web4"]),
            group("api", &["api1", "api2", "api3"]),
            group("db", &["db1"]),
        ];
        let wanted = Wanted::new(&memory, &groups);
        assert_eq!(wanted.of("web", &target("web3")), Some(revision('b')), "its own");
        assert_eq!(wanted.of("web", &target("web4")), Some(revision('a')));
        assert_eq!(wanted.of("api", &target("api3")), None, "half of them want another");
        assert_eq!(wanted.of("db", &target("db1")), None, "a new group, and the fleet is split");
        assert_eq!(Wanted::new(&FleetState::empty("app"), &groups).of("web", &target("web1")), None);
    }
}
