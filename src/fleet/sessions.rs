//! The state of each host between steps: its session, and what is known about the host.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::noise::Noise;
use super::open::OpenSessions;
use super::output_sink::RunOutput;
use super::ssh::Ssh;
use super::talk::Remote;
use super::{HostId, PackSource, RequestSource};
use crate::targets::Target;
use crate::wire::{CommandLine, RunId, State};

/// Whether a run of this deploy host is known to have ended.
pub(super) type HasEnded = dyn Fn(&RunId) -> bool + Send + Sync;

pub(super) struct FleetState {
    pub ssh: Ssh,
    pub hosts: Vec<Host>,
    pub requests: Box<dyn RequestSource>,
    pub packs: Box<dyn PackSource>,
    pub open: OpenSessions,
    pub output: RunOutput,
    pub has_ended: Box<HasEnded>,
    /// The operator wants the stage under way ended on its hosts.
    pub aborting: AtomicBool,
    /// The operator has stopped a run while it probes: nothing was begun on any host, so Hoist is copied to none.
    pub copies_no_more: Arc<AtomicBool>,
    /// The command of the run-once step under way.
    pub once: Mutex<Option<CommandLine>>,
}

pub(super) struct Host {
    pub target: Target,
    pub session: Mutex<Session>,
    pub noise: Noise,
}

#[derive(Default)]
pub(super) struct Session {
    pub remote: Option<Remote>,
    /// The large files that the target lacks, by their places in [`PackSource::large_files`]: there may be tens of
    /// thousands on each of very many hosts.
    pub lacks: Vec<usize>,
    /// The target's lock is to be held; a new session takes it again.
    pub hold: bool,
    /// The lock was claimed, so that it is kept without a session, too.
    pub claimed: bool,
    /// A promote was started and its lease, if it has one, is not known to be over.
    pub promoted: bool,
    /// It was finalized, and keeps old trees until the run is over.
    pub keeps_more: bool,
    /// What the run's first probe found.
    pub first: Option<First>,
    /// The host has accepted a login of this run before.
    pub has_logged_in: bool,
    /// Reconnecting has failed for the whole of `reconnect_timeout`.
    pub given_up: bool,
}

/// The state of a host at the run's first probe, by which it is recognized after a reconnect.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    pub place: Option<String>,
    pub state: State,
    /// A stage was run there, or may have changed the live revision.
    pub begun: bool,
}

impl FleetState {
    /// Marks a host's session as in use, and closes idle sessions if too many are open. They are reopened, and take their
    /// locks again, when a step needs them.
    pub(super) fn make_room(&self, host: HostId) {
        self.open.touch(host, |other| match self.hosts[other.index()].session.try_lock() {
            Ok(mut session) => {
                if session.remote.take().is_some() {
                    log::debug!("{}: closed because other sessions are needed", self.hosts[other.index()].target);
                }
                true
            }
            Err(_) => false,
        });
    }
}
