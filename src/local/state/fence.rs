//! The newest run that has been on this target. What an older one asks for is refused: its deployer slept while others
//! went on.

use std::path::PathBuf;

use crate::clock;
use crate::files::no_links;
use crate::wire::Holder;

use super::hoist_dir;
use super::layout::Layout;
use crate::local::fault::Fault;
use crate::local::os::files;

fn path(layout: &Layout) -> PathBuf {
    layout.own().join("newest-run.json")
}

/// The newest run, and who was behind it.
pub fn newest(layout: &Layout) -> Option<Holder> {
    let newest: Holder = serde_json::from_slice(&no_links::read_own(&path(layout)).ok()?).ok()?;
    Some(newest.bounded())
}

/// Fails for a run that is older than the newest one. Run ids sort by time.
pub fn check(layout: &Layout, holder: &Holder) -> Result<(), Fault> {
    let Some(newest) = newest(layout).filter(|newest| newest.run > holder.run) else { return Ok(()) };
    Err(Fault::failed(format!(
        "run {} is refused: run {} of {}@{}, begun {}, is newer and has used this host. If the clock of a deploy host \
         is wrong, or the older run is the one to continue, unlock this host first (see hoist-unlock(1))",
        holder.run,
        newest.run,
        newest.user,
        newest.host,
        clock::local_with_zone(&newest.since)
    )))
}

/// Remembers a run that has passed the check.
pub fn remember(layout: &Layout, holder: &Holder) -> Result<(), Fault> {
    if newest(layout).is_some_and(|newest| newest.run == holder.run) {
        return Ok(());
    }
    hoist_dir::prepare(&layout.own())?;
    hoist_dir::write(&path(layout), &serde_json::to_vec(holder).unwrap_or_default())
}

/// Lets every run in again.
pub fn forget(layout: &Layout) -> Result<(), Fault> {
    files::remove(&path(layout)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::{layout, who};

    #[test]
    fn an_older_run_is_refused_with_both_names_until_the_newest_is_forgotten() {
        let (_dir, layout) = layout();
        let (old, new) = (who("20260101T000000.000Z-1-a"), who("20260101T000000.001Z-1-a"));
        check(&layout, &old).unwrap();
        remember(&layout, &new).unwrap();
        check(&layout, &new).unwrap();
        let refused = check(&layout, &old).unwrap_err().reason();
        assert!(refused.contains(old.run.as_str()) && refused.contains(new.run.as_str()), "{refused}");
        assert!(refused.contains("hoist-unlock(1)"), "{refused}");
        forget(&layout).unwrap();
        check(&layout, &old).unwrap();
    }

    #[test]
    fn what_cannot_be_read_refuses_nobody() {
        let (_dir, layout) = layout();
        files::make_dir(&layout.own()).unwrap();
        std::fs::write(path(&layout), "{ torn").unwrap();
        check(&layout, &who("20260101T000000.000Z-1-a")).unwrap();
    }
}
