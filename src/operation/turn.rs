//! Waiting for the lock of a repository in a queue, and giving way to a newer revision in it.

use std::io;

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Choice, Plan};
use crate::exit_code::ExitCode;
use crate::locks::{DeployLock, LockError, LockHolder, Locks, NotTaken, Place, Refusal, Waiting};
use crate::repo::Repo;
use crate::report::Event;
use crate::wire::Holder;

use super::locking::{Beginning, for_lock};
use super::{Frontend, Refused, past_deployments};

/// Commits of a revision's history that are compared with what others wait with.
const MOST: usize = 2000;

/// How a deployment waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queueing {
    /// For the lock alone.
    No,
    /// For its turn.
    Waits,
    /// For its turn, and it gives way to a newer revision.
    GivesWay,
}

/// What came of waiting.
pub enum Turn {
    Locked(Box<(Option<Place>, Locks)>),
    /// A newer revision waits; in words, which.
    Superseded(String),
}

/// Takes the locks that a deployment needs here, when it is its turn.
pub fn take_turn(
    config: &Config,
    repo: &Repo,
    (plan, choice): (&Plan, &Choice),
    queueing: Queueing,
    holder: &mut Holder,
    front: &dyn Frontend,
) -> Result<Turn, Refused> {
    let places = deploy::lock_places(config);
    let cannot = |error: io::Error| LockError::Io(places.own.with_extension("queue"), error);
    let place = match queueing {
        Queueing::No => None,
        Queueing::Waits | Queueing::GivesWay => {
            let about = format!("{:?}", (&config.environment, choice.hosts.limit(), &choice.stages, plan.kind));
            let follows = repo.follows(&plan.revision, MOST)?;
            let waiting = Waiting { holder: holder.clone(), revision: plan.revision.clone(), follows, about };
            Some(Place::take(&places.own, waiting).map_err(cannot)?)
        }
    };
    let newer = || -> Result<Option<Turn>, LockError> {
        let place = place.as_ref().filter(|_| queueing == Queueing::GivesWay);
        let newer = place.map(Place::newer).transpose().map_err(cannot)?.flatten();
        Ok(newer.map(|newer| Turn::Superseded(waits(&newer))))
    };
    // An emergency queues behind nobody.
    let in_line = place.as_ref().filter(|_| plan.break_glass.is_none());
    let mut run = Beginning::new(holder);
    let turn = for_lock(config.patience(), &config.settings.git_repo, &|| false, front, || {
        let owner = run.owner();
        if let Some(superseded) = newer()? {
            return Ok(superseded);
        }
        if let Some(first) = in_line.map(Place::first).transpose().map_err(cannot)?.flatten() {
            return Err(NotTaken::Refused(match DeployLock::holder(&places.own) {
                Ok(LockHolder::By(owner)) => Refusal::Own(places.own.clone(), Some(owner)),
                _ => Refusal::Behind(Box::new(first)),
            }));
        }
        let locks = Locks::take(&places, &owner)?;
        // Somebody may have come since.
        Ok(newer()?.unwrap_or(Turn::Locked(Box::new((None, locks)))))
    });
    // Older ones that come while it deploys give way to it, too.
    Ok(match turn? {
        Turn::Locked(held) => Turn::Locked(Box::new((place, held.1))),
        superseded => superseded,
    })
}

fn waits(newer: &Waiting) -> String {
    format!("{} takes its place, asked for by {}", newer.revision.short(), newer.holder)
}

/// The newer revision that was deployed last to all hosts of the plan, in words. Call it with the lock held.
pub fn deployed_since(config: &Config, repo: &Repo, plan: &Plan) -> Result<Option<String>, Refused> {
    let history = past_deployments(config)?;
    let Some(last) = history.runs.iter().rfind(|past| past.stayed() && !past.rolled_back) else { return Ok(None) };
    let covers = plan.targets().all(|(_, target)| last.targets.contains(target));
    let are_two = covers && last.revision != plan.revision;
    let is_newer = are_two
        && repo.has(std::slice::from_ref(&last.revision))?.len() == 1
        && repo.contains(&last.revision, &plan.revision)?;
    Ok(is_newer.then(|| format!("{} was deployed by {} and contains it", last.revision.short(), last.by)))
}

/// Ends a run that has not begun, because a newer revision takes its place.
pub fn superseded(plan: &Plan, by: &str, front: &dyn Frontend) -> ExitCode {
    let verdict = format!("{} is superseded: {by}; nothing was touched", plan.revision.short());
    let mut report = front.reporter();
    report.event(&Event::ended(verdict, ExitCode::Success, Vec::new(), 0.0));
    report.flush();
    ExitCode::Success
}
