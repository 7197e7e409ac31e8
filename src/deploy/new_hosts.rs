//! What hosts are told that are set up after a deployment, by Hoist itself or by what Scap has for it.

use anyhow::{Context, Result};

use crate::config::Config;
use crate::repo::Repo;
use crate::wire::{FLEET_REVISION, Fetch, ForScap, Header, Source, StageRequest, SubmoduleSource};

use super::prepare::{Prepared, extras};

/// What Scap's own programs would have to know of a deployment, where they are at home.
pub(super) fn for_scap(config: &Config, repo: &Repo) -> Option<Box<ForScap>> {
    let settings = &config.settings;
    let managers = [(settings.git_lfs, "git-lfs"), (settings.git_fat, "git-fat")];
    config.is_known_to_scap().then(|| {
        Box::new(ForScap {
            git_server: config.git_server().map(str::to_owned),
            git_scheme: settings.git_scheme.clone(),
            git_submodules: settings.git_submodules,
            git_upstream_submodules: settings.git_upstream_submodules,
            git_binary_manager: managers.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name.into()).collect(),
            origin: repo.upstream(),
        })
    })
}

/// The request by which a host that is set up later installs the revision of a run, from the git server.
///
/// # Errors
/// What is wrong with checks or configuration files.
pub fn for_new_hosts(config: &Config, repo: &Repo, prepared: &Prepared) -> Result<StageRequest> {
    let settings = &config.settings;
    let server = config.git_server().context("git_server is not set")?;
    let url = format!("{}://{server}/{}/.git", settings.git_scheme, settings.git_repo);
    let url = crate::gitmodules::without_password(&url);
    let source = Source { url: url.clone(), reference: FLEET_REVISION.to_owned(), proxy: None };
    let describing = crate::repo::describing(repo, &prepared.plan.revision)?;
    let mut extras = extras(config, repo, Some(&url));
    if let Some(SubmoduleSource::Server { proxy, .. }) = &mut extras.submodules {
        // It may hold a password, and this is for everybody who can fetch.
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
