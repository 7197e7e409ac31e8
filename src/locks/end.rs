//! Ending a lock that somebody else keeps on the deploy host.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::lock::{DeployLock, LockHolder, open_to_look};
use super::owner::{LockOwner, Purpose};

/// How the end of a lock went.
#[derive(Debug)]
pub enum Ended {
    /// It is let go.
    Gone(LockOwner),
    /// There was none.
    NotLocked,
    /// A deployment has it, which is not ended in this way.
    Deploying(LockOwner),
    /// Its process belongs to another user.
    NotAllowed(LockOwner),
    /// Its process was told, and still has it.
    Stays(LockOwner),
    /// Whoever has it left no name, or another's.
    Nameless,
}

/// What is said of a lock whose holder left no name, or another's: which process that is, where this host shows it.
pub fn nameless(path: &Path) -> String {
    let holders: Vec<_> = lock_holders(path).iter().map(|it| it.to_string()).collect();
    match holders.is_empty() {
        true => format!("is locked by an unknown process ({}): find it with fuser(1)", path.display()),
        false => {
            format!("is locked by {} ({}), which wrote no name into it: end it", holders.join(" and "), path.display())
        }
    }
}

fn lock_holders(path: &Path) -> Vec<crate::procfs::Process> {
    open_to_look(path).map(|file| crate::procfs::lock_holders(&file)).unwrap_or_default()
}

/// How often, and how many times, to look whether a lock is gone.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 100;

/// Ends the lock that `hoist lock` holds at `path`, in whatever terminal: its process is told to end.
pub fn end(path: &Path) -> io::Result<Ended> {
    let owner = match DeployLock::holder(path)? {
        LockHolder::Nobody => return Ok(Ended::NotLocked),
        LockHolder::Nameless => return Ok(Ended::Nameless),
        LockHolder::By(owner) if owner.purpose == Purpose::Deploy => return Ok(Ended::Deploying(*owner)),
        LockHolder::By(owner) => *owner,
    };
    // The name stands in a file that everybody may write: no other process is ended because it stands there.
    let Some(pid) = pid_of(&owner).filter(|pid| holds(*pid, path)) else { return Ok(Ended::Nameless) };
    match kill_process(pid, Signal::TERM) {
        Err(Errno::PERM) => return Ok(Ended::NotAllowed(owner)),
        // It may have ended by itself just now.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno.into()),
    }
    // One that was stopped from a keyboard hears nothing until it goes on.
    let _ = kill_process(pid, Signal::CONT);
    for _ in 0..LOOKS {
        match DeployLock::holder(path)? {
            LockHolder::By(now) if now.holder.run == owner.holder.run => std::thread::sleep(LOOK),
            _ => return Ok(Ended::Gone(owner)),
        }
    }
    Ok(Ended::Stays(owner))
}

fn pid_of(owner: &LockOwner) -> Option<Pid> {
    i32::try_from(owner.holder.pid).ok().and_then(Pid::from_raw)
}

/// Whether the kernel says that this process has the lock of this file.
fn holds(pid: Pid, path: &Path) -> bool {
    let pid = pid.as_raw_nonzero().get().unsigned_abs();
    lock_holders(path).iter().any(|holder| holder.id == pid)
}
