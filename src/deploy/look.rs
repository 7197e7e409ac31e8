//! A look at the fleet that changes nothing: what is asked, and of whom.

use std::time::Duration;

use anyhow::Result;

use crate::config::Config;
use crate::fleet::{Call, Step};
use crate::repo::Repo;
use crate::targets::Group;
use crate::wire::{Holder, Stage};

use super::plan::{Kind, Plan, StagePlan};
use super::prepare::{Prepared, requests};
use super::story::contact_call;

/// A plan of no stages over these groups, and the two calls on a fleet that go with it: the probe, and letting go.
///
/// # Errors
/// A `git_rev` that names no commit, and what is wrong with checks or configuration files.
pub fn look(config: &Config, repo: &Repo, groups: Vec<Group>, holder: Holder) -> Result<(Prepared, [Call; 2])> {
    let settings = &config.settings;
    let plan = Plan {
        run: holder.run.clone(),
        kind: Kind::DryRun,
        user: holder.user.clone(),
        deploy_host: holder.host.clone(),
        repo: settings.git_repo.clone(),
        // A probe does not depend on it, but every request names one.
        revision: repo.resolve(&settings.git_rev)?,
        message: String::new(),
        groups,
        stages: Vec::new(),
        finalize: None,
        rollback: StagePlan { stage: Stage::Rollback, batch: 1, timeout: Duration::ZERO },
        probe_batch: settings.batch_size,
        force: false,
        need_bytes: 0,
        need_inodes: 0,
    };
    let requests = requests(config, repo, &plan, holder)?;
    let calls = [Step::Probe, Step::Release].map(|step| contact_call(&plan, step));
    Ok((Prepared { plan, requests, notes: Vec::new() }, calls))
}
