//! From the configuration and the repository to a plan.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::config::{Config, gate_doubts};
use crate::repo::{Parts, Repo, Tree, TreeSize};
use crate::targets::{HostPattern, Steps, Target};
use crate::text::meant_or_known;
use crate::wire::{ArtifactSource, Check, CheckType, Holder, Level, Stage, StartedBy};

use super::capacity;
use super::chosen::chosen as chosen_revision;
use super::control::{Digests, WorkingTree};
use super::plan::{GatePlan, Kind, Pace, Plan, StagePlan};
use super::plan_steps;
use super::requests::{Requests, parts, requests};
use super::revision;
use super::revision::Deployed;

/// What the command line chose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// For a rollback, `rev` is the revision to go back to, which targets have kept.
    pub kind: Kind,
    pub rev: Option<String>,
    pub stages: Option<String>,
    pub hosts: HostChoice,
    pub force: bool,
    /// Why gates, soak and windows are skipped.
    pub break_glass: Option<String>,
}

/// Which hosts a run is for.
#[derive(Debug, Clone, Default)]
pub enum HostChoice {
    #[default]
    All,
    /// Hosts that match a pattern of `-l`.
    Matching(String),
    /// These, which are to be brought to `rev`.
    Only(Vec<Target>),
}

impl HostChoice {
    /// The hosts that match a pattern, if there is one.
    pub fn matching(limit: Option<String>) -> HostChoice {
        limit.map_or(HostChoice::All, HostChoice::Matching)
    }

    /// The pattern, if that is what they are chosen by.
    pub fn limit(&self) -> Option<&str> {
        if let HostChoice::Matching(limit) = self { Some(limit) } else { None }
    }
}

/// A plan, its requests to targets, and remarks for the operator.
pub struct Prepared {
    pub plan: Plan,
    pub requests: Requests,
    pub notes: Vec<(Level, String)>,
    /// The control files that the run uses.
    pub control_files: Digests,
}

impl Prepared {
    /// Makes targets download the revision by themselves, if there is an archive to download.
    pub fn set_artifact(&mut self, source: Option<ArtifactSource>) {
        self.plan.archive_bytes = source.as_ref().and_then(|source| source.bytes);
        self.requests.set_artifact(source);
    }
}

