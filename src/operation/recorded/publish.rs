//! What a deployment leaves on the deploy host for hosts that are set up later.

use std::io::Write;

use anyhow::{Context, Result};

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Kind, Plan, Prepared, Verdict};
use crate::repo::Repo;
use crate::scap_state;

/// Scap's file, in the git directory.
const DEPLOY_HEAD: &str = "DEPLOY_HEAD";

/// After a run that finalized its revision on the fleet, says there that this is what the fleet should run: in Scap's
/// file, where there is one, and for targets that fetch from a git server, in the repository.
pub fn publish(config: &Config, repo: &Repo, prepared: &Prepared, verdict: &Verdict) -> Result<()> {
    let plan = &prepared.plan;
    if !verdict.finalized.as_ref().is_some_and(|hosts| hosts.contains(&Some(true))) || !is_for_the_fleet(config, plan)?
    {
        return Ok(());
    }
    let head = repo.git_dir().join(DEPLOY_HEAD);
    if config.is_known_to_scap() && head.is_file() {
        let text = scap_state::text(prepared.requests.basis(), prepared.requests.tag());
        let text = text.context("Scap's settings are not known")?;
        let folder = head.parent().unwrap_or(repo.git_dir());
        let replace = || -> std::io::Result<()> {
            // In one step, for whoever reads it by HTTP at this moment; with the mode that it had.
            let mut new = tempfile_in(folder)?;
            new.0.write_all(text.as_bytes())?;
            new.0.set_permissions(head.metadata()?.permissions())?;
            std::fs::rename(&new.1, &head)
        };
        replace().with_context(|| format!("cannot write {}", head.display()))?;
    }
    let here = || anyhow::Ok(!repo.has(std::slice::from_ref(&plan.revision))?.is_empty());
    if config.git_server().is_some() && here()? && shows_nothing_new(config, repo, plan)? {
        let request = deploy::for_new_hosts(config, repo, prepared)?;
        repo.publish(&plan.revision, &serde_json::to_vec(&request)?)?;
    }
    Ok(())
}

/// Whether the variables are in the revision anyway. Whoever can fetch can read what is published, and variables that
/// nobody has committed may be secret.
fn shows_nothing_new(config: &Config, repo: &Repo, plan: &Plan) -> Result<bool> {
    let changed = repo.changed_files()?;
    let environment =
        config.environment.iter().map(|it| format!("{}/environments/{it}/vars.yaml", config.control_name));
    for path in environment.chain([format!("{}/vars.yaml", config.control_name)]) {
        let committed = || anyhow::Ok(repo.file_exists(&plan.revision, &path)? && !changed.contains(&path));
        if config.top.join(&path).exists() && !committed()? {
            log::debug!("{path} is not as committed: nothing is published for new hosts");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether most targets took part: a first try on a few says nothing of the fleet.
fn is_for_the_fleet(config: &Config, plan: &Plan) -> Result<bool> {
    let (groups, _) = config.groups(None)?;
    let all: usize = groups.iter().map(|group| group.targets.len()).sum();
    Ok(matches!(plan.kind, Kind::Deploy | Kind::Rollback) && plan.size() * 2 > all)
}

/// A new file beside Scap's, which it passes over.
fn tempfile_in(folder: &std::path::Path) -> std::io::Result<(std::fs::File, std::path::PathBuf)> {
    let path = folder.join(format!("{DEPLOY_HEAD}.hoist-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    Ok((std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?, path))
}
