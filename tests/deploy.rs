//! Deployments of a real repository to real sshd hosts, by the built program.

mod common;
#[path = "common/http.rs"]
mod http;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::{CACHE, Farm, Links, Project, Ran, address, all_on};
use http::{Manner, Proxy, Server};

/// A check at a stage, as `hoist/checks.yaml` has it.
fn check(name: &str, stage: &str, command: &str) -> String {
    format!("  {name}:\n    stage: {stage}\n    shell: true\n    timeout: 20\n    command: {command}\n")
}

/// A program on a host.
fn program(farm: &Farm, n: usize, name: &str, text: &str) {
    let path = farm.srv(&address(n)).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn on_host(farm: &Farm, n: usize, name: &str) -> String {
    let path = farm.srv(&address(n)).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of the revision that the service of a host sees. Its path is absolute over there.
fn live(farm: &Farm, n: usize, name: &str) -> String {
    let app = std::fs::read_link(farm.srv(&address(n)).join("deployment/app")).unwrap();
    on_host(farm, n, app.strip_prefix("/srv").unwrap().join(name).to_str().unwrap())
}

#[test]
fn status_0_a_revision_is_deployed_to_every_host_and_finalized() {
    let (farm, project) = Project::on_farm(2, 3);
    let one = project.git(&["rev-parse", "HEAD"]);
    let ran = project.deploy(&["first", "words"]).ends(0);
    all_on(&farm, 5, &one);
    for n in 0..5 {
        assert_eq!(live(&farm, n, "index.html"), "one\n");
    }
    ran.says("canary").says("finalized");
    let tags = project.git(&["tag", "-l", "-n1", "hoist/sync/*"]);
    assert!(tags.contains("/0001") && tags.contains("first words"), "{tags}");
    assert_eq!(
        project.git(&["status", "--porcelain"]),
        "",
        "logs and journals stay out of the repository's observation"
    );

    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.deploy(&[]).ends(0);
    all_on(&farm, 5, &two);
    assert_eq!(live(&farm, 4, "index.html"), "two\n");
    assert!(farm.srv(&address(0)).join(CACHE).join("revs").join(&one).exists(), "the old revision is kept");
}

#[test]
fn status_1_when_more_hosts_fail_than_may_all_that_was_touched_is_back_and_verified() {
    let (farm, project, one) = Project::deployed(2, 6);
    for n in [4, 6] {
        std::fs::write(farm.srv(&address(n)).join("broken"), "").unwrap();
    }
    project.write(
        "hoist/checks.yaml",
        &format!("checks:\n{}", check("page", "promote", "\"! test -e /srv/broken || ! grep -q two index.html\"")),
    );
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(1).says("limit").says("check page failed").says("127.0.0.5").says("verified");
    all_on(&farm, 8, &one);
    assert_eq!(live(&farm, 0, "index.html"), "one\n");
}

#[test]
fn failures_within_the_limit_are_left_behind_and_listed_and_are_not_finalized() {
    let (farm, project, one) = Project::deployed(0, 5);
    std::fs::write(farm.srv(&address(1)).join("broken"), "").unwrap();
    let page = check("page", "promote", "\"! test -e /srv/broken || grep -q one index.html\"");
    project.write("hoist/checks.yaml", &format!("checks:\n{page}"));
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.configure("failure_limit: 20%");
    project.deploy(&[]).ends(0).says("127.0.0.2");
    // Who wants to know of them in the status asks for it.
    project.deploy(&["--force", "--strict"]).ends(7).says("1 host failed within the limits");
    project.deploy(&["--force", "-D", "strict:yes"]).ends(7);
    for n in [0, 2, 3, 4] {
        assert_eq!(Links::of(&farm, n), Links::finalized(&two));
    }
    let failed = Links::of(&farm, 1);
    assert_eq!(failed.done.as_deref(), Some(one.as_str()), "a failed host is never finalized");

    // The same again, with failed hosts rolled back at once: to what was live, which had failed there before.
    project.configure("failed_targets: rollback");
    project.write("index.html", "three\n");
    let three = project.commit("three");
    project.deploy(&[]).ends(3).says("127.0.0.2 (check page failed with exit status 1)");
    project.run(&["history", "-n", "1"]).ends(0).says("checks fail on hosts");
    assert_eq!(Links::of(&farm, 1), Links { current: Some(two), done: Some(one), in_progress: None });
    assert_eq!(Links::of(&farm, 0), Links::finalized(&three));
}

#[test]
fn status_3_when_a_rollback_fails_and_the_host_is_named() {
    let (farm, project) = Project::on_farm(0, 3);
    project.configure("service_name: web\nservice_command: /srv/service {action} {service}");
    let service = "#!/bin/sh\ntest ! -e /srv/stuck || ! grep -q one /srv/deployment/app/index.html\n";
    (0..3).for_each(|n| program(&farm, n, "service", service));
    project.deploy(&[]).ends(0);
    std::fs::write(farm.srv(&address(2)).join("broken"), "").unwrap();
    std::fs::write(farm.srv(&address(1)).join("stuck"), "").unwrap();
    let page = check("page", "promote", "test ! -e /srv/broken");
    project.write("hoist/checks.yaml", &format!("checks:\n{page}"));
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(3).says("127.0.0.2").says("restart failed").says("rollback failed");
}

#[test]
fn status_4_when_finalize_fails_on_a_host_and_the_host_is_named() {
    let (farm, project) = Project::on_farm(0, 3);
    std::fs::create_dir_all(farm.srv(&address(2))).unwrap();
    std::fs::write(farm.srv(&address(2)).join("broken"), "").unwrap();
    project.write("hoist/checks.yaml", "checks:\n  last:\n    before: finalize\n    command: test ! -e /srv/broken\n");
    let two = project.commit("two");
    project.deploy(&[]).ends(4).says("127.0.0.3").says("not finalized");
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    assert_eq!(Links::of(&farm, 2).done, None);
}

#[test]
fn unreachable_hosts_are_judged_before_anything_is_touched() {
    let (farm, project) = Project::on_farm(0, 3);
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3:1\n");
    project.deploy(&[]).ends(1).says("127.0.0.3:1").says("nothing was touched");
    for n in 0..2 {
        assert!(!farm.srv(&address(n)).join("deployment").exists(), "host {n} was touched");
    }
    project.configure("failure_limit: 1");
    let ran = project.deploy(&[]).ends(0).says("unreachable");
    assert!(
        ran.out.lines().any(|line| line.contains("  unreachable  ") && line.contains("  cannot connect to")),
        "{ran:?}"
    );
    all_on(&farm, 2, &project.git(&["rev-parse", "HEAD"]));
}

#[test]
fn fault_8_config_links_follow_a_rollback() {
    let (farm, project) = Project::on_farm(0, 2);
    project.write_configuration(&[
        ("config-files.yaml", "/srv/etc/app.conf:\n  template: a.j2\nsettings.ini:\n  template: a.j2\n"),
        ("templates/a.j2", "colour = {{ colour }}\n"),
        ("vars.yaml", "colour: rot-s3cret\n"),
    ]);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let link = |n: usize| std::fs::read_link(farm.srv(&address(n)).join("etc/app.conf")).unwrap();
    for n in 0..2 {
        assert!(link(n).to_str().unwrap().contains(&one));
        assert_eq!(
            on_host(&farm, n, &format!("{CACHE}/revs/{one}/.git/config-files/srv/etc/app.conf")),
            "colour = rot-s3cret"
        );
        assert_eq!(live(&farm, n, "settings.ini"), "colour = rot-s3cret");
    }
    project.write("hoist/vars.yaml", "colour: blue-s3cret\n");
    project.check("blue", "promote", "! grep -q blue app-never || true; ! grep -q blue settings.ini");
    let two = project.commit("two");
    let ran = project.deploy(&["--format", "json"]).ends(1);
    for n in 0..2 {
        assert!(
            link(n).to_str().unwrap().contains(&one),
            "the link still leads into the revision that was rolled back"
        );
        let rendered = on_host(&farm, n, &format!("{CACHE}/revs/{two}/.git/config-files/srv/etc/app.conf"));
        assert_eq!(rendered, "colour = blue-s3cret");
    }
    // What templates hold is nobody else's business.
    assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"));
    for folder in ["hoist/log", "hoist/state"] {
        for entry in std::fs::read_dir(project.path(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!text.contains("s3cret"), "a secret in {folder}");
        }
    }
}

#[test]
fn services_are_restarted_at_promote_and_again_on_rollback() {
    let (farm, project) = Project::on_farm(0, 2);
    let service = "#!/bin/sh\necho \"$1 $2 $(cat /srv/deployment/app/index.html)\" >> /srv/restarts\n! grep -q bad /srv/deployment/app/index.html\n";
    (0..2).for_each(|n| program(&farm, n, "bin/service", service));
    project.configure("service_name: web, worker=reload");
    project.configure("service_command: /srv/bin/service {action} {service}");
    project.commit("service");
    project.deploy(&[]).ends(0);
    assert_eq!(on_host(&farm, 1, "restarts"), "restart web one\nreload worker one\n");
    project.write("index.html", "bad\n");
    project.commit("bad");
    project.deploy(&[]).ends(1).says("service web: restart failed");
    assert_eq!(
        on_host(&farm, 0, "restarts"),
        "restart web one\nreload worker one\nrestart web bad\nrestart web one\nreload worker one\n"
    );
    std::fs::remove_file(farm.srv(&address(0)).join("restarts")).unwrap();
    project.deploy(&["--service-restart"]).ends(0);
    assert_eq!(on_host(&farm, 0, "restarts"), "restart web one\nreload worker one\n");
}

#[test]
fn a_restart_a_dry_run_and_stages_without_fetch_are_about_what_was_deployed_last_and_not_about_head() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.deploy(&["-s", "fetch"]).ends(0);
    project.write("index.html", "three\n");
    let three = project.commit("three");
    let about = "using the newest deployment tag, hoist/sync/";
    // What was only fetched was never live, and it is not what restarts.
    project.configure("service_name: web");
    project.configure("service_command: /bin/true {service}");
    let restarted = project.deploy(&["--service-restart", "--format", "json"]).ends(0).events().remove(0);
    assert_eq!(restarted["revision"], one.as_str());
    project.run(&["plan", "-s", "promote"]).ends(0).says(about).says(&format!("revision    {two}"));
    project.deploy(&["-s", "promote,finalize"]).ends(0).says(about);
    all_on(&farm, 2, &two);
    // A script that only a newer revision has is in nobody's way.
    project.write("hoist/checks.yaml", "checks:\n  new: {type: script, stage: promote, command: new.sh}\n");
    project.write("hoist/scripts/new.sh", "#!/bin/sh\n");
    project.commit("a script");
    let run = |flag: &str| project.deploy(&[flag, "--format", "json"]).ends(0).events().remove(0);
    assert_eq!(run("--service-restart")["revision"], two.as_str());
    assert_eq!(run("--dry-run")["revision"], two.as_str());
    // A revision that the configuration names is one that is named.
    project.configure(&format!("git_rev: {three}"));
    assert_eq!(run("--dry-run")["revision"], three.as_str());
}

#[test]
fn a_run_that_names_no_revision_is_about_what_was_deployed_in_its_environment() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.write("hoist/environments/test/default", &(address(2) + "\n"));
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.deploy(&["-s", "fetch"]).ends(0);
    project.deploy(&["-e", "test", "-r", &one]).ends(0);
    let about = "using the newest deployment tag of environment test, hoist/sync/";
    project.run(&["plan", "-e", "test", "-s", "promote"]).ends(0).says(about).says(&format!("revision    {one}"));
    let about = "using the newest deployment tag of no environment, hoist/sync/";
    project.deploy(&["-s", "promote,finalize"]).ends(0).says(about);
    all_on(&farm, 2, &two);
    // Nothing was deployed there that it could be about.
    project.write("hoist/environments/other/default", &(address(2) + "\n"));
    let ran = project.run(&["plan", "-e", "other", "-s", "promote"]).ends(0);
    assert!(!ran.out.contains("newest deployment tag"), "{}", ran.out);
}

