//! The requests of a command.

use crate::invocation::Invocation;
use crate::targets::Target;
use crate::wire::{Drain, Fetch, Header, Preflight, Revision, Secrets, Service, StageRequest};

/// The requests of a command, without the parts that differ by step and host.
pub trait RequestSource: Send + Sync {
    /// The header of every request; the time limit is that of the step.
    fn header(&self) -> &Header;

    /// Whether a probe verifies the files of the live tree.
    fn verify(&self) -> bool {
        false
    }

    /// A command line for the same targets, for messages.
    fn command(&self, words: &str) -> String {
        Invocation::default().command(words)
    }

    /// The services for which a probe reads what they run.
    fn services(&self) -> Option<Service> {
        None
    }

    /// The revision that a target is confirmed to serve if the probe finds it there; `None`: it is only looked at.
    fn confirms(&self, _target: &Target) -> Option<Revision> {
        None
    }

    /// The request for stages; `None`: the command runs none.
    fn deployment(&self) -> Option<&StageRequest> {
        None
    }

    /// The variables of `vars_command`, for stages that render.
    fn secrets(&self) -> Option<&Secrets> {
        None
    }

    /// How the targets of a group are drained; `None`: they are not.
    fn drain(&self, _group: &str) -> Option<Drain> {
        None
    }

    /// What the stages of the run will need, which the first probe of each target checks.
    fn preflight(&self) -> Option<Preflight> {
        None
    }

    /// How the revision's objects reach targets, as far as it is known.
    fn fetch(&self) -> Fetch {
        Fetch::default()
    }
}
