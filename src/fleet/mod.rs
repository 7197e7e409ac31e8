//! Hosts, and running a step on many of them.

mod abort;
mod ask;
mod command;
mod connection;
mod drain;
mod host_id;
mod host_result;
mod hosts;
pub mod keep_alive;
mod lines;
mod lock_holder;
mod loss;
mod measured;
mod noise;
mod once;
mod open;
pub mod output_sink;
mod pack;
mod pool;
mod probe;
pub mod remarks;
mod request_source;
mod sessions;
pub mod ssh;
mod talk;
mod terms;
mod unlock;
mod work;

pub use command::CommandFleet;
pub use host_id::{HostId, HostIds};
pub use host_result::HostResult;
pub use hosts::SshFleet;
pub use once::{OnceCall, OnceEvent, OnceObserver};
pub use pack::{NoPacks, Pack, PackSource, Payload};
pub use request_source::RequestSource;
pub use sessions::First;

use std::time::Duration;

use crate::once::OnceEnd;
use crate::wire::{Line, Revision, Stage};
use remarks::Remark;

/// The number of a host's last lines that a result keeps.
pub const TAIL_LINES: usize = 20;

/// What a call does on each host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Connect and read the facts; changes nothing.
    Probe,
    /// Take the target's lock for this run. It is held until [`Step::Release`], or until the deployer dies.
    Hold,
    /// Run a stage.
    Run(Stage),
    /// Release the lock and close the session.
    Release,
    /// Run the operator's command: directly, or on drained targets as [`Stage::Command`].
    Command,
}

/// One call on the fleet: a step on hosts of one group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Call {
    pub step: Step,
    /// The group's own name; empty for steps over several groups.
    pub group: String,
    /// Hosts at once, at least 1.
    pub batch: usize,
    /// How many hosts of this call may be at work or have failed. `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<usize>,
    pub timeout: Duration,
    /// Do the work even if it seems to be done already.
    pub force: bool,
    /// Start nothing, but find out about stages that an earlier deployer may have started. Hosts that never began get no
    /// events; each of the others gets its `Started` and the actual `Ended`. A probe with `recover` reads hosts at the
    /// end of such a run, and is not recorded in the journal.
    pub recover: bool,
}

impl Call {
    /// A step over several groups that is not a stage: probe, hold, release.
    pub fn contact(step: Step, batch: usize, timeout: Duration) -> Call {
        Call { step, group: String::new(), batch, room: None, timeout, force: false, recover: false }
    }
}

/// One host of a call.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    pub host: HostId,
    /// The number of this attempt of the step on this host, from 0.
    pub attempt: u32,
    /// The revision that a rollback restores.
    pub restore: Option<Revision>,
    /// How many seconds after the end of its lease a promoted host waits before it rolls back by itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease_slot: u64,
}

fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

impl Task {
    /// The first attempt of a step on a host.
    pub fn first(host: HostId) -> Task {
        Task { host, attempt: 0, restore: None, lease_slot: 0 }
    }
}

/// An event of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum HostEvent {
    /// An earlier deployer may have started the step on these, and they are asked now how it ended; without any, they have
    /// been asked.
    Asked(Vec<HostId>),
    Started(HostId),
    Line(HostId, Line),
    /// How a configuration file would change; only for the operator.
    Diff {
        host: HostId,
        file: String,
        diff: String,
    },
    /// The host has been waiting for something for `seconds`, of at most `limit`.
    Waiting {
        host: HostId,
        what: String,
        seconds: u64,
        limit: u64,
    },
    Ended(HostId, Box<HostResult>),
    /// A remark of the deployer, possibly about no host of this call.
    Remark(Remark),
}

/// The story's answer to each batch of events, in ascending order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    Continue,
    /// Start no further host; those under way finish.
    Stop,
    /// Start no further host, and abort the stage on those under way, where it then fails.
    Abort,
}

/// Hosts on which steps can be run.
///
/// The rules of a deployment rely on this: each task that was started gets exactly one [`HostEvent::Ended`]; tasks start
/// in the given order; at most `batch` are under way at a time; none starts while those under way and those that failed
/// use up the `room`, and none after [`Flow::Stop`] or [`Flow::Abort`].
pub trait Fleet {
    /// Runs one call to its end. `on` is called from the calling thread with the new events, in order, and from time to
    /// time without any, so that the caller can check for interrupts.
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow);

    /// Runs a run-once step to its end, or finds out how it ended. `on` is called as in [`Fleet::run`]; with
    /// [`Flow::Abort`] the step is killed. No try is ever carried out twice.
    fn run_once(&mut self, _: &OnceCall, _: &mut OnceObserver) -> OnceEnd {
        OnceEnd::NotBegun { reason: "internal error: this command runs no steps".to_owned() }
    }

    /// Whether everything about a host came from the journal of an earlier deployer, and nothing from the host itself.
    fn recalls(&self, _: HostId) -> bool {
        false
    }
}

impl<F: Fleet + ?Sized> Fleet for &mut F {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        (**self).run(call, tasks, on);
    }

    fn run_once(&mut self, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        (**self).run_once(call, on)
    }

    fn recalls(&self, host: HostId) -> bool {
        (**self).recalls(host)
    }
}