#[test]
fn a_run_that_names_no_revision_is_not_about_one_that_was_rolled_back() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.configure("service_name: web");
    project.configure("service_command: /bin/true {service}");
    project.write("hoist/checks.yaml", "checks:\n  page: {stage: promote, command: grep -q one index.html}\n");
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.deploy(&[]).ends(1);
    let about = "using the newest deployment tag that was not rolled back, hoist/sync/";
    let run = |flag: &str| project.deploy(&[flag, "--format", "json"]).ends(0).events().remove(0);
    assert_eq!(run("--service-restart")["revision"], one.as_str());
    assert_eq!(run("--dry-run")["revision"], one.as_str());
    project.run(&["plan", "-s", "promote"]).ends(0).says(about).says(&format!("revision    {one}"));
    project.deploy(&["-s", "promote,finalize"]).ends(0).says(about);
    all_on(&farm, 2, &one);
    // What was deployed after all is not undone any more.
    std::fs::remove_file(project.path("hoist/checks.yaml")).unwrap();
    project.deploy(&["-r", &two, "--break-glass", "the check was wrong"]).ends(0);
    assert_eq!(run("--service-restart")["revision"], two.as_str());
}

#[test]
fn a_stage_that_wants_the_one_before_is_found_out_at_the_probe() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    let why = format!("no complete working tree of {}: run the fetch stage first", &two[..10]);
    project.deploy(&["-r", "HEAD", "-s", "promote"]).ends(1).says(&why).says("nothing was touched");
    project.deploy(&["-s", "fetch"]).ends(0);
    let why = format!("{} is live, not {}: run the promote stage first", &one[..10], &two[..10]);
    project.deploy(&["-s", "finalize"]).ends(1).says(&why).says("nothing was touched");
    project.deploy(&["-s", "promote"]).ends(0);
    project.deploy(&["-s", "finalize"]).ends(0);
    all_on(&farm, 2, &two);
}

