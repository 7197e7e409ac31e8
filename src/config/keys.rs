//! Every key that Hoist knows, in one table. The reader, `hoist config` and the manual are held to it.

use std::fmt;

use crate::wire::Stage;

/// The longest duration that a key takes, in seconds: a week. What is longer is a slip of the finger, and it keeps
/// every sum of durations far from overflow.
pub const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

/// What a key's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An absolute path.
    Path,
    /// A path, absolute or such that begins with `~/`, or the word none.
    PathOrNone,
    /// Absolute paths, or such that begin with `~/`, separated by commas.
    Paths,
    /// 1, yes, true, on, or 0, no, false, off, in any case.
    Bool,
    /// A whole number from `min` on.
    Number {
        min: usize,
    },
    /// A TCP port.
    Port,
    /// A duration in whole seconds, from 1 to [`MAX_SECONDS`].
    Seconds,
    /// The same, or 0 for "off".
    SecondsOrOff,
    /// A file mode mask.
    Octal,
    /// Bytes a second, or 0 for "no limit".
    Rate,
    /// A number of hosts, or a percentage of the group.
    Limit,
    /// Several such, or the word all.
    Sizes,
    /// Names separated by commas.
    Names,
    /// Paths below the top of the working tree, separated by commas.
    RelativePaths,
    /// A number of bytes, also as `500M` or `4G`.
    Bytes,
    /// A path below the top of the working tree.
    RelativePath,
    /// Expressions, one on each line.
    Calendar,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Text => f.write_str("text"),
            Kind::Path => f.write_str("path"),
            Kind::PathOrNone => f.write_str("path or none"),
            Kind::Paths => f.write_str("paths"),
            Kind::Bool => f.write_str("boolean"),
            Kind::Number { .. } => f.write_str("number"),
            Kind::Port => f.write_str("port"),
            Kind::Seconds | Kind::SecondsOrOff => f.write_str("duration"),
            Kind::Octal => f.write_str("octal number"),
            Kind::Rate => f.write_str("bytes a second"),
            Kind::Limit => f.write_str("number or percentage"),
            Kind::Sizes => f.write_str("numbers or percentages"),
            Kind::Names => f.write_str("names"),
            Kind::RelativePaths => f.write_str("relative paths"),
            Kind::Bytes => f.write_str("size"),
            Kind::RelativePath => f.write_str("relative path"),
            Kind::Calendar => f.write_str("calendar expressions"),
            Kind::Choice(words) => f.write_str(&words.join(" or ")),
        }
    }
}

/// Which prefix a key may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    None,
    /// A group's name: `canary_group_size`. The group `default` reads the bare key.
    Group,
    /// A stage's name, ahead of this: `fetch_batch_size`, `fetch_timeout`.
    Stage(&'static str),
}

/// One known key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written in a file; `None`: unset.
    pub default: Option<&'static str>,
    pub about: &'static str,
    pub prefix: Prefix,
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, kind, default, about, prefix: Prefix::None }
}

const fn prefixed(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    about: &'static str,
    prefix: Prefix,
) -> Key {
    Key { name, kind, default, about, prefix }
}

use Kind::{
    Bool, Bytes, Calendar, Choice, Limit, Names, Number, Octal, Path, PathOrNone, Paths, Port, Rate, RelativePath,
    RelativePaths, Seconds, SecondsOrOff, Sizes, Text,
};

