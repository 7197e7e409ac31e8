//! The requests of `hoist run` with drains.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::fleet::RequestSource;
use crate::invocation::Invocation;
use crate::wire::{CommandLine, Drain, ExternalContent, Header, Holder, Revision, StageRequest};

use super::requests::header;

/// A command for which targets are drained. It deploys nothing: the live revision stays live.
pub struct DrainedCommand {
    request: StageRequest,
    drains: BTreeMap<String, Drain>,
    invocation: Invocation,
}

impl DrainedCommand {
    /// For a command line for the login shell, with its time limit. The run of `holder` is treated like that of a
    /// deployment: it locks targets, and they record it.
    pub fn new(config: &Config, holder: Holder, line: String, timeout: Duration) -> DrainedCommand {
        let settings = &config.settings;
        let request = StageRequest {
            header: header(config, holder),
            group: String::new(),
            // The fleet fills in the live revision of each host; if there is none, the host is not drained.
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
            // The live revision is judged by the checks that it was deployed with.
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

/// Git's null object id, for no revision.
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