#[test]
fn a_configuration_file_that_no_run_has_rendered_is_found_out_at_the_probe() {
    let (farm, project) = Project::on_farm(0, 2);
    project.render("/srv/app.conf", "a\n", &[]);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    let why = format!("/srv/app.conf is not rendered for {}: run the config_deploy stage first", &two[..10]);
    project.deploy(&["-s", "fetch,promote"]).ends(1).says(&why).says("nothing was touched");
    project.deploy(&["-s", "fetch"]).ends(0);
    project.deploy(&["-s", "promote,finalize"]).ends(1).says(&why).says("nothing was touched");
    // So is one that a live revision was never deployed with.
    project.render("/srv/other.conf", "b\n", &[]);
    let why = format!("/srv/other.conf is not rendered for {}", &one[..10]);
    project.deploy(&["-r", &one, "-s", "promote,finalize"]).ends(1).says(&why).says("nothing was touched");
    project.deploy(&["-r", &two, "-s", "config_deploy"]).ends(0);
    project.deploy(&["-r", &two, "-s", "promote,finalize"]).ends(0);
    all_on(&farm, 2, &two);
}

#[test]
fn fault_6_a_check_that_dies_by_a_signal_fails_its_host() {
    let (_farm, project) = Project::on_farm(0, 2);
    project.check("dies", "fetch", "kill -TERM $$");
    project.commit("one");
    project.deploy(&[]).ends(1).says("check dies was killed by signal TERM");
}

