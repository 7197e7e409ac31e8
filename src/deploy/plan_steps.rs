//! Which run-once steps a run has, and where.

use anyhow::Result;

use crate::config::{Config, Note};
use crate::once::{On, OnceStep, When};
use crate::targets::Group;
use crate::wire::{Level, Stage};

/// The steps of a deployment to these groups with these stages. A step of a stage gets its group: the first one of the run,
/// or the last one. Remarks tell of each step that is left out, since somebody may rely on it.
///
/// # Errors
/// What is wrong with the steps.
pub fn plan_steps(config: &Config, groups: &[Group], stages: &[Stage], notes: &mut Vec<Note>) -> Result<Vec<OnceStep>> {
    let all = config.groups(None)?.0;
    let (steps, remarks) = config.steps(&all)?;
    notes.extend(remarks);
    let mut planned = Vec::new();
    for step in steps {
        match left_out(&step, groups, stages) {
            None => {
                let by_default = if step.when == When::Before { groups.first() } else { groups.last() };
                let group = step.stage.and(by_default).map(|group| group.name.clone());
                planned.push(OnceStep { group: step.group.clone().or(group), ..step });
            }
            Some(why) => notes.push((Level::Warning, format!("step {} is left out: {why}", step.name))),
        }
    }
    Ok(planned)
}

/// Why a step is not part of a run.
fn left_out(step: &OnceStep, groups: &[Group], stages: &[Stage]) -> Option<String> {
    let stage = step.stage.unwrap_or(Stage::Promote);
    if !stages.contains(&stage) {
        return Some(format!("this run has no stage {stage}"));
    }
    if let Some(name) = step.group.as_ref().filter(|name| groups.iter().all(|group| group.name != **name)) {
        return Some(format!("this run deploys to no host of group {name}"));
    }
    match &step.on {
        On::Host(target) if groups.iter().all(|group| !group.targets.contains(target)) => {
            Some(format!("its host {target} is not part of this run"))
        }
        _ => None,
    }
}

/// What is said of the lease of a run that has a step which nothing leads back behind.
pub fn without_lease(steps: &[OnceStep]) -> Option<Note> {
    let step = steps.iter().find(|step| step.bars_rollback())?;
    let why = format!(
        "confirm_timeout has no effect in this run: no host goes back by itself past step {}, which is irreversible",
        step.name
    );
    Some((Level::Info, why))
}
