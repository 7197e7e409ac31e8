//! The request for hosts that are set up after a deployment.

use anyhow::{Context, Result};

use crate::config::Config;
use crate::repo::Repo;
use crate::wire::{FLEET_REVISION, Fetch, Header, Source, StageRequest, SubmoduleSource};

use super::prepare::Prepared;
use super::requests::extras;

/// The request with which a host that is set up later installs the revision of a run from the git server.
///
/// # Errors
/// The checks or configuration files are invalid.
pub fn for_new_hosts(config: &Config, repo: &Repo, prepared: &Prepared) -> Result<StageRequest> {
    let settings = &config.settings;
    let server = config.git_server().context("git_server is not set")?;
    let url = format!("{}://{server}/{}/.git", settings.git_scheme, settings.git_repo);
    let url = crate::url::without_password(&url);
    let source = Source { url: url.clone(), reference: FLEET_REVISION.to_owned(), proxy: None };
    let describing = crate::repo::describing(repo, &prepared.plan.revision)?;
    let mut extras = extras(config, repo, Some(&url), false);
    if let Some(SubmoduleSource::Server { proxy, .. }) = &mut extras.submodules {
        // The proxy's URL may contain a password, and everybody who can fetch can read the request.
        *proxy = None;
    }
    let basis = prepared.requests.basis();
    Ok(StageRequest {
        header: Header { timeout: settings.stage_timeout.as_secs(), ..basis.header.clone() },
        extras,
        kept: false,
        restore: None,
        force: false,
        fetch: Some(Fetch { source: Some(source), describing: Some(describing), ..Fetch::default() }),
        ..basis.clone()
    })
}
