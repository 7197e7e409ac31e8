//! What a rollback brings back, from real sshd hosts: what was live before, as many hosts at once as went forward, and a
//! verdict that was read back.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::restarts::Restarts;
use common::{CACHE, Farm, Links, Project, address};

#[track_caller]
fn all_are(farm: &Farm, hosts: usize, links: &Links) {
    for n in 0..hosts {
        assert_eq!(&Links::of(farm, n), links, "host {}", address(n));
    }
}

/// Commits a page with these words.
fn commit(project: &Project, words: &str) -> String {
    project.write("index.html", &format!("{words}\n"));
    project.commit(words)
}

fn checks(project: &Project, checks: &[(&str, &str, &str)]) {
    let one = |(name, stage, command): &(&str, &str, &str)| {
        format!("  {name}:\n    stage: {stage}\n    shell: true\n    timeout: 60\n    command: \"{command}\"\n")
    };
    let text: String = checks.iter().map(one).collect();
    project.write("hoist/checks.yaml", &format!("checks:\n{text}"));
}

/// Two hosts to which a revision with a check of its own is deployed.
fn with_a_check() -> (Farm, Project, String) {
    let (farm, project) = Project::on_farm(0, 2);
    checks(&project, &[PROMOTE_UNLESS_BROKEN]);
    let one = commit(&project, "one with a check");
    project.deploy(&[]).ends(0);
    (farm, project, one)
}

fn broken(farm: &Farm, n: usize) -> PathBuf {
    farm.srv(&address(n)).join("broken")
}

const FETCH_UNLESS_BROKEN: (&str, &str, &str) = ("fetched", "fetch", "test ! -e /srv/broken");
const PROMOTE_UNLESS_BROKEN: (&str, &str, &str) = ("page", "promote", "test ! -e /srv/broken");

#[test]
fn what_is_live_and_was_never_finalized_stays_when_the_next_deployment_fails_before_it_goes_live() {
    let (farm, project, one) = Project::deployed(0, 3);
    checks(&project, &[FETCH_UNLESS_BROKEN]);
    let two = commit(&project, "two");
    project.deploy(&["-s", "fetch,config_deploy,promote"]).ends(0);
    let stands = Links { current: Some(two), done: Some(one), in_progress: None };
    commit(&project, "three");
    std::fs::write(broken(&farm, 1), "").unwrap();
    project.deploy(&[]).ends(1).says("rolled back and verified");
    all_are(&farm, 3, &stands);
    // One that went live goes back to just that, too.
    std::fs::remove_file(broken(&farm, 1)).unwrap();
    checks(&project, &[PROMOTE_UNLESS_BROKEN]);
    std::fs::write(broken(&farm, 2), "").unwrap();
    project.commit_again();
    project.deploy(&[]).ends(1).says("rolled back and verified");
    all_are(&farm, 3, &stands);
}

#[test]
fn a_rollback_from_a_deployment_that_was_not_finalized_leads_to_the_one_before_it_and_no_further() {
    let (farm, project) = Project::on_farm(0, 2);
    project.deploy(&[]).ends(0);
    let two = commit(&project, "two");
    project.deploy(&[]).ends(0);
    commit(&project, "three");
    project.deploy(&["-s", "fetch,config_deploy,promote"]).ends(0);
    // One that left nothing behind does not count.
    checks(&project, &[PROMOTE_UNLESS_BROKEN]);
    std::fs::write(broken(&farm, 1), "").unwrap();
    commit(&project, "four");
    project.deploy(&[]).ends(1);
    std::fs::remove_file(broken(&farm, 1)).unwrap();
    project.run(&["rollback", "--yes"]).ends(0);
    all_are(&farm, 2, &Links::finalized(&two));
}

