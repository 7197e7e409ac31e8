//! `hoist plan`: what a deployment would do.

use serde::Serialize;

use crate::deploy;
use crate::deploy::{Choice, Plan};
use crate::exit_code::ExitCode;
use crate::locks::DeployLock;
use crate::repo::Repo;
use crate::targets::{FailedTargets, FailureLimit, Group, Target, fold};
use crate::wire::{Level, Revision, Stage};

use super::args;
use super::out::{Page, answer_json, complain_line};
use super::{Refused, load};

/// Runs the command. It connects nowhere and touches nothing.
pub fn run(args: args::Plan) -> Result<ExitCode, Refused> {
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let repo = Repo::open(&config.top)?;
    let choice = Choice { rev: args.rev, stages: args.stages, limit_hosts: args.limit_hosts, ..Choice::default() };
    let prepared = deploy::prepare(&config, &repo, &choice, &deploy::holder(String::new())?)?;
    for (level, note) in config.notes.iter().chain(&prepared.notes).filter(|(level, _)| *level > Level::Debug) {
        let word = if *level == Level::Info { "note" } else { "warning" };
        complain_line(&format!("hoist plan: {word}: {note}"));
    }
    let places = deploy::lock_places(&config);
    for (what, path) in [(&*config.settings.git_repo, &places.own), ("every repository of this host", &places.all)] {
        // Only to be told of: a lock that cannot be looked at is the deployment's matter.
        if let Ok(Some(Some(by))) = DeployLock::holder(path) {
            complain_line(&format!("hoist plan: note: {what} {by}"));
        }
    }
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        complain_line(&format!("hoist plan: note: {what} is {held}"));
    }
    match args.format {
        args::Format::Text => drop(text(&prepared.plan).answer()),
        args::Format::Json => drop(answer_json(&Answer::of(&prepared.plan))?),
    }
    Ok(ExitCode::Success)
}

fn text(plan: &Plan) -> Page {
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
        page.line(format!("group {}: {}", group.name, super::plural(size, "host")));
        page.line(format!("  failure limit  {}", group.limit.resolved(size)));
        if group.retry_failed > 0 {
            page.line(format!("  failed hosts   tried again {}", super::plural(group.retry_failed, "time")));
        }
        for (label, range) in group.subgroups() {
            page.line(format!("  {label:<14} {}", fold(group.targets[range].iter())));
        }
    }
    page
}

/// The object of `--format json`.
#[derive(Serialize)]
struct Answer<'a> {
    repo: &'a str,
    revision: &'a Revision,
    stages: Vec<PlannedStage>,
    groups: Vec<PlannedGroup<'a>>,
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
    fn of(plan: &Plan) -> Answer<'_> {
        let stages = plan.stages.iter().chain(&plan.finalize);
        let stages =
            stages.map(|it| PlannedStage { stage: it.stage, batch_size: it.batch, timeout: it.timeout.as_secs() });
        Answer {
            repo: &plan.repo,
            revision: &plan.revision,
            stages: stages.collect(),
            groups: plan.groups.iter().map(PlannedGroup::of).collect(),
        }
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
            retry_failed: group.retry_failed,
            failed_targets: group.failed_targets,
            subgroups: subgroups.map(|(label, range)| Subgroup { label, hosts: &group.targets[range] }).collect(),
        }
    }
}
