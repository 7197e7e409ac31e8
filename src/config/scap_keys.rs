//! Keys that Scap reads and Hoist does not serve. None of them is passed over in silence.

use super::values;

/// What becomes of one of Scap's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// It gives Scap's log another form, or sends it elsewhere.
    Log,
    /// It asks for nothing by itself.
    Detail,
    /// It would change what happens on targets.
    Targets,
    /// It belongs to Scap's commands for MediaWiki, for its own installation, or for its web interface.
    OtherCommands,
}

/// URLs, and switches.
const LOGS: &[&str] = &["announce", "log_json", "logstash_url"];

const DETAILS: &[&str] = &["fancy_progress", "git_repo_user"];

const TARGETS: &[&str] = &["secondary_targets_disabled"];

const OTHER_COMMANDS: &[&str] = &[
    "apache_pid_file",
    "beta_only_config_files",
    "bin_dir",
    "build_mw_container_image",
    "canary_dashboard_url",
    "canary_service",
    "canary_threshold",
    "canary_wait_time",
    "datacenter",
    "delay_messageblobstore_purge",
    "deploy_dir",
    "deploy_mw_container_image",
    "docker_registry",
    "docker_user",
    "dsh_masters",
    "dsh_proxies",
    "dsh_testservers",
    "full_image_build",
    "gerrit_push_url",
    "gerrit_push_user",
    "gerrit_url",
    "helmfile_default_cluster_dir",
    "helmfile_deployments_dir",
    "helmfile_mediawiki_release_dir",
    "hhvm_pid_file",
    "install_ssh_user",
    "k8s_clusters",
    "k8s_deployments_file",
    "k8s_deployments_info_target_freshness",
    "k8s_max_concurrent_deployments_per_cluster",
    "local_dev_mode",
    "logstash_host",
    "manage_mediawiki_php_symlink",
    "master_rsync",
    "mediawiki_cli_image_name",
    "mediawiki_debug_image_name",
    "mediawiki_image_extra_ca_cert",
    "mediawiki_image_extra_packages",
    "mediawiki_image_name",
    "mediawiki_runtime_image",
    "mediawiki_runtime_user",
    "mw_web_clusters",
    "notify_patch_failures",
    "operations_mediawiki_config_branch",
    "patch_bot_phorge_name",
    "patch_bot_phorge_token",
    "patch_path",
    "php7_admin_port",
    "php_fpm_always_restart",
    "php_fpm_opcache_threshold",
    "php_l10n",
    "php_version",
    "phorge_url",
    "release_repo_build_and_push_images_cmd",
    "release_repo_dir",
    "release_repo_update_cmd",
    "require_security_patches",
    "scap_source_dir",
    "scap_targets",
    "spiderpig_admin_groups",
    "spiderpig_auth_server",
    "spiderpig_user_groups",
    "stage_dir",
    "testservers_check_cmd_baremetal",
    "testservers_check_cmd_k8s",
    "train_blockers_url",
    "version_update_patch_timeout",
    "web_proxy",
    "webserver_image_name",
    "wmf_realm",
];

/// What becomes of the key `name`, if it is one of Scap's that Hoist does not serve.
pub fn find(name: &str) -> Option<Unserved> {
    let lists = [
        (LOGS, Unserved::Log),
        (DETAILS, Unserved::Detail),
        (TARGETS, Unserved::Targets),
        (OTHER_COMMANDS, Unserved::OtherCommands),
    ];
    lists.into_iter().find(|(names, _)| names.contains(&name)).map(|(_, kind)| kind)
}

/// The names of those that are about deployments: what the manual is held to.
#[cfg(feature = "test-access")]
pub fn of_deployments() -> impl Iterator<Item = &'static str> {
    [LOGS, DETAILS, TARGETS].into_iter().flatten().copied()
}

/// Whether a value asks for something: a host is named, or a switch is on.
pub fn asks(value: &str) -> bool {
    !value.is_empty() && values::boolean(value) != Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn no_key_is_served_and_not_served_at_once() {
        for name in [LOGS, DETAILS, TARGETS, OTHER_COMMANDS].into_iter().flatten() {
            assert!(keys::bare(name).is_none(), "{name} is in the table of keys");
            assert!(find(name).is_some());
        }
        assert_eq!(find("canary_wait_time"), Some(Unserved::OtherCommands));
        assert_eq!(find("canary_dsh_targets"), None);
    }

    #[test]
    fn an_empty_host_and_a_switch_that_is_off_ask_for_nothing() {
        assert!(asks("irc.example.org") && asks("True"));
        assert!(!asks("") && !asks("no") && !asks("0"));
    }
}