#[test]
fn a_rollback_restarts_no_more_services_at_once_than_the_deployment_did() {
    let (farm, project) = Project::on_farm(0, 8);
    let one = project.git(&["rev-parse", "HEAD"]);
    let restarts = Restarts::install(&farm, &project, 8);
    project.deploy(&[]).ends(0);
    assert!(restarts.take().1 > 2, "all hosts at once, without a limit");
    project.configure("group_size: 2");
    checks(&project, &[("last", "restart_service", "test ! -e /srv/broken")]);
    std::fs::write(broken(&farm, 7), "").unwrap();
    commit(&project, "two");
    project.deploy(&[]).ends(1).says("8 hosts were rolled back");
    assert_eq!(restarts.take(), (16, 2), "eight on the way forward, and eight on the way back");
    all_are(&farm, 8, &Links::finalized(&one));
    // The limit that a stage has of its own holds on the way back too.
    project.configure("group_size: 8\npromote_batch_size: 1");
    project.commit_again();
    project.deploy(&[]).ends(1);
    assert_eq!(restarts.take(), (16, 1));
}

#[test]
fn what_went_through_and_left_a_host_drained_is_gone_back_from_and_not_gone_back_to() {
    let (farm, project, one) = Project::deployed(0, 4);
    project.configure("failure_limit: 2\ndrain: touch /srv/drained");
    project.configure("undrain: test ! -e /srv/stuck && rm -f /srv/drained");
    checks(&project, &[FETCH_UNLESS_BROKEN]);
    let two = commit(&project, "two");
    let stuck = farm.srv(&address(2)).join("stuck");
    std::fs::write(broken(&farm, 1), "").unwrap();
    std::fs::write(&stuck, "").unwrap();
    project.deploy(&[]).ends(3);
    std::fs::remove_file(broken(&farm, 1)).unwrap();
    std::fs::remove_file(&stuck).unwrap();
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    project.run(&["rollback", "--yes"]).ends(0).says(&format!("went back to {one:.10}"));
    all_are(&farm, 4, &Links::finalized(&one));
    assert!((0..4).all(|n| !farm.srv(&address(n)).join("drained").exists()));
}

#[test]
fn a_deployment_that_failed_everywhere_is_not_called_deployed_although_the_limit_allows_it() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.configure("failure_limit: 100%");
    checks(&project, &[("never", "fetch", "false")]);
    commit(&project, "two");
    project.deploy(&[]).ends(1).says("every host failed").says("run what they ran before");
    assert_eq!([0, 1].map(|n| Links::of(&farm, n).current), [Some(one.clone()), Some(one)]);
    let ran = project.run(&["history", "-n", "1"]).ends(0).says("failed, hosts as before");
    assert!(!ran.out.contains("rolled back"), "nothing was rolled back: {ran:?}");
    checks(&project, &[("never", "promote", "false")]);
    project.deploy(&[]).ends(3).says("every host failed").says("2 hosts were changed");
    project.run(&["history", "-n", "1"]).ends(0).says("failed on every host");
}

#[test]
fn hosts_that_are_back_and_fail_a_check_of_their_own_are_named_with_it_under_a_status_of_its_own() {
    let (farm, project, one) = with_a_check();
    commit(&project, "two");
    std::fs::write(broken(&farm, 1), "").unwrap();
    let ran = project.deploy(&[]).ends(3).says("127.0.0.2 (check page failed with exit status 1)");
    assert!(!ran.out.contains("mixed"), "{}", ran.out);
    all_are(&farm, 2, &Links::finalized(&one));
    project.run(&["history", "-n", "1"]).ends(0).says("rolled back, checks fail");
}

#[test]
fn a_check_of_a_feature_that_the_old_revision_does_not_have_is_no_matter_on_the_way_back() {
    let (farm, project, one) = Project::deployed(0, 2);
    checks(&project, &[PROMOTE_UNLESS_BROKEN, ("feature", "restart_service", "grep -q two index.html")]);
    commit(&project, "two");
    std::fs::write(broken(&farm, 1), "").unwrap();
    project.deploy(&[]).ends(1).says("check feature failed").says("was deployed without this check");
    all_are(&farm, 2, &Links::finalized(&one));
}

