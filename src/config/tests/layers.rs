use super::*;

#[test]
fn the_top_of_the_repository_is_found_from_any_folder_below_it() {
    let mut repo = Repo::configured("");
    repo.write("a/b/c", "");
    let top = repo.top().canonicalize().unwrap();
    repo.options.start = repo.top().join("a/b");
    let config = repo.config();
    assert_eq!((&config.top, &config.control), (&top, &top.join("hoist")));
    assert_eq!(config.control_name, "hoist");
}

#[test]
fn a_linked_working_tree_whose_dot_git_is_a_file_is_a_repository_too() {
    let repo = Repo::configured("");
    fs::remove_dir_all(repo.top().join(".git")).unwrap();
    repo.write(".git", "gitdir: /elsewhere\n");
    repo.config();
}

#[test]
fn without_a_repository_or_a_configuration_the_error_says_what_was_looked_for() {
    let repo = Repo::new(&[]);
    let error = repo.error();
    assert!(
        error.contains("hoist/hoist.cfg") && error.contains("scap/scap.cfg") && error.contains("`hoist init`"),
        "{error}"
    );
    fs::remove_dir_all(repo.top().join(".git")).unwrap();
    assert!(repo.error().starts_with("not a git repository: "), "{}", repo.error());
}

#[test]
fn a_repository_of_the_predecessor_is_read_and_hoist_s_own_folder_is_preferred() {
    let repo = Repo::new(&[("scap/scap.cfg", "[global]\ngit_repo: old\n")]);
    let config = repo.config();
    assert_eq!((config.settings.git_repo.as_str(), config.control_name.as_str()), ("old", "scap"));
    repo.write("hoist/hoist.cfg", "[global]\ngit_repo: new\n");
    let config = repo.config();
    assert_eq!((config.settings.git_repo.as_str(), config.control_name.as_str()), ("new", "hoist"));
}

#[test]
fn each_layer_overrides_the_one_below_it() {
    let repo = Repo::configured("batch_size: 2\ncache_revs: 2\nservice_port: 2\nenvironment: beta\n");
    repo.global("[global]\nssh_port: 1\nbatch_size: 1\ncache_revs: 1\nservice_port: 1\n");
    repo.write("hoist/environments/beta/hoist.cfg", "[global]\ncache_revs: 3\nservice_port: 3\nenvironment: gamma\n");
    let config = repo.define("service_port:4").config();
    let settings = &config.settings;
    assert_eq!((settings.ssh_port, settings.batch_size, settings.cache_revs), (1, 2, 3));
    assert_eq!((settings.service_port, settings.tags_to_keep), (Some(4), 20));
    assert_eq!(config.environment.as_deref(), Some("beta"));
    let origin = |key: &str| config.explain().into_iter().find(|row| row.key == key).unwrap().origin;
    assert!(origin("ssh_port").ends_with("global.cfg:2 [global]"), "{}", origin("ssh_port"));
    assert_eq!(origin("batch_size"), "hoist/hoist.cfg:3 [global]");
    assert_eq!(origin("cache_revs"), "hoist/environments/beta/hoist.cfg:2 [global]");
    assert_eq!(origin("service_port"), "command line (-D)");
    assert_eq!(origin("tags_to_keep"), "default");
    assert_eq!(origin("environment"), "hoist/hoist.cfg:6 [global]");
}

#[test]
fn files_are_merged_section_by_section_before_sections_for_this_host_are_applied() {
    let repo = Repo::configured("batch_size: 2\n[eqiad.wmnet]\ncache_revs: 2\n[codfw.wmnet]\ncache_revs: 3\n");
    repo.global("[global]\n[deploy1.eqiad.wmnet]\nbatch_size: 1\nssh_port: 1\n[example.org]\nssh_port: 9\n");
    let config = repo.config();
    assert_eq!((config.settings.batch_size, config.settings.cache_revs, config.settings.ssh_port), (1, 2, 1));
    let origin = |key: &str| config.explain().into_iter().find(|row| row.key == key).unwrap().origin;
    assert!(origin("batch_size").ends_with("global.cfg:3 [deploy1.eqiad.wmnet]"), "{}", origin("batch_size"));
}

