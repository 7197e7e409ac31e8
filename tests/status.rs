//! Who missed on a deployment, who is where, and `hoist reconcile`, on real sshd hosts.

mod common;
#[path = "common/schema.rs"]
mod schema;

use serde_json::json;

use common::{CACHE, Links, Project, Ran, address};

/// The host of `hoist status --format json`.
fn host(ran: &Ran, n: usize) -> serde_json::Value {
    let whole: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("not JSON: {ran:?}"));
    let hosts = whole["hosts"].as_array().unwrap();
    hosts.iter().find(|host| host["host"] == address(n)).unwrap().clone()
}

fn status(project: &Project, arguments: &[&str]) -> Ran {
    project.run(&[&["status", "--format", "json"], arguments].concat())
}

/// Commits a page with these words.
fn page(project: &Project, words: &str) -> String {
    project.write("index.html", &format!("{words}\n"));
    project.commit(words)
}

#[test]
fn a_host_that_was_down_is_owed_the_revision_until_reconcile_has_brought_it() {
    let (farm, project) = Project::on_farm(1, 4);
    project.configure("failure_limit: 1");
    project.write(
        "hoist/checks.yaml",
        "checks:\n  count:\n    stage: promote\n    shell: true\n    command: echo x >> /srv/promotes\n",
    );
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    project.run(&["status"]).ends(0).says(&one[..10]);
    let two = page(&project, "two");
    farm.set_down(&address(3), true);
    let ran = project.deploy(&[]).ends(0);
    ran.says(
        "1 host still needs its revision: 127.0.0.4 missed this deployment; `hoist reconcile` brings it there once the \
         cause is fixed",
    );
    assert_eq!(Links::of(&farm, 3), Links::finalized(&one));

    let ran = status(&project, &[]).ends(1);
    let there = host(&ran, 3);
    // A host that is behind is shown as what it is right now: it answers, and with an error.
    assert_eq!(there["standing"], "unreachable");
    assert!(there["trouble"].as_str().unwrap().contains("this host is down"), "{there}");
    assert_eq!((&there["owed"]["revision"], &there["wanted"]), (&two.as_str().into(), &two.as_str().into()));
    assert_eq!(there["current"], one.as_str(), "what it ran when it was last read");
    assert_eq!(host(&ran, 2)["standing"], "in sync");
    let offline = status(&project, &["--offline"]).ends(1);
    assert_eq!((&host(&offline, 3)["standing"], &host(&offline, 3)["reached"]), (&"behind".into(), &().into()));
    project.run(&["status", "--offline"]).ends(1).says("127.0.0.[2-3,5]").says("missed");

    farm.set_down(&address(3), false);
    status(&project, &["-l", "127.0.0.3"]).ends(0);
    let ran = project.run(&["reconcile", "--yes", "--format", "json"]).ends(0);
    assert_eq!(ran.events()[0]["groups"].as_array().unwrap().len(), 1, "the groups of just the owed hosts");
    common::all_on(&farm, 5, &two);
    let promotes = |n: usize| std::fs::read_to_string(farm.srv(&address(n)).join("promotes")).unwrap().lines().count();
    assert_eq!(
        (0..5).map(promotes).collect::<Vec<_>>(),
        [2, 2, 2, 2, 2],
        "a host was deployed to that was owed nothing"
    );
    status(&project, &["--offline"]).ends(0);
    project.run(&["reconcile"]).ends(0).says("nothing to do");
}

