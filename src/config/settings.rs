//! The settings as types, made from the layered text.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::problem::Problem;
use crate::targets::{FailedTargets, FailureLimit, Share, Steps, Target};
use crate::wire::{Drain, Service, ServiceName, Stage, VerifyService};

use super::layers::Layers;
use super::problems::Problems;
use super::settings_reader::SettingsReader;
use super::{addresses, algorithms, keys, values};

/// What to do with a host key that no file of host keys has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyChecking {
    /// Refuse the host.
    Strict,
    /// Take it and remember it; a key that differs from a known one is refused all the same.
    AcceptNew,
}

/// Which SSH agent is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshAgent {
    /// The operator's own; but the keyholder's for a key that the keyholder has.
    Usual,
    /// The one that listens on this socket.
    Socket(PathBuf),
    /// The operator's own, whatever the keyholder has.
    Own,
}

/// Where targets get code from, where there is a git server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFrom {
    /// From the server, but in a repository of Scap's whose server is the deploy host itself.
    Auto,
    Session,
    Server,
}

/// Which OpenSSH configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshConfig {
    /// The operator's and the system's.
    Usual,
    File(PathBuf),
    None,
}

/// The settings of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSettings {
    pub name: String,
    /// The target file's name or path; `None`: the key is missing, which is an error as soon as the group is needed.
    pub dsh_targets: Option<String>,
    pub group_size: Steps,
    /// Hosts that may be out of service; `None`: as many as a subgroup has.
    pub max_unavailable: Option<Share>,
    /// Zero: none.
    pub soak_time: Duration,
    pub group_soak_time: Duration,
    pub failure_limit: FailureLimit,
    /// Times that failed hosts are tried again at the end of the group.
    pub retry_failed: usize,
    pub failed_targets: FailedTargets,
    /// How its targets are drained; `None`: they are not.
    pub drain: Option<Drain>,
}

impl GroupSettings {
    /// The key that names the target file of group `name`.
    pub fn targets_key(name: &str) -> String {
        keys::of_group(name, "dsh_targets")
    }

    fn read(name: &str, read: &mut SettingsReader) -> Result<GroupSettings, Problem> {
        let own = |key: &str| keys::of_group(name, key);
        let failed = read.first_choice(&[&own("failed_targets"), "failed_targets"])?;
        Ok(GroupSettings {
            name: name.to_owned(),
            // There is no falling back here: two groups of one file would be one group.
            dsh_targets: read.opt(&own("dsh_targets"), values::text)?,
            group_size: read.first(&[&own("group_size"), "group_size"], str::parse)?,
            max_unavailable: read.first_opt(&[&own("max_unavailable"), "max_unavailable"], str::parse)?,
            soak_time: read.first(&[&own("soak_time"), "soak_time"], values::seconds_or_off)?,
            group_soak_time: read.first(&[&own("group_soak_time"), "group_soak_time"], values::seconds_or_off)?,
            failure_limit: read.first(&[&own("failure_limit"), "failure_limit"], str::parse)?,
            retry_failed: read.first(&[&own("retry_failed"), "retry_failed"], |value| values::number(value, 0))?,
            failed_targets: if failed == "rollback" { FailedTargets::Rollback } else { FailedTargets::Leave },
            drain: read.drain(name)?,
        })
    }
}

