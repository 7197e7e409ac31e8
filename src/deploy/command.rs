//! What targets are asked by a command of the operator's that is run while they are drained.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::fleet::RequestSource;
use crate::invocation::Invocation;
use crate::wire::{CommandLine, Drain, ExternalContent, Header, Holder, Revision, StageRequest};

use super::requests::header;

/// A command around which targets are drained. It deploys nothing: what is live stays live.
pub struct DrainedCommand {
    request: StageRequest,
    drains: BTreeMap<String, Drain>,
    invocation: Invocation,
}

impl DrainedCommand {
    /// Of a line for the login shell, which may take so long by itself. Its run, as `holder` says it, is a run like that
    /// of a deployment: it holds targets, and they record it.
    pub fn new(config: &Config, holder: Holder, line: String, timeout: Duration) -> DrainedCommand {
        let settings = &config.settings;
        let request = StageRequest {
            header: header(config, holder),
            group: String::new(),
            // The fleet names the one that is live on each; where none is, nothing is drained.
            revision: none(),
            restore: None,
            found_nothing: false,
            force: false,
            cache_revs: 0,
            confirm_timeout: 0,
            lease_slot: 0,
            environment: config.environment.clone(),
            extras: ExternalContent::default(),
            fetch: None,
            // What is live is judged by the checks that it was deployed with.
            checks: Vec::new(),
            perform_checks: settings.perform_checks,
            nrpe_dir: settings.nrpe_dir.clone(),
            service: settings.service(),
            drain: None,
            host: String::new(),
            command: Some(Box::new(CommandLine { line, timeout: timeout.as_secs() })),
            config_files: None,
            templates: Default::default(),
            vars: Default::default(),
            kept: true,
            link_files: false,
            scap: None,
        };
        let drains = settings.groups.iter().filter_map(|group| Some((group.name.clone(), group.drain.clone()?)));
        DrainedCommand { request, drains: drains.collect(), invocation: config.invocation.clone() }
    }
}

/// The name that git has for no revision at all.
fn none() -> Revision {
    "0".repeat(40).parse().expect("forty digits are a revision")
}

impl RequestSource for DrainedCommand {
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
