//! How `hoist plan` looks.

use serde::Serialize;

use crate::deploy::{GatePlan, Plan};
use crate::gates::Moment;
use crate::operation::Planned;
use crate::targets::{FailedTargets, FailureLimit, Group, Share, Target, fold};
use crate::terminal::Page;
use crate::text::counted;
use crate::wire::{Revision, Stage};

use super::outlook;
use super::outlook::OutlookAnswer;

/// For people.
pub fn text(planned: &Planned) -> Page {
    let Planned { plan, outlook } = planned;
    let mut page = Page::default();
    let stages: Vec<String> = plan
        .stages
        .iter()
        .chain(&plan.finalize)
        .map(|it| format!("{} ({} at once, {} s each)", it.stage, it.batch, it.timeout.as_secs()))
        .collect();
    page.line(format!("repository  {}", plan.repo));
    page.line(format!("revision    {}", plan.revision));
    for (number, stage) in stages.iter().enumerate() {
        page.line(format!("{:<12}{stage}", if number == 0 { "stages" } else { "" }));
    }
    let mut last = "";
    for (what, line) in outlook::head(plan, outlook) {
        page.line(format!("{:<12}{line}", if what == last { "" } else { what }));
        last = what;
    }
    outlook::changes(plan, outlook, &mut page);
    for group in &plan.groups {
        let size = group.targets.len();
        page.line("");
        page.line(format!("group {}: {}", group.name, counted(size, "host")));
        page.line(format!("  failure limit  {}", group.limit.resolved(size)));
        if let Some(most) = group.max_unavailable {
            page.line(format!("  out of service at most {}", most.resolved(group.whole())));
        }
        for (time, after) in [(group.soak_time, "each subgroup"), (group.group_soak_time, "the group")] {
            if !time.is_zero() {
                page.line(format!("  soak           {} s after {after}", time.as_secs()));
            }
        }
        if group.retry_failed > 0 {
            page.line(format!("  failed hosts   tried again {}", counted(group.retry_failed, "time")));
        }
        for (label, range) in group.subgroups() {
            page.line(format!("  {label:<14} {}", fold(group.targets[range].iter())));
        }
    }
    let asked = asked(plan);
    if !asked.is_empty() {
        page.line("");
        page.line("gates");
    }
    for (gate, moments) in &asked {
        let when: Vec<&str> = moments.iter().map(|moment| moment.name()).collect();
        let group = gate.scope.group.as_ref().map(|group| format!(", group {group} only")).unwrap_or_default();
        let observed = if gate.observe { " (observed only)" } else { "" };
        page.line(format!("  {:<14} {}{group}{observed}", gate.name, when.join(", ")));
    }
    if asked.is_empty() && !plan.gates.is_empty() {
        page.line("");
        page.line("no gates are asked");
    }
    page
}

/// The gates that the run asks, each with its moments.
fn asked(plan: &Plan) -> Vec<(&GatePlan, Vec<Moment>)> {
    let gates = plan.gates.iter().map(|gate| (gate, plan.moments_of(gate)));
    gates.filter(|(_, moments)| !moments.is_empty()).collect()
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    repo: &'a str,
    revision: &'a Revision,
    stages: Vec<PlannedStage>,
    groups: Vec<PlannedGroup<'a>>,
    gates: Vec<PlannedGate<'a>>,
    #[serde(flatten)]
    outlook: OutlookAnswer<'a>,
}

#[derive(Serialize)]
struct PlannedGate<'a> {
    gate: &'a str,
    when: Vec<Moment>,
    /// `None`: every group.
    group: Option<&'a str>,
    observe: bool,
}

#[derive(Serialize)]
struct PlannedStage {
    stage: Stage,
    batch_size: usize,
    /// In seconds.
    timeout: u64,
}

#[derive(Serialize)]
struct PlannedGroup<'a> {
    name: &'a str,
    hosts: usize,
    failure_limit: FailureLimit,
    /// In hosts.
    resolved_limit: usize,
    /// As it is written; `None`: as many as a subgroup has.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_unavailable: Option<Share>,
    /// In hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_max_unavailable: Option<usize>,
    /// In seconds.
    soak_time: u64,
    group_soak_time: u64,
    retry_failed: usize,
    failed_targets: FailedTargets,
    subgroups: Vec<Subgroup<'a>>,
}

#[derive(Serialize)]
struct Subgroup<'a> {
    label: String,
    hosts: &'a [Target],
}

impl Answer<'_> {
    pub fn of(planned: &Planned) -> Answer<'_> {
        let plan = &planned.plan;
        let stages = plan.stages.iter().chain(&plan.finalize);
        let stages =
            stages.map(|it| PlannedStage { stage: it.stage, batch_size: it.batch, timeout: it.timeout.as_secs() });
        Answer {
            repo: &plan.repo,
            revision: &plan.revision,
            stages: stages.collect(),
            groups: plan.groups.iter().map(PlannedGroup::of).collect(),
            gates: asked(plan).into_iter().map(PlannedGate::of).collect(),
            outlook: OutlookAnswer::of(plan, &planned.outlook),
        }
    }
}

impl<'a> PlannedGate<'a> {
    fn of((gate, when): (&'a GatePlan, Vec<Moment>)) -> PlannedGate<'a> {
        PlannedGate { gate: &gate.name, when, group: gate.scope.group.as_deref(), observe: gate.observe }
    }
}

impl PlannedGroup<'_> {
    fn of(group: &Group) -> PlannedGroup<'_> {
        let subgroups = group.subgroups().into_iter();
        PlannedGroup {
            name: &group.name,
            hosts: group.targets.len(),
            failure_limit: group.limit,
            resolved_limit: group.limit.of(group.targets.len()),
            max_unavailable: group.max_unavailable,
            resolved_max_unavailable: group.max_unavailable.map(|most| most.of(group.whole())),
            soak_time: group.soak_time.as_secs(),
            group_soak_time: group.group_soak_time.as_secs(),
            retry_failed: group.retry_failed,
            failed_targets: group.failed_targets,
            subgroups: subgroups.map(|(label, range)| Subgroup { label, hosts: &group.targets[range] }).collect(),
        }
    }
}
