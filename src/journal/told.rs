//! What the targets say of a run: each keeps records of its own of the stages that were begun there. They have what the
//! journal lacks when the deploy host's disk was full, read-only or broken.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::deploy::Plan;
use crate::fleet::remarks::Remark;
use crate::fleet::{Call, First, Fleet, Flow, HostEvent, HostId, Step, Task};
use crate::wire::{Stage, State};

use super::Record;

/// The longest that one target may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The tries of stages that targets have on record and that the story has not heard of yet, and how targets were before
/// the run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    tries: HashSet<(HostId, Stage, u32)>,
    before: HashMap<HostId, State>,
    /// Targets that did not answer.
    pub silent: Vec<HostId>,
    /// What the fleet remarked meanwhile.
    pub remarks: Vec<Remark>,
}

/// What a run's first probe found of its hosts, and whether a stage ended there, as the journal has it. A host of which
/// an older build did not note where it is has nothing to be known again by.
pub fn first_seen(records: &[Record]) -> HashMap<HostId, First> {
    let mut seen: HashMap<HostId, First> = HashMap::new();
    let mut step = None;
    for record in records {
        match record {
            Record::Called { call, .. } => step = Some(call.step),
            Record::Ended { host, result, .. } => match (step, &result.facts) {
                (Some(Step::Probe), Some(facts)) if facts.place.is_some() => {
                    let (place, state) = (facts.place.clone(), facts.state.clone());
                    seen.entry(*host).or_insert(First { place, state, begun: false });
                }
                (Some(Step::Run(_)), _) if result.state.is_some() => {
                    seen.entry(*host).and_modify(|first| first.begun = true);
                }
                _ => {}
            },
            _ => {}
        }
    }
    seen
}

impl Told {
    /// Asks every target of a plan. An interrupt is for the run: what it is to take back has to be known first.
    pub fn ask(fleet: &mut dyn Fleet, plan: &Plan) -> Told {
        let call = Call {
            step: Step::Probe,
            group: String::new(),
            batch: plan.probe_batch,
            room: None,
            timeout: TIMEOUT,
            force: false,
            recover: true,
        };
        let tasks: Vec<Task> = plan.hosts().map(Task::first).collect();
        let mut told = Told { silent: plan.hosts().collect(), ..Told::default() };
        fleet.run(&call, &tasks, &mut |events| {
            for event in events {
                let (host, result) = match event {
                    HostEvent::Ended(host, result) => (host, result),
                    HostEvent::Remark(remark) => {
                        told.remarks.push(remark);
                        continue;
                    }
                    _ => continue,
                };
                let Some(facts) = result.facts else { continue };
                told.silent.retain(|silent| *silent != host);
                told.tries.extend(facts.tries.into_iter().map(|(stage, attempt)| (host, stage, attempt)));
                told.before.extend(facts.before.map(|before| (host, *before)));
            }
            Flow::Continue
        });
        told
    }

    /// Takes the tries that a call is about; the hosts on which it was begun, as the targets have it on record.
    pub(super) fn take(&mut self, call: &Call, tasks: &[Task]) -> HashSet<HostId> {
        let mut begun = |task: &&Task| match call.step {
            // Where a stage was begun there was a probe before.
            Step::Probe => self.before.contains_key(&task.host),
            Step::Run(stage) => self.tries.remove(&(task.host, stage, task.attempt)),
            _ => false,
        };
        tasks.iter().filter(|task| begun(task)).map(|task| task.host).collect()
    }

    /// Takes the try of a run-once step, and says whether the target has it on record.
    pub(super) fn takes_once(&mut self, host: HostId, number: u32) -> bool {
        self.tries.remove(&(host, Stage::Once, number))
    }

    /// Whether there is a way forward on record that the story has not gone yet.
    pub(super) fn leads_on(&self) -> bool {
        self.tries.iter().any(|(_, stage, attempt)| !is_back(*stage, *attempt))
    }

    /// Nothing that is on record comes after this.
    pub(super) fn ends_here(&mut self) {
        self.tries.retain(|(_, stage, attempt)| is_back(*stage, *attempt));
    }

    /// Whether a rollback is on record that the story has not heard of.
    pub(super) fn went_back(&self) -> bool {
        self.tries.iter().any(|(_, stage, attempt)| is_back(*stage, *attempt))
    }

    /// How a target was before the run's first stage there, if there was one.
    pub(super) fn before(&self, host: HostId) -> Option<&State> {
        self.before.get(&host)
    }
}

/// Whether a stage is one of a rollback. The tries of undoing run-once steps have odd numbers.
fn is_back(stage: Stage, attempt: u32) -> bool {
    stage == Stage::Rollback || (stage == Stage::Once && attempt % 2 == 1)
}