/// Every setting, named as its key. `None` is a key that is unset.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Empty when it is unset, which only [`super::Options::repo_optional`] allows.
    pub git_repo: String,
    pub git_deploy_dir: PathBuf,
    pub git_rev: String,
    pub git_server: Option<String>,
    pub git_scheme: String,
    pub fetch_from: FetchFrom,
    /// A URL that may hold a password: it is for git's environment on targets, and for nothing that people read.
    pub http_proxy: Option<String>,
    /// New working trees may share files with standing ones.
    pub link_files: bool,
    pub git_submodules: bool,
    pub git_upstream_submodules: bool,
    /// `git_fat`, or `git_binary_manager`.
    pub git_fat: bool,
    /// From `git_binary_manager`.
    pub git_lfs: bool,
    pub ssh_user: Option<String>,
    pub ssh_port: u16,
    pub identity_file: Option<Vec<PathBuf>>,
    pub known_hosts: Option<Vec<PathBuf>>,
    pub host_key_checking: HostKeyChecking,
    pub keyholder_key: Option<String>,
    pub ssh_auth_sock: SshAgent,
    pub ssh_config: SshConfig,
    /// Empty: none, whatever OpenSSH's configuration says.
    pub proxy_jump: Option<Vec<Target>>,
    pub ssh_kex: Option<Vec<String>>,
    pub ssh_ciphers: Option<Vec<String>>,
    pub ssh_macs: Option<Vec<String>>,
    pub connect_timeout: Duration,
    pub reconnect_timeout: Duration,
    pub keepalive: Duration,
    /// `None`: one a target.
    pub max_sessions: Option<usize>,
    pub remote_binary: Option<PathBuf>,
    pub server_groups: Vec<String>,
    /// The groups' settings, in the order of `server_groups`.
    pub groups: Vec<GroupSettings>,
    /// The bare keys of groups, which hold for hosts of no group.
    pub bare_group: GroupSettings,
    /// The bare key; [`Settings::batch_size()`] knows the stages' own.
    pub batch_size: usize,
    pub stage_batch_sizes: BTreeMap<Stage, usize>,
    /// The bare key; [`Settings::timeout()`] knows the stages' own.
    pub stage_timeout: Duration,
    pub stage_timeouts: BTreeMap<Stage, Duration>,
    /// How long a promoted target waits to be finalized, rolled back or renewed; zero: for ever.
    pub confirm_timeout: Duration,
    /// How long the turn of each target is that rolls itself back; `None`: as long as its rollback may take.
    pub lease_slot: Option<Duration>,
    /// A rollback takes all hosts of a group at once.
    pub rollback_at_once: bool,
    /// Empty when unset.
    pub service_name: Vec<ServiceName>,
    pub secondary_host_signal_file: PathBuf,
    pub service_command: String,
    pub require_valid_service: bool,
    pub service_port: Option<u16>,
    pub service_timeout: Duration,
    /// `None`: strict where it is known what runs.
    pub verify_service: Option<VerifyService>,
    pub min_healthy_time: Duration,
    pub config_deploy: bool,
    pub perform_checks: bool,
    pub nrpe_dir: PathBuf,
    pub cache_revs: usize,
    pub tags_to_keep: usize,
    pub block_deployments: bool,
    /// Whether failures within the limits have a status of their own.
    pub strict: bool,
    pub require_clean: bool,
    pub require_terminal_multiplexer: bool,
    pub lock_file: Option<PathBuf>,
    pub lock_dir: PathBuf,
    /// How long to wait for a lock of the deploy host; zero: not at all. `None` leaves it to the kind of repository.
    pub lock_timeout: Option<Duration>,
    pub tcpircbot_host: Option<String>,
    pub tcpircbot_port: u16,
    pub statsd_host: Option<String>,
    pub statsd_port: u16,
    pub udp2log_host: Option<String>,
    pub udp2log_port: u16,
    pub use_syslog: bool,
    pub umask: u32,
}

impl Settings {
    /// How many hosts run `stage` at once; at least 1.
    pub fn batch_size(&self, stage: Stage) -> usize {
        self.stage_batch_sizes.get(&stage).copied().unwrap_or(self.batch_size)
    }

    /// How long `stage` may take on a target.
    pub fn timeout(&self, stage: Stage) -> Duration {
        self.stage_timeouts.get(&stage).copied().unwrap_or(self.stage_timeout)
    }

    /// What promote restarts, as a target is told.
    pub fn service(&self) -> Service {
        Service {
            names: self.service_name.clone(),
            secondary_file: self.secondary_host_signal_file.clone(),
            command: self.service_command.clone(),
            require_valid: self.require_valid_service,
            port: self.service_port,
            timeout: self.service_timeout.as_secs() + u64::from(self.service_timeout.subsec_nanos() > 0),
            verify: self.verify_service,
            min_healthy: self.min_healthy_time.as_secs(),
        }
    }

