//! The services of a target, and how they are restarted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::VerifyService;

/// What promote restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub names: Vec<ServiceName>,
    /// Where this file exists, a target is a secondary one.
    #[serde(default)]
    pub secondary_file: PathBuf,
    /// `systemctl {action} {service}` in form; words, never a shell line.
    pub command: String,
    /// Skip services that the target does not have.
    pub require_valid: bool,
    /// Wait until this TCP port of the target accepts a connection.
    pub port: Option<u16>,
    /// Seconds to wait for the port.
    pub timeout: u64,
    /// `None`: what is found after a restart is a failure, old files in use after a reload are a warning, and a manager
    /// that is not known is not asked.
    #[serde(default)]
    pub verify: Option<VerifyService>,
    /// Seconds that a service has to stay up after its restart.
    #[serde(default)]
    pub min_healthy: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceName {
    pub name: String,
    /// `restart` or `reload`.
    pub action: String,
    /// On a secondary target it is stopped and disabled in place of that.
    #[serde(default)]
    pub disable_secondary: bool,
}