#[test]
fn a_host_that_failed_within_the_limit_is_owed_with_its_reason_and_a_later_deployment_settles_it() {
    let (farm, project) = Project::on_farm(0, 3);
    project.configure("failure_limit: 1");
    project.deploy(&[]).ends(0);
    std::fs::write(farm.srv(&address(1)).join("broken"), "").unwrap();
    project.write("hoist/checks.yaml", "checks:\n  page:\n    stage: promote\n    command: test ! -e /srv/broken\n");
    let two = page(&project, "two");
    project.deploy(&[]).ends(0);
    let ran = status(&project, &[]).ends(1);
    assert_eq!(host(&ran, 1)["standing"], "behind");
    assert!(host(&ran, 1)["owed"]["reason"].as_str().unwrap().contains("check page failed"));
    // As it was left: live, not finalized.
    assert_eq!(
        (&host(&ran, 1)["current"], &host(&ran, 1)["in_progress"]),
        (&two.as_str().into(), &two.as_str().into())
    );
    // A later deployment to others names it, and hosts that are new.
    let hosts =
        |count: usize| project.write("hoist/default", &(0..count).map(|n| address(n) + "\n").collect::<String>());
    hosts(4);
    let ran = project.deploy(&["-l", "127.0.0.1", "--force", "--format", "json"]).ends(0);
    let end = ran.events().pop().unwrap();
    let owed = |n: usize, why: &str| json!({"host": address(n), "group": "default", "revision": two, "why": why});
    assert_eq!(end["owed"], json!([owed(1, "missed earlier"), owed(3, "new")]));
    let line = end["ways_out"][0].as_str().unwrap();
    assert!(line.contains("127.0.0.2 missed an earlier deployment, 127.0.0.4 is new;"), "{line}");
    schema::Answer::named("ended").holds(&end);
    hosts(3);
    // A run that succeeds nowhere is no success, whatever the limit, and changes nothing about that.
    project.run(&["reconcile", "--yes"]).ends(1).says("failed");
    assert_eq!(host(&status(&project, &["--offline"]).ends(1), 1)["standing"], "behind");
    std::fs::remove_file(farm.srv(&address(1)).join("broken")).unwrap();
    project.deploy(&["--force"]).ends(0);
    status(&project, &["--offline"]).ends(0);
}

#[test]
fn a_host_whose_finalize_failed_is_owed_too() {
    let (farm, project) = Project::on_farm(0, 2);
    std::fs::write(farm.srv(&address(1)).join("broken"), "").unwrap();
    project.write("hoist/checks.yaml", "checks:\n  last:\n    before: finalize\n    command: test ! -e /srv/broken\n");
    let one = project.commit("one");
    project.deploy(&[]).ends(4);
    assert_eq!(host(&status(&project, &["--offline"]).ends(1), 1)["owed"]["revision"], one.as_str());
    std::fs::remove_file(farm.srv(&address(1)).join("broken")).unwrap();
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!(Links::of(&farm, 1), Links::finalized(&one));
}

#[test]
fn a_host_on_which_a_check_fails_after_finalize_is_behind_until_a_run_has_passed_it() {
    let (farm, project) = Project::on_farm(0, 2);
    let broken = farm.srv(&address(1)).join("broken");
    std::fs::write(&broken, "").unwrap();
    project.check("last", "finalize", "test ! -e /srv/broken");
    let one = project.commit("one");
    project.deploy(&[]).ends(4).says("reconcile");
    assert_eq!(Links::of(&farm, 1), Links::finalized(&one), "finalize comes ahead of its checks");
    for words in [&[][..], &["--offline"]] {
        assert_eq!(host(&status(&project, words).ends(1), 1)["standing"], "behind", "{words:?}");
    }
    project.run(&["reconcile", "--yes"]).ends(4);
    assert_eq!(host(&status(&project, &[]).ends(1), 1)["standing"], "behind");
    std::fs::remove_file(&broken).unwrap();
    project.run(&["reconcile", "--yes"]).ends(0);
    status(&project, &[]).ends(0);
}

#[test]
fn a_deployment_that_was_rolled_back_or_not_finalized_is_owed_to_nobody() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.write(
        "hoist/checks.yaml",
        "checks:\n  bad:\n    stage: promote\n    shell: true\n    command: \"! grep -q two index.html\"\n",
    );
    let two = page(&project, "two");
    project.deploy(&[]).ends(1);
    assert_eq!(host(&status(&project, &["--offline"]).ends(0), 0)["wanted"], one.as_str());
    project.write("hoist/checks.yaml", "");
    project.deploy(&["-r", &two, "-s", "fetch,promote", "--break-glass", "again"]).ends(0);
    let ran = status(&project, &["--offline"]).ends(1);
    assert_eq!((&host(&ran, 0)["standing"], &host(&ran, 0)["wanted"]), (&"drifted".into(), &one.as_str().into()));
    project.run(&["reconcile", "--yes"]).ends(0).says(&one[..10]);
    (0..2).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&one)));
}