#[test]
fn a_site_s_section_of_the_repository_beats_the_environment_s_global_one() {
    let repo = Repo::new(&[
        ("scap/scap.cfg", "[global]\ngit_repo: app\ndsh_targets: r\n[wmnet]\ndsh_targets: t\nbatch_size: 1\n"),
        ("scap/environments/beta/scap.cfg", "[global]\ndsh_targets: s\ngit_rev: x\n[wmnet]\nbatch_size: 2\n"),
    ])
    .environment("beta");
    let config = repo.config();
    let origin = |key: &str| config.explain().into_iter().find(|row| row.key == key).unwrap().origin;
    assert_eq!(config.settings.groups[0].dsh_targets.as_deref(), Some("t"));
    assert_eq!(origin("dsh_targets"), "scap/scap.cfg:5 [wmnet]");
    assert_eq!((config.settings.batch_size, config.settings.git_rev.as_str()), (2, "x"));
    assert_eq!(origin("batch_size"), "scap/environments/beta/scap.cfg:5 [wmnet]");
}

#[test]
fn default_of_any_file_gives_way_to_a_section_s_own_key_of_any_other() {
    let repo = Repo::configured("[DEFAULT]\nbatch_size: 5\nssh_port: 5\n");
    repo.global("[global]\nbatch_size: 2\n[DEFAULT]\nssh_port: 4\n");
    let settings = repo.config().settings;
    assert_eq!((settings.batch_size, settings.ssh_port), (2, 5));
}

#[test]
fn the_command_line_chooses_the_environment_over_any_file() {
    let repo = Repo::configured("environment: beta\n");
    repo.write("hoist/environments/beta/x", "");
    repo.write("hoist/environments/dev/hoist.cfg", "[global]\nbatch_size: 7\n");
    let repo = repo.define("environment:dev");
    assert_eq!(repo.config().settings.batch_size, 7);
    let config = repo.environment("beta").config();
    assert_eq!((config.environment.as_deref(), config.settings.batch_size), (Some("beta"), 80));
    let row = config.explain().into_iter().find(|row| row.key == "environment").unwrap();
    assert_eq!((row.value.as_deref(), row.origin.as_str()), (Some("beta"), "command line (-e)"));
}

#[test]
fn an_environment_without_a_folder_is_an_error_that_lists_those_there_are() {
    let repo = Repo::configured("").environment("prod");
    assert!(repo.error().ends_with("there is none"), "{}", repo.error());
    repo.write("hoist/environments/dev/x", "");
    repo.write("hoist/environments/beta/x", "");
    repo.write("hoist/environments/file", "");
    let error = repo.error();
    assert!(error.contains("hoist/environments/prod") && error.ends_with("the environments are beta, dev"), "{error}");
    let error = repo.environment("../..").error();
    assert!(error.contains("is not a name"), "{error}");
}

#[test]
fn a_configuration_file_of_the_command_line_replaces_the_repository_s_and_not_its_folder() {
    let mut repo = Repo::configured("batch_size: 2\nssh_port: 2\n");
    repo.write("hoist/other.cfg", "[global]\ngit_repo: other\nssh_port: 3\n");
    repo.write("hoist/checks.yaml", "checks: {a: {stage: fetch, command: x}}");
    let other = repo.folder.path().join("other.cfg");
    fs::rename(repo.top().join("hoist/other.cfg"), &other).unwrap();
    repo.options.invocation.config_file = Some(other);
    let config = repo.config();
    assert_eq!((config.settings.git_repo.as_str(), config.settings.batch_size), ("other", 80));
    assert_eq!((config.control_name.as_str(), config.checks().unwrap().0.len()), ("hoist", 1));
    fs::remove_dir_all(repo.top().join("hoist")).unwrap();
    assert_eq!(repo.config().control, repo.folder.path().canonicalize().unwrap());
    repo.options.invocation.config_file = Some("/nowhere/x.cfg".into());
    assert!(repo.error().contains("cannot read /nowhere/x.cfg"), "{}", repo.error());
}

