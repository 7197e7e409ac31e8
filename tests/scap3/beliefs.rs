//! What Scap believes of a fleet that Hoist deploys to, and what Hoist makes of a fleet of Scap's.

use std::process::Command;

use crate::common::{HOIST, git, wait_for};
use crate::fleet::{DeployHost, LIVE, Target, finalized};

/// All that the fleet consists of: two hosts, one of them a canary.
const FLEET: [&str; 4] = ["-D", "server_groups:canary, default", "-D", "dsh_targets:two"];

/// No services and no checks.
const PLAIN: [&str; 4] = ["-D", "service_name:", "-D", "perform_checks:no"];

fn fleet(host: &DeployHost) -> Vec<Target<'_>> {
    std::fs::write(host.repo().join("scap/two"), "127.0.0.1\n127.0.0.3\n").unwrap();
    let targets: Vec<Target> = [1, 3].into_iter().map(|number| host.target(number)).collect();
    targets.iter().for_each(|target| target.furnish(&[]));
    targets
}

/// A fleet to which Scap has deployed two revisions.
fn fleet_of_scaps(host: &DeployHost) -> (Vec<Target<'_>>, String, String) {
    let targets = fleet(host);
    let (one, two) = (host.commit("1"), host.commit("2"));
    for target in &targets {
        target.scap(host, &one, "red");
        target.scap(host, &two, "red");
    }
    (targets, one, two)
}

/// A fleet to which Hoist has deployed one revision, and Scap none.
fn fleet_of_hoists(host: &DeployHost) -> Vec<Target<'_>> {
    let targets = fleet(host);
    host.commit("1");
    deploy(host, &[]).ends(0);
    targets
}

fn deploy(host: &DeployHost, arguments: &[&str]) -> crate::common::Ran {
    // Revisions that were rolled back are deployed again.
    host.deploy(&[&FLEET[..], &PLAIN, &["--break-glass", "again"], arguments].concat())
}

fn roll_back(host: &DeployHost, arguments: &[&str]) -> crate::common::Ran {
    host.run(&[&["rollback", "--yes"], &FLEET[..], &PLAIN, arguments].concat())
}

/// The value of a key, as PyYAML reads it.
fn yaml(text: &str, key: &str) -> String {
    let program = "import sys, yaml; print(yaml.load(sys.argv[1], yaml.loader.Loader)[sys.argv[2]])";
    let output = Command::new("python3").args(["-c", program, text, key]).output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn the_first_rollback_goes_to_what_scap_had_finalized() {
    let host = DeployHost::new();
    let (targets, one, two) = fleet_of_scaps(&host);
    // Without a deployment of Hoist's it is not known what was before, but Scap's tags tell.
    host.git(&["tag", "-a", "-m", "x", "scap/sync/2026-11-01/0001", &one]);
    host.git(&["tag", "-a", "-m", "x", "scap/sync/2026-11-02/0001", &two]);
    let offer = format!(" --to {}` goes back to it", &one[..10]);
    roll_back(&host, &[]).ends(2).says(&offer).says("scap/sync/2026-11-01/0001");
    // What Scap has promoted and not finalized is undone.
    targets[1].sh(&format!("ln -sfn revs/{one} {LIVE}-cache/current; ln -sfn page-cache/revs/{one} {LIVE}"));
    roll_back(&host, &[]).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&two));
    }
    std::fs::remove_dir_all(host.repo().join("scap/state")).unwrap();

    let three = host.commit("3");
    deploy(&host, &[]).ends(0);
    roll_back(&host, &[]).ends(0);
    for target in &targets {
        assert_eq!(target.links(), finalized(&two), "where Scap had left it");
        assert_eq!(target.sh("cat /srv/etc/page/page.ini"), "colour = red, by scap");
    }
    // Once more leads no further, and not forth.
    roll_back(&host, &[]).ends(2).says("name a revision");
    assert_ne!(three, two);
}

#[test]
fn hosts_that_had_different_revisions_are_named_with_them() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    let one = host.commit("1");
    let two = host.commit("2");
    targets[0].scap(&host, &one, "red");
    targets[1].scap(&host, &two, "red");
    host.commit("3");
    deploy(&host, &[]).ends(0);
    let ran = roll_back(&host, &[]).ends(2).says(&format!("{} on 127.0.0.1", &one[..10]));
    ran.says(&format!("{} on 127.0.0.3", &two[..10])).says("name a revision");
}

#[test]
fn a_tree_that_scap_has_fetched_is_promoted_with_its_submodules_as_it_stands() {
    let host = DeployHost::new();
    let (targets, one, two) = fleet_of_scaps(&host);
    let settings = ["-s", "promote", "-D", "git_submodules:True", "-D", "config_deploy:no", "-r", &one];
    deploy(&host, &settings).ends(0);
    for target in &targets {
        assert_eq!(target.links(), format!("{one} {two} - {one}"));
    }
    // One that lacks a submodule is not whole.
    targets[0].sh(&format!(
        "cd {LIVE}-cache/revs/{two} && printf '[submodule \"x\"]\\n\\tpath = x\\n' >.gitmodules && mkdir x"
    ));
    deploy(&host, &[&settings[..7], &[&two]].concat()).ends(1).says("run the fetch stage first");
}