/// The table, in the order in which `hoist config` shows it.
pub const KEYS: &[Key] = &[
    key("environment", Text, None, "environment whose files override the repository's"),
    key("git_repo", Text, None, "name of the repository, and its path in git_deploy_dir on targets; required"),
    key("git_deploy_dir", Path, Some("/srv/deployment"), "where targets keep repositories"),
    key("git_rev", Text, Some("HEAD"), "what to deploy when no revision is given"),
    key("subdir", RelativePath, None, "directory of the repository that is deployed; unset: all of it"),
    key("build_command", Text, None, "command that builds what is deployed, in a clean checkout on this host"),
    key("build_output", RelativePath, None, "directory that build_command writes; required with it"),
    key("build_timeout", Seconds, Some("30m"), "time limit for build_command"),
    key("build_inputs", Names, None, "environment variables whose values make another build"),
    key("git_server", Text, None, "server that targets fetch from; unset: code comes through the SSH session"),
    key("git_scheme", Choice(&["http", "https", "ssh", "git", "file"]), Some("http"), "how targets reach git_server"),
    key(
        "fetch_from",
        Choice(&["auto", "session", "server"]),
        Some("auto"),
        "where code comes from if git_server is set",
    ),
    key("http_proxy", Text, None, "proxy that targets reach git_server through by http and https"),
    key("link_files", Bool, Some("yes"), "let a new revision share unchanged files with the one that is live"),
    key("shared_dirs", RelativePaths, None, "directories of the working tree that all revisions share"),
    key("shared_files", RelativePaths, None, "files of the working tree that all revisions share"),
    key("artifact_max_size", Bytes, Some("4G"), "the most that the files of an artifact may have together"),
    key("artifact_strip_components", Number { min: 0 }, Some("0"), "leading names to remove from paths in an artifact"),
    key("artifact_outside_links", Bool, Some("no"), "take links of an artifact that lead out of it"),
    key("git_submodules", Bool, Some("no"), "check out submodules, including nested ones"),
    key("git_upstream_submodules", Bool, Some("no"), "targets fetch submodules from the addresses in .gitmodules"),
    key("git_fat", Bool, Some("no"), "check out large files with git-fat"),
    key("git_binary_manager", Names, None, "programs that check out large files: git-lfs, git-fat or both"),
    key("ssh_user", Text, None, "remote user; unset: the operator"),
    key("ssh_port", Port, Some("22"), "port of targets whose target file gives none"),
    key("identity_file", Paths, None, "private keys to log in with; unset: the agent's and the usual files"),
    key("known_hosts", Paths, None, "files of host keys; unset: the operator's and the system's"),
    key("host_key_checking", Choice(&["strict", "accept-new"]), Some("strict"), "what to do with an unknown host key"),
    key("keyholder_key", Text, None, "name of the agent's key to use, as in /etc/keyholder.d/NAME.pub"),
    key("ssh_auth_sock", PathOrNone, None, "socket of the agent to use; unset: the one of SSH_AUTH_SOCK"),
    key("ssh_config", PathOrNone, None, "OpenSSH configuration to read; unset: the operator's and the system's"),
    key("proxy_jump", Names, None, "jump hosts to go through, or none; unset: as ssh_config says"),
    key("ssh_kex", Names, None, "key exchanges, the preferred one first; unset: all safe ones, the fastest first"),
    key("ssh_ciphers", Names, None, "ciphers, the preferred one first"),
    key("ssh_macs", Names, None, "message authentication codes, the preferred one first"),
    key("connect_timeout", Seconds, Some("10"), "time limit for connecting, and for each step of the login"),
    key("reconnect_timeout", Seconds, Some("60"), "time limit for reconnecting to a target"),
    key("keepalive", Seconds, Some("15"), "time between keepalive messages on an idle connection"),
    key("max_sessions", Number { min: 1 }, None, "sessions open at once; unset: one per target"),
    key("transfer_limit", Rate, Some("0"), "how fast files are sent, to all targets together; 0: no limit"),
    key("remote_binary", Path, None, "hoist's path on targets; unset: it is copied there"),
    prefixed("dsh_targets", Text, None, "target file of a group; required for each", Prefix::Group),
    prefixed("targets_command", Text, None, "command that prints the targets of a group", Prefix::Group),
    prefixed(
        "targets_dns",
        Text,
        None,
        "DNS name whose SRV records or addresses are the targets of a group",
        Prefix::Group,
    ),
    key("targets_timeout", Seconds, Some("60"), "time limit for targets_command and targets_dns"),
    prefixed("inventory", Text, None, "Ansible inventory that lists targets, a file or a directory", Prefix::Group),
    prefixed(
        "inventory_hosts",
        Text,
        None,
        "host pattern that names a group's targets in the inventory; unset: the group's name",
        Prefix::Group,
    ),
    prefixed(
        "inventory_shrink_limit",
        Limit,
        None,
        "hosts that a list may lose between deployments without a question; unset: 20%, of target files any number",
        Prefix::Group,
    ),
    key("inventory_labels", Names, Some("zone, rack"), "variables of the inventory that are kept as labels"),
    key("server_groups", Names, Some("default"), "groups in the order of the deployment"),
    prefixed("group_size", Sizes, Some("all"), "hosts in each subgroup, the last size repeats; or all", Prefix::Group),
    prefixed(
        "max_unavailable",
        Limit,
        None,
        "number or percentage of hosts that may be out of service; unset: the size of a subgroup",
        Prefix::Group,
    ),
    prefixed(
        "max_unavailable_by",
        Text,
        None,
        "label, such as zone, whose values have a max_unavailable each; unset: the group has one",
        Prefix::Group,
    ),
    key("rollback_pace", Choice(&["budget", "at_once"]), Some("budget"), "how many hosts go back at a time"),
    prefixed(
        "group_soak_time",
        SecondsOrOff,
        Some("0"),
        "time to wait and watch after a group; 0: none",
        Prefix::Group,
    ),
    prefixed("soak_time", SecondsOrOff, Some("0"), "time to wait and watch after a subgroup; 0: none", Prefix::Group),
    prefixed("failure_limit", Limit, Some("0"), "number or percentage of hosts that may fail", Prefix::Group),
    key("max_failures", Text, None, "has no effect: see failure_limit"),
    prefixed("retry_failed", Number { min: 0 }, Some("0"), "times to try failed hosts again", Prefix::Group),
    prefixed(
        "failed_targets",
        Choice(&["leave", "rollback"]),
        Some("leave"),
        "what happens to hosts that failed within the limit",
        Prefix::Group,
    ),
    prefixed("batch_size", Number { min: 1 }, Some("80"), "hosts at once in a stage", Prefix::Stage("batch_size")),
    prefixed("stage_timeout", Seconds, Some("900"), "time limit of a stage on a target", Prefix::Stage("timeout")),
    key("confirm_timeout", SecondsOrOff, Some("0"), "time until an unconfirmed target rolls itself back; 0: never"),
    key(
        "lease_slot",
        Seconds,
        None,
        "time for each turn of targets that roll themselves back; unset: rollback_timeout",
    ),
    key("service_name", Names, None, "services that promote restarts; NAME=reload reloads"),
    key(
        "secondary_host_signal_file",
        Path,
        Some("/etc/scap.secondary"),
        "file that marks a secondary target, where disable-secondary services are disabled",
    ),
    key("service_command", Text, Some("systemctl {action} {service}"), "how to restart or reload a service"),
    key("require_valid_service", Bool, Some("no"), "skip services that a target does not have"),
    key("service_port", Port, None, "port to wait for after the restart"),
    key("service_timeout", Seconds, Some("120"), "time limit for service_port"),
    key(
        "verify_service",
        Choice(&["strict", "warn", "off"]),
        None,
        "what to do if a service does not run the new revision; unset: strict where that is known",
    ),
    key("min_healthy_time", SecondsOrOff, Some("2"), "time that a service has to stay up after the restart"),
    prefixed("drain", Text, None, "command that takes a target out of service before a restart", Prefix::Group),
    prefixed("drain_done", Text, None, "command that exits with 0 once the target is drained", Prefix::Group),
    prefixed("undrain", Text, None, "command that puts a target back into service", Prefix::Group),
    prefixed("undrain_done", Text, None, "command that exits with 0 once the target is in service", Prefix::Group),
    prefixed(
        "drain_on",
        Choice(&["target", "deploy_host"]),
        Some("target"),
        "where the commands of a drain run",
        Prefix::Group,
    ),
    prefixed("drain_timeout", Seconds, Some("120"), "time limit for a drain and for an undrain", Prefix::Group),
    key("run_confirm_above", Number { min: 0 }, Some("100"), "hosts that hoist run reaches without a question"),
    key("run_sleep", SecondsOrOff, Some("0"), "time that hoist run waits after each subgroup; 0: none"),
    key("run_gates", Bool, Some("no"), "hoist run asks the gates of gates.yaml"),
    key("run_drain", Bool, Some("no"), "hoist run drains targets while its command runs there"),
    key("config_deploy", Bool, Some("no"), "render configuration files"),
    key("vars_command", Text, None, "command on the deploy host that prints template variables, which are not stored"),
    key("remote_vars_command", Text, None, "command on targets that prints template variables"),
    key("vars_timeout", Seconds, Some("60"), "time limit for vars_command and remote_vars_command"),
    key("perform_checks", Bool, Some("yes"), "run checks"),
    key("nrpe_dir", Path, Some("/etc/nagios/nrpe.d"), "where targets define the commands of checks of type nrpe"),
    key("cache_revs", Number { min: 0 }, Some("5"), "old revisions kept on a target"),
    key("tags_to_keep", Number { min: 1 }, Some("20"), "deployment tags kept in the repository"),
    key("journals_to_keep", Number { min: 1 }, Some("100"), "journals and logs of runs kept on the deploy host"),
    key("block_deployments", Bool, Some("no"), "refuse to deploy from this host"),
    key("deploy_windows", Calendar, None, "times at which deployments are allowed, one on each line; unset: always"),
    key("freeze", Calendar, None, "times at which deployments are not allowed, one on each line"),
    key(
        "lock_after_rollback",
        Bool,
        None,
        "lock the repository after an automatic rollback; unset: if --yes is given and there is no terminal",
    ),
    key(
        "required_signatures",
        Number { min: 0 },
        Some("0"),
        "signatures by others that the plan of a deployment needs",
    ),
    key("allowed_signers", Path, None, "file of those who may sign plans and revisions, as ssh-keygen reads it"),
    key("revoked_signers", Path, None, "file of keys that may sign no more, as ssh-keygen reads it"),
    key("require_signed_revision", Bool, Some("no"), "refuse a revision that nobody in allowed_signers has signed"),
    key("strict", Bool, Some("no"), "exit with 7 if hosts failed, even within the limits"),
    key("timings", Bool, Some("no"), "measure where the time of each host goes"),
    key("require_clean", Bool, Some("no"), "refuse to deploy while there are uncommitted changes"),
    key("require_terminal_multiplexer", Bool, Some("no"), "refuse to deploy from a terminal outside tmux and screen"),
    key("lock_file", Path, None, "lock of the repository on the deploy host; unset: one of its own in lock_dir"),
    key("lock_dir", Path, Some("/var/lock"), "where locks are kept on the deploy host"),
    key("lock_timeout", SecondsOrOff, None, "time to wait for a deploy host's lock; unset: 600 in scap/, otherwise 0"),
    key("tcpircbot_host", Text, None, "host of a tcpircbot that relays the start and the end of deployments to IRC"),
    key("tcpircbot_port", Port, Some("9200"), "port of tcpircbot_host"),
    key("statsd_host", Text, None, "host of a statsd that is told how long deployments take"),
    key("statsd_port", Port, Some("2003"), "port of statsd_host"),
    key("udp2log_host", Text, None, "host that is sent the start and the end of deployments as records for Logstash"),
    key("udp2log_port", Port, Some("8420"), "port of udp2log_host"),
    key("use_syslog", Bool, Some("no"), "send the same records to syslog"),
    key("umask", Octal, Some("0002"), "file mode mask on the deploy host and on targets"),
];

