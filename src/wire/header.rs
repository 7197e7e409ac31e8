//! What every request begins with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Holder;

/// What every request begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The run, and who is behind it.
    pub holder: Holder,
    /// The repository's name, which is a relative path below `deploy_dir`.
    pub repo: String,
    pub deploy_dir: PathBuf,
    /// `hoist` or `scap`: the folder of the repository that holds scripts.
    pub control_dir: String,
    /// The mask of permissions that new files do not get; `None`: that of the login.
    pub umask: Option<u32>,
    /// Seconds this may take; the target keeps to it even when its deployer is gone.
    pub timeout: u64,
    /// The target reports where its time went, ahead of its answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timings: bool,
}
