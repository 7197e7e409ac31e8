//! What the command line says of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::invocation::Invocation;

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to look for the repository: its working tree or any folder below.
    pub start: PathBuf,
    /// Takes the place of `/etc/hoist.cfg` or `/etc/scap.cfg`, and must exist.
    pub global_file: Option<PathBuf>,
    /// Go without a repository where there is none, without its configuration file, and without `git_repo`.
    pub repo_optional: bool,
    /// How long to wait for a lock, if the command line says so.
    pub patience: Option<Patience>,
    /// Neither run commands that print targets, nor ask name servers.
    pub offline: bool,
    /// The flags of the command.
    pub invocation: Invocation,
}

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub time: Duration,
    /// The flag or the key that says so.
    pub says: &'static str,
}
