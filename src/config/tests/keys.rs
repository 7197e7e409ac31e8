use std::time::Duration;

use super::*;
use crate::config::keys::{KEYS, Kind, Prefix};
use crate::config::{HostKeyChecking, SshConfig};
use crate::targets::{FailedTargets, FailureLimit, Steps};
use crate::wire::Stage;

#[test]
fn a_bare_configuration_has_the_defaults_of_the_table() {
    let settings = Repo::configured("").config().settings;
    assert_eq!(settings.git_deploy_dir, Path::new("/srv/deployment"));
    assert_eq!((settings.git_rev.as_str(), settings.git_server, settings.git_scheme.as_str()), ("HEAD", None, "http"));
    assert_eq!((settings.ssh_user, settings.ssh_port, settings.batch_size, settings.umask), (None, 22, 80, 0o002));
    assert_eq!(settings.host_key_checking, HostKeyChecking::Strict);
    assert_eq!(settings.server_groups, ["default"]);
    assert_eq!(settings.groups[0].failed_targets, FailedTargets::Leave);
    let group = &settings.groups[0];
    assert_eq!((group.group_size.clone(), group.failure_limit), (Steps::default(), FailureLimit::Hosts(0)));
    assert_eq!((group.max_unavailable, group.soak_time, group.group_soak_time), (None, Duration::ZERO, Duration::ZERO));
    assert_eq!(settings.stage_timeout, Duration::from_secs(900));
    assert_eq!((settings.service_timeout, settings.service_port), (Duration::from_secs(120), None));
    assert_eq!((settings.config_deploy, settings.perform_checks), (false, true));
    assert_eq!((settings.cache_revs, settings.tags_to_keep), (5, 20));
}

/// A key is one of the table's in name only unless its own line can be wrong.
#[test]
fn every_key_of_the_table_is_read_and_an_unusable_value_is_told_with_its_place() {
    for key in KEYS.iter().filter(|key| key.name != "max_failures") {
        let bad = match key.kind {
            Kind::Text => "a\x01b",
            Kind::RelativePath | Kind::RelativePaths => "../x",
            _ => "!%",
        };
        let repo = Repo::new(&[("hoist/hoist.cfg", &format!("[global]\n\n{}: {bad}\n", key.name))]);
        if key.name != "git_repo" {
            repo.global("[global]\ngit_repo: app\n");
        }
        let Err(error) = repo.load() else { panic!("{} is in keys.rs, and settings.rs does not read it", key.name) };
        let error = format!("{error:#}");
        // Of several expressions the error first says in which one the word is.
        let reason = error.strip_prefix(&format!("hoist/hoist.cfg:3: {} in [global]: ", key.name));
        let is_told = |reason: &str| reason.trim_start_matches("in \"!%\": ").starts_with(&format!("{bad:?} "));
        assert!(reason.is_some_and(is_told), "{}: {error}", key.name);
    }
}

#[test]
fn every_default_of_the_table_can_be_written_in_a_file() {
    for key in KEYS {
        if let Some(default) = key.default {
            let lines = format!("{}: {default}\n", key.name);
            assert_eq!(Repo::configured(&lines).config().settings, Repo::configured("").config().settings, "{lines}");
        }
        assert!(key.prefix == Prefix::None || key.name != "git_repo");
    }
}

#[test]
fn a_value_on_the_command_line_is_told_as_such() {
    let error = Repo::configured("").define("batch_size:0").error();
    assert!(error.starts_with("batch_size on the command line (-D): \"0\" "), "{error}");
    assert!(error.ends_with("write a whole number of at least 1"), "{error}");
}

#[test]
fn a_fraction_as_failure_limit_is_answered_with_the_percentage() {
    let error = Repo::configured("failure_limit: 0.2\n").error();
    assert!(
        error.contains("hoist/hoist.cfg:3: failure_limit in [global]: \"0.2\"") && error.contains("20%"),
        "{error}"
    );
}

#[test]
fn a_line_that_continues_a_number_by_accident_is_told() {
    Repo::configured("batch_size: 3\n  cache_revs: 4\n").fails("\"3\\ncache_revs: 4\"");
}

#[test]
fn git_repo_is_required_and_stays_below_the_deploy_directory() {
    let error = Repo::new(&[("scap/scap.cfg", "[global]\n")]).error();
    assert!(error.starts_with("git_repo is not set"), "{error}");
    let error = Repo::new(&[("scap/scap.cfg", "[global]\ngit_repo: ../../etc\n")]).error();
    assert!(error.starts_with("scap/scap.cfg:2: git_repo in [global]: \"../../etc\""), "{error}");
}

