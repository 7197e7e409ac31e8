//! Whether a host that answered the probe can be deployed to.

use std::collections::HashMap;

use crate::wire::{Facts, Fault, Stage};

use super::plan::{Kind, Plan};
use super::table::Row;
use crate::targets::Target;

/// What stands against deploying to a host with these facts.
pub fn unfit(facts: &Facts, plan: &Plan) -> Option<Fault> {
    if plan.kind == Kind::DryRun {
        return None;
    }
    if let Some(by) = facts.locked.as_ref().filter(|by| by.run != plan.run) {
        return Some(Fault::Locked { by: Box::new(by.clone()) });
    }
    if let Some(reason) = &facts.stranger {
        return Some(Fault::failed(reason));
    }
    if let Some(scap) = &facts.scap {
        return Some(Fault::failed(format!("{scap}: wait until it has ended, or end it")));
    }
    if let Some(reason) = out_of_turn(facts, plan) {
        return Some(Fault::failed(reason));
    }
    if plan.kind == Kind::ServiceRestart || facts.revisions.contains(&plan.revision) {
        return None;
    }
    let failed = |reason: String| Some(Fault::failed(reason));
    if plan.kind == Kind::Rollback {
        let short = plan.revision.short();
        return failed(format!("the host no longer has {short}; deploy it with `hoist deploy -r {short}`"));
    }
    if facts.free_bytes < plan.need_bytes {
        let (free, need) = (facts.free_bytes >> 20, plan.need_bytes.div_ceil(1 << 20));
        return failed(format!("disk too full: {free} MiB free, the revision needs {need} MiB"));
    }
    match facts.free_inodes {
        Some(free) if free < plan.need_inodes => {
            failed(format!("too few inodes: {free} free, the revision needs {}", plan.need_inodes))
        }
        _ => None,
    }
}

/// Why the stages that were chosen cannot run on this host: they need what an earlier stage leaves, and it is not there.
fn out_of_turn(facts: &Facts, plan: &Plan) -> Option<String> {
    if plan.kind != Kind::Deploy || plan.brings_code() {
        return None;
    }
    let short = plan.revision.short();
    if !facts.revisions.contains(&plan.revision) {
        return Some(format!("no complete working tree of {short}: run the fetch stage first"));
    }
    let promotes = plan.stages.iter().any(|it| it.stage == Stage::Promote);
    if plan.finalize.is_some() && !promotes && facts.state.current.as_ref() != Some(&plan.revision) {
        let live = facts.state.current.as_ref().map_or("nothing", |current| current.short());
        return Some(format!("{live} is live, not {short}: run the promote stage first"));
    }
    None
}

/// Targets of the plan that are one target under two names, in the order of the plan: the first such pair.
pub fn twins(rows: &[Row]) -> Option<(&Target, &Target)> {
    let mut seen: HashMap<&str, &Target> = HashMap::new();
    rows.iter().find_map(|row| {
        let place = row.facts.as_ref()?.place.as_deref()?;
        seen.insert(place, &row.target).map(|first| (first, &row.target))
    })
}
