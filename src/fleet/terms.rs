//! The time limits and conditions of one piece of work on a host.

use std::time::Duration;

use super::{Call, HostId, Step, Task};
use crate::wire::{Revision, Stage};

/// The maximum time for a query, whatever the time limit of the step.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// The conditions of one piece of work on a host.
pub(super) struct Terms<'a> {
    pub host: HostId,
    /// The time limit of the work.
    pub timeout: Duration,
    /// The time limit for the probe of a new session.
    pub probe_timeout: Duration,
    /// The revision that was live at the run's probe.
    pub restore: Option<&'a Revision>,
    /// A host that was given up is tried again.
    pub is_last_chance: bool,
}

impl<'a> Terms<'a> {
    /// For one step.
    pub fn of(call: &Call, task: &'a Task) -> Terms<'a> {
        let timeout = call.timeout;
        Terms {
            host: task.host,
            timeout,
            probe_timeout: if call.step == Step::Probe { timeout } else { timeout.min(ASK_TIMEOUT) },
            restore: task.restore.as_ref(),
            is_last_chance: call.step == Step::Run(Stage::Rollback),
        }
    }

    /// For work that is not a step of a run.
    pub fn beside(host: HostId, timeout: Duration) -> Terms<'a> {
        Terms { host, timeout, probe_timeout: timeout, restore: None, is_last_chance: false }
    }
}
