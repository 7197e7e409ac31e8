//! The lock that an automatic rollback leaves on the repository.

use crate::config::Config;
use crate::deploy::{Kind, Plan, Verdict};
use crate::locks;
use crate::locks::{LockOwner, Purpose};
use crate::operation::announce::Announcer;
use crate::operation::{Frontend, state_folder};
use crate::report::{Event, HostRow, RowState};
use crate::wire::{Holder, Level};

/// Whether a rollback of this run locks the repository. What is brought to single hosts again is nothing new, and a
/// rollback that somebody called for has somebody who sees to it.
pub fn locks_after(config: &Config, plan: &Plan, front: &dyn Frontend) -> bool {
    let ships = plan.kind == Kind::Deploy && matches!(front.command(), "deploy" | "resume");
    let is_unseen = || front.is_unattended() && !front.has_terminal();
    ships && config.settings.lock_after_rollback.unwrap_or_else(is_unseen)
}

/// Locks the repository after a run that was rolled back without anybody calling for it. Gives what is to be told of it.
/// The lock is in the way of the deployments that the verdict advises, so it is put ahead of them.
pub fn lock_after(config: &Config, plan: &Plan, verdict: &mut Verdict, announcer: &Announcer) -> Option<Event> {
    let why = verdict.rolled_back_for.as_ref()?;
    let deed = if verdict.rows.iter().all(is_back) { "was rolled back" } else { "was not rolled back on every host" };
    let reason = format!("{} {deed}: {why}", plan.revision.short());
    let holder = Holder {
        run: plan.run.clone(),
        user: plan.by.user.clone(),
        host: plan.by.deploy_host.clone(),
        pid: std::process::id(),
        since: crate::clock::rfc3339_utc(),
        message: reason.clone(),
    };
    let owner = LockOwner { holder: holder.bounded(), purpose: Purpose::Rollback, until: None };
    Some(match locks::keep(&state_folder(config), &owner) {
        Ok(()) => {
            announcer.locked(&reason);
            let end = plan.invocation.command("lock --end");
            if verdict.ways_out.iter().any(|way| way.contains("`hoist deploy ")) {
                verdict.ways_out.insert(0, format!("first `{end}`: until then, deployments are refused"));
            }
            let note = format!(
                "{} is locked until somebody ends the lock with `{end}` (lock_after_rollback): {reason}",
                plan.repo
            );
            Event::note(Level::Warning, note)
        }
        Err(error) => Event::note(Level::Error, format!("{} cannot be locked: {error:#}", plan.repo)),
    })
}

/// Whether a host runs what it ran before: it went back, whatever its checks say there, or was never touched.
fn is_back(row: &HostRow) -> bool {
    use RowState::*;
    matches!(row.state, RolledBack | ChecksFailed | NotAttempted | Refused | Unreachable)
}