#[test]
fn a_group_reads_its_own_keys_and_falls_back_to_the_bare_ones_but_for_its_target_file() {
    let config = Repo::configured(
        "server_groups: Canary, api, default\ngroup_size: 1, 10%, 50%\nmax_unavailable: 5%\nfailure_limit: 10%\nretry_failed: 1\ndsh_targets: all\n\
         Canary_dsh_targets: few\ncanary_group_size: 1\ncanary_failure_limit: 0\ncanary_max_unavailable:\napi_retry_failed: 2\n\
         api_group_size: all\napi_failed_targets: rollback\ndefault_group_size: 9\n",
    )
    .config();
    let settings = config.settings;
    let [canary, api, default] = &settings.groups[..] else { panic!("{:?}", settings.groups) };
    assert_eq!((canary.name.as_str(), canary.dsh_targets.as_deref()), ("Canary", Some("few")));
    assert_eq!((canary.group_size.clone(), canary.max_unavailable), (Some(1).into(), None));
    assert_eq!((canary.failure_limit, canary.retry_failed), (FailureLimit::Hosts(0), 1));
    assert_eq!((api.dsh_targets.as_deref(), api.group_size.clone()), (None, Steps::default()));
    assert_eq!(api.max_unavailable.unwrap().resolved(40), "5% of 40 = 2");
    assert_eq!((api.failure_limit, api.retry_failed), (FailureLimit::Percent(10), 2));
    assert_eq!((api.failed_targets, canary.failed_targets), (FailedTargets::Rollback, FailedTargets::Leave));
    assert_eq!((default.dsh_targets.as_deref(), default.group_size.to_string()), (Some("all"), "1, 10%, 50%".into()));
}

#[test]
fn a_group_s_own_unusable_value_is_named_by_its_own_key() {
    let error = Repo::configured("server_groups: canary\ncanary_failure_limit: 200%\n").error();
    assert!(error.starts_with("hoist/hoist.cfg:4: canary_failure_limit in [global]: \"200%\""), "{error}");
}

#[test]
fn a_stage_may_have_its_own_batch_and_time() {
    let lines = "batch_size: 10000\nfetch_batch_size: 3\nhandle_service_batch_size: 4\npromote_timeout: 7\n";
    let settings = Repo::configured(lines).config().settings;
    assert_eq!(settings.batch_size(Stage::Fetch), 3);
    assert_eq!(settings.batch_size(Stage::RestartService), 4);
    // No more hosts than this are ever at work at once.
    assert_eq!(settings.batch_size(Stage::Promote), 256);
    let config = Repo::configured("fetch_batch_size: 257\nbatch_size: 256\n").config();
    let why = "hoist/hoist.cfg:3: fetch_batch_size is 257: at most 256 hosts run a stage at once";
    assert_eq!(notes(&config, Level::Warning), [why]);
    assert_eq!(settings.timeout(Stage::Promote), Duration::from_secs(7));
    assert_eq!(settings.timeout(Stage::Fetch), Duration::from_secs(900));
    let error = Repo::configured("fetch_batch_size: none\n").error();
    assert!(error.starts_with("hoist/hoist.cfg:3: fetch_batch_size in [global]: \"none\""), "{error}");
}

#[test]
fn what_belongs_into_a_tree_beside_its_files_is_off_unless_it_is_asked_for() {
    let read = |text: &str| {
        let it = Repo::configured(text).config().settings;
        (it.git_submodules, it.git_upstream_submodules, it.git_lfs, it.git_fat)
    };
    assert_eq!(read(""), (false, false, false, false));
    assert_eq!(read("git_submodules: False\ngit_fat: off\ngit_binary_manager:\n"), (false, false, false, false));
    assert_eq!(read("git_submodules: True\ngit_upstream_submodules: 1\n"), (true, true, false, false));
    assert_eq!(read("git_binary_manager: git-lfs\n"), (false, false, true, false));
    assert_eq!(read("git_binary_manager: git-fat, git-lfs\n"), (false, false, true, true));
    assert_eq!(read("git_fat: yes\n"), (false, false, false, true));
    let error = Repo::configured("git_binary_manager: git-annex").error();
    assert!(
        error
            .starts_with("hoist/hoist.cfg:3: git_binary_manager in [global]: \"git-annex\" is not a supported program"),
        "{error}"
    );
    let notes = Repo::configured("git_upstream_submodules: yes\n").config().notes;
    assert!(notes.iter().any(|(_, note)| note.contains("git_upstream_submodules has no effect")), "{notes:?}");
}