#[test]
fn a_configuration_file_in_the_place_of_hoists_own_is_refused_before_anything_is_touched() {
    let (farm, project) = Project::on_farm(0, 1);
    project.configure("config_deploy: True");
    project.write("hoist/templates/a.j2", "a\n");
    let file = |path: &str| format!("{path}:\n  template: a.j2\n");
    let deploy_dir = "/srv/deployment";
    for path in ["/app", "/app-cache/current", "/app-cache/revs/x", "/app-cache/.hoist/lock", ""] {
        let path = format!("{deploy_dir}{path}");
        project.write("hoist/config-files.yaml", &file(&path));
        project.deploy(&[]).ends(2).says("hoist/config-files.yaml:1").says(&path).says("choose another one");
    }
    project.write("hoist/config-files.yaml", &(file("/etc/app") + &file("/etc/app/a.conf")));
    project.deploy(&[]).ends(2).says("\"/etc/app\" cannot be both a file and the directory of \"/etc/app/a.conf\"");
    assert_eq!(Links::of(&farm, 0), Links::default());
}

/// Starts a deployment, and kills its deployer while the first host waits in its promote.
fn killed_in_promote(farm: &Farm, project: &Project, hosts: usize) {
    let file = |n: usize, name: &str| farm.srv(&address(n)).join(name);
    checks(project, &[("waits", "promote", "touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done")]);
    let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    common::wait_for("promote on every host", || (0..hosts).all(|n| file(n, "waiting").exists()));
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    for n in 0..hosts {
        std::fs::write(file(n, "go"), "").unwrap();
        std::fs::remove_file(file(n, "waiting")).unwrap();
    }
}

#[test]
fn hosts_that_somebody_else_has_deployed_to_since_are_left_and_named_and_the_run_is_over() {
    for command in ["rollback", "resume"] {
        let (farm, project) = Project::on_farm(0, 2);
        project.deploy(&[]).ends(0);
        let other = commit(&project, "somebody else's");
        project.deploy(&["-s", "fetch"]).ends(0);
        commit(&project, "three");
        killed_in_promote(&farm, &project, 2);
        let by_somebody_else = |n: usize| {
            let cache = farm.srv(&address(n)).join(CACHE);
            for link in ["current", ".done"] {
                std::fs::remove_file(cache.join(link)).unwrap();
                std::os::unix::fs::symlink(Path::new("/srv/deployment/app-cache/revs").join(&other), cache.join(link))
                    .unwrap();
            }
        };
        common::wait_for("the promotes to end", || {
            let ended = |n: usize| {
                let runs = farm.srv(&address(n)).join(CACHE).join(".hoist/runs");
                let newest = std::fs::read_dir(runs).unwrap().map(|it| it.unwrap().path()).max().unwrap();
                let record = std::fs::read_to_string(newest.join("promote.0.json")).unwrap_or_default();
                record.contains("\"outcome\":\"ok\"")
            };
            (0..2).all(ended)
        });
        (0..2).for_each(by_somebody_else);
        let ran = project.run(&[command, "--yes"]).ends(1);
        ran.says("2 hosts got another revision meanwhile").says(&format!("now runs {}", &other[..10]));
        let failed = format!("failed: 127.0.0.[1-2] (promote: now runs {} of another deployment", &other[..10]);
        project.run(&["history", "-n", "1"]).ends(0).says(&failed);
        for n in 0..2 {
            let now = Links::of(&farm, n);
            assert_eq!((now.current, now.done), (Some(other.clone()), Some(other.clone())), "{command}");
        }
        checks(&project, &[]);
        let next = commit(&project, "four");
        project.deploy(&[]).ends(0);
        all_are(&farm, 2, &Links::finalized(&next));
    }
}

