//! Configuration files, rendered on targets.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    #[default]
    Text,
    /// `None`, `True` and `False` print as YAML's `null`, `true` and `false`.
    Yaml,
}

/// Who may read and write a configuration file, as far as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Permission bits, whatever the umask.
    pub mode: Option<u32>,
    /// A user's name or number.
    pub owner: Option<String>,
    /// A group's name or number.
    pub group: Option<String>,
}

impl Access {
    fn is_unset(&self) -> bool {
        *self == Access::default()
    }
}

/// A configuration file to render on the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Absolute: rendered into the revision and linked from here at promote. Relative: written into the working tree.
    pub path: String,
    /// The template's name, a key of [`StageRequest::templates`].
    pub template: String,
    /// A YAML file on the target whose keys win over the request's variables.
    pub remote_vars: Option<String>,
    pub erb_syntax: bool,
    pub format: OutputFormat,
    #[serde(default, skip_serializing_if = "Access::is_unset")]
    pub access: Access,
    /// It contains secrets, wherever they come from: nobody is shown its content, and others may not read it by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}
