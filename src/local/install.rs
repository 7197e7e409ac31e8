//! Setting a host up with what its fleet should run, without a deployer.

use std::path::Path;
use std::process::Command;

use crate::terminal::{answer_line, complain_line};
use crate::wire::{FLEET_REQUEST, Revision, Stage, StageRequest};

use super::fault::Fault;
use super::os::deadline::Deadline;
use super::os::files;
use super::os::process::Feed;
use super::protocol;
use super::state::confirmed;
use super::state::layout::{Layout, Link};
use super::state::record;
use super::state::record::KeptRequest;
use super::tree::git::Git;

/// The server's answer may take so many seconds.
const TIMEOUT: u64 = 60;

/// What is to be installed, and how.
pub struct Wanted<'a> {
    pub repo: &'a str,
    pub deploy_dir: &'a Path,
    /// The repository on the git server; `None`: the last request that this host saw says what the fleet should run.
    pub server: Option<&'a str>,
    pub group: Option<&'a str>,
    pub force: bool,
}

/// Runs the stages up to finalize, each in a process of its own as a person would call them. Returns the exit status.
pub fn install(wanted: &Wanted) -> u8 {
    match prepare(wanted).and_then(|stages| run(wanted, &stages)).and_then(|()| confirm(wanted)) {
        Ok(()) => 0,
        Err(fault) => {
            complain_line(&format!("hoist: {}", fault.reason()));
            1
        }
    }
}

/// Keeps the request that the stages will go by, and says which they are.
fn prepare(wanted: &Wanted) -> Result<Vec<Stage>, Fault> {
    let layout = Layout::new(wanted.deploy_dir, wanted.repo)?;
    let mut request = match wanted.server {
        Some(url) => from_server(&layout, url)?,
        None => settled(&layout, record::kept_request(&layout, None)?),
    };
    if request.header.repo != wanted.repo {
        return Err(Fault::failed(format!("the server has {}, not {}", request.header.repo, wanted.repo)));
    }
    request.header.deploy_dir = wanted.deploy_dir.to_owned();
    if let Some(group) = wanted.group {
        request.group = group.to_owned();
    }
    files::make_dir(&layout.own())?;
    record::keep_request(&layout, &request, None)?;
    answer_line(&format!("{}: installing {}", wanted.repo, request.revision));
    let configured = |stage: &Stage| {
        let due = || request.checks.iter().any(|check| check.at.stage() == *stage);
        *stage != Stage::ConfigDeploy || request.config_files.is_some() || due()
    };
    Ok(Stage::of_deployment()
        .into_iter()
        .filter(configured)
        .filter(|stage| *stage != Stage::ConfigDeploy || !request.kept)
        .collect())
}

fn run(wanted: &Wanted, stages: &[Stage]) -> Result<(), Fault> {
    let program = std::env::current_exe().map_err(|error| Fault::failed(format!("cannot find hoist: {error}")))?;
    for stage in stages {
        let mut command = Command::new(&program);
        command.args(["deploy-local", "--repo", wanted.repo, "--deploy-dir"]).arg(wanted.deploy_dir);
        command.args(wanted.force.then_some("--force")).arg(stage.name());
        let status = command.status().map_err(|error| Fault::failed(format!("cannot run hoist: {error}")))?;
        if !status.success() {
            return Err(Fault::failed(format!(
                "{}: {stage} failed; the live revision was not changed further",
                wanted.repo
            )));
        }
    }
    Ok(())
}

/// The git server says what the fleet runs: a host that has it may serve. A request that this host has kept may be old.
fn confirm(wanted: &Wanted) -> Result<(), Fault> {
    let layout = Layout::new(wanted.deploy_dir, wanted.repo)?;
    match layout.read(Link::Current).filter(|_| wanted.server.is_some()) {
        Some(current) => confirmed::confirm(&layout, &super::someone("install"), &current),
        None => Ok(()),
    }
}

/// What the last request means once its run is over: a rollback's is about what it went back to, and a run that was
/// never finalized here leaves what was done before it.
fn settled(layout: &Layout, KeptRequest { request, stage }: KeptRequest) -> StageRequest {
    let back_to = |revision: Option<Revision>, request: StageRequest| match revision {
        Some(revision) if revision != request.revision => StageRequest { revision, kept: true, ..request },
        _ => request,
    };
    match stage {
        Some(Stage::Rollback) => back_to(request.restore.clone(), request),
        Some(Stage::Finalize) => request,
        _ => back_to(layout.read(Link::Done), request),
    }
}

/// The request that a git server has for new hosts.
fn from_server(layout: &Layout, url: &str) -> Result<StageRequest, Fault> {
    files::make_dir(&layout.own())?;
    let place = layout.own().join(format!("incoming-{}", std::process::id()));
    files::remove_leftover(&place)?;
    let read = || {
        files::make_dir(&place)?;
        let (git, address) = Git::bare(&place, Deadline::after(TIMEOUT)).for_server(url);
        git.init(false)?;
        let args =
            ["fetch", "--quiet", "--no-tags", "--no-auto-gc", "--", &address, &format!("+{FLEET_REQUEST}:refs/it")];
        let answer = git.call(&args, Feed::Nothing)?;
        let shown = crate::url::without_password(url);
        if !answer.exit.is_ok() {
            return Err(Fault::failed(format!(
                "{shown} does not contain what the fleet should run (git fetch {}): a deployment to the whole fleet with \
                 git_server set stores it there",
                answer.how_it_failed().replace(url, &shown)
            )));
        }
        let answer = git.call(&["cat-file", "blob", "refs/it"], Feed::Nothing)?;
        git.expect(&answer, "cat-file")?;
        let wrong = |_| Fault::failed(format!("the request for new hosts on {shown} is not for this version of hoist"));
        protocol::check_kept(&answer.output, wrong)?;
        let mut request: StageRequest = serde_json::from_slice(&answer.output).map_err(wrong)?;
        // The deploy host may know the server by another name, and what it publishes holds no password.
        request.extras.set_server(url, None);
        if let Some(source) = request.fetch.as_mut().and_then(|fetch| fetch.source.as_mut()) {
            source.url = url.to_owned();
        }
        Ok(request)
    };
    let request = read();
    let _ = files::remove_leftover(&place);
    request
}
