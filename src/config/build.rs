//! `build_command`: what is deployed is the output of a command that runs on the deploy host.

use std::time::Duration;

use crate::problem::Problem;

use super::settings_reader::SettingsReader;
use super::{subdir, values};

/// How a commit is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// A line for the shell.
    pub command: String,
    /// The directory that it writes, seen from where it runs.
    pub output: String,
    pub timeout: Duration,
    /// Environment variables whose values are part of the input, in order.
    pub inputs: Vec<String>,
}

/// Reads the keys; `None`: nothing is built.
pub(super) fn read(read: &mut SettingsReader) -> Result<Option<Build>, Problem> {
    let command = read.opt("build_command", values::text)?;
    let output = read.opt("build_output", subdir::path)?;
    let timeout = read.get("build_timeout", values::seconds)?;
    let inputs = read.opt("build_inputs", variables)?.unwrap_or_default();
    let Some(command) = command else { return Ok(None) };
    let Some(output) = output else {
        // One that cannot be used is a problem already.
        if let Some(entry) = read.layers.get("build_command")
            && read.layers.get("build_output").is_none_or(|it| it.value.is_empty())
        {
            let why = "it is not known what to deploy: set build_output to the directory that the command writes";
            read.problems.push(entry.mistake("build_command", why));
        }
        return Ok(None);
    };
    Ok(Some(Build { command, output, timeout, inputs }))
}

/// Names of environment variables, separated by commas, each once.
fn variables(value: &str) -> Result<Vec<String>, String> {
    let mut names = values::list(value);
    for name in &names {
        let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("{name:?} is no name of an environment variable: write letters, digits and `_`"));
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(str::to_owned).collect())
}
