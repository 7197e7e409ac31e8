//! What is remembered of one target, and how that changes with what a run saw of it.

use serde::{Deserialize, Serialize};

use crate::wire::{Drained, Revision, RunId, State};

/// What is remembered of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub group: String,
    /// What its links said when it was last read; `None`: never read, or not known since a stage was lost there or a run
    /// left it on a lease.
    pub state: Option<State>,
    /// How it was drained when `state` became unknown: it counts as drained until it is seen in service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Box<Drained>>,
    /// When it last answered: RFC 3339, UTC.
    pub contact: Option<String>,
    /// What the last deployment to it that went through wants it to run.
    pub wanted: Option<Revision>,
    /// That deployment went through without this target.
    pub owed: Option<Owed>,
}

/// A revision that a target missed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    pub revision: Revision,
    /// The run that left it out.
    pub run: RunId,
    /// One fragment.
    pub reason: String,
    /// Its links may lead to that revision already: it was to run it before, too, or finalize set them and failed then. They
    /// do not tell whether it has what else the run brought, such as configuration files. Only a run that goes through to
    /// it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// What a run heard of a target's links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Links {
    /// Nothing: what was known before still holds.
    #[default]
    Unheard,
    /// A stage may have changed them, and the target did not say how; or a lease does.
    ///
    /// With what the run had read of it before.
    Unknown(Option<State>),
    Read(State),
}

/// What a run saw of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    pub links: Links,
    /// When it last answered; `None`: it did not.
    pub contact: Option<String>,
}

impl Observation {
    /// The same of a target that is known to change what was seen of it.
    pub fn doubted(self) -> Observation {
        Observation { links: self.links.doubted(), ..self }
    }
}

impl Links {
    /// What is left of it where the links may have changed since.
    pub fn doubted(self) -> Links {
        match self {
            Links::Unheard => Links::Unknown(None),
            Links::Read(state) => Links::Unknown(Some(state)),
            unknown @ Links::Unknown(_) => unknown,
        }
    }
}

impl Known {
    /// Takes over what was seen. A target that has, by its own word, what it was owed is owed nothing any more.
    pub fn see(&mut self, observation: Observation) {
        match observation.links {
            Links::Unheard => {}
            Links::Unknown(read) => {
                if let Some(last) = read.or_else(|| self.state.take()) {
                    self.drained = last.drained;
                }
                self.state = None;
            }
            Links::Read(state) => (self.state, self.drained) = (Some(state), None),
        }
        self.contact = observation.contact.or_else(|| self.contact.take());
        if self.owed.as_ref().is_some_and(|owed| !owed.again && self.has(&owed.revision)) {
            self.owed = None;
        }
    }

    /// How it is drained, as last seen, even if it is not known what it runs.
    pub fn drained(&self) -> Option<&Drained> {
        self.state.as_ref().and_then(|state| state.drained.as_deref()).or(self.drained.as_deref())
    }

    /// Whether a revision is live and finalized there, as last read, its configuration links included, and the host in
    /// service.
    pub fn has(&self, revision: &Revision) -> bool {
        self.state.as_ref().is_some_and(|state| is_on(state, revision))
    }
}

/// Whether a revision is live and finalized, its configuration links included, on a host that is in service.
fn is_on(state: &State, revision: &Revision) -> bool {
    let is_named = state.current.as_ref() == Some(revision) && state.done.as_ref() == Some(revision);
    is_named && state.stray_links.is_empty() && state.drained.is_none()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::fleet_state) fn revision(digit: char) -> Revision {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn on(digit: char) -> State {
        State { current: Some(revision(digit)), done: Some(revision(digit)), ..State::default() }
    }

    pub(in crate::fleet_state) fn owed(digit: char) -> Known {
        let run = "20261123T144552.123Z-4711-7d3f".parse().unwrap();
        let owed = Owed { revision: revision(digit), run, reason: "unreachable".into(), again: false };
        Known { wanted: Some(revision(digit)), owed: Some(owed), state: Some(on('a')), ..Known::default() }
    }

    #[test]
    fn a_target_that_has_what_it_was_owed_is_owed_nothing() {
        let mut known = owed('b');
        known.see(Observation { links: Links::Read(on('a')), contact: Some("then".into()) });
        assert!(known.owed.is_some() && !known.has(&revision('b')));
        let half = State { done: Some(revision('a')), ..on('b') };
        known.see(Observation { links: Links::Read(half), contact: None });
        assert!(known.owed.is_some(), "it is live there and not finalized");
        known.see(Observation { links: Links::Read(on('b')), contact: None });
        assert_eq!((&known.owed, known.contact.as_deref()), (&None, Some("then")));
        assert!(known.has(&revision('b')));
        // What ran that revision before may lack what else was brought.
        known.owed = owed('b').owed.map(|owed| Owed { again: true, ..owed });
        known.see(Observation { links: Links::Read(on('b')), contact: None });
        assert!(known.owed.is_some());
    }

    #[test]
    fn a_target_that_was_lost_while_drained_is_drained_until_it_is_seen_in_service() {
        let drained = |since: &str| {
            let (since, run) = (since.to_owned(), "r1".parse().unwrap());
            Some(Box::new(Drained { since, run, on: crate::wire::DrainOn::Target, reason: None }))
        };
        let see = |known: &mut Known, links| known.see(Observation { links, contact: None });
        let since = |known: &Known| known.drained().map(|drained| drained.since.clone());
        let out = |since| State { drained: drained(since), ..on('a') };
        let mut known = Known::default();
        see(&mut known, Links::Read(out("then")));
        see(&mut known, Links::Unheard);
        see(&mut known, Links::Unknown(None));
        assert_eq!((&known.state, since(&known)), (&None, Some("then".into())));
        // What is on the disk says the same.
        known = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
        see(&mut known, Links::Unknown(None));
        assert_eq!(since(&known), Some("then".into()));
        // The run that lost it had read it.
        see(&mut known, Links::Unknown(Some(out("now"))));
        assert_eq!((&known.state, since(&known)), (&None, Some("now".into())));
        see(&mut known, Links::Unknown(Some(on('a'))));
        assert_eq!(since(&known), None);
        see(&mut known, Links::Unknown(Some(out("now"))));
        see(&mut known, Links::Read(on('a')));
        assert_eq!((known.state.is_some(), since(&known)), (true, None));
    }
}
