//! `hoist plan`: what a deployment would do.

use std::fmt::Write;

use crate::deploy::{self, Choice, Plan};
use crate::exit_code::ExitCode;
use crate::repo::{DeployLock, Repo};
use crate::report::safe_line;
use crate::targets::fold;
use crate::wire::Level;

use super::args;
use super::out::{answer, complain};
use super::{Refused, load};

/// Runs the command. It connects nowhere and touches nothing.
pub fn run(args: args::Plan) -> Result<ExitCode, Refused> {
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let repo = Repo::open(&config.top)?;
    let choice = Choice { rev: args.rev, stages: args.stages, limit_hosts: args.limit_hosts, ..Choice::default() };
    let prepared = deploy::prepare(&config, &repo, &choice, &deploy::holder(String::new())?)?;
    for (level, note) in config.notes.iter().chain(&prepared.notes).filter(|(level, _)| *level > Level::Debug) {
        let word = if *level == Level::Info { "note" } else { "warning" };
        complain(&format!("hoist plan: {word}: {note}"));
    }
    let places = deploy::lock_places(&config);
    for (what, path) in [(&*config.settings.git_repo, &places.own), ("every repository of this host", &places.all)] {
        // Only to be told of: a lock that cannot be looked at is the deployment's matter.
        if let Ok(Some(Some(by))) = DeployLock::holder(path) {
            complain(&safe_line(&format!("hoist plan: note: {what} {by}"), true));
        }
    }
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        complain(&safe_line(&format!("hoist plan: note: {what} is {held}"), true));
    }
    match args.format {
        args::Format::Text => answer(&text(&prepared.plan)),
        args::Format::Json => answer(&json(&prepared.plan)?),
    }
    Ok(ExitCode::Success)
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let stages: Vec<String> = plan
        .stages
        .iter()
        .chain(&plan.finalize)
        .map(|it| format!("{} ({} at once, {} s each)", it.stage, it.batch, it.timeout.as_secs()))
        .collect();
    // Writing to a String does not fail.
    let _ = writeln!(text, "repository  {}", plan.repo);
    let _ = writeln!(text, "revision    {}", plan.revision);
    let _ = writeln!(text, "stages      {}", stages.join("\n            "));
    for group in &plan.groups {
        let size = group.targets.len();
        let _ = writeln!(text, "\ngroup {}: {}", group.name, super::plural(size, "host"));
        let _ = writeln!(text, "  failure limit  {}", group.limit.resolved(size));
        if group.retry_failed > 0 {
            let _ = writeln!(text, "  failed hosts   tried again {}", super::plural(group.retry_failed, "time"));
        }
        for (label, range) in group.subgroups() {
            let _ = writeln!(text, "  {label:<14} {}", fold(group.targets[range].iter()));
        }
    }
    text
}

fn json(plan: &Plan) -> Result<String, Refused> {
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
    Ok(serde_json::to_string(&whole).map_err(anyhow::Error::from)? + "\n")
}
