//! Configuration files, rendered on targets.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    Text,
    /// `None`, `True` and `False` print as YAML's `null`, `true` and `false`.
    Yaml,
}

/// A configuration file to render on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Absolute: rendered into the revision and linked from here at promote. Relative: written into the working tree.
    pub path: String,
    /// The template's name, a key of [`StageRequest::templates`].
    pub template: String,
    /// A YAML file on the target whose keys win over the request's variables.
    pub remote_vars: Option<String>,
    pub erb_syntax: bool,
    pub format: OutputFormat,
}
