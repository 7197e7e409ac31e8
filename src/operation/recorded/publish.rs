//! What a deployment leaves on the deploy host for hosts that are set up later.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Kind, Plan, Prepared, Verdict};
use crate::fleet_state::FleetState;
use crate::repo::Repo;
use crate::scap_state;
use crate::targets::Target;
use crate::wire::Revision;

use super::published;
use super::published::Copies;

/// Scap's file, in the git directory.
const DEPLOY_HEAD: &str = "DEPLOY_HEAD";

/// After a run that finalized its revision on the fleet, says there that this is what the fleet should run: in Scap's
/// file, where there is one, and for targets that fetch from a git server, in the repository. `state`: the folder of the
/// journals, where this run is remembered by now.
pub fn publish(config: &Config, repo: &Repo, prepared: &Prepared, verdict: &Verdict, state: &Path) -> Result<()> {
    let plan = &prepared.plan;
    let went_through = verdict.finalized.as_ref().is_some_and(|hosts| hosts.contains(&Some(true)));
    // Memory that cannot be read has been warned of.
    let memory = FleetState::load(state, &plan.repo).unwrap_or_else(|_| FleetState::empty(&plan.repo));
    if !went_through || !is_for_the_fleet(config, plan, &memory)? {
        return Ok(());
    }
    if plan.origin.is_some() || repo.is_artifact(&plan.revision) {
        return publish_no_artifact(config, repo, plan);
    }
    let copies = &Copies::of(config, state);
    let head = repo.git_dir().join(DEPLOY_HEAD);
    if config.is_known_to_scap() && head.is_file() {
        tell_scap(copies, &head, prepared).with_context(|| format!("cannot write {}", head.display()))?;
    }
    if config.git_server().is_none() {
        return Ok(());
    }
    if plan.kind == Kind::Rollback {
        return publish_again(copies, repo, plan);
    }
    let here = || anyhow::Ok(!repo.has(std::slice::from_ref(&plan.revision))?.is_empty());
    if here()? && shows_nothing_new(config, repo, plan)? {
        let request = serde_json::to_vec(&deploy::for_new_hosts(config, repo, prepared)?)?;
        repo.publish(&plan.revision, &request)?;
        copies.keep(&plan.revision, published::Kind::Request, &request)?;
    }
    Ok(())
}

/// New hosts fetch from a git server, which has no artifacts: they are to get none rather than what was deployed before.
fn publish_no_artifact(config: &Config, repo: &Repo, plan: &Plan) -> Result<()> {
    if config.git_server().is_none() {
        return Ok(());
    }
    repo.unpublish()?;
    let (short, reconcile) = (plan.revision.short(), plan.invocation.command("reconcile"));
    bail!("{short} is an artifact, which is not on the git server: `{reconcile}` brings it to them")
}

/// Writes Scap's file. What it said of another revision is kept: it is true again after a rollback to that one.
fn tell_scap(copies: &Copies, head: &Path, prepared: &Prepared) -> Result<()> {
    let plan = &prepared.plan;
    let now = std::fs::read(head)?;
    if let Some(other) = revision_in(&now).filter(|other| *other != plan.revision) {
        copies.keep(&other, published::Kind::DeployHead, &now)?;
    }
    let kept = copies.read(&plan.revision, published::Kind::DeployHead).filter(|_| plan.kind == Kind::Rollback);
    let text = || scap_state::text(prepared.requests.basis(), prepared.requests.tag()).map(String::into_bytes);
    let text = kept.or_else(text).context("Scap's settings are unknown")?;
    // In one step, for whoever reads it by HTTP at this moment; with the mode that it had.
    let mut new = tempfile_in(head.parent().unwrap_or(head))?;
    new.0.write_all(&text)?;
    new.0.set_permissions(head.metadata()?.permissions())?;
    Ok(std::fs::rename(&new.1, head)?)
}

/// The revision that the text of Scap's file is about.
fn revision_in(text: &[u8]) -> Option<Revision> {
    let text = String::from_utf8_lossy(text);
    let value = |line: &str| {
        let value = line.trim_start().trim_start_matches('"').strip_prefix("git_rev")?.trim_start_matches('"');
        let value = value.strip_prefix(':')?.trim_end().trim_end_matches(',').trim_matches([' ', '"', '\'']);
        value.parse().ok()
    };
    text.lines().find_map(value)
}

/// After a rollback new hosts get what was published when the revision was deployed, or nothing: the configuration of
/// today is not what the fleet went back to.
fn publish_again(copies: &Copies, repo: &Repo, plan: &Plan) -> Result<()> {
    let revision = &plan.revision;
    match copies.read(revision, published::Kind::Request) {
        Some(request) if !repo.has(std::slice::from_ref(revision))?.is_empty() => repo.publish(revision, &request),
        _ if repo.unpublish()? => {
            let short = revision.short();
            let deploy = plan.invocation.command(&format!("deploy -r {short}"));
            bail!("what {short} was deployed with is not known here; `{deploy}` settles that")
        }
        _ => Ok(()),
    }
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
            log::debug!("{path} differs from the committed file: nothing is published for new hosts");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether most targets took part, or have the revision from runs before this one: a first try on a few says nothing of
/// the fleet.
fn is_for_the_fleet(config: &Config, plan: &Plan, memory: &FleetState) -> Result<bool> {
    let (groups, _) = config.groups(None)?;
    let targets: Vec<&Target> = groups.iter().flat_map(|group| &group.targets).collect();
    let has_it = |target: &&&Target| {
        let state = memory.of(target).and_then(|known| known.state.as_ref());
        state.is_some_and(|state| state.done.as_ref() == Some(&plan.revision))
    };
    let most = |count: usize| count * 2 > targets.len();
    let is_deployed = matches!(plan.kind, Kind::Deploy | Kind::Rollback);
    Ok(is_deployed && (most(plan.size()) || most(targets.iter().filter(has_it).count())))
}

/// A new file beside Scap's, which it passes over.
fn tempfile_in(folder: &std::path::Path) -> std::io::Result<(std::fs::File, std::path::PathBuf)> {
    let path = folder.join(format!("{DEPLOY_HEAD}.hoist-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    Ok((std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?, path))
}