#[test]
fn hosts_on_which_a_first_deployment_failed_are_not_in_sync() {
    let (farm, project) = Project::on_farm(0, 2);
    project.check("bad", "promote", "'false'");
    let one = project.commit("one");
    project.deploy(&[]).ends(3);
    assert_eq!(Links::of(&farm, 0).current.as_deref(), Some(one.as_str()));
    for offline in [&[][..], &["--offline"]] {
        assert_eq!(host(&status(&project, offline).ends(1), 0)["standing"], "drifted", "{offline:?}");
    }
}

#[test]
fn status_finds_a_host_that_somebody_changed_and_takes_no_lock_and_changes_nothing() {
    let (farm, project, one) = Project::deployed(0, 2);
    let two = page(&project, "two");
    project.deploy(&[]).ends(0);
    let current = farm.srv(&address(1)).join(common::CACHE).join("current");
    std::fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink(format!("revs/{one}"), &current).unwrap();
    status(&project, &["--offline"]).ends(0);
    let ran = status(&project, &[]).ends(1);
    assert_eq!((&host(&ran, 1)["standing"], &host(&ran, 1)["current"]), (&"drifted".into(), &one.as_str().into()));
    project.run(&["status", "--offline"]).ends(1).says("drifted").says(&two[..10]);
    assert_eq!(std::fs::read_link(&current).unwrap().to_str().unwrap(), format!("revs/{one}"));
}

