//! Whether somebody else has deployed here since a run looked at this host: Scap, which knows no fence, or a newer run from
//! another deploy host. What they have put here is not the older run's to overwrite, whichever way that goes.

use crate::wire::{Holder, ProbedDeployment, Revision, RunId, StageRequest};

use super::layout::Layout;
use super::observed;
use super::record;
use crate::local::fault::Fault;

/// What a run knows of a host that it comes back to.
pub struct Known<'a> {
    pub run: &'a RunId,
    pub revision: &'a Revision,
    /// What was live at the run's probe.
    pub restore: Option<&'a Revision>,
    /// Nothing was.
    pub found_nothing: bool,
}

impl<'a> From<&'a StageRequest> for Known<'a> {
    fn from(request: &'a StageRequest) -> Known<'a> {
        Known {
            run: &request.header.holder.run,
            revision: &request.revision,
            restore: request.restore.as_ref(),
            found_nothing: request.found_nothing,
        }
    }
}

impl<'a> Known<'a> {
    /// What the run of `holder` says of itself when it probes the host once more.
    pub fn of_probe(holder: &'a Holder, deployment: &'a ProbedDeployment) -> Known<'a> {
        let ProbedDeployment { revision, restore, .. } = deployment;
        Known { run: &holder.run, revision, restore: restore.as_ref(), found_nothing: false }
    }
}

/// Fails when both what is live and what is finalized are neither the run's own revision nor what the run found here.
pub fn check(layout: &Layout, known: &Known) -> Result<(), Fault> {
    let before = record::before(layout, known.run);
    if known.restore.is_none() && before.is_none() && !known.found_nothing {
        // The run does not say what was here, nor do its records.
        return Ok(());
    }
    let (now, found) = (observed::state(layout), before.unwrap_or_default());
    let ours = [Some(known.revision), known.restore, found.current.as_ref(), found.done.as_ref()];
    let is_foreign = |it: &Option<Revision>| it.is_some() && !ours.contains(&it.as_ref());
    match &now.current {
        Some(to) if is_foreign(&now.current) && is_foreign(&now.done) => Err(Fault::MovedOn { to: to.clone() }),
        _ => Ok(()),
    }
}
