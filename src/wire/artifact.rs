//! Archives and directories that are deployed instead of a commit.

use serde::{Deserialize, Serialize};

/// How an archive or a directory becomes a revision. The deploy host and its targets must use the same rules, or they get
/// different revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRules {
    /// How many names are removed from the beginning of each path.
    pub strip_components: usize,
    /// The most that the contents of all files may have together, in bytes.
    pub max_bytes: u64,
    /// Whether links may lead out of the artifact.
    pub outside_links: bool,
}

/// An archive that a target downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactSource {
    /// By http or https. It may hold a password or a signature.
    pub url: String,
    /// The SHA-256 of the archive, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Its size, as the deploy host has downloaded it; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The proxy to use; `None`: what the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    pub rules: ArtifactRules,
}
