//! The settings as types, made from the layered text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::calendar::Calendar;
use crate::problem::Problem;
use crate::targets::{FailedTargets, FailureLimit, Share, Steps, Target};
use crate::threads::MOST_AT_ONCE;
use crate::wire::{Drain, Service, ServiceName, SharedPaths, Stage, VerifyService};

use super::layers::Layers;
use super::problems::Problems;
use super::settings_reader::{GroupReader, SettingsReader};
use super::{addresses, algorithms, build, keys, rate, shared_paths, size, subdir, values};

/// What to do with a host key that no file of host keys has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyChecking {
    /// Refuse the host.
    Strict,
    /// Take it and remember it; a key that differs from a known one is refused all the same.
    AcceptNew,
}

impl HostKeyChecking {
    fn named(name: &str) -> HostKeyChecking {
        if name == "accept-new" { HostKeyChecking::AcceptNew } else { HostKeyChecking::Strict }
    }
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

impl FetchFrom {
    fn named(name: &str) -> FetchFrom {
        match name {
            "session" => FetchFrom::Session,
            "server" => FetchFrom::Server,
            _ => FetchFrom::Auto,
        }
    }
}

/// Which OpenSSH configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshConfig {
    /// The operator's and the system's.
    Usual,
    File(PathBuf),
    None,
}

