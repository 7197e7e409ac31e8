//! What a run will need on its targets, and what the probe finds of it before anything is touched.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Check, ConfigFile, Level, Service, Stage};

/// What the stages of a run will need on a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// The stages themselves; where there is a promote, its restart and a rollback too.
    pub stages: Vec<Stage>,
    pub service: Service,
    /// The checks of these stages, of all groups.
    pub checks: Vec<Check>,
    /// How the scripts of checks begin: what runs them.
    pub scripts: Vec<ScriptHead>,
    /// Where checks of type nrpe are defined on the target.
    pub nrpe_dir: PathBuf,
    /// The configuration files, which config_deploy renders and promote links.
    pub config_files: Vec<ConfigFile>,
}

/// The first line of a script of the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptHead {
    /// The check that runs it.
    pub check: String,
    /// `#!/bin/sh`
    pub line: String,
}

/// Something on a target that a later stage of the run would fail at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// [`Level::Error`] for what is sure, [`Level::Warning`] for what may be in order by then, or is not known.
    pub level: Level,
    /// The group whose targets alone it matters to; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// One fragment that names what is missing, and what to do.
    pub message: String,
}
