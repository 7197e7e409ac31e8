//! How a host is spoken with in one piece of work: for how long, and with what in mind.

use std::time::Duration;

use super::{Call, HostId, Step, Task};
use crate::wire::{Revision, Stage};

/// The longest time for a question that is not the step itself, whatever the step's own limit.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// How a host is spoken with.
pub(super) struct Terms<'a> {
    pub host: HostId,
    /// What a piece of work takes at the most.
    pub timeout: Duration,
    /// What the probe of a new session takes at the most.
    pub probe_timeout: Duration,
    /// What was live at the run's probe.
    pub restore: Option<&'a Revision>,
    /// A host that was given up is tried once more.
    pub is_last_chance: bool,
}

impl<'a> Terms<'a> {
    /// Those of one step.
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

    /// Those of a piece of work beside the steps of a run.
    pub fn beside(host: HostId, timeout: Duration) -> Terms<'a> {
        Terms { host, timeout, probe_timeout: timeout, restore: None, is_last_chance: false }
    }
}
