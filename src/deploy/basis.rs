//! What all requests of a run to its targets have in common, from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::fleet::RequestSource;
use crate::invocation::Invocation;
use crate::wire::{CommandLine, Drain, Header, Holder, PROTOCOL, Revision, StageRequest};

/// The control folder of a repository that was made for Scap.
pub(super) const SCAPS: &str = "scap";

/// The request that the fleet completes for each step and host.
#[derive(Clone)]
pub struct Basis {
    pub(super) request: Arc<StageRequest>,
    /// How the targets of each group are drained.
    pub(super) drains: Arc<BTreeMap<String, Drain>>,
    /// For the commands that remarks suggest.
    pub(super) invocation: Invocation,
}

impl Basis {
    /// Of this request, with the drains of the current configuration.
    pub(super) fn new(config: &Config, request: StageRequest, invocation: Invocation) -> Basis {
        let groups = config.settings.groups.iter();
        let drains = groups.filter_map(|group| Some((group.name.clone(), group.drain.clone()?))).collect();
        Basis { request: Arc::new(request), drains: Arc::new(drains), invocation }
    }

    /// For a command line for the login shell, with its time limit, that targets are drained for. It deploys nothing: the
    /// live revision stays live. The run of `holder` is treated like that of a deployment: it locks targets, and they
    /// record it.
    pub fn of_command(config: &Config, holder: Holder, line: String, timeout: Duration) -> Basis {
        let command = Some(Box::new(CommandLine { line, timeout: timeout.as_secs(), ..Default::default() }));
        // The fleet fills in the live revision of each host; if there is none, the host is not drained. It is judged by
        // the checks that it was deployed with.
        let request = StageRequest { command, kept: true, ..request(config, holder, none()) };
        Basis::new(config, request, config.invocation.clone())
    }
}

impl RequestSource for Basis {
    fn header(&self) -> &Header {
        &self.request.header
    }

    fn command(&self, words: &str) -> String {
        self.invocation.command(words)
    }

    fn deployment(&self) -> Option<&StageRequest> {
        Some(&self.request)
    }

    fn drain(&self, group: &str) -> Option<Drain> {
        self.drains.get(group).cloned()
    }
}

/// A request for a stage on this revision, with the settings that need neither a plan nor a repository.
pub(super) fn request(config: &Config, holder: Holder, revision: Revision) -> StageRequest {
    let settings = &config.settings;
    StageRequest {
        environment: config.environment.clone(),
        perform_checks: settings.perform_checks,
        nrpe_dir: settings.nrpe_dir.clone(),
        service: settings.service(),
        ..StageRequest::new(header(config, holder), "", revision)
    }
}

/// What every request of a command begins with, from the current configuration.
pub(super) fn header(config: &Config, holder: Holder) -> Header {
    let settings = &config.settings;
    Header {
        protocol: PROTOCOL,
        holder,
        repo: settings.git_repo.clone(),
        deploy_dir: settings.git_deploy_dir.clone(),
        control_dir: config.control_name.clone(),
        umask: umask(config),
        timeout: 0,
        timings: false,
    }
}

/// The umask on targets. Scap's key only affects the deploy host: Scap's targets use the umask of the login.
fn umask(config: &Config) -> Option<u32> {
    (config.control_name != SCAPS).then_some(config.settings.umask)
}

/// Git's null object id, for no revision.
fn none() -> Revision {
    "0".repeat(40).parse().expect("forty digits are a revision")
}
