//! The requests of a run to its targets, made once from the configuration and the repository. The fleet completes them
//! for each step.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};

use crate::config::Config;
use crate::fleet::RequestSource;
use crate::repo::{Parts, Repo, Wanted};
use crate::targets::Target;
use crate::wire::{
    ArtifactSource, CommandLine, DescribingTags, Drain, ExternalContent, Fetch, ForScap, Header, Holder, LfsSource,
    Preflight, Revision, Secrets, Source, StageRequest, SubmoduleSource,
};

use super::basis;
use super::basis::{Basis, SCAPS};
use super::plan::{Kind, Plan};
use super::preflight::Ahead;
use super::secrets;

/// The requests of a run to its targets.
#[derive(Clone)]
pub struct Requests {
    pub(super) basis: Basis,
    pub(super) shallow: Vec<Revision>,
    pub(super) parts: Arc<Parts>,
    /// The repository on the git server, and the proxy for it.
    pub(super) server: Option<(String, Option<String>)>,
    /// An archive that targets download instead.
    pub(super) artifact: Option<ArtifactSource>,
    /// The deployment's tag, once it is set: targets fetch it from the git server.
    pub(super) tag: Arc<OnceLock<String>>,
    /// The tags that describe the revision, once they are known.
    pub(super) describing: Arc<OnceLock<DescribingTags>>,
    /// The variables of `vars_command`, once they are known. They are not part of the request, which is stored.
    pub(super) secrets: Arc<OnceLock<Secrets>>,
    /// What the probe reads.
    pub(super) ahead: Arc<Ahead>,
    /// What targets should run before the run, once it is known.
    pub(super) wanted: Arc<OnceLock<HashMap<Target, Revision>>>,
}

impl Requests {
    /// Of what is asked of all targets, and where they fetch from.
    pub(super) fn new(
        basis: Basis,
        server: Option<(String, Option<String>)>,
        parts: Parts,
        (repo, plan): (&Repo, &Plan),
    ) -> Result<Requests> {
        let shallow = parts.shallow(repo)?;
        let ahead = Arc::new(Ahead::of(plan, repo, &basis.request));
        let (tag, describing, secrets, wanted) = Default::default();
        let (parts, artifact) = (Arc::new(parts), None);
        Ok(Requests { basis, shallow, parts, server, artifact, tag, describing, secrets, ahead, wanted })
    }

    /// What all stage requests have in common.
    pub fn basis(&self) -> &StageRequest {
        &self.basis.request
    }

    /// The deployment's tag, if it is already set.
    pub fn tag(&self) -> Option<&str> {
        self.tag.get().map(String::as_str)
    }

    /// Sets the tags that describe the revision.
    pub fn set_describing(&self, tags: DescribingTags) {
        let _ = self.describing.set(tags);
    }

    /// Runs `vars_command`, if the run of `plan` is going to render files and the request needs it.
    ///
    /// # Errors
    /// It failed, or is not configured any more.
    pub fn read_secrets(&self, config: &Config, plan: &Plan) -> Result<()> {
        let renders = plan.stages.iter().any(|planned| planned.stage.renders());
        if !renders || !self.basis.request.needs_secrets {
            return Ok(());
        }
        let Some(found) = secrets::read(config, plan)? else {
            bail!("the run began with variables of vars_command, which is not set any more: set it again");
        };
        let _ = self.secrets.set(found);
        Ok(())
    }

    /// Sets what targets should run before the run: those that do are confirmed, and may go back to it.
    pub fn set_wanted(&self, wanted: HashMap<Target, Revision>) {
        let _ = self.wanted.set(wanted);
    }

    /// Sets the tag that targets fetch.
    pub fn set_tag(&self, tag: &str) {
        let _ = self.tag.set(tag.to_owned());
    }

    /// Whether targets fetch from a git server, so that no pack is sent.
    pub fn by_server(&self) -> bool {
        self.server.is_some()
    }

    /// Makes targets download the revision by themselves.
    pub(super) fn set_artifact(&mut self, source: Option<ArtifactSource>) {
        self.artifact = source;
    }

    /// Whether targets download the revision, so that no pack is sent.
    pub fn by_download(&self) -> bool {
        self.artifact.is_some()
    }

    /// The submodules and large files that are sent with the revision.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The shallow commits of the repository and its submodules: this host lacks their parents.
    pub fn shallow(&self) -> &[Revision] {
        &self.shallow
    }
}

impl RequestSource for Requests {
    fn header(&self) -> &Header {
        self.basis.header()
    }

    fn command(&self, words: &str) -> String {
        self.basis.command(words)
    }

    fn deployment(&self) -> Option<&StageRequest> {
        self.basis.deployment()
    }

    fn secrets(&self) -> Option<&Secrets> {
        self.secrets.get()
    }

    fn drain(&self, group: &str) -> Option<Drain> {
        self.basis.drain(group)
    }

    fn confirms(&self, target: &Target) -> Option<Revision> {
        self.wanted.get()?.get(target).cloned()
    }

    fn preflight(&self) -> Option<Preflight> {
        Some(self.ahead.preflight(&self.basis.request))
    }

    fn fetch(&self) -> Fetch {
        let source = self.server.as_ref().map(|(url, proxy)| Source {
            url: url.clone(),
            proxy: proxy.clone(),
            reference: self
                .tag()
                .map_or_else(|| self.basis.request.revision.to_string(), |tag| format!("refs/tags/{tag}")),
        });
        let describing = self.describing.get().cloned();
        let artifact = self.artifact.clone().map(Box::new);
        Fetch { shallow: self.shallow.clone(), source, artifact, describing, ..Fetch::default() }
    }
}