/// Decides everything about a run. Reads the repository and its configuration, and touches nothing. A run that names no
/// revision, and brings none, is about the last one of `deployed`.
///
/// # Errors
/// The first problem with the configuration, the target files, the checks, or the revision.
pub fn prepare(
    config: &Config,
    repo: &Repo,
    choice: &Choice,
    deployed: &Deployed,
    holder: &Holder,
) -> Result<Prepared> {
    let settings = &config.settings;
    let kind = choice.kind;
    if kind != Kind::Deploy && choice.stages.is_some() {
        bail!("--stages cannot be combined with --dry-run or --service-restart");
    }
    if kind == Kind::ServiceRestart && settings.service_name.is_empty() {
        bail!("--service-restart: no service to restart: set service_name");
    }
    let pattern = choice.hosts.limit().map(str::parse::<HostPattern>).transpose();
    let pattern = pattern.map_err(|why| anyhow::anyhow!("--limit-hosts: {why}"))?;
    let (mut groups, mut notes) = config.groups(pattern.as_ref())?;
    if let HostChoice::Only(only) = &choice.hosts {
        groups.iter_mut().for_each(|group| group.targets.retain(|target| only.contains(target)));
        groups.retain(|group| !group.targets.is_empty());
    }
    for group in &mut groups {
        if kind == Kind::Rollback && settings.rollback_at_once {
            (group.steps, group.max_unavailable) = (Steps::default(), None);
        }
        notes.extend(capacity::contradictions(group).map(|why| (Level::Warning, why)));
    }
    let (checks, remarks) = config.checks()?;
    notes.extend(remarks);
    let (gates, remarks) = config.gates()?;
    notes.extend(remarks);
    notes.extend(gate_doubts(&gates, &groups).into_iter().map(|why| (Level::Warning, why)));
    notes.extend(config.hooks()?.1);
    let (config_files, remarks) = config.config_files()?;
    notes.extend(remarks);

    let chosen = stages(kind, choice.stages.as_deref())?;
    let (name, remark) = match &choice.rev {
        Some(name) => (name.clone(), None),
        None => revision::unnamed(config, repo, kind, &chosen, deployed)?,
    };
    notes.extend(remark);
    // Targets have kept the revision of a rollback, even if this host has not.
    let kept = (kind == Kind::Rollback).then(|| name.parse().ok()).flatten();
    let named = kept.map_or_else(|| repo.resolve(&name), Ok)?;
    let (revision, origin) = match &choice.hosts {
        // It is as it was deployed, whatever is made of commits by now.
        HostChoice::Only(_) if !repo.is_artifact(&named) => (named, None),
        _ => chosen_revision(config, repo, kind, named)?,
    };
    // Of an artifact that was made elsewhere, nothing is known that the working tree could be compared with.
    let source = origin.as_ref().map_or(Some(&revision), |origin| origin.source.as_ref());
    let source = source.cloned().or_else(|| repo.resolve("HEAD").ok()).unwrap_or_else(|| revision.clone());
    // For a rollback it is not read: if an earlier revision lacks a script, it was deployed without it; targets skip its
    // check. Nor does a rollback need disk space.
    let tree = (kind != Kind::Rollback).then(|| repo.tree(&revision)).transpose()?;
    let here = if kind == Kind::Deploy {
        let here = WorkingTree::look(config, repo, &source, tree.as_ref())?;
        here.require_clean(config)?;
        here
    } else {
        WorkingTree::look_or_note(config, repo, &source, &mut notes)
    };
    notes.extend(here.notes(&name, kind));
    if let Some(tree) = &tree {
        if matches!(kind, Kind::Deploy | Kind::DryRun) {
            revision::check_shared_paths(config, tree)?;
            revision::check_config_files(repo, config_files.iter().flat_map(|all| &all.files), tree)?;
        }
        let due = checks.iter().filter(|check| kind == Kind::Deploy || chosen.contains(&check.at.stage()));
        check_scripts_are_committed(config, repo, tree, due)?;
    }

    if settings.http_proxy.is_some() && settings.git_server.is_some() && !settings.git_scheme.starts_with("http") {
        let why = format!("http_proxy has no effect: git_scheme is {}", settings.git_scheme);
        notes.push((Level::Warning, why));
    }

    let idle = |stage: Stage| {
        let due = || checks.iter().any(|check| check.at.stage() == stage);
        stage == Stage::ConfigDeploy && !settings.config_deploy && !due()
    };
    let stage_plan = |stage| StagePlan { stage, batch: settings.batch_size(stage), timeout: settings.timeout(stage) };
    let primary = chosen.iter().filter(|stage| **stage != Stage::Finalize && !idle(**stage));
    let brings = kind == Kind::Deploy && chosen.contains(&Stage::Fetch);
    let parts = if brings && origin.is_none() { parts(config, repo, &revision)? } else { Parts::default() };
    if let Some(tree) = tree.as_ref().filter(|_| brings) {
        // What targets get from a server need not be here.
        if settings.git_server.is_none() {
            revision::check_contents(tree)?;
        }
        notes.extend(revision::left_out(config, repo, (tree, origin.as_deref()))?);
        if let Some((source, subdir)) = origin.as_deref().and_then(|it| Some((it.source.as_ref()?, it.subdir()?))) {
            notes.extend(revision::links_out(repo, tree, (source, subdir))?);
        }
    }
    let primary: Vec<StagePlan> = primary.map(|stage| stage_plan(*stage)).collect();
    let steps = match (kind, &choice.hosts) {
        (Kind::Deploy, HostChoice::All | HostChoice::Matching(_)) => {
            let stages: Vec<Stage> = primary.iter().map(|it| it.stage).collect();
            plan_steps::plan_steps(config, &groups, &stages, &mut notes)?
        }
        // Whoever missed a deployment missed the hosts' part of it.
        _ => Vec::new(),
    };
    // Without finalize nothing would confirm the revision.
    let has_lease = chosen.contains(&Stage::Finalize) && !settings.confirm_timeout.is_zero();
    let no_lease = plan_steps::without_lease(&steps).filter(|_| has_lease);
    let has_lease = has_lease && no_lease.is_none();
    notes.extend(no_lease);
    let size = match &tree {
        Some(tree) => tree.size() + parts.size(repo)?,
        None => TreeSize::default(),
    };
    let plan = Plan {
        run: holder.run.clone(),
        kind,
        by: StartedBy { user: holder.user.clone(), deploy_host: holder.host.clone() },
        repo: settings.git_repo.clone(),
        revision: revision.clone(),
        origin,
        message: holder.message.clone(),
        groups,
        stages: primary,
        finalize: chosen.contains(&Stage::Finalize).then(|| stage_plan(Stage::Finalize)),
        rollback: stage_plan(Stage::Rollback),
        confirm_timeout: if has_lease { settings.confirm_timeout } else { Duration::ZERO },
        probe_batch: settings.batch_size,
        lease_slot: settings.lease_slot.unwrap_or_default(),
        rollback_pace: if settings.rollback_at_once { Pace::AtOnce } else { Pace::Budget },
        gates: gates.iter().map(GatePlan::from).collect(),
        steps,
        break_glass: choice.break_glass.clone(),
        signed_by: Vec::new(),
        force: choice.force,
        need: size,
        archive_bytes: None,
        invocation: config.invocation.limited_to(choice.hosts.limit()),
    };
    let requests = requests(config, repo, &plan, holder.clone(), parts)?;
    Ok(Prepared { plan, requests, notes, control_files: here.digests })
}