#[test]
fn openssh_s_configuration_is_the_usual_one_or_a_file_or_none() {
    let read = |line: &str| Repo::configured(line).config().settings.ssh_config;
    assert_eq!((read(""), read("ssh_config: none")), (SshConfig::Usual, SshConfig::None));
    assert_eq!(read("ssh_config: /etc/deploy/ssh_config"), SshConfig::File("/etc/deploy/ssh_config".into()));
    assert!(Repo::configured("ssh_config: deploy\n").error().starts_with("hoist/hoist.cfg:3: ssh_config in [global]"));
    let config = Repo::configured("ssh_port: 22\n").config();
    assert!(config.sets("ssh_port") && !config.sets("keepalive"));
}

#[test]
fn an_empty_value_unsets_what_a_lower_layer_has_set() {
    let repo = Repo::configured("ssh_user:\ngit_server =\nservice_name:\n");
    repo.global("[global]\nssh_user: deploy\ngit_server: git.example.org\nservice_name: nginx\n");
    let settings = repo.config().settings;
    assert_eq!((settings.ssh_user, settings.git_server, settings.service_name), (None, None, vec![]));
}

#[test]
fn values_are_taken_as_scap_takes_them() {
    let settings =
        Repo::configured("git_rev:\ngit_scheme: git\nfailure_limit: 12.5%\nservice_timeout: 0.5\n").config().settings;
    assert_eq!((settings.git_rev.as_str(), settings.git_scheme.as_str()), ("HEAD", "git"));
    assert_eq!(settings.groups[0].failure_limit.of(8), 1);
    assert_eq!(settings.service().timeout, 1, "a part of a second is a whole one on targets");
    let config = Repo::configured("git_rev:\n").config();
    assert!(!config.sets("git_rev"));
}

#[test]
fn a_mask_is_decimal_where_scap_would_read_it() {
    let umask = |file: &str, value: &str, define: &str| {
        let repo = Repo::new(&[(file, &format!("[global]\ngit_repo: app\numask: {value}\n"))]);
        let repo = if define.is_empty() { repo } else { repo.define(&format!("umask:{define}")) };
        repo.load().map(|config| config.settings.umask).map_err(|error| format!("{error:#}"))
    };
    assert_eq!((umask("scap/scap.cfg", "18", ""), umask("scap/scap.cfg", "0022", "")), (Ok(0o022), Ok(0o022)));
    assert_eq!((umask("hoist/hoist.cfg", "22", ""), umask("hoist/hoist.cfg", "0022", "")), (Ok(0o022), Ok(0o022)));
    assert!(umask("hoist/hoist.cfg", "18", "").unwrap_err().contains("octal number such as 0002"));
    assert_eq!((umask("scap/scap.cfg", "2", "18"), umask("hoist/hoist.cfg", "2", "22")), (Ok(0o022), Ok(0o022)));
    let repo = Repo::configured("");
    std::fs::rename(repo.folder.path().join("global.cfg"), repo.folder.path().join("scap.cfg")).unwrap();
    let mut repo = repo;
    repo.options.global_file = Some(repo.folder.path().join("scap.cfg"));
    std::fs::write(repo.folder.path().join("scap.cfg"), "[global]\numask: 18\n").unwrap();
    assert_eq!(repo.config().settings.umask, 0o022);
}

#[test]
fn services_are_handed_on_as_a_target_is_told() {
    let lines = "service_name: php=reload, nginx\nservice_port: 80\nservice_timeout: 9\nrequire_valid_service: True\n";
    let service = Repo::configured(lines).config().settings.service();
    assert_eq!((service.names[0].action.as_str(), service.names[1].action.as_str()), ("reload", "restart"));
    assert_eq!((service.port, service.timeout, service.require_valid), (Some(80), 9, true));
    assert_eq!(service.command, "systemctl {action} {service}");
    assert_eq!(service.secondary_file, Path::new("/etc/scap.secondary"));
}

#[test]
fn every_known_key_is_explained_once() {
    let config = Repo::configured("fetch_timeout: 5\n").config();
    let rows = config.explain();
    for key in KEYS {
        assert_eq!(rows.iter().filter(|row| row.key == key.name).count(), 1, "{}", key.name);
    }
    let row = rows.last().unwrap();
    assert_eq!((row.key.as_str(), row.value.as_deref()), ("fetch_timeout", Some("5")));
    let unset = rows.iter().find(|row| row.key == "ssh_user").unwrap();
    assert_eq!((unset.value.as_deref(), unset.origin.as_str()), (None, "default"));
}
