//! What a deployment would do.

use crate::config::{Config, Note, Options};
use crate::deploy;
use crate::deploy::{Choice, Plan};
use crate::locks::{DeployLock, LockHolder};
use crate::repo::Repo;
use crate::wire::Level;

use super::deploy::undone;
use super::{Frontend, Refused, admission, distance, load, memory};

/// Plans, and tells what a deployment would meet. It connects nowhere and touches nothing.
pub fn plan(options: &Options, mut choice: Choice, front: &dyn Frontend) -> Result<Plan, Refused> {
    let config = load(options)?;
    let repo = Repo::open(&config.top)?;
    choice.undone = undone(&config, &choice)?;
    let prepared = deploy::prepare(&config, &repo, &choice, &deploy::holder(String::new())?)?;
    let live = last_seen(&config, &repo, &prepared.plan);
    let admission = admission::preview(&config, &prepared.plan);
    for (level, note) in config
        .notes
        .iter()
        .chain(&prepared.notes)
        .chain(&live)
        .chain(&admission)
        .filter(|(level, _)| *level > Level::Debug)
    {
        let word = if *level == Level::Info { "note" } else { "warning" };
        front.tell(&format!("{word}: {note}"));
    }
    let places = deploy::lock_places(&config);
    for (what, path) in [(&*config.settings.git_repo, &places.own), ("every repository on this host", &places.all)] {
        // Only to be told of: a lock that cannot be looked at is the deployment's matter.
        if let Ok(LockHolder::By(by)) = DeployLock::holder(path) {
            front.tell(&format!("note: {what} {by}"));
        }
    }
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        front.tell(&format!("note: {what} is {held}"));
    }
    Ok(prepared.plan)
}

/// What the targets were last seen with, beside the revision.
fn last_seen(config: &Config, repo: &Repo, plan: &Plan) -> Vec<Note> {
    let state = match memory(config) {
        Ok(state) => state,
        Err(error) => return vec![(Level::Warning, format!("cannot determine what targets run: {error:#}"))],
    };
    let live = plan.targets().filter_map(|(_, target)| {
        let known = state.of(target)?.state.as_ref()?;
        Some((target, known.current.as_ref()?))
    });
    distance::remarks(repo, plan, live, "last seen live")
}