/// The stages of a run, in the order in which they run.
fn stages(kind: Kind, chosen: Option<&str>) -> Result<Vec<Stage>> {
    let choice = Stage::of_deployment();
    let chosen = match (kind, chosen) {
        (Kind::DryRun, _) => return Ok(vec![Stage::ConfigDiff]),
        (Kind::Rollback, _) => return Ok(vec![Stage::Promote, Stage::Finalize]),
        (Kind::ServiceRestart, _) => return Ok(vec![Stage::RestartService]),
        (Kind::Deploy, None) => return Ok(choice),
        (Kind::Deploy, Some(chosen)) => chosen,
    };
    let mut wanted = Vec::new();
    for name in chosen.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name.parse() {
            Ok(stage) if choice.contains(&stage) => wanted.push(stage),
            _ => {
                let known: Vec<&str> = choice.iter().map(|stage| stage.name()).collect();
                bail!("--stages: unknown stage {name:?}{}", meant_or_known(name, "stages", &known))
            }
        }
    }
    if wanted.is_empty() {
        bail!("--stages is empty: choose from {}", names(&choice));
    }
    Ok(choice.into_iter().filter(|stage| wanted.contains(stage)).collect())
}

fn names(stages: &[Stage]) -> String {
    stages.iter().map(|stage| stage.name()).collect::<Vec<_>>().join(", ")
}

/// Checks of type script run from the deployed revision, so that is where their files have to be.
fn check_scripts_are_committed<'a>(
    config: &Config,
    repo: &Repo,
    tree: &Tree,
    mut checks: impl Iterator<Item = &'a Check>,
) -> Result<()> {
    let revision = tree.commit();
    if tree.is_submodule(&config.control_name) {
        return match checks.find(|check| check.kind == CheckType::Script) {
            Some(check) if !config.settings.git_submodules => {
                let (name, control) = (&check.name, &config.control_name);
                bail!(
                    "check {name}: its script is in the submodule {control}: set git_submodules, so that targets get it"
                )
            }
            // The targets find out which scripts it has.
            _ => Ok(()),
        };
    }
    for check in checks.filter(|check| check.kind == CheckType::Script) {
        let words = crate::text::words(&check.command).unwrap_or_default();
        let Some(name) = words.first() else { continue };
        let plain = format!("{}/scripts/{name}", config.control_name);
        let environment = |it| format!("{}/environments/{it}/scripts/{name}", config.control_name);
        let own = config.environment.as_ref().map(environment);
        let mut there = false;
        for path in own.iter().chain([&plain]) {
            there |= repo.file_exists(revision, path)?;
        }
        if !there {
            let what = repo.origin(revision).map_or_else(|| revision.short().to_owned(), |origin| origin.to_string());
            bail!("check {}: {plain} is not in {what}: commit the script there", check.name);
        }
    }
    Ok(())
}
