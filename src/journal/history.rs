//! What the journals tell of the deployments before this one.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;

use crate::deploy::{Asked, Digests, Kind, Plan};
use crate::exit_code::ExitCode;
use crate::fleet::{HostId, Step};
use crate::targets::Target;
use crate::wire::{Fault, Revision, RunId, Stage, StartedBy};

use super::read::{journals, read_finished};
use super::record::{Opened, Record};

/// A finished run that may have changed the revision of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    pub run: RunId,
    pub kind: Kind,
    pub revision: Revision,
    /// Every target of its plan.
    pub targets: Vec<Target>,
    /// Those on which its revision stayed, finalized or not.
    pub stayed_on: Vec<Target>,
    /// What its targets had finalized before it, as its probe saw them. Those that had nothing are left out, and those
    /// that had the run's own revision.
    pub before: Vec<(Target, Revision)>,
    pub by: StartedBy,
    /// A person stopped it, or called for its rollback.
    pub interrupted: bool,
    /// A deployment that went back, on all hosts.
    pub undone: bool,
    /// A deployment that was rolled back, on all hosts or on those that could be.
    pub rolled_back: bool,
    /// It failed, and left hosts on different revisions.
    pub left_mixed: bool,
    /// What its targets were asked; `None` in journals of the first format.
    pub asked: Option<Box<Asked>>,
    /// The control files that it began with.
    pub control_files: Digests,
}

impl PastRun {
    fn new(opened: Opened, records: &[Record]) -> PastRun {
        let Opened { plan, asked, control_files, .. } = opened;
        let names: HashMap<HostId, &Target> = plan.hosts().zip(plan.targets().map(|(_, target)| target)).collect();
        let done_before = records.iter().filter_map(|record| match record {
            Record::Ended { host, result } => {
                let done = result.facts.as_ref()?.state.done.clone().filter(|done| *done != plan.revision)?;
                Some(((*names.get(host)?).clone(), done))
            }
            _ => None,
        });
        let before = done_before.collect();
        let there = stayed_on(records, &plan);
        let all: Vec<Target> = plan.targets().map(|(_, target)| target.clone()).collect();
        let mixed = ExitCode::Mixed.status();
        let left_mixed = matches!(records.last(), Some(Record::Closed { status, .. }) if *status == mixed);
        let ran = |stage| {
            let runs = |record: &Record| matches!(record, Record::Called { call, .. } if call.step == Step::Run(stage));
            records.iter().any(runs)
        };
        let goes_back = plan.kind == Kind::Deploy && ran(Stage::Rollback);
        let undone = goes_back && there.is_empty();
        PastRun {
            before,
            undone,
            // One that was finalized rolled back no more than single hosts.
            rolled_back: undone || (goes_back && left_mixed && !ran(Stage::Finalize)),
            stayed_on: plan
                .hosts()
                .zip(&all)
                .filter(|(host, _)| there.contains(host))
                .map(|(_, it)| it.clone())
                .collect(),
            interrupted: records.contains(&Record::Interrupted),
            left_mixed,
            run: plan.run,
            kind: plan.kind,
            revision: plan.revision,
            by: plan.by,
            targets: all,
            asked,
            control_files,
        }
    }

    /// Whether its revision stayed on any host.
    pub fn stayed(&self) -> bool {
        !self.stayed_on.is_empty()
    }

    /// When it began: RFC 3339, UTC.
    pub fn began(&self) -> String {
        crate::clock::rfc3339_of_run(self.run.as_str()).unwrap_or_default()
    }
}

/// What the journals of an environment tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The oldest first.
    pub runs: Vec<PastRun>,
    /// A line for each journal that cannot be read: what it tells of may not even matter.
    pub warnings: Vec<String>,
}

/// The finished runs of an environment that began a stage on a host.
///
/// # Errors
/// A folder that cannot be read.
pub fn history(folder: &Path, environment: Option<&str>) -> Result<History> {
    let mut history = History::default();
    for path in journals(folder)? {
        let (opened, records) = match read_finished(&path) {
            Ok(Some(whole)) => whole,
            Ok(None) => continue,
            Err(error) => {
                history.warnings.push(format!("{error:#}; its deployment is ignored"));
                continue;
            }
        };
        if opened.environment.as_deref() == environment && changes(&records, &opened.plan) {
            history.runs.push(PastRun::new(opened, &records));
        }
    }
    Ok(history)
}

/// Whether a stage of a run that changes revisions was begun on a host.
fn changes(records: &[Record], plan: &Plan) -> bool {
    let begins = |record: &Record| matches!(record, Record::Called { call, .. } if matches!(call.step, Step::Run(_)));
    plan.kind.changes_revision() && records.iter().any(begins)
}

/// The hosts on which the run's revision went live, or was finalized, and was not taken back afterwards.
fn stayed_on(records: &[Record], plan: &Plan) -> HashSet<HostId> {
    let said = match records.last() {
        Some(Record::Closed { stayed, .. }) => *stayed,
        _ => None,
    };
    if said == Some(false) {
        return HashSet::new();
    }
    let mut step = None;
    let mut there = HashSet::new();
    for record in records {
        match record {
            Record::Called { call, .. } => step = Some(call.step),
            Record::Ended { host, result } => {
                let current = result.state.as_ref().map(|state| state.current.as_ref() == Some(&plan.revision));
                match step {
                    Some(Step::Run(Stage::Finalize)) if result.outcome.is_ok() => drop(there.insert(*host)),
                    Some(Step::Run(Stage::Promote | Stage::Finalize))
                        if plan.kind == Kind::Deploy
                            && (current == Some(true) || matches!(result.outcome, Err(Fault::Lost { .. }))) =>
                    {
                        there.insert(*host);
                    }
                    // With a check that fails it is back there too.
                    Some(Step::Run(Stage::Rollback))
                        if matches!(result.outcome, Ok(()) | Err(Fault::ChecksFailed { .. }))
                            || current == Some(false) =>
                    {
                        there.remove(host);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // The run knew more than its records say of single hosts.
    if said == Some(true) && there.is_empty() { plan.hosts().collect() } else { there }
}
