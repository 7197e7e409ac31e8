//! What a fleet keeps of each host from one step to the next: its session, and what is known of it.

use std::sync::Mutex;

use super::noise::Noise;
use super::open::OpenSessions;
use super::output_sink::RunOutput;
use super::ssh::Ssh;
use super::talk::Remote;
use super::{Call, HostId, PackSource, Task};
use crate::targets::Target;
use crate::wire::{Request, State};

/// Makes the request for a task. The fleet itself fills in the action, the time limit, `force`, what a rollback goes back
/// to, and the pack.
pub type RequestMaker = Box<dyn Fn(HostId, &Call, &Task) -> Request + Send + Sync>;

pub(super) struct FleetState {
    pub ssh: Ssh,
    pub hosts: Vec<Host>,
    pub requests: RequestMaker,
    pub packs: Box<dyn PackSource>,
    pub open: OpenSessions,
    pub output: RunOutput,
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
    /// The target's lock is to be held; a session that is opened anew takes it again.
    pub hold: bool,
    /// The lock was taken for the time without a session, too.
    pub claimed: bool,
    /// A promote was started and its lease, if it has one, is not known to be over.
    pub promoted: bool,
    /// It was finalized, and keeps more than it is to keep until the run is over.
    pub keeps_more: bool,
    /// What the run's first probe found.
    pub first: Option<First>,
    /// The host has let this run in before.
    pub let_in: bool,
    /// A session that was lost could not be had again for as long as it is tried.
    pub given_up: bool,
}

/// What a host is known again by when it has to be connected to once more.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    pub place: Option<String>,
    pub state: State,
    /// A stage has been done there, or may have changed what is live.
    pub begun: bool,
}

impl FleetState {
    /// Notes that a host's session is used now, and closes others where they are too many: they are opened again when
    /// they are needed, and take their locks again then.
    pub(super) fn make_room(&self, host: HostId) {
        self.open.touch(host, |other| match self.hosts[other].session.try_lock() {
            Ok(mut session) => {
                if session.remote.take().is_some() {
                    log::debug!("{}: closed to make room for other sessions", self.hosts[other].target);
                }
                true
            }
            Err(_) => false,
        });
    }
}
