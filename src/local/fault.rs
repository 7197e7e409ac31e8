//! Why a stage did not end well.

use std::io;
use std::path::Path;

use crate::files::ownership;
use crate::files::ownership::MeantFor;
use crate::wire::{Ended, Holder, Revision};

/// What keeps a stage from ending well. It is the unhappy part of [`Ended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// One lower-case fragment that names the file, command or key.
    Failed(String),
    /// The old revision is back, and checks of its own fail.
    ChecksFailed(String),
    /// Somebody else has deployed this revision here since the run's probe.
    MovedOn(Revision),
    /// The stage passed its time limit, in seconds.
    TimedOut(u64),
    /// The git cache lacks objects that it should have.
    CacheBroken(String),
    /// Another run holds the target.
    Locked(Box<Holder>),
}

impl Fault {
    /// A plain failure.
    pub fn failed(reason: impl Into<String>) -> Fault {
        Fault::Failed(reason.into())
    }

    /// The fragment for a line, whatever the kind.
    pub fn reason(&self) -> String {
        match self {
            Fault::Failed(reason) | Fault::CacheBroken(reason) | Fault::ChecksFailed(reason) => reason.clone(),
            Fault::MovedOn(to) => format!("this host has moved on to {} since", to.short()),
            Fault::TimedOut(seconds) => format!("timed out after {seconds} s"),
            Fault::Locked(by) => format!("locked by {by}"),
        }
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        match fault {
            Fault::Failed(reason) => Ended::Failed { reason },
            Fault::ChecksFailed(reason) => Ended::ChecksFailed { reason },
            Fault::MovedOn(to) => Ended::MovedOn { to },
            Fault::TimedOut(seconds) => Ended::TimedOut { seconds },
            Fault::CacheBroken(reason) => Ended::CacheBroken { reason },
            Fault::Locked(by) => Ended::Locked { by: *by },
        }
        .bounded()
    }
}

/// Names what was tried when a system call fails.
pub trait Tried<T> {
    /// `cannot WHAT PATH: No space left on device`.
    fn tried(self, what: &str, path: &Path) -> Result<T, Fault>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &str, path: &Path) -> Result<T, Fault> {
        self.map_err(|error| {
            let whose = ownership::explain(&error, path, MeantFor::Account);
            Fault::Failed(format!("cannot {what} {}: {}{whose}", path.display(), plain(&error)))
        })
    }
}

/// An I/O error without the number that Rust puts behind it.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
