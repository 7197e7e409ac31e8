//! The type of a gate: what to query, when, and what is required.

use std::path::PathBuf;
use std::time::Duration;

use super::comparison::Comparison;
use super::moment::Moment;
use super::require::Require;
use super::scope::Scope;
use super::template::Template;

/// How an answer without a value is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// The gate is queried again, for as long as [`Gate::within`] allows.
    Wait,
    /// The operator decides.
    Ask,
    /// It counts as a good value.
    Pass,
    /// It counts as a bad value.
    Fail,
}

/// One gate of `gates.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub name: String,
    pub scope: Scope<Moment>,
    /// The time between two samples.
    pub interval: Duration,
    /// The delay before the first sample.
    pub delay: Duration,
    /// Time limit for one query.
    pub timeout: Duration,
    /// How long there may be no value before the gate is inconclusive.
    pub within: Duration,
    /// How many samples of one look may be bad.
    pub failures: u32,
    pub no_data: NoData,
    /// Its result is reported, but has no effect.
    pub observe: bool,
    pub source: Source,
}

/// What is queried, and what is required of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A command on the deploy host: its exit status, or the number that it prints.
    Command {
        command: String,
        /// A command line for `/bin/sh`.
        shell: bool,
        /// What is required of the number that it prints.
        require: Option<Require>,
        /// The working directory.
        folder: PathBuf,
    },
    /// A web page.
    Http {
        endpoint: Endpoint,
        statuses: Statuses,
        /// Text that the body has to contain.
        body: Option<String>,
        /// A JSON pointer, and what is required of the value there.
        json: Option<(String, Require)>,
    },
    /// An instant query to Prometheus. Each value of the result has to meet the requirement.
    Prometheus { endpoint: Endpoint, query: Template, require: Require },
    /// No alert that matches all of these may be firing, unless it is silenced or inhibited.
    Alertmanager { endpoint: Endpoint, matchers: Vec<Template> },
    /// Compares hosts on the new revision with hosts on the old one.
    Compare { endpoint: Endpoint, query: Template, comparison: Comparison },
}

impl Source {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Source::Command { .. } => "command",
            Source::Http { .. } => "http",
            Source::Prometheus { .. } => "prometheus",
            Source::Alertmanager { .. } => "alertmanager",
            Source::Compare { .. } => "compare",
        }
    }

    /// Whether the query depends on the group or on the progress of the deployment.
    pub fn is_of_hosts(&self) -> bool {
        match self {
            // It is not known which of the variables a command reads.
            Source::Command { .. } | Source::Compare { .. } => true,
            Source::Http { endpoint, .. } => endpoint.url.is_of_hosts(),
            Source::Prometheus { endpoint, query, .. } => endpoint.url.is_of_hosts() || query.is_of_hosts(),
            Source::Alertmanager { endpoint, matchers } => {
                endpoint.url.is_of_hosts() || matchers.iter().any(Template::is_of_hosts)
            }
        }
    }

    /// Whether it can be queried for a time in the past.
    pub fn has_history(&self) -> bool {
        matches!(self, Source::Prometheus { .. } | Source::Compare { .. })
    }
}

impl Gate {
    /// Whether it is evaluated between the first host and finalize.
    pub fn runs_during_deployment(&self) -> bool {
        self.scope.at.iter().any(|moment| matches!(moment, Moment::Subgroup | Moment::Soak | Moment::Group))
    }
}

/// The URL of a request, with its certificates and credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub url: Template,
    pub auth: Option<Auth>,
    /// A PEM file of certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The credentials. Secrets are read from their files only when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    Bearer { file: PathBuf },
    Basic { username: String, file: PathBuf },
}

/// Which HTTP statuses are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statuses {
    /// 200 to 299.
    Success,
    These(Vec<u16>),
}

impl Statuses {
    /// Whether this status is accepted.
    pub fn contain(&self, status: u16) -> bool {
        match self {
            Statuses::Success => (200..300).contains(&status),
            Statuses::These(these) => these.contains(&status),
        }
    }
}