/// The submodules and large files of a revision that this host needs.
///
/// # Errors
/// The first one that is missing, or a repository that its program cannot use.
pub fn parts(config: &Config, repo: &Repo, revision: &Revision) -> Result<Parts> {
    let settings = &config.settings;
    if settings.git_fat && !repo.file_exists(revision, ".gitfat")? {
        bail!("git_fat is set, but {} has no .gitfat: commit one, or remove git_fat", revision.short());
    }
    let submodules = settings.git_submodules && !settings.git_upstream_submodules;
    let large_files = settings.git_lfs && settings.git_server.is_none();
    Parts::of(repo, revision, Wanted { submodules, large_files })
}

/// The requests for the run of a plan, from the current configuration.
///
/// # Errors
/// The checks or configuration files are invalid.
pub fn requests(config: &Config, repo: &Repo, plan: &Plan, holder: Holder, parts: Parts) -> Result<Requests> {
    let settings = &config.settings;
    let (config_files, templates, vars) = match config.config_files()?.0 {
        Some(found) => (Some(found.files), found.templates, found.vars),
        None => Default::default(),
    };
    // A server of commits has no artifact.
    let is_artifact = plan.origin.is_some();
    let server = server(config).filter(|_| !is_artifact);
    let url = server.as_ref().map(|(url, _)| url.as_str());
    let holder = Holder { run: plan.run.clone(), message: plan.message.clone(), ..holder };
    let goes_back = plan.kind == Kind::Rollback;
    let request = StageRequest {
        cache_revs: cache_revs(config),
        confirm_timeout: plan.confirm_timeout.as_secs(),
        extras: if goes_back { ExternalContent::default() } else { extras(config, repo, url, is_artifact) },
        checks: config.checks()?.0,
        config_files,
        templates,
        vars,
        needs_secrets: settings.config_deploy && settings.vars_command.is_some(),
        remote_vars_command: remote_vars_command(config),
        kept: goes_back,
        link_files: settings.link_files,
        scap: for_scap(config, repo),
        origin: plan.origin.clone(),
        ..basis::request(config, holder, plan.revision.clone())
    };
    Requests::new(Basis::new(config, request, plan.invocation.clone()), server, parts, (repo, plan))
}

/// What prints more variables on each target.
fn remote_vars_command(config: &Config) -> Option<Box<CommandLine>> {
    let settings = &config.settings;
    let line = settings.remote_vars_command.clone().filter(|_| settings.config_deploy)?;
    Some(Box::new(CommandLine { line, timeout: settings.vars_timeout.as_secs(), ..Default::default() }))
}

/// How many old revisions targets keep. Scap's number includes the live one.
fn cache_revs(config: &Config) -> usize {
    config.settings.cache_revs.saturating_sub(usize::from(config.control_name == SCAPS))
}

/// The repository on the git server, if there is one, and the proxy for it.
pub(super) fn server(config: &Config) -> Option<(String, Option<String>)> {
    let settings = &config.settings;
    let url = |server: &String| format!("{}://{server}/{}/.git", settings.git_scheme, settings.git_repo);
    settings.git_server.as_ref().map(|server| (url(server), settings.http_proxy.clone()))
}

/// What belongs in the tree in addition to the revision's own files, and where targets get it.
pub(super) fn extras(config: &Config, repo: &Repo, server: Option<&str>, is_artifact: bool) -> ExternalContent {
    let settings = &config.settings;
    let shared = Box::new(settings.shared.clone());
    if is_artifact {
        return ExternalContent { shared, ..ExternalContent::default() };
    }
    let submodules = settings.git_submodules.then(|| match server {
        // Targets must not get a password from the deploy host's own configuration.
        _ if settings.git_upstream_submodules => SubmoduleSource::Upstream { base: repo.upstream() },
        Some(url) => SubmoduleSource::Server { url: url.to_owned(), proxy: settings.http_proxy.clone() },
        None => SubmoduleSource::Session,
    });
    let lfs = settings.git_lfs.then(|| match server {
        Some(url) => LfsSource::Server { url: url.to_owned() },
        None => LfsSource::Session,
    });
    ExternalContent { submodules, lfs, fat: settings.git_fat, shared }
}

/// A git server's URL without credentials. A user name without a password, as for ssh, is kept.
fn without_login(server: &str) -> String {
    match server.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => host.to_owned(),
        _ => server.to_owned(),
    }
}

/// What Scap's programs need to know about a deployment, in a repository that is also used with Scap.
fn for_scap(config: &Config, repo: &Repo) -> Option<Box<ForScap>> {
    let settings = &config.settings;
    let managers = [(settings.git_lfs, "git-lfs"), (settings.git_fat, "git-fat")];
    config.is_known_to_scap().then(|| {
        Box::new(ForScap {
            // Everybody who can fetch can read Scap's files.
            git_server: config.git_server().map(without_login),
            git_scheme: settings.git_scheme.clone(),
            git_submodules: settings.git_submodules,
            git_upstream_submodules: settings.git_upstream_submodules,
            git_binary_manager: managers.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name.into()).collect(),
            origin: repo.upstream(),
        })
    })
}
