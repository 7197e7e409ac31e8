//! A run's claim on this target while it has no session here, and so no process that could hold the lock: its deployer
//! may not open as many sessions as it has targets, and comes back.
//!
//! The claim is a note that stands until the run lets go of it. A deployer that dies leaves it behind: the one that
//! resumes the run, or rolls it back, is let in by it, and `hoist unlock` removes it.

use std::path::PathBuf;

use crate::files::no_links;
use crate::wire::{Holder, RunId};

use super::hoist_dir;
use super::layout::Layout;
use crate::local::fault::Fault;
use crate::local::os::files;

fn path(layout: &Layout) -> PathBuf {
    layout.own().join("claim.json")
}

/// Whose claim stands.
pub fn holder(layout: &Layout) -> Option<Holder> {
    serde_json::from_slice(&no_links::read_own(&path(layout)).ok()?).ok()
}

/// Fails for every run but the one that has a claim.
pub fn check(layout: &Layout, run: &RunId) -> Result<(), Fault> {
    match holder(layout).filter(|by| by.run != *run) {
        Some(by) => Err(Fault::Locked { by: Box::new(by) }),
        None => Ok(()),
    }
}

/// Claims this target for a run that holds its lock.
pub fn stake(layout: &Layout, by: &Holder) -> Result<(), Fault> {
    if holder(layout).is_some_and(|there| there == *by) {
        return Ok(());
    }
    hoist_dir::write(&path(layout), &serde_json::to_vec(by).unwrap_or_default())
}

/// Gives the claim of a run up, if it has one.
pub fn give_up(layout: &Layout, run: &RunId) -> Result<(), Fault> {
    match holder(layout).is_some_and(|by| by.run == *run) {
        true => files::remove(&path(layout)).map(drop),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::{layout, who};

    #[test]
    fn a_claim_keeps_all_runs_out_but_its_own_until_it_is_given_up() {
        let (_dir, layout) = layout();
        files::make_dir(&layout.own()).unwrap();
        let (one, two) = (who("one"), who("two"));
        check(&layout, &two.run).unwrap();
        stake(&layout, &one).unwrap();
        check(&layout, &one.run).unwrap();
        assert_eq!(check(&layout, &two.run).unwrap_err(), Fault::Locked { by: Box::new(one.clone()) });
        give_up(&layout, &two.run).unwrap();
        assert_eq!(holder(&layout), Some(one.clone()), "it is not the other's to give up");
        give_up(&layout, &one.run).unwrap();
        check(&layout, &two.run).unwrap();
    }
}
