//! The request for a stage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::url::{place, without_password};

use super::{
    Check, ConfigFile, Drain, ExternalContent, Fetch, Header, LfsSource, Origin, Revision, Service, SubmoduleSource,
};

/// Everything that a target needs to know for any stage of a deployment. It keeps the last one, for stages that are run by
/// hand, and journals and git servers keep it too: a field that is added needs a default, so that older ones are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRequest {
    #[serde(flatten)]
    pub header: Header,
    /// The group's own name, never a subgroup's label.
    pub group: String,
    /// What is deployed.
    pub revision: Revision,
    /// What a rollback goes back to: what was live at the probe. `None`: nothing to go back to, or not known yet.
    pub restore: Option<Revision>,
    /// Nothing was live or finalized here at the probe, which is why there is nothing to go back to.
    #[serde(default)]
    pub found_nothing: bool,
    pub force: bool,
    /// Old revisions to keep once the run is over, beside the live one.
    pub cache_revs: usize,
    /// Seconds that a promoted revision stays live when it is neither finalized, nor rolled back, nor its lease renewed;
    /// 0: for ever.
    #[serde(default)]
    pub confirm_timeout: u64,
    /// Seconds after that until it is this host's turn to go back by itself, unless its promote failed.
    #[serde(default)]
    pub lease_slot: u64,
    pub environment: Option<String>,
    /// What belongs into the revision's tree beside its own files.
    #[serde(default)]
    pub extras: ExternalContent,
    pub fetch: Option<Fetch>,
    /// In the order of the file; those of every stage and group.
    pub checks: Vec<Check>,
    /// Without it no check runs, not even one that a revision which is gone back to has of its own.
    #[serde(default = "yes")]
    pub perform_checks: bool,
    /// Where checks of type nrpe are defined on the target.
    pub nrpe_dir: PathBuf,
    pub service: Service,
    /// How this target is drained around what takes the services down; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Box<Drain>>,
    /// The target as its target file names it, for the commands that drain it.
    #[serde(default)]
    pub host: String,
    /// What the stages `command` and `once` run; `None`: the run has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Box<CommandLine>>,
    /// `None` when `config_deploy` is off.
    pub config_files: Option<Vec<ConfigFile>>,
    /// The texts of the repository's templates by name, so that one may include another. Empty without `config_files`.
    pub templates: IndexMap<String, String>,
    /// The template variables. They may be secret.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// Files cannot be rendered without the variables of `vars_command`, which are not stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_secrets: bool,
    /// What prints more variables on the target; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_vars_command: Option<Box<CommandLine>>,
    /// The revision was deployed here before and is gone back to: promote links the configuration files that its tree
    /// holds already, whatever is configured now, and the checks that it was deployed with judge it.
    #[serde(default)]
    pub kept: bool,
    /// A new working tree may share files with one that stands.
    #[serde(default)]
    pub link_files: bool,
    /// What Scap would have to know beside that; `None` where it does not deploy the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scap: Option<Box<ForScap>>,
    /// How the revision was made, for whoever looks at its tree later; `None` of a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
}

impl StageRequest {
    /// A request that brings nothing, renders nothing and restarts nothing. It has no checks of its own; those that a
    /// kept revision has are run.
    pub fn new(header: Header, group: &str, revision: Revision) -> StageRequest {
        StageRequest {
            header,
            group: group.to_owned(),
            revision,
            restore: None,
            found_nothing: false,
            force: false,
            cache_revs: 0,
            confirm_timeout: 0,
            lease_slot: 0,
            environment: None,
            extras: ExternalContent::default(),
            fetch: None,
            checks: Vec::new(),
            perform_checks: true,
            nrpe_dir: PathBuf::new(),
            service: Service::default(),
            drain: None,
            host: String::new(),
            command: None,
            config_files: None,
            templates: IndexMap::new(),
            vars: serde_json::Map::new(),
            needs_secrets: false,
            remote_vars_command: None,
            kept: false,
            link_files: false,
            scap: None,
            origin: None,
        }
    }

    /// The same without the passwords of the git server and the proxy.
    pub fn without_passwords(&self) -> StageRequest {
        let mut request = self.clone();
        if let Some(source) = request.fetch.as_mut().and_then(|fetch| fetch.source.as_mut()) {
            source.url = without_password(&source.url);
            source.proxy = source.proxy.as_deref().map(without_password);
        }
        if let Some(source) = request.fetch.as_mut().and_then(|fetch| fetch.artifact.as_mut()) {
            source.url = place(&source.url);
            source.proxy = source.proxy.as_deref().map(without_password);
        }
        if let Some(SubmoduleSource::Server { url, proxy }) = &mut request.extras.submodules {
            *url = without_password(url);
            *proxy = proxy.as_deref().map(without_password);
        }
        if let Some(LfsSource::Server { url }) = &mut request.extras.lfs {
            *url = without_password(url);
        }
        request
    }

    /// What the commands of a drain find in their environment.
    pub fn drain_environment(&self) -> [(&'static str, String); 5] {
        [
            ("HOIST_HOST", self.host.clone()),
            ("HOIST_GROUP", self.group.clone()),
            ("HOIST_REPO", self.header.repo.clone()),
            ("HOIST_RUN", self.header.holder.run.to_string()),
            ("HOIST_REVISION", self.revision.to_string()),
        ]
    }
}

/// A command of the operator's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// For the login shell of the account.
    pub line: String,
    /// Seconds that it may take by itself; the request's own limit is for all that stands around it, too.
    pub timeout: u64,
    /// What it finds in its environment besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Of a run-once step: it does not begin while a process lives that has all of these variables, `NAME=value` each, in
    /// its environment. Empty: nothing keeps it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_beside: Vec<String>,
}

fn yes() -> bool {
    true
}

/// Settings that only Scap's own `deploy-local` needs, for what is left to it where it is at home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForScap {
    pub git_server: Option<String>,
    pub git_scheme: String,
    pub git_submodules: bool,
    pub git_upstream_submodules: bool,
    /// `git-lfs` and `git-fat`, as far as they are asked for.
    pub git_binary_manager: Vec<String>,
    /// The deploy host's own upstream, without a password.
    pub origin: Option<String>,
}
