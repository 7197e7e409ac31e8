//! From the configuration and the repository to a plan, and to what each target is asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::config::Config;
use crate::fleet::RequestSource;
use crate::locks::LockPlaces;
use crate::repo::{Parts, Repo, TreeSize, Wanted};
use crate::targets::{HostPattern, Target};
use crate::wire::limits;
use crate::wire::{
    Check, CheckType, DescribingTags, ExternalContent, Fetch, Header, Holder, Level, LfsSource, Revision, Source,
    Stage, StageRequest, SubmoduleSource,
};

use super::look::header;
use super::new_hosts::for_scap;
use super::plan::{Kind, Plan, StagePlan};
use super::revision;

/// The control folder of a repository that was made for Scap.
const SCAPS: &str = "scap";

/// What the command line chose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub rev: Option<String>,
    pub stages: Option<String>,
    pub limit_hosts: Option<String>,
    pub force: bool,
    pub dry_run: bool,
    pub service_restart: bool,
    /// Go back to `rev`, which targets have kept.
    pub rollback: bool,
    /// No others than these.
    pub only: Option<Vec<Target>>,
}

/// A plan, what targets are asked for it, and remarks for the operator.
pub struct Prepared {
    pub plan: Plan,
    pub requests: Requests,
    pub notes: Vec<(Level, String)>,
}

