//! Whether a host that answered the probe can be deployed to.

use std::collections::HashMap;

use crate::wire::{Facts, Fault, RunId};

use super::plan::{GroupId, Kind, Plan};
use super::preflight;
use super::table::Row;
use crate::report::causes;
use crate::targets::{Target, fold};

/// Why a host of a group with these facts cannot be deployed to.
pub fn unusable(facts: &Facts, plan: &Plan, group: GroupId) -> Option<Fault> {
    if plan.kind == Kind::DryRun {
        return None;
    }
    match (unusable_now(facts, plan), preflight::failing(facts, plan, group)) {
        (Some(Fault::Failed { reason, .. }), Some(ahead)) => Some(Fault::failed(format!("{reason}; {ahead}"))),
        (None, Some(reason)) => Some(Fault::failed(reason)),
        (now, _) => now,
    }
}

/// The same for what the first stage would fail at.
fn unusable_now(facts: &Facts, plan: &Plan) -> Option<Fault> {
    if let Some(fault) = held_by_others(facts, &plan.run) {
        return Some(fault);
    }
    if let Some(reason) = lacks_earlier_stage(facts, plan) {
        return Some(Fault::failed(reason));
    }
    if plan.kind == Kind::ServiceRestart || facts.revisions.contains(&plan.revision) {
        return None;
    }
    let failed = |reason: String| Some(Fault::failed(reason));
    if plan.kind == Kind::Rollback {
        let short = plan.revision.short();
        let command = plan.invocation.on_these_hosts(&format!("deploy -r {short}"));
        return failed(format!("the host no longer has {short}; deploy it with `{command}`"));
    }
    // The archive is there until its files are.
    let archive = plan.archive_bytes.filter(|_| !facts.cached.contains(&plan.revision));
    let need = plan.need.bytes.saturating_add(archive.unwrap_or_default());
    if facts.free_bytes < need {
        let (free, need) = (facts.free_bytes >> 20, need.div_ceil(1 << 20));
        let of = if archive.is_some() { " with its archive" } else { "" };
        return failed(format!("disk too full: {free} MiB free, the revision{of} needs {need} MiB"));
    }
    match facts.free_inodes {
        Some(free) if free < plan.need.inodes => {
            failed(format!("too few inodes: {free} free, the revision needs {}", plan.need.inodes))
        }
        _ => None,
    }
}

/// Who else is at work on a host that a run is about to change.
pub fn held_by_others(facts: &Facts, run: &RunId) -> Option<Fault> {
    if let Some(by) = facts.locked.as_ref().filter(|by| by.run != *run) {
        return Some(Fault::Locked { by: Box::new(by.clone()) });
    }
    if let Some(reason) = &facts.stranger {
        return Some(Fault::failed(reason));
    }
    facts.scap.as_ref().map(|scap| Fault::failed(format!("{scap}: wait until it has ended, or end it")))
}

/// Why the selected stages cannot run on this host: they need the result of an earlier stage, which is missing.
fn lacks_earlier_stage(facts: &Facts, plan: &Plan) -> Option<String> {
    if plan.kind != Kind::Deploy {
        return None;
    }
    let short = plan.revision.short();
    if !plan.brings_code() && !facts.revisions.contains(&plan.revision) {
        return Some(format!("no complete working tree of {short}: run the fetch stage first"));
    }
    let finalizes_alone = plan.finalize.is_some() && !plan.brings_code() && !plan.promotes();
    if finalizes_alone && facts.state.current.as_ref() != Some(&plan.revision) {
        let live = facts.state.current.as_ref().map_or("nothing", |current| current.short());
        return Some(format!("{live} is live, not {short}: run the promote stage first"));
    }
    facts.missing_stage.clone()
}

/// Remarks on hosts that can be deployed to.
pub fn warnings(rows: &[Row], plan: &Plan) -> Vec<String> {
    fn lease(row: &Row) -> Option<((), String, &Target)> {
        Some(((), row.facts.as_ref()?.lease.as_ref()?.to_string(), &row.target))
    }
    let leases = causes(rows.iter().filter_map(lease));
    let mut warnings: Vec<String> = leases.into_iter().map(|it| format!("{}: {}", fold(&it.hosts), it.text)).collect();
    warnings.extend(preflight::warnings(rows, plan));
    warnings
}

/// The first pair of targets, in the order of the plan, that are one machine under two names.
pub fn find_duplicate<'a>(
    mut hosts: impl Iterator<Item = (&'a Target, Option<&'a Facts>)>,
) -> Option<(&'a Target, &'a Target)> {
    let mut seen: HashMap<&str, &Target> = HashMap::new();
    hosts.find_map(|(target, facts)| {
        let place = facts?.place.as_deref()?;
        seen.insert(place, target).map(|first| (first, target))
    })
}

/// The message for such a pair.
pub fn duplicate_message((one, other): (&Target, &Target)) -> String {
    format!("{one} and {other} are the same machine: remove one of the two from the target files")
}