#[test]
fn fault_12_a_hung_stage_ends_at_its_time_limit_and_is_rolled_back() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.write(
        "hoist/checks.yaml",
        "checks:\n  hangs:\n    stage: promote\n    timeout: 600\n    command: sleep 600\n",
    );
    project.configure("promote_timeout: 2");
    project.commit("two");
    let before = std::time::Instant::now();
    project.configure("rollback_timeout: 2");
    // The check hangs on rollback too. The old revision was deployed without it, and is back all the same.
    project.deploy(&[]).ends(1).says("timed out after 2 s").says("check hangs did not end within 2 s");
    assert!(before.elapsed().as_secs() < 120, "a hung stage held the deployment up");
    assert_eq!(Links::of(&farm, 0).current, Some(one));
}

#[test]
fn fault_13_exit_status_255_of_a_check_is_not_a_lost_connection() {
    let (farm, project) = Project::on_farm(0, 2);
    project.check("odd", "promote", "exit 255");
    project.commit("one");
    project.deploy(&[]).says("check odd failed with exit status 255");
    assert_eq!(farm.connections_to(&address(0)), 1, "nothing was taken for a lost connection");
}

#[test]
fn fault_14_the_first_check_that_fails_stops_its_stage_and_checks_run_after_a_rollback() {
    let (farm, project) = Project::on_farm(0, 1);
    let note = |name: &str| format!("\"echo {name} $(cat index.html) >> /srv/checks\"");
    project.write("hoist/checks.yaml", &format!("checks:\n{}", check("first", "promote", &note("first"))));
    project.commit("one");
    project.deploy(&[]).ends(0);
    let checks = check("first", "promote", &note("first"))
        + &check("second", "promote", "\"! grep -q two index.html\"")
        + &check("third", "promote", &note("third"));
    project.write("hoist/checks.yaml", &format!("checks:\n{checks}"));
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(1);
    assert_eq!(on_host(&farm, 0, "checks"), "first one\nfirst two\nfirst one\nthird one\n");
}

