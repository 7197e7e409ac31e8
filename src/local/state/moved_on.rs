//! Whether somebody else has deployed here since a run looked at this host: Scap, which knows no fence, or a newer run from
//! another deploy host. What they have put here is not the older run's to overwrite, whichever way that goes.

use crate::wire::{Request, Revision};

use super::layout::Layout;
use super::record;
use crate::local::fault::Fault;

/// Fails when both what is live and what is finalized are neither the run's own revision nor what the run found here.
pub fn check(layout: &Layout, request: &Request) -> Result<(), Fault> {
    let before = record::before(layout, &request.holder.run);
    if request.restore.is_none() && before.is_none() && !request.found_nothing {
        // The request does not say what was here, nor do the run's records.
        return Ok(());
    }
    let (now, found) = (layout.state(), before.unwrap_or_default());
    let ours = [Some(&request.revision), request.restore.as_ref(), found.current.as_ref(), found.done.as_ref()];
    let is_foreign = |it: &Option<Revision>| it.is_some() && !ours.contains(&it.as_ref());
    match &now.current {
        Some(to) if is_foreign(&now.current) && is_foreign(&now.done) => Err(Fault::MovedOn { to: to.clone() }),
        _ => Ok(()),
    }
}
