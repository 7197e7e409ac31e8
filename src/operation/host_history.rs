//! Which revisions one host ran, since when, as the journals tell, and what was seen of it last.

use std::collections::BTreeMap;

use crate::clock;
use crate::config::Options;
use crate::deploy::Kind;
use crate::fleet::Step;
use crate::fleet_state::FleetState;
use crate::journal;
use crate::journal::{Past, PastStep, Unreadable};
use crate::named::named;
use crate::targets::Target;
use crate::wire::{Revision, Stage};

use super::history::RunAbout;
use super::past_runs::{Span, is_named, tell_left_out, unknown_host};
use super::{Frontend, Refused, load_for_journals, state_folder};

named! {
    /// How a revision came to a host.
    pub enum How {
        Deployed = "deployed",
        /// By `hoist rollback`.
        RolledBackTo = "rolled back to",
        /// By the deployment that failed.
        RolledBack = "rolled back",
        /// It was there already: nobody knows since when.
        Found = "found",
    }
}

/// What one target ran of one repository.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTimeline {
    pub host: Target,
    pub repository: String,
    /// When its links were last read: RFC 3339, in UTC.
    pub last_seen: Option<String>,
    /// The newest first.
    pub stays: Vec<Stay>,
}

/// A revision for as long as it was live.
#[derive(Debug, Clone, PartialEq)]
pub struct Stay {
    /// When it was first seen there: RFC 3339, in UTC. One that was found came before that.
    pub seen: String,
    /// When another one was seen; `None`: not so far.
    pub until: Option<String>,
    /// `None`: none was live.
    pub revision: Option<Revision>,
    pub arrival: Arrival,
}

/// How a revision came to a host, and with which run.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    pub how: How,
    /// The run that brought it, or that found it; `None`: it was found by a look at the fleet.
    pub run: Option<RunAbout>,
}

/// What a host ran: of each repository, and of each target of this name.
///
/// # Errors
/// The configuration, a folder that cannot be read, and a host of which no journal tells.
pub fn host_history(
    options: &Options,
    host: &str,
    span: Span,
    front: &dyn Frontend,
) -> Result<Vec<HostTimeline>, Refused> {
    let config = load_for_journals(options, front)?;
    let (folder, mut unreadable) = (state_folder(&config), Unreadable::default());
    let name = host.to_ascii_lowercase();
    let mut timelines: BTreeMap<(String, String), HostTimeline> = BTreeMap::new();
    for journal in journal::past(&folder)?.into_iter().rev() {
        match journal.read() {
            Ok(Some(past)) if config.environment.is_none() || past.opened.environment == config.environment => {
                for target in past.targets().into_iter().filter(|target| is_named(target, &name)) {
                    let repository = &past.opened.plan.repo;
                    let key = (repository.clone(), target.to_string());
                    timelines.entry(key).or_insert_with(|| HostTimeline::new(target, repository)).follow(&past, target);
                }
            }
            Ok(_) => {}
            Err(error) => unreadable.add(error),
        }
    }
    tell_left_out(unreadable, &folder, front);
    if timelines.is_empty() {
        return Err(unknown_host(host, &config));
    }
    let mut timelines: Vec<HostTimeline> = timelines.into_values().collect();
    for timeline in &mut timelines {
        // It is worth little more than the journals: without it they tell all there is.
        if let Ok(memory) = FleetState::load(&folder, &timeline.repository)
            && let Some(known) = memory.of(&timeline.host)
            && let (Some(contact), Some(state)) = (&known.contact, &known.state)
        {
            timeline.look(contact, state.current.as_ref());
        }
        timeline.stays.retain(|stay| stay.overlaps(span));
        timeline.stays.reverse();
    }
    Ok(timelines)
}

impl HostTimeline {
    fn new(host: &Target, repository: &str) -> HostTimeline {
        HostTimeline { host: host.clone(), repository: repository.to_owned(), last_seen: None, stays: Vec::new() }
    }

    /// Takes what a run saw of the host, and what it did there.
    fn follow(&mut self, past: &Past, target: &Target) {
        let plan = &past.opened.plan;
        let Some(host) = plan.hosts().zip(plan.targets()).find(|(_, (_, its))| *its == target).map(|(host, _)| host)
        else {
            return;
        };
        let run = RunAbout::of(past);
        let mut worked_on = false;
        for PastStep { step, results, .. } in &past.steps {
            let is_stage = matches!(step, Step::Run(_));
            for result in results.iter().filter(|result| result.host == host) {
                let Some(links) = &result.links else { continue };
                // A probe in the middle of a run tells how the host was ahead of it.
                if !is_stage && worked_on {
                    continue;
                }
                worked_on |= is_stage;
                let current = links.current.as_ref();
                let how = match (step, plan.kind) {
                    (Step::Run(Stage::Rollback), _) => How::RolledBack,
                    (Step::Run(_), Kind::Rollback) if current == Some(&plan.revision) => How::RolledBackTo,
                    (Step::Run(_), _) if current == Some(&plan.revision) => How::Deployed,
                    _ => How::Found,
                };
                let at = result.time.ended.clone().unwrap_or_else(|| past.when());
                self.see(at, current, how, Some(&run));
            }
        }
    }

    /// Takes what a look at the fleet has found, unless it is older than what is known.
    fn look(&mut self, at: &str, current: Option<&Revision>) {
        let after = self.last_seen.as_deref().and_then(|last| clock::seconds_between(last, at));
        if after.is_none_or(|after| after > 0.0) {
            self.see(at.to_owned(), current, How::Found, None);
        }
    }

    fn see(&mut self, at: String, current: Option<&Revision>, how: How, run: Option<&RunAbout>) {
        self.last_seen = Some(at.clone());
        match self.stays.last_mut() {
            Some(last) if last.revision.as_ref() == current => return,
            Some(last) => last.until = Some(at.clone()),
            None => {}
        }
        let arrival = Arrival { how, run: run.cloned() };
        self.stays.push(Stay { seen: at, until: None, revision: current.cloned(), arrival });
    }
}

impl Stay {
    fn overlaps(&self, span: Span) -> bool {
        let seconds = |time: &String| clock::unix_seconds(time);
        let ends_ahead = span.since.zip(self.until.as_ref().and_then(seconds)).is_some_and(|(since, end)| end < since);
        let begins_behind = span.until.zip(seconds(&self.seen)).is_some_and(|(until, begin)| begin >= until);
        !ends_ahead && !begins_behind
    }
}