#[test]
fn one_connection_a_host_serves_all_stages_of_a_hundred_hosts() {
    let (farm, project) = Project::on_farm(0, 100);
    project
        .write_configuration(&[("config-files.yaml", "settings.ini:\n  template: a.j2\n"), ("templates/a.j2", "a\n")]);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    all_on(&farm, 100, &one);
    for n in 0..100 {
        assert_eq!(farm.connections_to(&address(n)), 1, "host {}", address(n));
    }
}

#[test]
fn a_server_that_drops_connections_while_too_many_log_in_costs_no_host() {
    // The limit of a default sshd, for all hosts of the farm together.
    let farm = Farm::up_with(&[("FARM_SSHD_OPTS", "MaxStartups 10:30:100")]);
    let project = Project::new(&farm, 0, 60);
    project.deploy(&[]).ends(0);
    assert!(farm.log().contains("MaxStartups"), "no connection was dropped");
    all_on(&farm, 60, &project.git(&["rev-parse", "HEAD"]));
}

#[test]
fn the_program_brings_itself_to_targets_that_lack_it_and_only_once() {
    let (farm, project) = Project::on_farm(0, 3);
    let path = project.path("hoist/hoist.cfg");
    let text = std::fs::read_to_string(&path).unwrap().replace("remote_binary", "# remote_binary");
    std::fs::write(path, text).unwrap();
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    all_on(&farm, 3, &one);
    let builds = |n: usize| {
        let folder = farm.home(&address(n)).join(".cache/hoist");
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o077, 0, "others can reach the program");
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    assert_eq!(builds(0).len(), 1);
    let binary = builds(0)[0].join("hoist");
    let before = std::fs::metadata(&binary).unwrap().modified().unwrap();
    project.deploy(&["--force"]).ends(0);
    assert_eq!(std::fs::metadata(&binary).unwrap().modified().unwrap(), before, "it was copied again");
    // A copy that somebody has tampered with is never run.
    std::fs::write(builds(1)[0].join("hoist"), "#!/bin/sh\ntouch /srv/owned\n").unwrap();
    project.deploy(&["--force"]).ends(0);
    assert!(!farm.srv(&address(1)).join("owned").exists());
}

