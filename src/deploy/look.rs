//! Commands that look at targets and deploy nothing.

use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::config::Config;
use crate::fleet::{Call, Step};
use crate::targets::Group;
use crate::wire::{Action, ExternalContent, Holder, PROTOCOL, Request, Revision, Service, Stage};

use super::plan::{Kind, Plan, StagePlan};
use super::prepare::Prepared;
use super::requests::{Requests, cache_revs, umask};
use super::story::contact_call;

/// A plan of no stages over these groups, and the two calls on a fleet that go with it: the probe, and letting go. With
/// `verify`, the probe looks at the live trees as well.
///
/// # Errors
/// None that a configuration could bring about.
pub fn look(config: &Config, groups: Vec<Group>, holder: Holder, verify: bool) -> Result<(Prepared, [Call; 2])> {
    let settings = &config.settings;
    let plan = Plan {
        run: holder.run.clone(),
        kind: Kind::DryRun,
        user: holder.user.clone(),
        deploy_host: holder.host.clone(),
        repo: settings.git_repo.clone(),
        revision: no_revision()?,
        message: String::new(),
        groups,
        stages: Vec::new(),
        finalize: None,
        rollback: StagePlan { stage: Stage::Rollback, batch: 1, timeout: Duration::ZERO },
        probe_batch: settings.batch_size,
        force: false,
        confirm_timeout: Duration::ZERO,
        need_bytes: 0,
        need_inodes: 0,
    };
    let requests = Requests::of(Request { verify, ..bare_request(config, holder)? });
    let calls = [Step::Probe, Step::Release].map(|step| contact_call(&plan, step));
    Ok((Prepared { plan, requests, notes: Vec::new(), control_files: Default::default() }, calls))
}

/// A commit's name has to stand in every request; this is none, in git's own way of writing none.
fn no_revision() -> Result<Revision> {
    "0".repeat(40).parse().map_err(|why: String| anyhow!(why))
}

/// A request without any of a deployment's checks, files or services.
///
/// # Errors
/// None that a configuration could bring about.
pub fn bare_request(config: &Config, holder: Holder) -> Result<Request> {
    let settings = &config.settings;
    Ok(Request {
        protocol: PROTOCOL,
        holder,
        action: Action::Probe,
        repo: settings.git_repo.clone(),
        deploy_dir: settings.git_deploy_dir.clone(),
        group: String::new(),
        revision: no_revision()?,
        restore: None,
        found_nothing: false,
        force: false,
        umask: umask(config),
        cache_revs: cache_revs(config),
        timeout: 0,
        confirm_timeout: 0,
        control_dir: config.control_name.clone(),
        environment: config.environment.clone(),
        extras: ExternalContent::default(),
        large_files: Vec::new(),
        fetch: None,
        checks: Vec::new(),
        nrpe_dir: settings.nrpe_dir.clone(),
        service: Service::default(),
        config_files: None,
        templates: Default::default(),
        vars: Default::default(),
        kept: false,
        link_files: false,
        verify: false,
        scap: None,
    })
}