#[test]
fn a_global_file_that_was_asked_for_must_be_there() {
    let mut repo = Repo::configured("");
    repo.options.global_file = Some("/nowhere/global.cfg".into());
    assert!(repo.error().starts_with("cannot read /nowhere/global.cfg: "), "{}", repo.error());
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one_wherever_it_stands() {
    let repo = Repo::configured("colour: x\ncanary_dsh_targets: y\n[elsewhere]\na: b\n").define("batch_sise:3");
    let config = repo.config();
    let quiet = notes(&config, Level::Debug);
    assert!(quiet.iter().any(|note| note.contains("no group of server_groups is named canary")), "{quiet:?}");
    assert!(quiet.contains(&"hoist/hoist.cfg: section [elsewhere] is not for this host"), "{quiet:?}");
    let loud = notes(&config, Level::Warning);
    let unknown = |key: &str| format!("unknown key {key} is ignored");
    let expected = [
        format!("command line (-D): {}: did you mean \"batch_size\"?", unknown("\"batch_sise\"")),
        format!("hoist/hoist.cfg:3: {}", unknown("\"colour\"")),
    ];
    assert_eq!(loud, expected);
    let rows = config.explain();
    let origin = |key: &str| rows.iter().find(|row| row.key == key).unwrap().origin.clone();
    assert_eq!(origin("colour"), "hoist/hoist.cfg:3 [global] (unknown key: ignored)");
    assert_eq!(origin("canary_dsh_targets"), "hoist/hoist.cfg:4 [global] (no such group: ignored)");
}

#[test]
fn a_key_of_a_group_that_another_environment_deploys_to_is_no_slip() {
    let repo = Repo::configured("server_groups: phab1\nphab1_dsh_targets: a\nphab2_dsh_targets: b\n");
    repo.write("hoist/environments/codfw/hoist.cfg", "[global]\nserver_groups: phab2\n");
    repo.write("hoist/a", "web1\n");
    repo.write("hoist/b", "web2\n");
    let config = repo.environment("codfw").config();
    assert_eq!(notes(&config, Level::Warning), [""; 0]);
}

#[test]
fn a_slip_in_a_group_key_a_stage_key_or_a_section_is_told_with_what_was_meant() {
    let lines = "server_groups: canary, default\ncanary_dsh_targets: y\ncanray_group_size: 1\ncanary_bacth_size: 1\n\
                 feth_batch_size: 2\nother_group_size: 1\ncanary_falure_limit: 1\n[globl]\nbatch_size: 1\n";
    let config = Repo::configured(lines).config();
    let loud = notes(&config, Level::Warning);
    for (line, what) in [
        (
            5,
            "canray_group_size is ignored: no group of server_groups is named canray: did you mean \"canary_group_size\"?",
        ),
        (6, "unknown key \"canary_bacth_size\" is ignored"),
        (7, "unknown key \"feth_batch_size\" is ignored: did you mean \"fetch_batch_size\"?"),
        (8, "other_group_size is ignored: no group of server_groups is named other"),
        (9, "unknown key \"canary_falure_limit\" is ignored: did you mean \"canary_failure_limit\"?"),
    ] {
        assert!(loud.contains(&format!("hoist/hoist.cfg:{line}: {what}").as_str()), "{line}: {loud:?}");
    }
    let section = "hoist/hoist.cfg: section [globl] is not for this host: did you mean \"global\"?";
    assert!(loud.contains(&section), "{loud:?}");
}

#[test]
fn keys_that_scaps_own_files_have_stay_quiet_and_slips_in_them_do_not() {
    let lines = "[global]\ngit_repo: app\ngit_repo_user: x\nhhvm_pid_file: /x\nsome_other_tool: 1\nbacth_size: 3\n";
    let repo = Repo::new(&[("scap/scap.cfg", lines)]);
    let config = repo.config();
    assert_eq!(
        notes(&config, Level::Warning),
        ["scap/scap.cfg:6: unknown key \"bacth_size\" is ignored: did you mean \"batch_size\"?"]
    );
    assert_eq!(notes(&config, Level::Debug).len(), 3, "{:?}", config.notes);
    let moved = Repo::configured("git_repo_user: x\nbin_dir: /x\n").config();
    assert_eq!(notes(&moved, Level::Warning), Vec::<&str>::new());
}

#[test]
fn max_failures_is_warned_of_with_what_to_write_and_a_key_that_stands_twice_with_both_lines() {
    let config = Repo::configured("max_failures: 3\n[Global]\nx: y\n[global]\nbatch_size: 1\nBatch_Size: 2\n").config();
    let loud = notes(&config, Level::Warning);
    assert!(loud.contains(&"hoist/hoist.cfg:3: max_failures has no effect: set failure_limit"), "{loud:?}");
    assert!(loud.contains(&"hoist/hoist.cfg: section [Global] is ignored: write [global]"), "{loud:?}");
    let twice = "hoist/hoist.cfg:8: batch_size is also in line 7 of [global]: line 8 is used; remove one of the two";
    assert!(loud.contains(&twice), "{loud:?}");
    assert_eq!(config.settings.batch_size, 2);
}

#[test]
fn a_lease_of_hosts_that_only_the_deploy_host_can_drain_is_warned_of() {
    let warned = |drain_on: &str, timeout: &str| {
        let keys = format!("drain: true\nundrain: true\ndrain_on: {drain_on}\nconfirm_timeout: {timeout}\n");
        let config = Repo::configured(&keys).config();
        let [warning] = notes(&config, Level::Warning)[..] else { return false };
        warning.contains("restarts its services without being drained") && warning.contains("`drain_on: target`")
    };
    assert!(warned("deploy_host", "60"));
    assert!(!warned("deploy_host", "0") && !warned("target", "60"));
}

#[test]
fn keys_that_ask_for_another_log_are_named_in_one_warning_and_other_keys_of_scaps_with_v() {
    let repo = Repo::configured("logstash_url: http://log\nannounce: no\nlog_json: True\nstage_dir: /srv\n");
    repo.global("[global]\nfancy_progress: True\nsecondary_targets_disabled: True\n");
    let config = repo.config();
    let loud: Vec<String> = notes(&config, Level::Warning).into_iter().map(str::to_owned).collect();
    let [targets, logs] = &loud[..] else { panic!("{loud:?}") };
    assert_eq!(
        logs,
        "hoist sends its log nowhere else: these keys have no effect: log_json (hoist/hoist.cfg:5), logstash_url \
         (hoist/hoist.cfg:3)"
    );
    assert!(targets.contains("global.cfg:3: secondary_targets_disabled is not supported"), "{targets}");
    let quiet = notes(&config, Level::Debug);
    assert!(
        quiet.contains(&"hoist/hoist.cfg:6: stage_dir is for commands of Scap that Hoist does not have"),
        "{quiet:?}"
    );
    for name in ["announce", "fancy_progress"] {
        assert!(quiet.iter().any(|note| note.ends_with(&format!("{name} has no effect"))), "{name}: {quiet:?}");
    }
    let row = config.explain().into_iter().find(|row| row.key == "log_json").unwrap();
    assert_eq!(row.origin, "hoist/hoist.cfg:5 [global] (Scap's key: not supported)");
}

#[test]
fn default_gives_its_keys_to_global_and_to_every_section_for_this_host() {
    let defaults = "[eqiad.wmnet]\ncache_revs: 7\n[DEFAULT]\nbatch_size: 5\nssh_port: 5\n";
    let config = Repo::configured(&format!("batch_size: 2\ncache_revs: 2\n{defaults}")).config();
    // The section for this host has the default's batch_size too, and overrides [global].
    let settings = &config.settings;
    assert_eq!((settings.batch_size, settings.ssh_port, settings.cache_revs), (5, 5, 7));
    let row = config.explain().into_iter().find(|row| row.key == "ssh_port").unwrap();
    assert_eq!(row.origin, "hoist/hoist.cfg:9 [DEFAULT]");
}

#[test]
fn a_definition_has_a_colon_or_an_equals_sign_between_key_and_value() {
    for good in ["batch_size=3", "batch_size:3", "batch_size = 3"] {
        assert_eq!(Repo::configured("").define(good).config().settings.batch_size, 3, "{good}");
    }
    assert!(Repo::configured("").define("batch_size").error().starts_with("-D needs key:value or key=value"));
    assert!(Repo::configured("").define(":3").error().starts_with("-D needs key:value"));
}

#[test]
fn the_configuration_of_a_real_host_loads() {
    let repo = Repo::configured("[example.invalid]\nbatch_size: 1\n");
    assert_eq!(Config::load(&repo.options).unwrap().settings.batch_size, 80);
}
