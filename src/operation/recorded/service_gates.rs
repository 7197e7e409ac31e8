//! The gates of a run: what the story asks about the service, asked of the sources that `gates.yaml` names.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::deploy::health::{GateEvent, Gates, Health, Look};
use crate::deploy::{GatePlan, Plan};
use crate::fleet::Flow;
use crate::gates::{Gate, Progress, Run, Subject, Verdict};
use crate::wire::Revision;

use super::observe::Observations;

/// How often whoever looks on is told how much is left.
const TICK: Duration = Duration::from_millis(100);

/// The gates of one run.
pub struct ServiceGates<'a> {
    due: &'a [GatePlan],
    /// As the configuration has them now, or what is wrong with it: that keeps no run from going back.
    gates: Result<Vec<Gate>, String>,
    revision: String,
    /// Finds what most targets ran before.
    find_previous: Box<dyn Fn() -> String + 'a>,
    /// What that found at the first look.
    previous: Option<String>,
}

impl<'a> ServiceGates<'a> {
    /// The gates of a plan. Addresses, queries and files of secrets are in no journal: they are the configuration's.
    pub fn new(config: &Config, plan: &'a Plan, observations: Observations) -> ServiceGates<'a> {
        let others = move || {
            let live = observations.live(plan).into_iter().map(|(_, live)| live);
            most_common(live.filter(|live| *live != plan.revision))
        };
        ServiceGates::of(config, &plan.gates, plan.revision.to_string(), others)
    }

    /// The gates of a command, which leaves the revision as it is.
    pub fn of_command(config: &Config, due: &'a [GatePlan], live: String) -> ServiceGates<'a> {
        ServiceGates::of(config, due, live.clone(), move || live.clone())
    }

    fn of(
        config: &Config,
        due: &'a [GatePlan],
        revision: String,
        find_previous: impl Fn() -> String + 'a,
    ) -> ServiceGates<'a> {
        let gates = if due.is_empty() { Ok(Vec::new()) } else { config.gates().map(|(gates, _)| gates) };
        let gates = gates.map_err(|error| format!("{error:#}"));
        ServiceGates { due, gates, revision, find_previous: Box::new(find_previous), previous: None }
    }

    /// The gates of a look, or what it comes to without them.
    fn due(&self, look: &Look) -> Result<Vec<&Gate>, Health> {
        let due = self.due.iter().filter(|gate| gate.scope.has(look.moment, &look.group));
        let of = |plan: &GatePlan| {
            let without = |reason: String| Health::Inconclusive { gate: plan.name.clone(), reason };
            let gates = self.gates.as_ref().map_err(|error| without(error.clone()))?;
            let gate = gates.iter().find(|gate| gate.name == plan.name);
            gate.ok_or_else(|| without("the run began with it, and it is no longer in gates.yaml".to_owned()))
        };
        due.map(of).collect()
    }

    fn subject(&mut self, look: &Look) -> Subject {
        let previous = self.previous.get_or_insert_with(&self.find_previous);
        Subject {
            revision: self.revision.clone(),
            previous_revision: previous.clone(),
            group: look.group.clone(),
            hosts: look.hosts.clone(),
        }
    }
}

/// The revision that most hosts run; empty where none runs any.
pub fn most_common(live: impl Iterator<Item = Revision>) -> String {
    let mut counts: HashMap<Revision, usize> = HashMap::new();
    live.for_each(|live| *counts.entry(live).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(revision, count)| (*count, revision.to_string()));
    most.map(|(revision, _)| revision.to_string()).unwrap_or_default()
}

impl Gates for ServiceGates<'_> {
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        let subject = self.subject(look);
        let gates = match self.due(look) {
            Ok(gates) => gates,
            Err(health) => return health,
        };
        let mut watch = Watch::start(&gates, &subject, look);
        loop {
            let events = watch.next();
            if on(events) != Flow::Continue {
                return Health::Pass;
            }
            if let Some(health) = watch.health() {
                return health;
            }
        }
    }
}

/// One look at its gates.
struct Watch<'g> {
    gates: &'g [&'g Gate],
    run: Run,
    end: Instant,
    soaks: bool,
    /// That the soak is over has been told.
    told_end: bool,
    /// Gates that are told and not obeyed, and have not said anything yet: one sample of each is waited for.
    unheard: Vec<String>,
    obeyed: usize,
    failed: Option<Health>,
    inconclusive: Option<Health>,
}

impl<'g> Watch<'g> {
    fn start(gates: &'g [&'g Gate], subject: &Subject, look: &Look) -> Watch<'g> {
        let observed = || gates.iter().filter(|gate| gate.observe);
        Watch {
            gates,
            run: Run::start(gates, subject, look.soak, &look.earlier),
            end: Instant::now() + look.soak,
            soaks: !look.soak.is_zero(),
            told_end: false,
            unheard: observed().map(|gate| gate.name.clone()).collect(),
            obeyed: gates.len() - observed().count(),
            failed: None,
            inconclusive: None,
        }
    }

    /// What has happened, after a moment at the most.
    fn next(&mut self) -> Vec<GateEvent> {
        let mut events = Vec::new();
        if self.run.is_over() {
            std::thread::sleep(self.left().min(TICK));
        } else {
            for heard in self.run.next(TICK) {
                self.hear(heard, &mut events);
            }
        }
        let left = self.left();
        if self.soaks && !self.told_end {
            events.push(GateEvent::Left(left));
            self.told_end = left.is_zero();
        }
        events
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn hear(&mut self, heard: Progress, events: &mut Vec<GateEvent>) {
        match heard {
            Progress::Sample(sample) => {
                self.unheard.retain(|name| *name != sample.gate);
                events.push(GateEvent::Sample(sample));
            }
            Progress::Ended(place, verdict) => {
                let gate = self.gates[place];
                self.unheard.retain(|name| *name != gate.name);
                if gate.observe {
                    return;
                }
                self.obeyed -= 1;
                let gate = gate.name.clone();
                match verdict {
                    Verdict::Pass => {}
                    Verdict::Fail { reason } => {
                        self.failed.get_or_insert(Health::Fail { gate, reason });
                    }
                    // Meanwhile the others look on: one that fails says more.
                    Verdict::Inconclusive { reason } => {
                        self.inconclusive.get_or_insert(Health::Inconclusive { gate, reason });
                    }
                }
            }
        }
    }

    /// What the look came to, once that is known.
    fn health(&mut self) -> Option<Health> {
        if let Some(failed) = self.failed.take() {
            return Some(failed);
        }
        let is_over = self.obeyed == 0 && self.unheard.is_empty() && self.left().is_zero();
        is_over.then(|| self.inconclusive.take().unwrap_or(Health::Pass))
    }
}