#[test]
fn what_scap_goes_by_stays_true_on_the_deploy_host_and_on_targets() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    let one = host.commit("1");
    for target in &targets {
        target.scap(&host, &one, "red");
    }
    let head = host.repo().join(".git/DEPLOY_HEAD");
    std::fs::write(&head, format!("git_rev: {one}\n")).unwrap();
    let believed = |host: &DeployHost, revision: &str| {
        let head = std::fs::read_to_string(host.repo().join(".git/DEPLOY_HEAD")).unwrap();
        assert_eq!(yaml(&head, "git_rev"), revision, "DEPLOY_HEAD");
        for target in &targets {
            let config = target.sh(&format!("cat {LIVE}-cache/.config"));
            assert_eq!(yaml(&config, "git_rev"), revision, "{}", target.address);
        }
    };
    let two = host.commit("2");
    host.deploy(
        &[&FLEET[..], &["-D", "service_name:", "-D", "require_valid_service:no"], &["-D", "perform_checks:no"]]
            .concat(),
    )
    .ends(0);
    believed(&host, &two);
    let text = std::fs::read_to_string(&head).unwrap();
    assert_eq!(yaml(&text, "git_repo"), "service/page");
    let files = yaml(&text, "config_files");
    assert!(files.contains("/srv/etc/page/page.ini") && files.contains("'colour': 'blue'"), "{files}");
    let text = targets[0].sh(&format!("cat {LIVE}-cache/.config"));
    assert!(yaml(&text, "config_files").contains("'remote_vars': '/srv/etc/page-secrets.yaml'"));

    // What Scap fetched since, and never promoted, is not what runs here.
    targets[0].sh(&format!("echo 'git_rev: {one}' >{LIVE}-cache/.config"));
    deploy(&host, &["-v"]).ends(0).says("already live");
    believed(&host, &two);

    // A deployment that fails leaves all of it as it was.
    host.commit("3");
    let failing = "checks:\n  fails:\n    stage: promote\n    shell: true\n    command: test $(cat $SCAP_FINAL_PATH/version) != 3\n";
    std::fs::write(host.repo().join("scap/checks.yaml"), failing).unwrap();
    let services = ["-D", "service_name:"];
    host.deploy(&[&FLEET[..], &services].concat()).ends(1).says("check fails failed");
    believed(&host, &two);
    // Back on Scap's own revision, Scap's own words count, byte for byte.
    roll_back(&host, &["--to", &one]).ends(0);
    believed(&host, &one);
    assert_eq!(targets[0].sh(&format!("cat {LIVE}-cache/.config")), format!("git_repo: service/page\ngit_rev: {one}"));
    // A first try on one host says nothing of the fleet.
    deploy(&host, &["-l", "127.0.0.3"]).ends(0);
    assert_eq!(yaml(&std::fs::read_to_string(&head).unwrap(), "git_rev"), one);
    // A fleet that gets it host by host has it in the end.
    deploy(&host, &["-l", "127.0.0.1"]).ends(0);
    believed(&host, &host.git(&["rev-parse", "HEAD"]));
}

#[test]
fn where_scap_was_never_at_home_none_of_its_files_is_made() {
    let host = DeployHost::new();
    let targets = fleet_of_hoists(&host);
    assert!(!host.repo().join(".git/DEPLOY_HEAD").exists());
    targets[0].sh(&format!("! test -e {LIVE}-cache/.config"));
}

#[test]
fn a_new_host_installs_what_the_fleet_should_run_by_itself() {
    let host = DeployHost::new();
    let targets = [6, 7, 8].map(|number| host.target(number));
    for target in &targets {
        target.furnish(&[]);
        target
            .sh(&format!("mkdir -p /srv/mirror/service && ln -s '{}' /srv/mirror/service/page", host.repo().display()));
    }
    let new = &targets[2];
    let install = format!("{HOIST} deploy-local --repo service/page");
    let by_server = format!("{install} --server file:///srv/mirror/service/page/.git");
    new.sh(&format!("! {by_server} 2>/srv/said; grep -q 'does not contain what the fleet should run' /srv/said"));
    new.sh(&format!(
        "! {install} 2>/srv/said; grep -q 'no deployment of service/page has reached this host' /srv/said"
    ));
    let one = host.commit("1");
    host.deploy(&["-e", "beta"]).ends(0);
    new.sh(&by_server);
    assert_eq!(new.links(), finalized(&one));
    assert_eq!(new.sh(&format!("cat {LIVE}/build/info.txt")), "beta build, green");
    let two = host.commit("2");
    host.deploy(&["-e", "beta"]).ends(0);
    new.sh(&by_server);
    assert_eq!(new.links(), finalized(&two));
    // Variables that nobody has committed are not for everybody who can fetch.
    let three = host.commit("3");
    let vars = host.repo().join("scap/vars.yaml");
    std::fs::write(&vars, std::fs::read_to_string(&vars).unwrap() + "hidden: hunter2\n").unwrap();
    host.deploy(&["-e", "beta"]).ends(0);
    new.sh(&by_server);
    assert_eq!((new.links(), targets[0].links()), (finalized(&two), finalized(&three)));
    let published = host.git(&["cat-file", "blob", "refs/hoist/fleet/request"]);
    assert!(published.contains("colour") && !published.contains("hunter2"), "{published}");
    // Without a server, the last request that came here tells.
    targets[0]
        .sh(&format!("rm -r {LIVE} {LIVE}-cache/current {LIVE}-cache/.done {LIVE}-cache/revs/{three} && {install}"));
    assert_eq!(targets[0].links(), finalized(&three));
}

