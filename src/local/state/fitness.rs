//! What stands against serving the live revision, as far as the target itself can see: its links, its tree, and stages that
//! were cut short. It takes no other process to look, so that a service may be kept waiting for it.

use std::fs;

use crate::wire::{Revision, Stage};

use super::going_live;
use super::layout::{Layout, Link};
use super::links;
use super::lock;

/// The stage that is at work on this target now.
pub fn stage_at_work(layout: &Layout) -> Option<Stage> {
    Some(lock::holder(&lock::stage_path(layout))?.at?.0)
}

/// Whether the stage at work is the one that has made the live revision live, and has not come to its end.
pub fn is_going_live(layout: &Layout, current: &Revision, at_work: Option<Stage>) -> bool {
    at_work.is_some_and(Stage::restarts_what_is_live)
        && going_live::marked(layout).is_some_and(|it| it.revision == *current)
}

/// The first thing that is wrong, as one fragment. Nothing is wrong while nothing is deployed.
pub fn trouble(layout: &Layout) -> Option<String> {
    let link = layout.link(Link::Current);
    let Some(current) = layout.read(Link::Current) else {
        let is_there = fs::symlink_metadata(&link).is_ok();
        return is_there.then(|| format!("{} does not lead to a working tree", link.display()));
    };
    let short = current.short();
    if !layout.complete(&current) {
        return Some(format!("the working tree of {short} is not complete"));
    }
    if going_live::is_marked(layout) && !is_going_live(layout, &current, stage_at_work(layout)) {
        return Some("a promote or rollback was not completed here".to_owned());
    }
    if !layout.is_live(&current) {
        return Some(format!("{} does not point to {short}", layout.live().display()));
    }
    let stray = links::stray(layout, Some(&current)).into_iter().next()?;
    Some(format!("{stray} does not point into {short}"))
}