/// Decides everything about a run. Reads the repository and its configuration, and touches nothing.
///
/// # Errors
/// The first thing that is wrong with the configuration, the target files, the checks, or the revision.
pub fn prepare(config: &Config, repo: &Repo, choice: &Choice, holder: &Holder) -> Result<Prepared> {
    let settings = &config.settings;
    let kind = match (choice.dry_run, choice.service_restart) {
        (true, true) => bail!("--dry-run and --service-restart exclude each other"),
        (true, false) => Kind::DryRun,
        (false, true) => Kind::ServiceRestart,
        (false, false) if choice.rollback => Kind::Rollback,
        (false, false) => Kind::Deploy,
    };
    if kind != Kind::Deploy && choice.stages.is_some() {
        bail!("--stages goes with a deployment, not with --dry-run or --service-restart");
    }
    if kind == Kind::ServiceRestart && settings.service_name.is_empty() {
        bail!("--service-restart: there is no service to restart: set service_name");
    }
    let pattern = choice.limit_hosts.as_deref().map(str::parse::<HostPattern>).transpose();
    let pattern = pattern.map_err(|why| anyhow::anyhow!("--limit-hosts: {why}"))?;
    let (mut groups, mut notes) = config.groups(pattern.as_ref())?;
    if let Some(only) = &choice.only {
        groups.iter_mut().for_each(|group| group.targets.retain(|target| only.contains(target)));
        groups.retain(|group| !group.targets.is_empty());
    }
    let (checks, remarks) = config.checks_and_notes()?;
    notes.extend(remarks);
    notes.extend(config.config_files_and_notes()?.1);

    let chosen = stages(kind, choice.stages.as_deref())?;
    let (name, remark) = match &choice.rev {
        Some(name) => (name.clone(), None),
        None => revision::unnamed(config, repo, kind, &chosen)?,
    };
    notes.extend(remark);
    // Targets keep what is gone back to, whether it is still here or not.
    let kept = choice.rollback.then(|| name.parse().ok()).flatten();
    let revision = kept.map_or_else(|| repo.resolve(&name), Ok)?;
    match kind {
        // An earlier revision was deployed without the scripts that it lacks; targets leave their checks out.
        Kind::Rollback => {}
        Kind::Deploy => {
            check_scripts_are_committed(config, repo, &revision, checks.iter())?;
            notes.extend(dirty_note(repo, &name)?);
        }
        Kind::ServiceRestart | Kind::DryRun => {
            let due = checks.iter().filter(|check| chosen.contains(&check.at.stage()));
            check_scripts_are_committed(config, repo, &revision, due)?;
        }
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
    // Going back takes no room.
    let brings = kind == Kind::Deploy && chosen.contains(&Stage::Fetch);
    let parts = if brings { parts(config, repo, &revision)? } else { Parts::default() };
    if brings {
        notes.extend(revision::left_out(config, repo, &revision)?);
    }
    let size =
        if kind == Kind::Rollback { TreeSize::default() } else { repo.tree_size(&revision)? + parts.size(repo)? };
    let plan = Plan {
        run: holder.run.clone(),
        kind,
        user: holder.user.clone(),
        deploy_host: holder.host.clone(),
        repo: settings.git_repo.clone(),
        revision: revision.clone(),
        message: holder.message.clone(),
        groups,
        stages: primary.map(|stage| stage_plan(*stage)).collect(),
        finalize: chosen.contains(&Stage::Finalize).then(|| stage_plan(Stage::Finalize)),
        rollback: stage_plan(Stage::Rollback),
        // What is not to be finalized has nothing to be confirmed by.
        confirm_timeout: if chosen.contains(&Stage::Finalize) { settings.confirm_timeout } else { Duration::ZERO },
        probe_batch: settings.batch_size,
        force: choice.force,
        need_bytes: size.bytes,
        need_inodes: size.inodes,
    };
    let requests = requests(config, repo, &plan, holder.clone(), parts)?;
    Ok(Prepared { plan, requests, notes })
}

/// Which files differ from what is deployed, and so are not.
fn dirty_note(repo: &Repo, name: &str) -> Result<Option<(Level, String)>> {
    let files = repo.changed_files()?;
    if files.is_empty() {
        return Ok(None);
    }
    let files = revision::some(files);
    let note = format!("the working tree has changes that {name} does not hold: they are not deployed ({files})");
    Ok(Some((Level::Warning, note)))
}

/// The submodules and large files of a revision that this host has to have.
///
/// # Errors
/// The first that is not here, and a repository without what its program needs.
pub fn parts(config: &Config, repo: &Repo, revision: &Revision) -> Result<Parts> {
    let settings = &config.settings;
    if settings.git_fat && !repo.file_exists(revision, ".gitfat")? {
        bail!("git-fat is asked for, and there is no .gitfat in {}: commit it, or remove git_fat", revision.short());
    }
    let submodules = settings.git_submodules && !settings.git_upstream_submodules;
    let large_files = settings.git_lfs && settings.git_server.is_none();
    Parts::of(repo, revision, Wanted { submodules, large_files })
}

/// What targets are asked in the run of a plan, as the configuration stands now.
///
/// # Errors
/// What is wrong with checks or configuration files.
pub fn requests(config: &Config, repo: &Repo, plan: &Plan, holder: Holder, parts: Parts) -> Result<Requests> {
    let settings = &config.settings;
    let (config_files, templates, vars) = match config.config_files()? {
        Some(found) => (Some(found.files), found.templates, found.vars),
        None => Default::default(),
    };
    let server = server(config);
    let url = server.as_ref().map(|(url, _)| url.as_str());
    let request = StageRequest {
        header: header(config, Holder { run: plan.run.clone(), message: plan.message.clone(), ..holder }),
        group: String::new(),
        revision: plan.revision.clone(),
        restore: None,
        found_nothing: false,
        force: false,
        cache_revs: cache_revs(config),
        confirm_timeout: plan.confirm_timeout.as_secs(),
        environment: config.environment.clone(),
        extras: if plan.kind == Kind::Rollback { ExternalContent::default() } else { extras(config, repo, url) },
        fetch: None,
        checks: config.checks()?,
        nrpe_dir: settings.nrpe_dir.clone(),
        service: settings.service(),
        config_files,
        templates,
        vars,
        kept: plan.kind == Kind::Rollback,
        link_files: settings.link_files,
        scap: for_scap(config, repo),
    };
    let shallow = parts.shallow(repo)?;
    let (tag, describing) = Default::default();
    Ok(Requests { request: Arc::new(request), shallow, parts: Arc::new(parts), server, tag, describing })
}

/// The umask on targets. Scap's key is about the deploy host alone: on its targets the login's counts.
pub(super) fn umask(config: &Config) -> Option<u32> {
    (config.control_name != SCAPS).then_some(config.settings.umask)
}

/// The old revisions that targets keep. Scap counts the live one among them.
pub(super) fn cache_revs(config: &Config) -> usize {
    config.settings.cache_revs.saturating_sub(usize::from(config.control_name == SCAPS))
}

/// The repository on the git server, if there is one, and the proxy on the way to it.
pub(super) fn server(config: &Config) -> Option<(String, Option<String>)> {
    let settings = &config.settings;
    let url = |server: &String| format!("{}://{server}/{}/.git", settings.git_scheme, settings.git_repo);
    settings.git_server.as_ref().map(|server| (url(server), settings.http_proxy.clone()))
}

/// What belongs into the tree beside the revision's own files, and where targets get it.
pub(super) fn extras(config: &Config, repo: &Repo, server: Option<&str>) -> ExternalContent {
    let settings = &config.settings;
    let submodules = settings.git_submodules.then(|| match server {
        // A password in the deploy host's own configuration is not for every target.
        _ if settings.git_upstream_submodules => SubmoduleSource::Upstream { base: repo.upstream() },
        Some(url) => SubmoduleSource::Server { url: url.to_owned(), proxy: settings.http_proxy.clone() },
        None => SubmoduleSource::Session,
    });
    let lfs = settings.git_lfs.then(|| match server {
        Some(url) => LfsSource::Server { url: url.to_owned() },
        None => LfsSource::Session,
    });
    ExternalContent { submodules, lfs, fat: settings.git_fat }
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
            _ => bail!("--stages: {name:?} is no stage that can be chosen: {}", names(&choice)),
        }
    }
    if wanted.is_empty() {
        bail!("--stages names no stage: choose from {}", names(&choice));
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
    revision: &Revision,
    mut checks: impl Iterator<Item = &'a Check>,
) -> Result<()> {
    if repo.is_submodule(revision, &config.control_name)? {
        return match checks.find(|check| check.kind == CheckType::Script) {
            Some(check) if !config.settings.git_submodules => {
                let (name, control) = (&check.name, &config.control_name);
                bail!(
                    "check {name}: its script is in the submodule {control}: set git_submodules, so that targets get it"
                )
            }
            // Which scripts it holds, the targets find.
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
            bail!("check {}: {plain} is not in {}: commit the script", check.name, revision.short());
        }
    }
    Ok(())
}

