//! Where a host that sets itself up has a repository from.

use std::path::PathBuf;

use crate::config::{self, Config, Options};
use crate::invocation::Invocation;

use super::Refused;

/// The URL of a repository on the git server that this host's global configuration names, if it names one.
pub fn url_on_git_server(repo: &str, global_file: Option<PathBuf>) -> Result<Option<String>, Refused> {
    let options = Options {
        start: "/".into(),
        global_file,
        repo_optional: true,
        patience: None,
        offline: true,
        invocation: Invocation { defines: vec!["fetch_from:server".into()], ..Invocation::default() },
    };
    let config = Config::load(&options)?;
    let scheme = &config.settings.git_scheme;
    Ok(config.git_server().map(|server| format!("{scheme}://{server}/{repo}/.git")))
}

/// The same for a build that reads no configuration.
///
/// # Errors
/// There is a global configuration, which may name a server.
pub fn url_without_configuration(global_file: Option<PathBuf>) -> Result<Option<String>, Refused> {
    match config::global_file(global_file.as_deref()) {
        None => Ok(None),
        Some(file) => Err(Refused::new(format!(
            "this copy of hoist is for targets, and does not read {}: name the git server with --server, or install hoist",
            file.display()
        ))),
    }
}
