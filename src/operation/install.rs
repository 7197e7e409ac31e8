//! Where a host that sets itself up has a repository from.

use std::path::PathBuf;

use crate::config::{Config, Options};
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
