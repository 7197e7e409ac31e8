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
mod loss;
mod noise;
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
pub use pack::{NoPacks, Pack, PackSource, Payload};
pub use request_source::RequestSource;
pub use sessions::First;

use std::time::Duration;

use crate::wire::{Line, Revision, Stage};
use remarks::Remark;

/// How many of a host's last lines a result keeps.
pub const TAIL_LINES: usize = 20;

/// What is done on each host of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Connect and ask; changes nothing.
    Probe,
    /// Take the target's lock for this run; it is kept until [`Step::Release`], or until the deployer is gone.
    Hold,
    /// Run a stage.
    Run(Stage),
    /// Release the lock and close the session.
    Release,
    /// Run the operator's command: as it stands, or on drained targets as [`Stage::Command`].
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
    /// Hosts that may be at work or have failed in this call; a host that fails keeps its place. `None`: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<usize>,
    pub timeout: Duration,
    /// Do the work even if it seems to be done already.
    pub force: bool,
    /// Start nothing: find out about stages that a deployer which is gone may have started. Hosts that never began get
    /// no events at all; each of the others gets its `Started` and its true `Ended`. A probe with it is a look at hosts
    /// at the end of such a run, which no journal records.
    pub recover: bool,
}

impl Call {
    /// A step of no stage, over several groups: to probe, to take locks, to let go of them.
    pub fn contact(step: Step, batch: usize, timeout: Duration) -> Call {
        Call { step, group: String::new(), batch, room: None, timeout, force: false, recover: false }
    }
}

/// One host of a call.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    pub host: HostId,
    /// Which try of this step this is on this host, from 0.
    pub attempt: u32,
    /// What a rollback goes back to.
    pub restore: Option<Revision>,
    /// Seconds after the end of its lease that a promoted host waits for its turn to go back by itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease_slot: u64,
}

fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

impl Task {
    /// The first try of a step on a host, of which nothing else is to be said.
    pub fn first(host: HostId) -> Task {
        Task { host, attempt: 0, restore: None, lease_slot: 0 }
    }
}

/// What a call tells while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum HostEvent {
    Started(HostId),
    Line(HostId, Line),
    /// A difference that a configuration file would make; for the operator's eyes alone.
    Diff {
        host: HostId,
        file: String,
        diff: String,
    },
    /// The host waits for something, since so many seconds of so many that it may take.
    Waiting {
        host: HostId,
        what: String,
        seconds: u64,
        limit: u64,
    },
    Ended(HostId, Box<HostResult>),
    /// What no host said itself; of no host of this call, maybe.
    Remark(Remark),
}

/// The story's answer to each batch of events. A later one is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    Continue,
    /// Start no further host; those under way finish.
    Stop,
    /// Start no further host, and end the stage on those under way: it fails there.
    Abort,
}

/// Hosts that can be told to do a step.
///
/// The one promise that every rule of a deployment leans on: each task that was started gets exactly one
/// [`HostEvent::Ended`], tasks start in the order given, at most `batch` are under way at a time, none starts while
/// those under way and those that failed take all the `room`, and none after [`Flow::Stop`] or [`Flow::Abort`].
pub trait Fleet {
    /// Runs one call to its end. `on` is called from the calling thread with the events that have come in since, in
    /// order, and also with none every so often, so that it can look up from waiting.
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow);

    /// Whether all that was told of a host comes from the journal of an earlier deployer, none of it from the host itself.
    fn recalls(&self, _: HostId) -> bool {
        false
    }
}

impl<F: Fleet + ?Sized> Fleet for &mut F {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        (**self).run(call, tasks, on);
    }

    fn recalls(&self, host: HostId) -> bool {
        (**self).recalls(host)
    }
}