/// Declares a struct of settings by the reader that it is read with, and the fields: each with its type, and how its value
/// is read. That is a method of the reader, which is given the field's name as the key, and what makes a value of the
/// text; or, if the key has another name or several keys belong together, a block.
macro_rules! settings {
    (
        $(#[$meta:meta])* pub struct $name:ident with ($read:ident: $reader:ty $(, $with:ident: $type_of_with:ty)*) {
            $($(#[$doc:meta])* $field:ident: $type:ty = $how:tt $(($($parse:tt)*))?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $name {
            fn read($read: $reader $(, $with: $type_of_with)*) -> Result<$name, Problem> {
                Ok($name { $($field: settings!(@value $read $field $how $(($($parse)*))?),)* })
            }
        }
    };
    (@value $read:ident $field:ident $method:ident ($($parse:tt)*)) => {
        $read.$method(stringify!($field), $($parse)*)?
    };
    (@value $read:ident $field:ident $block:block) => {
        $block
    };
}

settings! {
    /// The settings of one group.
    pub struct GroupSettings with (read: &mut GroupReader) {
        name: String = { read.group.to_owned() },
        /// The target file's name or path; `None`: the key is missing, which is an error as soon as the group is needed.
        // There is no falling back here: two groups of one file would be one group.
        dsh_targets: Option<String> = own_opt(values::text),
        targets_command: Option<String> = own_opt(values::text),
        /// A name that is looked up.
        targets_dns: Option<String> = own_opt(addresses::host),
        /// The path of an Ansible inventory.
        inventory: Option<String> = first_opt(values::text),
        /// What the list may lose from one deployment to the next; `None`: as is usual for its kind.
        inventory_shrink_limit: Option<FailureLimit> = first_opt(str::parse),
        /// Ansible's pattern of the group's hosts; `None`: the group's name.
        inventory_hosts: Option<String> = own_opt(values::text),
        group_size: Steps = first(str::parse),
        /// Hosts that may be out of service; `None`: as many as a subgroup has.
        max_unavailable: Option<Share> = first_opt(str::parse),
        /// The label whose values have a `max_unavailable` each.
        max_unavailable_by: Option<String> = first_opt(values::name),
        /// Zero: none.
        soak_time: Duration = first(values::seconds_or_off),
        group_soak_time: Duration = first(values::seconds_or_off),
        failure_limit: FailureLimit = first(str::parse),
        /// Times that failed hosts are tried again at the end of the group.
        retry_failed: usize = first(|value| values::number(value, 0)),
        failed_targets: FailedTargets = {
            if read.choice("failed_targets")? == "rollback" { FailedTargets::Rollback } else { FailedTargets::Leave }
        },
        /// How its targets are drained; `None`: they are not.
        drain: Option<Drain> = { read.drain()? },
    }
}

impl GroupSettings {
    /// A key as group `name` has it.
    pub fn own_key(name: &str, key: &str) -> String {
        keys::of_group(name, key)
    }

    /// The key that names the target file of group `name`.
    pub fn targets_key(name: &str) -> String {
        keys::of_group(name, "dsh_targets")
    }

    /// The keys any of which says where the targets of group `name` are.
    pub fn source_keys(name: &str) -> impl Iterator<Item = String> {
        keys::SOURCES.iter().map(move |key| keys::of_group(name, key))
    }
}

/// What is read ahead of the other settings.
struct Ahead {
    server_groups: Vec<String>,
    groups: Vec<GroupSettings>,
    bare_group: GroupSettings,
    /// Of `git_binary_manager`.
    managers: Vec<String>,
}

settings! {
    /// Every setting, named as its key. `None` is a key that is unset.
    pub struct Settings with (read: &mut SettingsReader, repo_optional: bool, home: Option<&Path>, ahead: Ahead) {
        /// Empty when it is unset, which only [`super::Options::repo_optional`] allows.
        git_repo: String = { read.repo(repo_optional)? },
        targets_timeout: Duration = get(values::seconds),
        /// Variables of inventories that are kept.
        inventory_labels: Vec<String> = get(values::names),
        git_deploy_dir: PathBuf = get(values::absolute),
        git_rev: String = filled(values::argument),
        /// The only directory of the repository that is deployed; `None`: all of it.
        subdir: Option<String> = opt(subdir::path),
        /// What is deployed in place of the commit's own files.
        build: Option<build::Build> = { build::read(read)? },
        git_server: Option<String> = opt(addresses::server),
        git_scheme: String = choice(),
        fetch_from: FetchFrom = { FetchFrom::named(&read.choice("fetch_from")?) },
        /// A URL that may hold a password: it is for git's environment on targets, and for nothing that people read.
        http_proxy: Option<String> = { read.proxy()? },
        /// New working trees may share files with standing ones.
        link_files: bool = get(values::boolean),
        /// In bytes.
        artifact_max_size: u64 = get(size::size),
        artifact_strip_components: usize = get(|value| values::number(value, 0)),
        artifact_outside_links: bool = get(values::boolean),
        /// `shared_dirs` and `shared_files`.
        shared: SharedPaths = { shared_paths::read(read)? },
        git_submodules: bool = get(values::boolean),
        git_upstream_submodules: bool = get(values::boolean),
        /// `git_fat`, or `git_binary_manager`.
        git_fat: bool = { read.get("git_fat", values::boolean)? || ahead.managers.contains(&"git-fat".to_owned()) },
        /// From `git_binary_manager`.
        git_lfs: bool = { ahead.managers.contains(&"git-lfs".to_owned()) },
        ssh_user: Option<String> = opt(values::user),
        ssh_port: u16 = get(values::port),
        identity_file: Option<Vec<PathBuf>> = opt(|value| values::paths(value, home)),
        known_hosts: Option<Vec<PathBuf>> = opt(|value| values::paths(value, home)),
        host_key_checking: HostKeyChecking = { HostKeyChecking::named(&read.choice("host_key_checking")?) },
        keyholder_key: Option<String> = opt(values::name),
        ssh_auth_sock: SshAgent = {
            let socket = read.opt("ssh_auth_sock", |value| values::path_or_none(value, home))?;
            socket.map_or(SshAgent::Usual, |socket| socket.map_or(SshAgent::Own, SshAgent::Socket))
        },
        ssh_config: SshConfig = {
            let file = read.opt("ssh_config", |value| values::path_or_none(value, home))?;
            file.map_or(SshConfig::Usual, |file| file.map_or(SshConfig::None, SshConfig::File))
        },
        /// Empty: none, whatever OpenSSH's configuration says.
        proxy_jump: Option<Vec<Target>> = opt(values::hops),
        ssh_kex: Option<Vec<String>> = opt(|value| algorithms::names(value, algorithms::KEX)),
        ssh_ciphers: Option<Vec<String>> = opt(|value| algorithms::names(value, algorithms::CIPHERS)),
        ssh_macs: Option<Vec<String>> = opt(|value| algorithms::names(value, algorithms::MACS)),
        connect_timeout: Duration = get(values::seconds),
        reconnect_timeout: Duration = get(values::seconds),
        keepalive: Duration = get(values::seconds),
        /// `None`: one a target.
        max_sessions: Option<usize> = { read.max_sessions()? },
        /// Bytes a second; 0: without a limit.
        transfer_limit: u64 = get(rate::bytes_a_second),
        remote_binary: Option<PathBuf> = opt(values::absolute),
        server_groups: Vec<String> = { ahead.server_groups },
        /// The groups' settings, in the order of `server_groups`.
        groups: Vec<GroupSettings> = { ahead.groups },
        /// The bare keys of groups, which hold for hosts of no group.
        bare_group: GroupSettings = { ahead.bare_group },
        /// The bare key; [`Settings::batch_size()`] knows the stages' own.
        batch_size: usize = get(batch),
        stage_batch_sizes: BTreeMap<Stage, usize> = { read.stages("batch_size", batch)? },
        /// The bare key; [`Settings::timeout()`] knows the stages' own.
        stage_timeout: Duration = get(values::seconds),
        stage_timeouts: BTreeMap<Stage, Duration> = { read.stages("stage_timeout", values::seconds)? },
        /// How long a promoted target waits to be finalized, rolled back or renewed; zero: for ever.
        confirm_timeout: Duration = get(values::seconds_or_off),
        /// How long the turn of each target is that rolls itself back; `None`: as long as its rollback may take.
        lease_slot: Option<Duration> = opt(values::seconds),
        /// A rollback takes all hosts of a group at once.
        rollback_at_once: bool = { read.choice("rollback_pace")? == "at_once" },
        /// Empty when unset.
        service_name: Vec<ServiceName> = { read.opt("service_name", values::services)?.unwrap_or_default() },
        secondary_host_signal_file: PathBuf = get(values::absolute),
        service_command: String = get(values::service_command),
        require_valid_service: bool = get(values::boolean),
        service_port: Option<u16> = opt(values::port),
        service_timeout: Duration = get(values::fraction_of_seconds),
        /// `None`: strict where it is known what runs.
        verify_service: Option<VerifyService> = opt(values::verify_service),
        min_healthy_time: Duration = get(values::seconds_or_off),
        /// Hosts that a command may be run on without a question.
        run_confirm_above: usize = get(|value| values::number(value, 0)),
        /// How long a command waits after each subgroup; zero: not at all.
        run_sleep: Duration = get(values::seconds_or_off),
        run_gates: bool = get(values::boolean),
        run_drain: bool = get(values::boolean),
        config_deploy: bool = get(values::boolean),
        vars_command: Option<String> = opt(values::text),
        remote_vars_command: Option<String> = opt(values::text),
        vars_timeout: Duration = get(values::seconds),
        perform_checks: bool = get(values::boolean),
        nrpe_dir: PathBuf = get(values::absolute),
        cache_revs: usize = get(|value| values::number(value, 0)),
        tags_to_keep: usize = get(|value| values::number(value, 1)),
        journals_to_keep: usize = get(|value| values::number(value, 1)),
        block_deployments: bool = get(values::boolean),
        /// When deployments are allowed; `None`: always.
        deploy_windows: Option<Calendar> = opt(str::parse),
        /// When they are not, whatever the windows say.
        freeze: Option<Calendar> = opt(str::parse),
        /// Whether an automatic rollback locks the repository; `None`: if nobody looks on.
        lock_after_rollback: Option<bool> = opt(values::boolean),
        /// Signatures of others that a plan needs; 0: none.
        required_signatures: usize = get(|value| values::number(value, 0)),
        allowed_signers: Option<PathBuf> = { read.signers()? },
        revoked_signers: Option<PathBuf> = opt(values::absolute),
        require_signed_revision: bool = get(values::boolean),
        /// Whether failures within the limits have a status of their own.
        strict: bool = get(values::boolean),
        /// Whether it is measured where the time goes.
        timings: bool = get(values::boolean),
        require_clean: bool = get(values::boolean),
        require_terminal_multiplexer: bool = get(values::boolean),
        lock_file: Option<PathBuf> = opt(values::absolute),
        lock_dir: PathBuf = get(values::absolute),
        /// How long to wait for a lock of the deploy host; zero: not at all. `None` leaves it to the kind of repository.
        lock_timeout: Option<Duration> = opt(values::seconds_or_off),
        tcpircbot_host: Option<String> = opt(values::host),
        tcpircbot_port: u16 = get(values::port),
        statsd_host: Option<String> = opt(values::host),
        statsd_port: u16 = get(values::port),
        udp2log_host: Option<String> = opt(values::host),
        udp2log_port: u16 = get(values::port),
        use_syslog: bool = get(values::boolean),
        umask: u32 = { read.umask()? },
    }
}

/// How many hosts run a stage at once. More than there can be are as many: Scap has a ceiling of its own, and files that
/// are written for it may say anything.
fn batch(value: &str) -> Result<usize, String> {
    values::number(value, 1).map(|hosts| hosts.min(MOST_AT_ONCE))
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
        let names = read.get("server_groups", values::groups)?;
        let mut group = |name: &str| GroupSettings::read(&mut GroupReader { group: name, reader: &mut read });
        // The bare keys of groups are read even where every group has its own: a slip in one is told.
        let bare_group = group("default")?;
        let groups = names.iter().map(|name| group(name)).collect::<Result<_, _>>()?;
        let managers = read.opt("git_binary_manager", values::binary_managers)?.unwrap_or_default();
        let ahead = Ahead { server_groups: names, groups, bare_group, managers };
        Settings::read(&mut read, repo_optional, home.as_deref(), ahead)
    }
}