/// What targets are asked in a run.
#[derive(Clone)]
pub struct Requests {
    pub(super) request: Arc<StageRequest>,
    pub(super) shallow: Vec<Revision>,
    pub(super) parts: Arc<Parts>,
    /// The repository on the git server, and the proxy on the way to it.
    pub(super) server: Option<(String, Option<String>)>,
    /// The deployment's tag, once it is set: targets fetch it from the git server.
    pub(super) tag: Arc<OnceLock<String>>,
    /// The tags that describe the revision, once they are known.
    pub(super) describing: Arc<OnceLock<DescribingTags>>,
}

impl Requests {
    /// What the requests of all stages have in common.
    pub fn basis(&self) -> &StageRequest {
        &self.request
    }

    /// The deployment's tag, if it has one by now.
    pub fn tag(&self) -> Option<&str> {
        self.tag.get().map(String::as_str)
    }

    /// Says which tags describe the revision.
    pub fn set_describing(&self, tags: DescribingTags) {
        let _ = self.describing.set(tags);
    }

    /// Names the tag that targets fetch by.
    pub fn set_tag(&self, tag: &str) {
        let _ = self.tag.set(tag.to_owned());
    }

    /// Whether targets fetch from a git server, so that no pack has to be sent.
    pub fn by_server(&self) -> bool {
        self.server.is_some()
    }

    /// The submodules and large files that are brought with the revision.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The commits whose parents this host lacks, in the repository and its submodules.
    pub fn shallow(&self) -> &[Revision] {
        &self.shallow
    }
}

impl RequestSource for Requests {
    fn header(&self) -> &Header {
        &self.request.header
    }

    fn deployment(&self) -> Option<&StageRequest> {
        Some(&self.request)
    }

    fn fetch(&self) -> Fetch {
        let source = self.server.as_ref().map(|(url, proxy)| Source {
            url: url.clone(),
            proxy: proxy.clone(),
            reference: self.tag().map_or_else(|| self.request.revision.to_string(), |tag| format!("refs/tags/{tag}")),
        });
        let describing = self.describing.get().cloned();
        Fetch { shallow: self.shallow.clone(), source, describing, ..Fetch::default() }
    }
}

/// Where the locks of a repository are on this host.
pub fn lock_places(config: &Config) -> LockPlaces {
    let settings = &config.settings;
    LockPlaces::new(&settings.lock_dir, settings.lock_file.as_deref(), &settings.git_repo, config.is_known_to_scap())
}

/// What is said of a message that is longer than locks and requests may carry.
pub fn long_message(message: &str) -> Option<(Level, String)> {
    let (length, most) = (message.len(), limits::MESSAGE);
    let note = format!("the message has {length} bytes: of more than {most} the beginning is kept");
    (length > most).then_some((Level::Warning, note))
}

/// Who a run belongs to. A long message is cut; [`long_message`] says so.
pub fn holder(message: String) -> Result<Holder> {
    let operator = crate::repo::operator();
    // Two runs within a millisecond by one process are told apart by the random part.
    let random = std::collections::hash_map::RandomState::new();
    let salt = std::hash::BuildHasher::hash_one(&random, 0u8) & 0xffff;
    let pid = std::process::id();
    let run = format!("{}-{pid}-{salt:04x}", crate::clock::run_id_stamp());
    Ok(Holder {
        run: run.parse().map_err(anyhow::Error::msg).context("cannot name the run")?,
        user: operator.user,
        host: operator.host,
        pid,
        since: crate::clock::rfc3339_utc(),
        message,
    }
    .bounded())
}