#[test]
fn status_5_while_another_deployment_is_on_here_or_on_a_target() {
    let (farm, project) = Project::on_farm(0, 2);
    project.check("waits", "fetch", common::WAITS);
    let one = project.commit("one");
    let first =
        project.hoist(&["deploy", "--yes", "the", "first"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let waiting = farm.srv(&address(0)).join("waiting");
    common::wait_for("the first deployment to be under way", || waiting.exists());
    project.deploy(&[]).ends(5).says("the first");
    // Two that were given different locks have one journal all the same.
    let other_lock = tempfile::tempdir().unwrap();
    let other_lock = format!("lock_dir:{}", other_lock.path().display());
    project.deploy(&["-D", &other_lock]).ends(5).says("is running with another lock");
    project.run(&["rollback", "--yes", "-D", &other_lock]).ends(5).says("is running with another lock");
    // From another deploy host the locks on the targets say the same.
    let lock_dir = tempfile::tempdir().unwrap();
    let elsewhere = format!("lock_dir:{}", lock_dir.path().display());
    let clone = Project::clone_of(&project);
    clone.deploy(&["-D", &elsewhere]).ends(5).says("locked by").says("the first").says("nothing was touched");
    for n in 0..2 {
        std::fs::write(farm.srv(&address(n)).join("go"), "").unwrap();
    }
    common::Ran::of(first.wait_with_output().unwrap()).ends(0);
    all_on(&farm, 2, &one);
    // A lock dies with its holder.
    clone.deploy(&["-D", &elsewhere, "--force"]).ends(0);
}

#[test]
fn status_6_after_a_deployer_was_killed_until_its_run_is_resumed_or_rolled_back() {
    let (farm, project, one) = Project::deployed(0, 3);
    project.configure("batch_size: 1");
    project.check("waits", "promote", common::WAITS);
    let two = project.commit("two");
    let kill_in_promote = || common::kill_at_check(&farm, &project, &["deploy", "--yes"], 3);
    kill_in_promote();
    project.deploy(&[]).ends(6).says("hoist resume").says("hoist rollback");
    project.run(&["rollback", "--yes"]).ends(1).says("verified");
    all_on(&farm, 3, &one);
    common::hold(&farm, 3);
    kill_in_promote();
    project.run(&["resume", "--yes"]).ends(0);
    all_on(&farm, 3, &two);
    project.run(&["resume", "--yes"]).ends(2).says("unfinished");
}

#[test]
fn status_130_for_an_interrupt_before_anything_was_touched() {
    let (farm, project) = Project::on_farm(0, 2);
    // A host that takes the connection and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    project.write("hoist/default", &format!("127.0.0.1\n127.0.0.1:{}\n", silent.local_addr().unwrap().port()));
    project.configure("connect_timeout: 3");
    let deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (_held, _) = silent.accept().unwrap();
    common::signal(&deployer, "INT");
    common::Ran::of(deployer.wait_with_output().unwrap()).ends(130).says("nothing was touched");
    assert!(!farm.srv(&address(0)).join("deployment").exists());
}

#[test]
fn an_interrupt_in_a_stage_lets_hosts_finish_and_rolls_back() {
    let (farm, project, one) = Project::deployed(0, 4);
    project.configure("batch_size: 2");
    project.check("slow", "promote", "touch /srv/waiting; sleep 1");
    project.commit("two");
    let deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    common::wait_for_check(&farm, 0);
    common::signal(&deployer, "TERM");
    common::Ran::of(deployer.wait_with_output().unwrap()).ends(1).says("interrupted").says("verified");
    all_on(&farm, 4, &one);
    assert!(!farm.srv(&address(3)).join("waiting").exists(), "a queued host was started after the interrupt");
}

#[test]
fn fault_5_a_connection_cut_in_mid_promote_is_made_again_and_the_true_outcome_is_taken() {
    let (farm, project) = Project::on_farm(0, 2);
    // The stage cuts its own connection: its sshd dies, and the work goes on.
    let cut = "\"test -e /srv/cut || { touch /srv/cut; kill -9 $(cat /srv/sshd-pid); sleep 1; }\"";
    project.write("hoist/checks.yaml", &format!("checks:\n{}", check("cut", "promote", cut)));
    let before = "  pid:\n    before: promote\n    shell: true\n    command: \"p=$$; while [ $(cat /proc/$p/comm) != sshd ]; do p=$(cut -d' ' -f4 /proc/$p/stat); done; echo $p > /srv/sshd-pid\"\n";
    let checks = std::fs::read_to_string(project.path("hoist/checks.yaml")).unwrap();
    project.write("hoist/checks.yaml", &format!("{checks}{before}"));
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &one);
    assert_eq!(farm.connections_to(&address(0)), 2, "the connection was not cut, or not made again once");
}

#[test]
fn targets_can_fetch_from_a_git_server() {
    let (farm, project) = Project::on_farm(0, 2);
    let _server = project.serve_as_files();
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &one);
}

