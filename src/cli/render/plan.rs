//! How `hoist plan` looks.

use serde::Serialize;

use crate::operation::{Planned, PlannedGate, Steps};
use crate::targets::fold;
use crate::terminal::Page;
use crate::text::counted;
use crate::wire::{Origin, Revision};

use super::outlook;
use super::outlook::OutlookAnswer;

/// For people.
pub fn text(planned: &Planned) -> Page {
    let Planned { plan, outlook, steps, .. } = planned;
    let mut page = Page::default();
    let stages: Vec<String> = plan
        .stages
        .iter()
        .chain(&plan.finalize)
        .map(|it| format!("{} ({} at once, {} s each)", it.stage, it.batch, it.timeout.as_secs()))
        .collect();
    page.line(format!("repository  {}", plan.repo));
    page.line(format!("revision    {}", plan.revision));
    plan.origin.iter().for_each(|origin| page.line(format!("origin      {origin}")));
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
        if let Some(most) = group.resolved_max_unavailable() {
            page.line(format!("  out of service at most {most}"));
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
    let gates = &steps.gates;
    if !gates.is_empty() {
        page.line("");
        page.line("gates");
    }
    for PlannedGate { gate, when, group, observe } in gates {
        let when: Vec<&str> = when.iter().map(|moment| moment.name()).collect();
        let group = group.as_ref().map(|group| format!(", group {group} only")).unwrap_or_default();
        let observed = if *observe { " (observed only)" } else { "" };
        page.line(format!("  {gate:<14} {}{group}{observed}", when.join(", ")));
    }
    if gates.is_empty() && !plan.gates.is_empty() {
        page.line("");
        page.line("no gates are asked");
    }
    if !plan.steps.is_empty() {
        page.line("");
        page.line("run-once steps");
    }
    for step in &plan.steps {
        page.line(format!("  {:<14} {}", step.name, step.summary()));
    }
    page
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    repo: &'a str,
    revision: &'a Revision,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a Origin>,
    #[serde(flatten)]
    steps: &'a Steps,
    #[serde(flatten)]
    outlook: OutlookAnswer<'a>,
}

impl Answer<'_> {
    pub fn of(planned: &Planned) -> Answer<'_> {
        let Planned { plan, outlook, steps, .. } = planned;
        Answer {
            repo: &plan.repo,
            revision: &plan.revision,
            origin: plan.origin.as_deref(),
            steps,
            outlook: OutlookAnswer::of(plan, outlook),
        }
    }
}
