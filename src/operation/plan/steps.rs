//! What a deployment does in which order: part of the answer of `hoist plan`, and of a plan file.

use serde::{Deserialize, Serialize};

use crate::deploy::{GatePlan, Plan, StagePlan};
use crate::gates::Moment;
use crate::once::{On, OnceStep, When};
use crate::targets::{FailedTargets, FailureLimit, Group, Share, Target};
use crate::wire::Stage;

/// The stages, groups and gates of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    pub stages: Vec<PlannedStage>,
    pub groups: Vec<PlannedGroup>,
    /// The gates that are asked.
    pub gates: Vec<PlannedGate>,
    /// The run-once steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<PlannedStep>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    step: String,
    when: When,
    group: Option<String>,
    stage: Option<Stage>,
    on: On,
    command: String,
    undo: Option<String>,
    irreversible: bool,
    /// In seconds.
    timeout: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStage {
    stage: Stage,
    batch_size: usize,
    /// In seconds.
    timeout: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedGroup {
    pub name: String,
    hosts: usize,
    failure_limit: FailureLimit,
    /// In hosts.
    resolved_limit: usize,
    /// As it is written; `None`: as many as a subgroup has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_unavailable: Option<Share>,
    /// The label whose values have one each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_unavailable_by: Option<String>,
    /// In hosts, of the whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved_max_unavailable: Option<usize>,
    /// In seconds.
    soak_time: u64,
    group_soak_time: u64,
    retry_failed: usize,
    failed_targets: FailedTargets,
    subgroups: Vec<Subgroup>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Subgroup {
    label: String,
    hosts: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedGate {
    pub gate: String,
    pub when: Vec<Moment>,
    /// `None`: every group.
    pub group: Option<String>,
    pub observe: bool,
}

impl Steps {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Steps {
        let gates = plan.gates.iter().map(|gate| (gate, plan.moments_of(gate)));
        Steps {
            stages: plan.stages.iter().chain(&plan.finalize).map(PlannedStage::of).collect(),
            groups: plan.groups.iter().map(PlannedGroup::of).collect(),
            gates: gates.filter(|(_, moments)| !moments.is_empty()).map(PlannedGate::of).collect(),
            steps: plan.steps.iter().map(PlannedStep::of).collect(),
        }
    }
}

impl PlannedStage {
    fn of(plan: &StagePlan) -> PlannedStage {
        PlannedStage { stage: plan.stage, batch_size: plan.batch, timeout: plan.timeout.as_secs() }
    }
}

impl PlannedStep {
    fn of(step: &OnceStep) -> PlannedStep {
        let OnceStep { name, command, undo, on, when, group, stage, timeout, irreversible, .. } = step.clone();
        PlannedStep { step: name, when, group, stage, on, command, undo, irreversible, timeout: timeout.as_secs() }
    }
}

impl PlannedGate {
    fn of((gate, when): (&GatePlan, Vec<Moment>)) -> PlannedGate {
        PlannedGate { gate: gate.name.clone(), when, group: gate.scope.group.clone(), observe: gate.observe }
    }
}

impl PlannedGroup {
    fn of(group: &Group) -> PlannedGroup {
        let subgroups = group.subgroups().into_iter();
        PlannedGroup {
            name: group.name.clone(),
            hosts: group.targets.len(),
            failure_limit: group.limit,
            resolved_limit: group.limit.of(group.targets.len()),
            max_unavailable: group.max_unavailable,
            max_unavailable_by: group.max_unavailable_by.clone(),
            resolved_max_unavailable: group
                .max_unavailable
                .filter(|_| group.max_unavailable_by.is_none())
                .map(|most| most.of(group.whole())),
            soak_time: group.soak_time.as_secs(),
            group_soak_time: group.group_soak_time.as_secs(),
            retry_failed: group.retry_failed,
            failed_targets: group.failed_targets,
            subgroups: subgroups
                .map(|(label, range)| Subgroup { label, hosts: group.targets[range].to_vec() })
                .collect(),
        }
    }

    /// Its hosts, in order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.subgroups.iter().flat_map(|subgroup| &subgroup.hosts)
    }
}