#[test]
fn hosts_in_three_states_get_a_pack_a_state_and_a_host_that_has_the_revision_gets_nothing() {
    let (farm, project) = Project::on_farm(0, 7);
    let mut kept = Vec::new();
    // Two hosts have the first revision, two the first and second, one all three, two nothing.
    for (n, limit) in ["127.0.0.[1:5]", "127.0.0.[3:5]", "127.0.0.5"].into_iter().enumerate() {
        project.write("file", &format!("{n}"));
        kept.push(project.commit("more"));
        project.deploy(&["-l", limit]).ends(0);
    }
    // The deployer's git, and nobody else's, is counted.
    let bin = tempfile::tempdir().unwrap();
    let calls = bin.path().join("calls");
    let real = Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout;
    let real = String::from_utf8(real).unwrap();
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", calls.display(), real.trim());
    std::fs::write(bin.path().join("git"), script).unwrap();
    std::fs::set_permissions(bin.path().join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let mut deployer = project.hoist(&["deploy", "--yes", "-v", "-D", "batch_size:2"]);
    let ran = common::Ran::of(deployer.env("PATH", path).output().unwrap()).ends(0);
    all_on(&farm, 7, &kept[2]);
    let calls = std::fs::read_to_string(&calls).unwrap();
    let count = |word: &str| calls.lines().filter(|call| call.contains(word)).count();
    // One more is for the tags that describe the revision.
    assert_eq!((count("pack-objects"), count("rev-list --first-parent")), (4, 1), "{calls}");
    let of_host_5: Vec<&str> = ran.out.lines().filter(|line| line.contains("[127.0.0.5]")).collect();
    assert!(!of_host_5.iter().any(|line| line.contains("receiving a pack")), "{of_host_5:?}");
    assert_eq!(ran.out.matches("receiving a pack").count() + ran.err.matches("receiving a pack").count(), 6);
}

#[test]
fn a_proxy_carries_the_load_of_a_git_server_and_its_password_is_nowhere() {
    let (farm, project) = Project::on_farm(0, 2);
    let root = project.served();
    let server = Server::start(root.path(), Manner::Smart);
    // `me:hunter2`, in base64.
    let proxy = Proxy::start(Some("bWU6aHVudGVyMg=="), "hunter2");
    let address = |port: u16| format!("http_proxy: http://me:hunter2@127.0.0.1:{port}");
    let one = project.commit("one");
    // What is committed, every target has.
    project.configure(&format!("git_server: {}", server.address()));
    project.configure(&address(1));
    let failed = project.deploy(&["--format=json"]).ends(1);
    project.configure(&address(proxy.port));
    let right = project.deploy(&["--format=json", "-v"]).ends(0);
    all_on(&farm, 2, &one);
    assert_eq!(proxy.log().len(), server.log().len());
    assert_eq!(proxy.exposed(), [""; 0]);
    let config = project.run(&["config"]).ends(0).says("http://…@127.0.0.1");
    let define = format!("-Dhttp_proxy:http://me:hunter2@127.0.0.1:{}", proxy.port);
    let defined =
        project.run(&["plan", &define]).ends(2).says("http_proxy on the command line (-D): it contains a password");
    project.configure("http_proxy: ftp://me:hunter2@x");
    let line = project.path("hoist/hoist.cfg");
    let line = std::fs::read_to_string(line).unwrap().lines().count();
    let wrong =
        project.run(&["plan"]).ends(2).says(&format!("hoist.cfg:{line}: http_proxy in [global]: \"ftp://…@x\""));
    for said in [failed, right, config, defined, wrong] {
        assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{said:?}");
    }
    // Logs and journals are below the project.
    let found =
        Command::new("grep").args(["-rlF", "hunter2"]).args([project.path(""), farm.path("")]).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.lines().all(|path| path.ends_with("hoist/hoist.cfg")), "{found}");
}

