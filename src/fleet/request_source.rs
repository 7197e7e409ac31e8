//! What a command asks of its targets.

use crate::invocation::Invocation;
use crate::wire::{Drain, Fetch, Header, Preflight, Service, StageRequest};

/// What a command asks of its targets, without what differs from step to step and from host to host.
pub trait RequestSource: Send + Sync {
    /// What every request begins with; the time limit is the step's.
    fn header(&self) -> &Header;

    /// Whether a probe looks if the live tree has all its files.
    fn verify(&self) -> bool {
        false
    }

    /// The line to type for another command on the same targets.
    fn command(&self, words: &str) -> String {
        Invocation::default().command(words)
    }

    /// The services of which a probe looks what they run.
    fn services(&self) -> Option<Service> {
        None
    }

    /// What the stages of the run need; `None`: the command runs none.
    fn deployment(&self) -> Option<&StageRequest> {
        None
    }

    /// How the targets of a group are drained; `None`: they are not.
    fn drain(&self, _group: &str) -> Option<Drain> {
        None
    }

    /// What the run's stages will need on targets, for the first probe of each to look at.
    fn preflight(&self) -> Option<Preflight> {
        None
    }

    /// How the revision's objects reach targets, as far as that is known by now.
    fn fetch(&self) -> Fetch {
        Fetch::default()
    }
}
