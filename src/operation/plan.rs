//! What a deployment would do.

use crate::config::Options;
use crate::deploy;
use crate::deploy::{Choice, Plan};
use crate::locks::{DeployLock, LockHolder};
use crate::repo::Repo;
use crate::wire::Level;

use super::{Frontend, Refused, load};

/// Plans, and tells what a deployment would meet. It connects nowhere and touches nothing.
pub fn plan(options: &Options, choice: &Choice, front: &dyn Frontend) -> Result<Plan, Refused> {
    let config = load(options)?;
    let repo = Repo::open(&config.top)?;
    let prepared = deploy::prepare(&config, &repo, choice, &deploy::holder(String::new())?)?;
    for (level, note) in config.notes.iter().chain(&prepared.notes).filter(|(level, _)| *level > Level::Debug) {
        let word = if *level == Level::Info { "note" } else { "warning" };
        front.tell(&format!("{word}: {note}"));
    }
    let places = deploy::lock_places(&config);
    for (what, path) in [(&*config.settings.git_repo, &places.own), ("every repository of this host", &places.all)] {
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