/// The keys, as groups have them, that say where targets are.
pub const SOURCES: [&str; 4] = ["dsh_targets", "targets_command", "targets_dns", "inventory_hosts"];

/// `key` with the group's name ahead of it; the group `default` reads the bare key.
pub fn of_group(group: &str, key: &str) -> String {
    if group == "default" { key.to_owned() } else { format!("{}_{key}", group.to_lowercase()) }
}

/// What a key's name turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Bare(&'static Key),
    /// A group's key; the group is in lower case, as all keys are.
    Group(String, &'static Key),
    Stage(Stage, &'static Key),
}

/// The known key that `name` (in lower case) is, with or without a prefix.
pub fn find(name: &str) -> Option<Found> {
    if let Some(key) = bare(name) {
        return Some(Found::Bare(key));
    }
    KEYS.iter().find_map(|key| {
        let before = |suffix: &str| name.strip_suffix(suffix)?.strip_suffix('_').filter(|prefix| !prefix.is_empty());
        match key.prefix {
            Prefix::None => None,
            Prefix::Group => Some(Found::Group(before(key.name)?.to_owned(), key)),
            Prefix::Stage(suffix) => {
                let stage: Stage = before(suffix)?.parse().ok()?;
                stage.is_configured().then_some(Found::Stage(stage, key))
            }
        }
    })
}

/// The key of exactly this name.
pub fn bare(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name that is nearest to `name`, when one is near enough to be what was meant.
pub fn nearest(name: &str, groups: &[String]) -> Option<String> {
    let prefixed = KEYS.iter().flat_map(|key| -> Vec<String> {
        match key.prefix {
            Prefix::None => Vec::new(),
            Prefix::Group => groups.iter().map(|group| of_group(group, key.name)).collect(),
            Prefix::Stage(suffix) => {
                let stages = Stage::ALL.into_iter().filter(|it| it.is_configured());
                stages.map(|stage| format!("{stage}_{suffix}")).collect()
            }
        }
    });
    let names = KEYS.iter().map(|key| key.name.to_owned()).chain(prefixed);
    crate::text::nearest(name, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_stands_in_the_table_once_and_in_lower_case() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(
                key.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                key.name
            );
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{} stands twice", key.name);
            assert!(!key.about.is_empty() && !key.about.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn a_key_may_carry_the_name_of_a_group_or_a_stage() {
        let named = |name| match find(name) {
            Some(Found::Bare(key)) => format!("{} bare", key.name),
            Some(Found::Group(group, key)) => format!("{} of group {group}", key.name),
            Some(Found::Stage(stage, key)) => format!("{} of stage {stage}", key.name),
            None => "unknown".into(),
        };
        for (name, key) in [
            ("dsh_targets", "dsh_targets bare"),
            ("canary_dsh_targets", "dsh_targets of group canary"),
            ("eqiad_canary_failure_limit", "failure_limit of group eqiad_canary"),
            ("fetch_batch_size", "batch_size of stage fetch"),
            ("handle_service_batch_size", "batch_size of stage restart_service"),
            ("promote_timeout", "stage_timeout of stage promote"),
            ("service_timeout", "service_timeout bare"),
        ] {
            assert_eq!(named(name), key);
        }
        for unknown in ["_dsh_targets", "canary_batch_size", "fetch_group_size", "logstash_host", "x_timeout", ""] {
            let expected = if unknown == "fetch_group_size" { "group_size of group fetch" } else { "unknown" };
            assert_eq!(named(unknown), expected, "{unknown}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_answered_with_the_nearest_key() {
        assert_eq!(nearest("batchsize", &[]).as_deref(), Some("batch_size"));
        assert_eq!(nearest("feth_batch_size", &[]).as_deref(), Some("fetch_batch_size"));
        assert_eq!(nearest("canary_dsh_target", &["Canary".into()]).as_deref(), Some("canary_dsh_targets"));
        assert_eq!(nearest("logstash_host", &[]), None);
    }
}