#[test]
fn a_deployment_that_was_taken_back_after_its_last_host_was_finalized_is_not_what_a_later_rollback_leads_from() {
    let (farm, project, one) = Project::deployed(0, 2);
    let two = commit(&project, "two");
    project.deploy(&[]).ends(0);
    commit(&project, "three");
    project.deploy(&[]).ends(0);
    // As if the deployer had died before it could write its last record.
    let folder = std::fs::read_dir(project.path("hoist/state")).unwrap().map(|entry| entry.unwrap().path());
    let journal = folder.filter(|path| path.extension().is_some_and(|it| it == "journal")).max().unwrap();
    let text = std::fs::read_to_string(&journal).unwrap();
    let whole = text.trim_end().rfind('\n').unwrap() + 1;
    assert!(text[whole..].contains("\"closed\""));
    std::fs::write(&journal, &text[..whole]).unwrap();
    project.run(&["rollback", "--yes"]).ends(1).says("rolled back and verified");
    all_are(&farm, 2, &Links::finalized(&two));
    project.run(&["rollback", "--yes", &one]).ends(0);
    all_are(&farm, 2, &Links::finalized(&one));
}

/// A service whose restart fails on host `n` as long as there is a file `failing` beside it.
fn failing_service(farm: &Farm, project: &Project, hosts: usize) {
    for n in 0..hosts {
        let path = farm.srv(&address(n)).join("service");
        let script = "#!/bin/sh\ngrep -q bad /srv/deployment/app/index.html && exit 1\ntest ! -e /srv/failing\n";
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    project.configure("service_name: web\nservice_command: /srv/service {action} {service}");
}

/// Runs a command that a message has in backquotes, behind these words.
fn says_to_run(project: &Project, ran: &common::Ran, begins: &str) -> common::Ran {
    let command = ran.out.split('`').find(|part| part.starts_with(begins)).unwrap_or_else(|| panic!("{}", ran.out));
    let words: Vec<&str> = command.split_whitespace().skip(1).chain(["--yes"]).collect();
    project.run(&words)
}

#[test]
fn a_service_that_does_not_start_on_the_way_back_is_named_with_the_command_that_starts_it() {
    let (farm, project, one) = Project::deployed(0, 2);
    failing_service(&farm, &project, 2);
    commit(&project, "bad");
    let failing = farm.srv(&address(1)).join("failing");
    std::fs::write(&failing, "").unwrap();
    let short = &one[..10];
    let ran = project
        .deploy(&[])
        .ends(3)
        .says("1 host was not rolled back")
        .says("rollback: service web: restart failed with exit status 1")
        .says(&format!("127.0.0.2: {short} is live there again: fix the service"));
    std::fs::remove_file(&failing).unwrap();
    assert!(!ran.out.contains("hoist lock --end"), "{}", ran.out);
    // What has changed since is not brought to it.
    checks(&project, &[("new", "promote", "false")]);
    says_to_run(&project, &ran, &format!("hoist rollback --to {short}")).ends(0);
    all_are(&farm, 2, &Links::finalized(&one));
    project.run(&["status"]).ends(0);
}

#[test]
fn a_deployment_that_is_advised_comes_with_the_end_of_the_lock_that_is_in_its_way() {
    let (farm, project, one) = Project::deployed(0, 1);
    project.configure("lock_after_rollback: yes");
    checks(&project, &[("gone", "promote", &format!("rm -rf /srv/{CACHE}/revs/{one} /srv/{CACHE}/cache && false"))]);
    commit(&project, "two");
    let ran = project.deploy(&[]).ends(3).says("first `hoist lock --end`: until then, deployments are refused");
    let place = |text: &str| ran.out.rfind(text).unwrap_or_else(|| panic!("{}", ran.out));
    assert!(place("first `hoist lock --end`") < place("`hoist deploy -r"));
    project.write("hoist/checks.yaml", "");
    says_to_run(&project, &ran, "hoist deploy -r").ends(5);
    project.run(&["lock", "--end"]).ends(0);
    says_to_run(&project, &ran, "hoist deploy -r").ends(0);
    assert_eq!(Links::of(&farm, 0).current, Some(one));
}

#[test]
fn the_lock_after_a_rollback_tells_hosts_that_are_back_from_such_that_are_not() {
    let (farm, project, _) = Project::deployed(0, 2);
    checks(&project, &[("well", "promote", "test ! -e /srv/bad")]);
    let two = commit(&project, "two");
    project.deploy(&[]).ends(0);
    project.configure("lock_after_rollback: yes");
    let bad = farm.srv(&address(0)).join("bad");
    std::fs::write(&bad, "").unwrap();
    let three = commit(&project, "three");
    // The check fails for the old revision, too, which is live again all the same.
    let ran = project.deploy(&[]).ends(3).says("but checks fail: 127.0.0.1");
    assert!(ran.out.contains(&format!("{three:.10} was rolled back: failure limit of default exceeded")), "{ran:?}");
    all_are(&farm, 2, &Links::finalized(&two));
    std::fs::remove_file(bad).unwrap();
    project.run(&["lock", "--end"]).ends(0);

    checks(&project, &[("gone", "promote", &format!("rm -rf /srv/{CACHE}/revs/{two} /srv/{CACHE}/cache && false"))]);
    let four = commit(&project, "four");
    let ran = project.deploy(&["--break-glass", "again"]).ends(3);
    assert!(ran.out.contains(&format!("{four:.10} was not rolled back on every host: ")), "{ran:?}");
}

#[test]
fn a_tree_that_is_gone_on_the_way_back_is_named_with_the_command_that_brings_it_again() {
    let (farm, project, one) = Project::deployed(0, 1);
    let folder = format!("/srv/{CACHE}");
    let gone = format!("rm -rf {folder}/revs/{one} {folder}/cache && false");
    checks(&project, &[("gone", "promote", &gone)]);
    let two = commit(&project, "two");
    let ran = project.deploy(&[]).ends(3).says("rollback: ").says("1 host was not rolled back");
    project.run(&["history", "-n", "1"]).ends(0).says("rollback incomplete");
    assert_eq!(Links::of(&farm, 0).current, Some(two));
    project.write("hoist/checks.yaml", "");
    says_to_run(&project, &ran, "hoist deploy -r").ends(0);
    assert_eq!(Links::of(&farm, 0).current, Some(one));
}

#[test]
fn a_rollback_that_a_check_turns_back_says_how_to_go_back_without_checks() {
    let (farm, project, one) = with_a_check();
    commit(&project, "two");
    project.deploy(&[]).ends(0);
    std::fs::write(broken(&farm, 1), "").unwrap();
    let ran = project
        .run(&["rollback", "--yes"])
        .ends(3)
        .says(&format!("not rolled back to {}", &one[..10]))
        .says("check page failed with exit status 1");
    says_to_run(&project, &ran, "hoist rollback").ends(0);
    all_are(&farm, 2, &Links::finalized(&one));
}

#[test]
fn a_rollback_that_a_broken_host_turns_back_says_how_to_tolerate_it() {
    let (farm, project) = Project::on_farm(1, 1);
    failing_service(&farm, &project, 2);
    let one = commit(&project, "one with a service");
    project.deploy(&[]).ends(0);
    commit(&project, "two");
    project.deploy(&[]).ends(0);
    std::fs::write(farm.srv(&address(0)).join("failing"), "").unwrap();
    let ran = project.run(&["rollback", "--yes"]).ends(3).says("rollback: service web: restart failed");
    says_to_run(&project, &ran, &format!("hoist rollback --to {} -D canary_failure_limit:1", &one[..10]))
        .ends(0)
        .says("1 host failed within the limits");
    assert_eq!(Links::of(&farm, 1).current, Some(one));
}