#[test]
fn a_git_server_that_is_the_deploy_host_is_spared_unless_it_is_asked_for() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    let one = host.commit("1");
    let server = ["-D", "git_server:deploy1.eqiad.wmnet"];
    deploy(&host, &server).ends(0).says("git_server deploy1.eqiad.wmnet is this host");
    assert_eq!(targets[0].links(), finalized(&one));
    host.commit("2");
    deploy(&host, &[&server[..], &["-D", "fetch_from:server"]].concat()).ends(1).says("deploy1.eqiad.wmnet");
    assert_eq!(targets[0].links(), finalized(&one));
}

#[test]
fn a_deploy_local_of_scaps_that_outlived_its_deployment_keeps_hoist_out() {
    let host = DeployHost::new();
    let targets = fleet_of_hoists(&host);
    let script = "printf '#!/bin/sh\\necho $$ >/srv/scap.pid\\nwhile sleep 0.1; do :; done\\n' >/srv/bin/scap && chmod +x /srv/bin/scap";
    targets[1].sh(script);
    targets[1].sh(
        "setsid -f /srv/bin/scap deploy-local -v --repo service/page -g default promote >/dev/null 2>&1 </dev/null",
    );
    wait_for("scap", || targets[1].sh("cat /srv/scap.pid 2>/dev/null || true").trim().parse::<u32>().is_ok());
    let two = host.commit("2");
    deploy(&host, &["-D", "failure_limit:0"])
        .ends(1)
        .says("127.0.0.3")
        .says("Scap is running there (process")
        .says("nothing was touched");
    targets[1].sh("kill $(cat /srv/scap.pid)");
    wait_for("the end of scap", || deploy(&host, &[]).status == Some(0));
    assert_eq!(targets[1].links(), finalized(&two));
}

#[test]
fn a_promote_that_refuses_at_once_restarts_nothing_on_the_way_back() {
    let host = DeployHost::new();
    std::fs::write(host.repo().join("scap/two"), "127.0.0.1\n").unwrap();
    let target = host.target(1);
    target.furnish(&["page", "page-worker"]);
    let fleet = ["-D", "server_groups:default", "-D", "dsh_targets:two", "-D", "failure_limit:0"];
    host.commit("1");
    host.deploy(&fleet).ends(0);
    let process = target.wait_until_runs(0, "1");
    let before = target.links();
    let two = host.commit("2");
    host.deploy(&[&fleet[..], &["-s", "fetch"]].concat()).ends(0);
    // What the probe has seen is gone when promote looks for it.
    let rendered = format!("{LIVE}-cache/revs/{two}/.git/config-files {LIVE}-cache/.hoist/config/{two}");
    let checks =
        format!("checks:\n  tidies:\n    type: command\n    stage: config_deploy\n    command: rm -r {rendered}\n");
    std::fs::write(host.repo().join("scap/checks.yaml"), checks).unwrap();
    let ran = host.deploy(&[&fleet[..], &["-v", "-s", "config_deploy,promote", "-r", &two]].concat()).ends(1);
    ran.says("run the config_deploy stage first").says("was not touched");
    assert_eq!(target.links(), before);
    assert_eq!(target.wait_until_runs(0, "1"), process);
}

#[test]
fn scaps_folder_may_be_a_submodule_with_its_scripts() {
    let host = DeployHost::new();
    let targets = fleet(&host);
    let inner = tempfile::tempdir().unwrap();
    let checks = "checks:\n  virtualenv:\n    type: script\n    stage: fetch\n    command: build all of it\n";
    std::fs::write(host.repo().join("scap/checks.yaml"), checks).unwrap();
    let copied =
        Command::new("cp").arg("-a").arg(format!("{}/scap/.", host.repo().display())).arg(inner.path()).status();
    assert!(copied.unwrap().success());
    for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "scap"]] {
        git(inner.path(), arguments);
    }
    std::fs::remove_dir_all(host.repo().join("scap")).unwrap();
    host.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        inner.path().to_str().unwrap(),
        "scap",
    ]);
    let one = host.commit("1");
    let settings = [&FLEET[..], &["-D", "service_name:"]].concat();
    host.deploy(&settings).ends(2).says("its script is in the submodule scap: set git_submodules");
    host.deploy(&[&settings[..], &["-D", "git_submodules:True"]].concat()).ends(0);
    assert_eq!(targets[0].links(), finalized(&one));
    assert!(targets[0].sh(&format!("cat {LIVE}/venv/built")).contains("all"));
}
