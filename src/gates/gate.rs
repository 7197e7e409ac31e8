//! What a gate is.

use std::path::PathBuf;
use std::time::Duration;

use super::comparison::Comparison;
use super::moment::Moment;
use super::require::Require;
use super::template::Template;

/// What becomes of an answer that has no value in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// It is asked again, for as long as [`Gate::within`] allows.
    Wait,
    /// A person decides.
    Ask,
    /// It counts as a value that is as required.
    Pass,
    /// It counts as a value that is not.
    Fail,
}

/// One gate of `gates.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub name: String,
    /// When it is asked; never empty.
    pub when: Vec<Moment>,
    /// For this group alone.
    pub group: Option<String>,
    /// Between two samples.
    pub interval: Duration,
    /// Before the first one.
    pub delay: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// How long it may go without a value before it is inconclusive.
    pub within: Duration,
    /// So many samples of one look may be bad.
    pub failures: u32,
    pub no_data: NoData,
    /// It is told and never obeyed.
    pub observe: bool,
    pub source: Source,
}

/// What is asked, and what is required of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A command on the deploy host: its exit status, or the number that it prints.
    Command {
        command: String,
        /// It is `/bin/sh`'s.
        shell: bool,
        /// Of the number that it prints.
        require: Option<Require>,
        /// Where it runs.
        folder: PathBuf,
    },
    /// A page.
    Http {
        endpoint: Endpoint,
        statuses: Statuses,
        /// Text that the body contains.
        body: Option<String>,
        /// A JSON pointer, and what is required of the value there.
        json: Option<(String, Require)>,
    },
    /// An instant query. Each of the values that it gives has to be as required.
    Prometheus { endpoint: Endpoint, query: Template, require: Require },
    /// No alert that matches all of these fires, unless it is silenced or inhibited.
    Alertmanager { endpoint: Endpoint, matchers: Vec<Template> },
    /// Hosts on the new revision against those on the old one.
    Compare { endpoint: Endpoint, query: Template, comparison: Comparison },
}

impl Source {
    /// Its word in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Source::Command { .. } => "command",
            Source::Http { .. } => "http",
            Source::Prometheus { .. } => "prometheus",
            Source::Alertmanager { .. } => "alertmanager",
            Source::Compare { .. } => "compare",
        }
    }

    /// Whether what it is asked depends on the group, or on how far the deployment is.
    pub fn is_of_hosts(&self) -> bool {
        match self {
            // Which of the variables it reads nobody knows.
            Source::Command { .. } | Source::Compare { .. } => true,
            Source::Http { endpoint, .. } => endpoint.url.is_of_hosts(),
            Source::Prometheus { endpoint, query, .. } => endpoint.url.is_of_hosts() || query.is_of_hosts(),
            Source::Alertmanager { endpoint, matchers } => {
                endpoint.url.is_of_hosts() || matchers.iter().any(Template::is_of_hosts)
            }
        }
    }

    /// Whether it can be asked about a moment of the past.
    pub fn remembers(&self) -> bool {
        matches!(self, Source::Prometheus { .. } | Source::Compare { .. })
    }
}

impl Gate {
    /// Whether it is asked between the first host and finalize.
    pub fn is_asked_on_the_way(&self) -> bool {
        self.when.iter().any(|moment| matches!(moment, Moment::Subgroup | Moment::Soak | Moment::Group))
    }

    /// Whether it is asked about this group. Before the first host and before finalize there is no group.
    pub fn is_for(&self, group: &str) -> bool {
        group.is_empty() || self.group.as_ref().is_none_or(|own| own == group)
    }
}

/// Where a request goes, and who asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub url: Template,
    pub auth: Option<Auth>,
    /// Certificates to trust in place of the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// Who asks. The secrets stay in their files until they are needed.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    Bearer { file: PathBuf },
    Basic { username: String, file: PathBuf },
}

/// Which HTTP statuses are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statuses {
    /// 200 to 299.
    Success,
    These(Vec<u16>),
}

impl Statuses {
    /// Whether this is one of them.
    pub fn contain(&self, status: u16) -> bool {
        match self {
            Statuses::Success => (200..300).contains(&status),
            Statuses::These(these) => these.contains(&status),
        }
    }
}
