//! Keeping deployments out of one repository, or of every one of this host, and the end of that.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Options};
use crate::deploy;
use crate::hooks::{About, Announcement, EventKind, Ledger, Outbox, Queued};
use crate::locks;
use crate::locks::{
    DeployLock, Ended, LockError, LockHolder, LockOwner, LockPlaces, Locks, NotTaken, Refusal, ScapHolds,
};

use super::locking::{for_lock, take_locks};
use super::{Frontend, Refused, announce, load_telling, state_folder};

/// What hooks are told of a lock.
#[derive(Debug)]
pub struct LockAnnounced {
    outbox: Outbox,
    /// Ledgers of earlier runs that are complete once everything is sent.
    closing: Vec<Arc<Ledger>>,
}

impl LockAnnounced {
    /// Waits for what is on its way, as long as a hook's time limit at most, and says what was not sent.
    pub fn settle(mut self) -> Option<String> {
        let mut unsent = self.outbox.finish(Duration::MAX);
        unsent.extend(self.outbox.give_up());
        self.closing.iter().for_each(|ledger| ledger.close());
        announce::told(&unsent)
    }
}

/// What a lock keeps deployments out of.
#[derive(Debug)]
pub struct LockScope {
    config: Config,
    places: LockPlaces,
    all: bool,
}

impl LockScope {
    /// The repository of the configuration, or with `all` every one of this host.
    pub fn new(options: &Options, all: bool, front: &dyn Frontend) -> Result<LockScope, Refused> {
        let config = load_telling(options, front)?;
        let places = deploy::lock_places(&config);
        Ok(LockScope { config, places, all })
    }

    /// For messages.
    pub fn name(&self) -> &str {
        if self.all { "every repository on this host" } else { &self.config.settings.git_repo }
    }

    /// That nothing is locked.
    pub fn unlocked(&self) -> String {
        format!("{} is not locked", if self.all { "this host as a whole" } else { self.name() })
    }

    /// The line to type for another command about the same.
    pub fn command(&self, words: &str) -> String {
        self.config.invocation.command(words)
    }

    /// Takes the lock, which stands until what is returned is dropped. `stopped` ends the wait for others.
    pub fn acquire(
        &self,
        owner: &LockOwner,
        stopped: &dyn Fn() -> bool,
        front: &dyn Frontend,
    ) -> Result<Box<dyn Debug>, Refused> {
        if !self.all {
            return Ok(Box::new(take_locks(&self.config, owner, stopped, front)?));
        }
        let (places, patience, what) = (&self.places, self.config.patience(), "every repository");
        let take = || match DeployLock::acquire(&places.all, owner) {
            Err(LockError::Held(by)) => Err(NotTaken::Refused(Refusal::All(places.all.clone(), by))),
            taken => taken.map_err(NotTaken::from),
        };
        let own = for_lock(patience, what, stopped, front, take)?;
        // Those who were there before go on with what they do.
        for (repo, owner) in places.under_way() {
            front.tell(&format!("still running: {repo} {owner}"));
        }
        // Nobody begins any more; Scap's lock is to be had once those who deploy have ended.
        let scaps = for_lock(patience, what, stopped, front, || Locks::take_scaps_global(places, owner))?;
        Ok(Box::new((scaps, own)))
    }

    /// Tells the hooks that deployments are kept out, and before that what a dead deployer of the repository has left
    /// unsaid. It waits for none of them.
    pub fn announce(&self, owner: &LockOwner, front: &dyn Frontend) -> LockAnnounced {
        let hooks = match self.config.hooks() {
            Ok((hooks, _)) => hooks,
            Err(error) => {
                front.tell(&format!("warning: nothing is announced: {error:#}"));
                Vec::new()
            }
        };
        let holder = &owner.holder;
        let about = About {
            kind: "lock".into(),
            repository: self.name().to_owned(),
            environment: self.config.environment.clone(),
            operator: holder.user.clone(),
            deploy_host: holder.host.clone(),
            message: holder.message.clone(),
            began: holder.since.clone(),
            ..About::default()
        };
        let locked = Announcement {
            id: format!("{}-1", holder.run),
            by: Some(format!("{}@{}", holder.user, holder.host)),
            reason: Some(holder.message.clone()).filter(|reason| !reason.is_empty()),
            ..Announcement::new(EventKind::Locked, &about)
        };
        let mut outbox = Outbox::new(hooks);
        // With every repository locked, this one's own lock may be another's.
        let closing = if self.all { Vec::new() } else { announce::catch_up(&self.config, &mut outbox, None) };
        let to = outbox.subscribers(&locked, &[]);
        outbox.send(&Queued { key: "locked".into(), to, announcement: locked }, None);
        LockAnnounced { outbox, closing }
    }

    /// Ends the lock that stands, whoever holds it.
    pub fn end(&self) -> Result<Ended, Refused> {
        let path = self.path();
        locks::end(path).map_err(|error| Refused::new(format!("cannot read {}: {error}", path.display())))
    }

    /// The lock that a rollback has left on the repository; `None`: there is none that could be read.
    pub fn kept(&self) -> Option<LockOwner> {
        locks::kept(&state_folder(&self.config)).ok().flatten().filter(|_| !self.all)
    }

    /// Ends the lock that a rollback has left. Says whether there was one.
    pub fn end_kept(&self) -> Result<bool, Refused> {
        Ok(!self.all && locks::end_kept(&state_folder(&self.config))?)
    }

    /// The locks of Scap's that somebody has, by what they are on.
    pub fn held_by_scap(&self) -> Vec<(String, ScapHolds)> {
        self.places.held_elsewhere(&self.config.settings.git_repo)
    }

    /// Who locks every repository on this host: whoever ends the lock of one may think that it can be deployed now.
    pub fn locked_with_all(&self) -> Option<String> {
        let who = match DeployLock::holder(&self.places.all).ok().filter(|_| !self.all)? {
            LockHolder::Nobody => return None,
            LockHolder::Nameless => locks::nameless(&self.places.all),
            LockHolder::By(owner) => owner.to_string(),
        };
        Some(format!("every repository on this host {who}"))
    }

    /// What is said of a lock whose holder left no name.
    pub fn nameless(&self) -> String {
        locks::nameless(self.path())
    }

    fn path(&self) -> &Path {
        if self.all { &self.places.all } else { &self.places.own }
    }
}
