//! How `hoist plan` looks.

use crate::deploy::Plan;
use crate::operation::Refused;
use crate::targets::fold;
use crate::terminal::Page;
use crate::text::counted;

/// For people.
pub fn text(plan: &Plan) -> Page {
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
    for group in &plan.groups {
        let size = group.targets.len();
        page.line("");
        page.line(format!("group {}: {}", group.name, counted(size, "host")));
        page.line(format!("  failure limit  {}", group.limit.resolved(size)));
        if group.retry_failed > 0 {
            page.line(format!("  failed hosts   tried again {}", counted(group.retry_failed, "time")));
        }
        for (label, range) in group.subgroups() {
            page.line(format!("  {label:<14} {}", fold(group.targets[range].iter())));
        }
    }
    page
}

/// For programs.
pub fn json(plan: &Plan) -> Result<String, Refused> {
    let groups: Vec<_> = plan
        .groups
        .iter()
        .map(|group| {
            let subgroups: Vec<_> = group
                .subgroups()
                .into_iter()
                .map(|(label, range)| serde_json::json!({ "label": label, "hosts": group.targets[range] }))
                .collect();
            serde_json::json!({
                "name": group.name,
                "hosts": group.targets.len(),
                "failure_limit": group.limit,
                "resolved_limit": group.limit.of(group.targets.len()),
                "retry_failed": group.retry_failed,
                "failed_targets": group.failed_targets,
                "subgroups": subgroups,
            })
        })
        .collect();
    let stages: Vec<_> = plan
        .stages
        .iter()
        .chain(&plan.finalize)
        .map(|it| serde_json::json!({ "stage": it.stage, "batch_size": it.batch, "timeout": it.timeout.as_secs() }))
        .collect();
    let whole = serde_json::json!({
        "repo": plan.repo,
        "revision": plan.revision,
        "stages": stages,
        "groups": groups,
    });
    Ok(serde_json::to_string(&whole).map_err(anyhow::Error::from)?)
}