#[test]
fn a_dry_run_shows_what_configuration_would_change_and_touches_nothing() {
    let (farm, project) = Project::on_farm(0, 2);
    project.write_configuration(&[
        ("config-files.yaml", "/srv/etc/app.conf:\n  template: app.conf.j2\n"),
        ("templates/app.conf.j2", "colour = {{ colour }}\n"),
        ("vars.yaml", "colour: red\n"),
    ]);
    project.commit("one");
    project.deploy(&[]).ends(0);
    project.write("hoist/vars.yaml", "colour: blue\n");
    project.run(&["deploy", "--dry-run"]).ends(0).says("-colour = red").says("+colour = blue");
    assert!(std::fs::read_to_string(farm.srv(&address(0)).join("etc/app.conf")).is_err(), "a link seen from outside");
    assert!(on_host(&farm, 0, &format!("{CACHE}/current/.git/config-files/srv/etc/app.conf")).contains("red"));
}

#[test]
fn output_to_a_closed_pipe_ends_no_deployment() {
    let (farm, project) = Project::on_farm(0, 3);
    let one = project.git(&["rev-parse", "HEAD"]);
    let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(deployer.stdout.take());
    assert_eq!(deployer.wait().unwrap().code(), Some(0));
    all_on(&farm, 3, &one);
}

#[test]
fn with_format_json_every_line_is_an_event_and_the_log_has_them_too() {
    let (_farm, project) = Project::on_farm(1, 2);
    let ran = project.deploy(&["--format=json"]).ends(0);
    let events = ran.events();
    assert_eq!(events[0]["event"], "started");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["status"]), (&"ended".into(), &0.into()));
    assert_eq!(last["rows"].as_array().unwrap().len(), 3);
    let log = std::fs::read_dir(project.path("hoist/log"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| it.extension().is_some_and(|it| it == "log"))
        .unwrap();
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), events.len());
}

#[test]
fn only_the_hosts_of_limit_hosts_are_deployed_to() {
    let (farm, project) = Project::on_farm(1, 3);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&["-l", "127.0.0.[2:3]"]).ends(0);
    for n in 0..4 {
        let wanted = if n == 1 || n == 2 { Links::finalized(&one) } else { Links::default() };
        assert_eq!(Links::of(&farm, n), wanted, "host {n}");
    }
}

/// A deployment of the last commit, and the commands of git that it has run on the deploy host.
fn git_commands(project: &Project) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (log, git) = (folder.path().join("log"), folder.path().join("git"));
    let path = std::env::var("PATH").unwrap();
    let text = format!("#!/bin/sh\necho \"$@\" >>{}\nPATH={path} exec git \"$@\"\n", log.display());
    std::fs::write(&git, text).unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut deploy = project.hoist(&["deploy", "--yes"]);
    deploy.env("PATH", format!("{}:{path}", folder.path().display()));
    Ran::of(deploy.output().unwrap()).ends(0);
    let command = |line: &str| {
        let mut words = line.split(' ').skip_while(|word| *word != "-C").skip(2);
        // Of a switch of git itself only `-c` has a value.
        while let Some(word) = words.next() {
            match word {
                "-c" => drop(words.next()),
                _ if word.starts_with('-') => {}
                _ => return word.to_owned(),
            }
        }
        line.to_owned()
    };
    std::fs::read_to_string(log).unwrap().lines().map(command).collect()
}

/// Each is a process, which costs as much as a stage of a host.
#[test]
fn git_is_asked_nothing_twice() {
    let (_farm, project) = Project::on_farm(0, 2);
    let chosen = ["rev-parse", "rev-parse", "ls-tree", "hash-object", "rev-parse", "status"];
    let tagged = ["for-each-ref", "tag", "for-each-ref", "pack-objects"];
    let first = git_commands(&project);
    assert_eq!(first, [&chosen[..], &tagged, &["pack-objects"]].concat());
    project.write("index.html", "two\n");
    project.commit("two");
    // What is live is compared with what is to be deployed.
    let compared = ["cat-file", "rev-list", "rev-list"];
    assert_eq!(git_commands(&project), [&chosen[..], &compared, &tagged, &["pack-objects"]].concat());
}
