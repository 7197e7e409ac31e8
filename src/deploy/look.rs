//! The request of a command that deploys nothing: it looks at targets, or clears their locks.

use anyhow::{Result, anyhow};

use crate::config::Config;
use crate::wire::{Action, Holder, PROTOCOL, Request, Service};

/// A request without any of a deployment's checks, files or services.
///
/// # Errors
/// None that a configuration could bring about.
pub fn look(config: &Config, holder: Holder) -> Result<Request> {
    let settings = &config.settings;
    // A name of a commit has to stand there; this is none, in git's own way of writing none.
    let revision = "0".repeat(40).parse().map_err(|why: String| anyhow!(why))?;
    Ok(Request {
        protocol: PROTOCOL,
        holder,
        action: Action::Probe,
        repo: settings.git_repo.clone(),
        deploy_dir: settings.git_deploy_dir.clone(),
        group: String::new(),
        revision,
        restore: None,
        force: false,
        umask: settings.umask,
        cache_revs: settings.cache_revs,
        timeout: 0,
        confirm_timeout: 0,
        control_dir: config.control_name.clone(),
        environment: config.environment.clone(),
        fetch: None,
        checks: Vec::new(),
        nrpe_dir: settings.nrpe_dir.clone(),
        service: Service::default(),
        config_files: None,
        templates: Default::default(),
        vars: Default::default(),
    })
}
