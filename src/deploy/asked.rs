//! What the targets of a run were asked, kept with its journal: what a run did is ended, and undone, with what it had.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::repo::{Parts, Repo, Wanted};
use crate::wire::{Drain, Header, Holder, LfsSource, PROTOCOL, StageRequest, SubmoduleSource};

use super::plan::Plan;
use super::preflight::Ahead;
use super::requests::{Requests, server};

/// The template variables.
type Vars = serde_json::Map<String, serde_json::Value>;

/// The request of a run, without what differs from step to step and from host to host, and without what may be secret:
/// template variables, and the addresses of the git server and of a proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    request: StageRequest,
    /// Targets fetch from a git server.
    by_server: bool,
    /// A sum of the template variables. It is too short to tell anybody what they are.
    vars_sum: u16,
    /// How the targets of each group are drained.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    drains: BTreeMap<String, Drain>,
}

impl Asked {
    /// The submodules and large files that targets get from this host.
    ///
    /// # Errors
    /// The first that is not here.
    pub fn parts(&self, repo: &Repo, plan: &Plan) -> Result<Parts> {
        let extras = &self.request.extras;
        let submodules = matches!(extras.submodules, Some(SubmoduleSource::Session));
        let large_files = matches!(extras.lfs, Some(LfsSource::Session));
        Parts::of(repo, &plan.revision, Wanted { submodules, large_files })
    }

    /// Whether configuration files are rendered in the run, and so variables are needed.
    pub fn renders(&self) -> bool {
        self.request.config_files.is_some()
    }

    /// Whether these are the variables that the run began with, as far as can be told.
    pub fn had(&self, vars: &Vars) -> bool {
        sum(vars) == self.vars_sum
    }
}

impl Requests {
    /// What is kept of them with the journal.
    pub fn asked(&self) -> Asked {
        let mut request = (*self.request).clone();
        request.extras.set_server("", None);
        let vars_sum = sum(&std::mem::take(&mut request.vars));
        Asked { request, by_server: self.server.is_some(), vars_sum, drains: (*self.drains).clone() }
    }

    /// The requests of a run that `holder` ends for another. Of the configuration as it stands now only the way to the
    /// git server is read, beside the variables.
    ///
    /// # Errors
    /// A repository that cannot be read, and a git server that is not configured any more.
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
        let shallow = parts.shallow(repo)?;
        let ahead = Arc::new(Ahead::of(plan, repo, &request));
        let (tag, describing) = Default::default();
        let (request, parts, invocation) = (Arc::new(request), Arc::new(parts), plan.invocation.clone());
        let drains = Arc::new(asked.drains.clone());
        Ok(Requests { request, shallow, parts, server, tag, describing, ahead, drains, invocation })
    }

    /// For going back from a finished deployment, `undone`, to what the deployment `restored` brought. The services of
    /// both are restarted: those of the old revision as it had them, and those that may run nothing but the new one. The
    /// folder is the one that the targets deploy from now.
    pub fn go_back(&mut self, undone: Option<&Asked>, restored: Option<&Asked>) {
        let request = Arc::make_mut(&mut self.request);
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

/// Adler's two sums (RFC 1950) in one.
fn sum(vars: &Vars) -> u16 {
    let text = serde_json::to_string(vars).unwrap_or_default();
    let add = |(a, b): (u32, u32), byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    };
    let (a, b) = text.bytes().fold((1, 0), add);
    (a ^ b) as u16
}