#[test]
fn status_says_who_deploys_and_holds_locks_and_then_that_the_deployment_is_unfinished() {
    let (farm, project) = Project::on_farm(0, 2);
    project.check("waits", "promote", common::WAITS);
    project.commit("one");
    project.run(&["status", "--offline"]).ends(1).says("new");
    let mut deployer =
        project.hoist(&["deploy", "--yes", "why", "not"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    common::wait_for_check(&farm, 0);
    let ran = project.run(&["status"]).says("is being deployed by op on ").says("locked by op on ").says("why not");
    let ran = ran.says("unfinished");
    assert!(!ran.out.contains("hoist resume"), "{}", ran.out);
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    common::go(&farm, 2);
    project.run(&["status"]).ends(1).says("is not finished").says("hoist resume").says("hoist rollback");
    let standings = |ran: &Ran| [0, 1].map(|n| host(ran, n)["standing"].as_str().unwrap().to_owned());
    assert_eq!(standings(&status(&project, &[])), ["unfinished", "unfinished"]);
    project.run(&["resume", "--yes"]).ends(0);
    let ran = project.run(&["status"]).ends(0);
    assert!(!ran.out.contains("locked") && !ran.out.contains("not finished"), "{}", ran.out);
    // Equal hosts share a row.
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    ran.says("127.0.0.[1-2]");
}

#[test]
fn a_host_out_of_reach_is_owed_and_its_last_contact_stays_what_it_was() {
    let (_farm, project) = Project::on_farm(0, 2);
    project.configure("failure_limit: 1");
    // Nobody listens there.
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3:1\n");
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let ran = project.run(&["status", "--format", "json"]).ends(1);
    let whole: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let away = &whole["hosts"][2];
    assert_eq!((&away["host"], &away["standing"]), (&"127.0.0.3:1".into(), &"unreachable".into()));
    assert_eq!((&away["reached"], &away["last_contact"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(away["owed"]["revision"], one.as_str());
    project.run(&["status"]).ends(1).says("never").says("now").says("127.0.0.[1-2]");
    // Alone, it is more than the limit of its group allows.
    project.configure("failure_limit: 0");
    project.run(&["reconcile", "--yes"]).ends(1).says("nothing was touched");
}

#[test]
fn a_host_that_was_lost_in_a_stage_and_stays_away_is_unknown_and_owed() {
    let (farm, project) = Project::on_farm(0, 2);
    project.configure("failure_limit: 1\nreconnect_timeout: 1");
    project.deploy(&[]).ends(0);
    // On the second host the stage cuts its own connection when it is told to.
    let pid = "p=$$; while [ $(cat /proc/$p/comm) != sshd ]; do p=$(cut -d' ' -f4 /proc/$p/stat); done; echo $p > \
               /srv/sshd-pid";
    let cut = "test ! -e /srv/cut || { rm /srv/cut; touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done; \
               kill -9 $(cat /srv/sshd-pid); }";
    project.write(
        "hoist/checks.yaml",
        &format!(
            "checks:\n  pid:\n    before: promote\n    shell: true\n    command: \"{pid}\"\n  cut:\n    stage: \
             promote\n    shell: true\n    command: \"{cut}\"\n"
        ),
    );
    let two = page(&project, "two");
    let srv = farm.srv(&address(1));
    std::fs::write(srv.join("cut"), "").unwrap();
    let deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    common::wait_for("promote on the second host", || srv.join("waiting").exists());
    farm.set_down(&address(1), true);
    std::fs::write(srv.join("go"), "").unwrap();
    Ran::of(deployer.wait_with_output().unwrap()).ends(3).says("unknown").says("127.0.0.2");
    project.run(&["history", "-n", "1"]).ends(0).says("hosts in unknown state");
    let ran = status(&project, &["--offline"]).ends(1);
    let lost = host(&ran, 1);
    assert_eq!((&lost["standing"], &lost["owed"]["revision"]), (&"behind".into(), &two.as_str().into()));
    assert_eq!(lost["current"], serde_json::Value::Null, "it is not known what it runs");
    project.run(&["status", "--offline"]).ends(1).says("?");
    project.run(&["plan"]).ends(0).says("it is not known what 1 host runs: 127.0.0.2");
    farm.set_down(&address(1), false);
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!(Links::of(&farm, 1), Links::finalized(&two));
    status(&project, &[]).ends(0);
}

#[test]
fn a_damaged_memory_stops_no_deployment_and_is_named_until_the_next_run_moves_it_away() {
    let (_farm, project) = Project::on_farm(0, 1);
    project.deploy(&[]).ends(0);
    std::fs::write(project.path("hoist/state/fleet.json"), "{\"format\":1,").unwrap();
    let flags = ["-D", "batch_size:2"];
    let way_out = "`hoist status -D batch_size:2` renames it";
    for words in [&["status", "--offline"][..], &["plan"]] {
        project.run(&[words, &flags].concat()).says("fleet.json is damaged").says(way_out);
    }
    project.run(&[&["reconcile", "--yes"][..], &flags].concat()).ends(2).says("fleet.json is damaged").says(way_out);
    page(&project, "two");
    let deployed = project.deploy(&[]).ends(0).says("fleet.json is damaged").says("it was renamed to");
    assert!(!deployed.err.contains("renames it"), "{}", deployed.err);
    status(&project, &["--offline"]).ends(0);
}

#[test]
fn environments_with_another_repository_want_their_own_revision_of_the_same_host() {
    let (farm, project) = Project::on_farm(0, 1);
    project.write("hoist/environments/staging/hoist.cfg", "[global]\ngit_repo: other\n");
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let staging = status(&project, &["--offline", "-e", "staging"]);
    assert!(host(&staging, 0)["wanted"].is_null(), "{}", staging.out);
    let two = page(&project, "two");
    project.deploy(&["-e", "staging"]).ends(0);
    assert_eq!(host(&status(&project, &["--offline", "-e", "staging"]).ends(0), 0)["wanted"], two.as_str());
    assert_eq!(host(&status(&project, &["--offline"]).ends(0), 0)["wanted"], one.as_str());
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
}

#[test]
fn verify_says_which_hosts_lack_files_of_what_is_live() {
    let (farm, project) = Project::on_farm(0, 3);
    for n in 0..5 {
        project.write(&format!("app/f{n}"), "x\n");
    }
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let whole = status(&project, &["--verify"]).ends(0);
    assert_eq!(host(&whole, 1)["lacking"]["count"], 0);
    assert!(host(&status(&project, &[]).ends(0), 1)["lacking"].is_null());

    let tree = farm.srv(&address(1)).join(CACHE).join("revs").join(&one);
    std::fs::remove_dir_all(tree.join("app")).unwrap();
    status(&project, &[]).ends(0);
    let ran = status(&project, &["--verify"]).ends(1);
    let there = host(&ran, 1);
    assert_eq!((&there["standing"], &there["lacking"]["count"]), (&"in sync".into(), &5.into()));
    assert_eq!(there["lacking"]["files"][0], "app/f0");
    assert_eq!(host(&ran, 0)["standing"], "in sync");
    project
        .run(&["status", "--verify"])
        .ends(1)
        .says("5 files missing or changed in its tree: app/f0, app/f1, app/f2, …");
    project.run(&["status", "--verify", "--offline"]).ends(2).says("--offline");
    // Deployed again, it is whole.
    project.deploy(&[]).ends(0).says("restored missing or changed files: 5 files");
    status(&project, &["--verify"]).ends(0);
}