    /// Reads every known key of `layers`. A key that cannot be used is noted, and read as if it were unset.
    ///
    /// # Errors
    /// A key that the table of keys does not have, or not with a usable default.
    pub(super) fn read_into(
        layers: &Layers,
        repo_optional: bool,
        problems: &mut Problems,
    ) -> Result<Settings, Problem> {
        let mut read = SettingsReader { layers, problems };
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let paths = |value: &str| values::paths(value, home.as_deref());
        let server_groups = read.get("server_groups", values::groups)?;
        // The bare keys of groups are read even where every group has its own: a slip in one is told.
        let bare_group = GroupSettings::read("default", &mut read)?;
        let groups =
            server_groups.iter().map(|group| GroupSettings::read(group, &mut read)).collect::<Result<_, _>>()?;
        let keep_checking = |value: &str| match value {
            "accept-new" => HostKeyChecking::AcceptNew,
            _ => HostKeyChecking::Strict,
        };
        let managers = read.opt("git_binary_manager", values::binary_managers)?.unwrap_or_default();
        Ok(Settings {
            git_repo: read.repo(repo_optional)?,
            git_deploy_dir: read.get("git_deploy_dir", values::absolute)?,
            git_rev: read.filled("git_rev", values::argument)?,
            git_server: read.opt("git_server", addresses::server)?,
            git_scheme: read.choice("git_scheme")?,
            fetch_from: match read.choice("fetch_from")?.as_str() {
                "session" => FetchFrom::Session,
                "server" => FetchFrom::Server,
                _ => FetchFrom::Auto,
            },
            http_proxy: read.proxy()?,
            link_files: read.get("link_files", values::boolean)?,
            git_submodules: read.get("git_submodules", values::boolean)?,
            git_upstream_submodules: read.get("git_upstream_submodules", values::boolean)?,
            git_fat: read.get("git_fat", values::boolean)? || managers.contains(&"git-fat".to_owned()),
            git_lfs: managers.contains(&"git-lfs".to_owned()),
            ssh_user: read.opt("ssh_user", values::user)?,
            ssh_port: read.get("ssh_port", values::port)?,
            identity_file: read.opt("identity_file", paths)?,
            known_hosts: read.opt("known_hosts", paths)?,
            host_key_checking: keep_checking(&read.choice("host_key_checking")?),
            keyholder_key: read.opt("keyholder_key", values::name)?,
            ssh_auth_sock: read
                .opt("ssh_auth_sock", |value| values::path_or_none(value, home.as_deref()))?
                .map_or(SshAgent::Usual, |socket| socket.map_or(SshAgent::Own, SshAgent::Socket)),
            ssh_config: read
                .opt("ssh_config", |value| values::path_or_none(value, home.as_deref()))?
                .map_or(SshConfig::Usual, |file| file.map_or(SshConfig::None, SshConfig::File)),
            proxy_jump: read.opt("proxy_jump", values::hops)?,
            ssh_kex: read.opt("ssh_kex", |value| algorithms::names(value, algorithms::KEX))?,
            ssh_ciphers: read.opt("ssh_ciphers", |value| algorithms::names(value, algorithms::CIPHERS))?,
            ssh_macs: read.opt("ssh_macs", |value| algorithms::names(value, algorithms::MACS))?,
            connect_timeout: read.get("connect_timeout", values::seconds)?,
            reconnect_timeout: read.get("reconnect_timeout", values::seconds)?,
            keepalive: read.get("keepalive", values::seconds)?,
            max_sessions: read.max_sessions()?,
            remote_binary: read.opt("remote_binary", values::absolute)?,
            server_groups,
            groups,
            bare_group,
            batch_size: read.get("batch_size", |value| values::number(value, 1))?,
            stage_batch_sizes: read.stages("batch_size", |value| values::number(value, 1))?,
            stage_timeout: read.get("stage_timeout", values::seconds)?,
            stage_timeouts: read.stages("stage_timeout", values::seconds)?,
            confirm_timeout: read.get("confirm_timeout", values::seconds_or_off)?,
            lease_slot: read.opt("lease_slot", values::seconds)?,
            rollback_at_once: read.choice("rollback_pace")? == "at_once",
            service_name: read.opt("service_name", values::services)?.unwrap_or_default(),
            secondary_host_signal_file: read.get("secondary_host_signal_file", values::absolute)?,
            service_command: read.get("service_command", values::service_command)?,
            require_valid_service: read.get("require_valid_service", values::boolean)?,
            service_port: read.opt("service_port", values::port)?,
            service_timeout: read.get("service_timeout", values::fraction_of_seconds)?,
            verify_service: read.opt("verify_service", values::verify_service)?,
            min_healthy_time: read.get("min_healthy_time", values::seconds_or_off)?,
            config_deploy: read.get("config_deploy", values::boolean)?,
            perform_checks: read.get("perform_checks", values::boolean)?,
            nrpe_dir: read.get("nrpe_dir", values::absolute)?,
            cache_revs: read.get("cache_revs", |value| values::number(value, 0))?,
            tags_to_keep: read.get("tags_to_keep", |value| values::number(value, 1))?,
            block_deployments: read.get("block_deployments", values::boolean)?,
            strict: read.get("strict", values::boolean)?,
            require_clean: read.get("require_clean", values::boolean)?,
            require_terminal_multiplexer: read.get("require_terminal_multiplexer", values::boolean)?,
            lock_file: read.opt("lock_file", values::absolute)?,
            lock_dir: read.get("lock_dir", values::absolute)?,
            lock_timeout: read.opt("lock_timeout", values::seconds_or_off)?,
            tcpircbot_host: read.opt("tcpircbot_host", values::host)?,
            tcpircbot_port: read.get("tcpircbot_port", values::port)?,
            statsd_host: read.opt("statsd_host", values::host)?,
            statsd_port: read.get("statsd_port", values::port)?,
            udp2log_host: read.opt("udp2log_host", values::host)?,
            udp2log_port: read.get("udp2log_port", values::port)?,
            use_syslog: read.get("use_syslog", values::boolean)?,
            umask: read.umask()?,
        })
    }
}
