//! The gates of a run: what the story asks about the service, asked of the sources that `gates.yaml` names.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::deploy::health::{GateEvent, Gates, Health, Look};
use crate::deploy::{GatePlan, Plan};
use crate::fleet::Flow;
use crate::gates::{Gate, Heard, Run, Subject, Verdict};

use super::observe::Observations;

/// How often whoever looks on is told how much is left.
const TICK: Duration = Duration::from_millis(100);

/// The gates of one run.
pub struct ServiceGates<'a> {
    plan: &'a Plan,
    /// As the configuration has them now, or what is wrong with it: that keeps no run from going back.
    gates: Result<Vec<Gate>, String>,
    observations: Observations,
    /// What most targets ran before; found at the first look.
    previous: Option<String>,
}

impl<'a> ServiceGates<'a> {
    /// The gates of a plan. Addresses, queries and files of secrets are in no journal: they are the configuration's.
    pub fn new(config: &Config, plan: &'a Plan, observations: Observations) -> ServiceGates<'a> {
        let gates = if plan.gates.is_empty() { Ok(Vec::new()) } else { config.gates().map(|(gates, _)| gates) };
        ServiceGates { plan, gates: gates.map_err(|error| format!("{error:#}")), observations, previous: None }
    }

    /// The gates of a look, or what it comes to without them.
    fn due(&self, look: &Look) -> Result<Vec<&Gate>, Health> {
        let due = self.plan.gates.iter().filter(|gate| gate.at.contains(&look.moment) && gate.concerns(&look.group));
        let of = |plan: &GatePlan| {
            let without = |reason: String| Health::Inconclusive { gate: plan.name.clone(), reason };
            let gates = self.gates.as_ref().map_err(|error| without(error.clone()))?;
            let gate = gates.iter().find(|gate| gate.name == plan.name);
            gate.ok_or_else(|| without("the run began with it, and gates.yaml has it no more".to_owned()))
        };
        due.map(of).collect()
    }

    fn subject(&mut self, look: &Look) -> Subject {
        let (plan, observations) = (self.plan, &self.observations);
        let previous = self.previous.get_or_insert_with(|| most_common_before(plan, observations));
        Subject {
            revision: plan.revision.to_string(),
            previous_revision: previous.clone(),
            group: look.group.clone(),
            hosts: look.hosts.clone(),
        }
    }
}

/// The revision that most targets run, but for the plan's own; empty where none does.
fn most_common_before(plan: &Plan, observations: &Observations) -> String {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for (_, live) in observations.live(plan).into_iter().filter(|(_, live)| *live != plan.revision) {
        *counts.entry(live.to_string()).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(revision, count)| (*count, revision.clone())).map(|it| it.0).unwrap_or_default()
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

    fn hear(&mut self, heard: Heard, events: &mut Vec<GateEvent>) {
        match heard {
            Heard::Sample(sample) => {
                self.unheard.retain(|name| *name != sample.gate);
                events.push(GateEvent::Sample(sample));
            }
            Heard::Ended(place, verdict) => {
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
