//! The request of a run, stored in its journal: a run is finished or undone with the settings that it began with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::repo::{Parts, Repo, Wanted};
use crate::wire::{Drain, Header, Holder, LfsSource, PROTOCOL, StageRequest, SubmoduleSource};

use super::basis::Basis;
use super::plan::Plan;
use super::requests::{Requests, server};

/// The template variables.
type Vars = serde_json::Map<String, serde_json::Value>;

/// The request of a run, without what differs by step and host, and without possible secrets: template variables, and
/// the URLs of the git server and of a proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    request: StageRequest,
    /// Whether targets fetch from a git server.
    by_server: bool,
    /// A checksum of the template variables, too short to reveal them.
    vars_sum: u16,
    /// How the targets of each group are drained.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    drains: BTreeMap<String, Drain>,
}

impl Asked {
    /// The submodules and large files that this host sends to targets.
    ///
    /// # Errors
    /// The first one that this host lacks.
    pub fn parts(&self, repo: &Repo, plan: &Plan) -> Result<Parts> {
        let extras = &self.request.extras;
        let submodules = matches!(extras.submodules, Some(SubmoduleSource::Session));
        let large_files = matches!(extras.lfs, Some(LfsSource::Session));
        Parts::of(repo, &plan.revision, Wanted { submodules, large_files })
    }

    /// Where targets keep the repository.
    pub fn deploy_dir(&self) -> &Path {
        &self.request.header.deploy_dir
    }

    /// Whether the run renders configuration files, and so needs variables.
    pub fn renders(&self) -> bool {
        self.request.config_files.is_some()
    }

    /// The keys that make another thing of the same revision on a host than a later request would.
    pub fn differs_from(&self, later: &Asked) -> Vec<String> {
        let (then, now) = (&self.request.extras.shared, &later.request.extras.shared);
        let keys = [
            ("config_deploy", self.renders() != later.renders()),
            ("shared_dirs", then.dirs != now.dirs),
            ("shared_files", then.files != now.files),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_owned()).collect()
    }

    /// Whether these are the variables that the run began with, as far as the checksum tells.
    pub fn had(&self, vars: &Vars) -> bool {
        sum(vars) == self.vars_sum
    }
}

impl Requests {
    /// The part of the requests that the journal stores.
    pub fn asked(&self) -> Asked {
        let mut request = (*self.basis.request).clone();
        request.extras.set_server("", None);
        let vars_sum = sum(&std::mem::take(&mut request.vars));
        Asked { request, by_server: self.server.is_some(), vars_sum, drains: (*self.basis.drains).clone() }
    }

    /// The requests for a run of another deployer that `holder` finishes. Only the variables and the git server are
    /// read from the current configuration.
    ///
    /// # Errors
    /// The repository cannot be read, or the git server is not configured any more.
    pub fn again(
        asked: &Asked,
        config: &Config,
        repo: &Repo,
        plan: &Plan,
        holder: Holder,
        (parts, vars): (Parts, Vars),
    ) -> Result<Requests> {
        let holder = Holder { run: plan.run.clone(), message: plan.message.clone(), ..holder };
        let header = Header { protocol: PROTOCOL, holder, ..asked.request.header.clone() };
        let mut request = StageRequest { header, vars, ..asked.request.clone() };
        let server = server(config).filter(|_| asked.by_server);
        match &server {
            Some((url, proxy)) => request.extras.set_server(url, proxy.as_deref()),
            None if asked.by_server && plan.brings_code() => {
                bail!(
                    "targets fetched from a git server when the run began: name it again, for example with -D \
                     git_server:NAME"
                )
            }
            None => {}
        }
        let (drains, invocation) = (Arc::new(asked.drains.clone()), plan.invocation.clone());
        Requests::new(Basis { request: Arc::new(request), drains, invocation }, server, parts, (repo, plan))
    }

    /// The requests for a rollback from the finished deployment `undone` to the deployment `restored`. The services of
    /// both are restarted: those of the old revision, and those that may exist only in the new one. The deploy
    /// directory is the current one.
    pub fn go_back(&mut self, undone: Option<&Asked>, restored: Option<&Asked>) {
        let request = Arc::make_mut(&mut self.basis.request);
        if let Some(restored) = restored {
            request.service = restored.request.service.clone();
        }
        let Some(undone) = undone.map(|undone| &undone.request) else { return };
        request.header.deploy_dir = undone.header.deploy_dir.clone();
        let services = &mut request.service;
        let more = undone.service.names.iter().filter(|new| services.names.iter().all(|old| old.name != new.name));
        let more: Vec<_> = more.cloned().collect();
        services.names.extend(more);
        if services.command.is_empty() {
            services.command = undone.service.command.clone();
        }
    }
}

/// The Adler-32 checksum (RFC 1950).
fn sum(vars: &Vars) -> u16 {
    let text = serde_json::to_string(vars).unwrap_or_default();
    let add = |(a, b): (u32, u32), byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    };
    let (a, b) = text.bytes().fold((1, 0), add);
    (a ^ b) as u16
}
