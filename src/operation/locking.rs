//! Taking the locks of the deploy host, and waiting for them while others have them.

use std::time::{Duration, Instant};

use crate::config::{Config, Patience};
use crate::deploy;
use crate::exit_code::ExitCode;
use crate::locks::{LockOwner, Locks, NotTaken};
use crate::wire::Holder;

use super::{Frontend, Refused};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// The locks that a deployment of the repository needs here. A run that had to wait for them begins when it gets them:
/// targets refuse one that is older than the one that they saw last.
pub fn lock(config: &Config, holder: &mut Holder, front: &dyn Frontend) -> Result<Locks, Refused> {
    let places = deploy::lock_places(config);
    let mut run = Beginning::new(holder);
    // Nothing listens for signals yet: one ends the process, and its wait.
    for_lock(config.patience(), &config.settings.git_repo, &|| false, front, || Locks::take(&places, &run.owner()))
}

/// A run that has not begun yet.
pub struct Beginning<'a> {
    holder: &'a mut Holder,
    tried: bool,
}

impl<'a> Beginning<'a> {
    pub fn new(holder: &'a mut Holder) -> Beginning<'a> {
        Beginning { holder, tried: false }
    }

    /// For the next try to take a lock: the run begins now.
    pub fn owner(&mut self) -> LockOwner {
        if std::mem::replace(&mut self.tried, true)
            && let Ok(now) = deploy::holder(self.holder.message.clone())
        {
            *self.holder = now;
        }
        LockOwner::from(self.holder.clone())
    }
}

/// The same, whatever for. `stopped` ends the wait for others.
pub fn take_locks(
    config: &Config,
    owner: &LockOwner,
    stopped: &dyn Fn() -> bool,
    front: &dyn Frontend,
) -> Result<Locks, Refused> {
    let places = deploy::lock_places(config);
    for_lock(config.patience(), &config.settings.git_repo, stopped, front, || Locks::take(&places, owner))
}

/// Tries `take` until it has the lock, the patience is over, or `stopped` says so. Who is waited for is said once for each.
pub fn for_lock<T>(
    patience: Patience,
    what: &str,
    stopped: &dyn Fn() -> bool,
    front: &dyn Frontend,
    mut take: impl FnMut() -> Result<T, NotTaken>,
) -> Result<T, Refused> {
    let until = Instant::now() + patience.time;
    let mut told = String::new();
    loop {
        let kept = match take() {
            Ok(lock) => return Ok(lock),
            Err(NotTaken::Failed(error)) => return Err(error.into()),
            Err(NotTaken::Refused(kept)) => kept.to_string(),
        };
        if stopped() || Instant::now() >= until {
            let why = format!("{what} {kept}");
            front.remark(&format!("hoist: {why}"));
            return Err(Refused::Told(ExitCode::Locked, why));
        }
        if told != kept {
            let Patience { time, says } = patience;
            front.remark(&format!("hoist: {what} {kept}; waiting for up to {} s ({says})", time.as_secs()));
            told = kept;
        }
        std::thread::sleep(PAUSE);
    }
}
