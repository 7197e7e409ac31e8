//! `hoist reconcile` and the words of `hoist status`, on real sshd hosts.

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::terminal::Terminal;
use common::{CACHE, Farm, Links, Project, Ran, address};

fn page(project: &Project, words: &str) -> String {
    project.write("index.html", &format!("{words}\n"));
    project.commit(words)
}

/// The word of each host, and the exit status of `hoist status`.
fn words(project: &Project, arguments: &[&str]) -> (i32, Vec<String>) {
    let ran = project.run(&[&["status", "--format", "json"], arguments].concat());
    let whole: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("not JSON: {ran:?}"));
    let hosts = whole["hosts"].as_array().unwrap();
    (ran.status.unwrap(), hosts.iter().map(|host| host["standing"].as_str().unwrap().to_owned()).collect())
}

/// What `hoist reconcile` would do.
#[track_caller]
fn preview(project: &Project, status: i32) -> serde_json::Value {
    let ran = project.run(&["reconcile", "--dry-run", "--format", "json"]).ends(status);
    let json = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("not JSON: {ran:?}"));
    schema::Answer::named("reconcile_preview").holds(&json);
    json
}

/// A project with two revisions, both deployed, the second one with these words.
fn two_revisions(farm: &Farm, canary: usize, default: usize, words: &str) -> (Project, String, String) {
    let project = Project::new(farm, canary, default);
    let one = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&[]).ends(0);
    let two = page(&project, words);
    project.deploy(&[]).ends(0);
    (project, one, two)
}

/// Makes a host run another revision than it was deployed with.
fn drift(farm: &Farm, n: usize, to: &str) {
    let current = farm.srv(&address(n)).join(CACHE).join("current");
    std::fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink(format!("revs/{to}"), &current).unwrap();
}

#[test]
fn every_host_is_brought_to_what_is_wanted_whatever_keeps_it_from_there() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 4);
    project.configure("failure_limit: 1");
    let all = "127.0.0.1\n127.0.0.2\n127.0.0.3\n127.0.0.4\n";
    let one = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&[]).ends(0);
    let two = page(&project, "two");
    farm.set_down(&address(3), true);
    project.deploy(&[]).ends(0);
    farm.set_down(&address(3), false);
    assert_eq!(words(&project, &[]), (1, ["in sync", "in sync", "in sync", "behind"].map(str::to_owned).into()));
    drift(&farm, 1, &one);
    std::fs::remove_dir_all(farm.srv(&address(2)).join(CACHE)).unwrap();
    project.write("hoist/default", &format!("{all}127.0.0.5\n"));
    let (status, all) = words(&project, &[]);
    assert_eq!((status, all), (1, ["in sync", "drifted", "new", "behind", "new"].map(str::to_owned).into()));
    project.run(&["status"]).ends(1).says("skew: the hosts of default run different revisions");

    let ran = project.run(&["reconcile", "--dry-run"]).ends(0);
    let wanted = &two[..10];
    assert!(ran.out.contains(&format!("127.0.0.2: drifted: {} is live, should be {wanted}", &one[..10])), "{ran:?}");
    assert!(ran.out.contains(&format!("127.0.0.[3,5]: new: nothing is live, should be {wanted}")), "{ran:?}");
    assert!(ran.out.contains(&format!("127.0.0.4: behind: {} is live, should be {wanted}", &one[..10])), "{ran:?}");
    let json = preview(&project, 0);
    let [unlike, behind] = [&json["hosts"][0], &json["hosts"][2]];
    assert_eq!((&unlike["host"], &unlike["standing"]), (&"127.0.0.2".into(), &"drifted".into()), "{json}");
    assert_eq!((&unlike["live"], &unlike["wanted"]), (&one.as_str().into(), &two.as_str().into()), "{json}");
    assert_eq!((&behind["host"], &behind["standing"]), (&"127.0.0.4".into(), &"behind".into()), "{json}");
    assert_eq!((&json["to"][0]["subject"], &json["in_sync"]), (&"two".into(), &serde_json::json!(["127.0.0.1"])));
    assert_eq!(json["to"][0]["hosts"].as_array().unwrap().len(), 4, "{json}");
    assert_ne!(Links::of(&farm, 1), Links::finalized(&two), "a dry run touches nothing");

    project.run(&["reconcile", "--yes", "-l", "127.0.0.5"]).ends(0).says("1 of 1 host");
    assert_eq!(Links::of(&farm, 4), Links::finalized(&two));
    assert_ne!(Links::of(&farm, 3), Links::finalized(&two));
    project.run(&["reconcile", "--yes"]).ends(0).says("3 of 3 hosts");
    for n in 0..5 {
        assert_eq!(Links::of(&farm, n), Links::finalized(&two), "{}", address(n));
    }
    assert_eq!(words(&project, &[]).0, 0);
    project.run(&["reconcile"]).ends(0).says("nothing to do: 5 hosts are in sync");
    assert_eq!(preview(&project, 0)["in_sync"].as_array().unwrap().len(), 5);
    for command in ["reconcile", "rollback"] {
        let words = [&[command, "--yes", "--format", "json"][..], if command == "rollback" { &[&two] } else { &[] }];
        let events = project.run(&words.concat()).ends(0).events();
        assert_eq!((events.len(), &events[0]["event"], &events[0]["status"]), (1, &"ended".into(), &0.into()));
        assert!(events[0]["verdict"].as_str().unwrap().starts_with("nothing to do: "), "{events:?}");
        schema::Answer::named("event").holds(&events[0]);
    }
}

#[test]
fn a_host_that_is_out_of_reach_keeps_no_other_from_being_brought_there_and_is_named() {
    let farm = Farm::up();
    let (project, one, two) = two_revisions(&farm, 0, 3, "two");
    drift(&farm, 0, &one);
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3\n127.0.0.4:1\n");
    assert_eq!(words(&project, &[]).1, ["drifted", "in sync", "in sync", "unreachable"]);
    project.run(&["reconcile", "--yes"]).ends(1).says("1 host is unreachable and left out: 127.0.0.4:1");
    assert_eq!(Links::of(&farm, 0), Links::finalized(&two));
    // The last line for programs has the exit status, and who was left out.
    for brought in [1, 0] {
        if brought > 0 {
            drift(&farm, 0, &one);
        }
        let events = project.run(&["reconcile", "--yes", "--format", "json"]).ends(1).events();
        let ends: Vec<_> = events.iter().filter(|event| event["event"] == "ended").collect();
        let end = ends.last().unwrap();
        let left = (&end["status"], &end["rows"][0]["host"], &end["rows"][0]["state"]);
        assert_eq!(left, (&1.into(), &"127.0.0.4:1".into(), &"unreachable".into()), "{end}");
        assert_eq!((ends.len(), events.last(), end["rows"].as_array().unwrap().len()), (1 + brought, Some(*end), 1));
    }
    project.run(&["reconcile", "--yes"]).ends(1).says("nothing was touched");
}

#[test]
fn a_host_that_answers_with_an_error_is_left_out_like_one_that_does_not_answer() {
    let farm = Farm::up();
    let (project, one, two) = two_revisions(&farm, 0, 3, "two");
    drift(&farm, 0, &one);
    farm.set_down(&address(2), true);
    assert_eq!(words(&project, &[]).1, ["drifted", "in sync", "unreachable"]);
    let why = format!("127.0.0.3: unreachable, should run {}", &two[..10]);
    let left_out = "1 host is unreachable and left out: 127.0.0.3";
    project.run(&["reconcile", "--dry-run"]).ends(1).says(&why);
    assert_eq!(preview(&project, 1)["unreachable"], serde_json::json!(["127.0.0.3"]));
    let ran = project.run(&["reconcile", "--yes"]).ends(1).says(&why).says("1 of 1 host").says(left_out);
    assert!(!ran.err.contains("completed without it"), "{ran:?}");
    common::all_on(&farm, 2, &two);
    let runs = || std::fs::read_dir(project.path("hoist/state")).unwrap().count();
    let before = runs();
    project.run(&["reconcile", "--yes"]).ends(1).says(left_out).says("nothing was touched");
    assert_eq!(runs(), before, "no run begins for hosts that are left out");
}

#[test]
fn what_a_new_host_should_run_is_not_guessed_where_its_group_is_split() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.run(&["status", "--offline"]).ends(1).says("new");
    project.run(&["reconcile", "--yes"]).ends(0).says("nothing was deployed from here yet");
    project.run(&["reconcile", "--dry-run"]).ends(0).says("nothing was deployed from here yet");
    assert_eq!(preview(&project, 0)["hosts"], serde_json::json!([]));
    project.deploy(&[]).ends(0);
    page(&project, "two");
    project.deploy(&["-l", "127.0.0.2"]).ends(0);
    // Each runs what was deployed to it, and the group runs two revisions.
    let (status, all) = words(&project, &[]);
    assert_eq!((status, all), (1, ["in sync", "in sync"].map(str::to_owned).into()));
    let ran = project.run(&["status", "--format", "json"]).ends(1);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    schema::Answer::named("status").holds(&json);
    assert_eq!(json["skew"][0]["group"], "default");
    assert_eq!(json["skew"][0]["revisions"].as_array().unwrap().len(), 2);
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3\n");
    assert_eq!(preview(&project, 1)["wanted_unknown"], serde_json::json!(["127.0.0.3"]));
    let ran: Ran = project.run(&["reconcile", "--yes"]).ends(1);
    ran.says("it is not known which revision 127.0.0.3 should run").says("nothing was touched");
}

#[test]
fn a_host_that_was_off_its_list_during_a_deployment_is_new_when_it_is_listed_again() {
    let (farm, project, _) = Project::deployed(0, 3);
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n");
    let two = page(&project, "two");
    project.deploy(&[]).ends(0);
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3\n");
    assert_eq!(words(&project, &[]), (1, ["in sync", "in sync", "new"].map(str::to_owned).into()));
    project.run(&["reconcile", "--yes"]).ends(0).says("1 of 1 host");
    common::all_on(&farm, 3, &two);
}

#[test]
fn links_that_lead_elsewhere_and_a_finalize_that_failed_are_put_right() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.render("/srv/etc/a.conf", "colour = red\n", &[]);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let link = farm.srv(&address(0)).join("etc/a.conf");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    std::fs::remove_file(farm.srv(&address(1)).join(CACHE).join(".done")).unwrap();
    assert_eq!(words(&project, &[]).1, ["drifted", "drifted"]);
    let ran = project.run(&["reconcile", "--yes"]).ends(0);
    // It is promoted again on one of them, and this command has no --force.
    let again = "is already live on 127.0.0.[1-2]: it is promoted again only where that is needed\n";
    assert!(ran.out.contains(again), "{}", ran.out);
    (0..2).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&one)));
    assert!(std::fs::read_link(&link).unwrap().to_str().unwrap().contains(&one));
    assert_eq!(words(&project, &[]).0, 0);
}

/// Another deploy host's clone, with the control files of this one as they are.
fn configured_clone(project: &Project) -> Project {
    let other = Project::clone_of(project);
    for file in ["hoist.cfg", "default", "canary"].map(|name| format!("hoist/{name}")) {
        other.write(&file, &std::fs::read_to_string(project.path(&file)).unwrap());
    }
    other
}

#[test]
fn what_somebody_else_has_deployed_to_all_hosts_is_not_taken_back() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.deploy(&[]).ends(0);
    let other = configured_clone(&project);
    let two = page(&other, "two");
    other.deploy(&[]).ends(0);
    assert_eq!(words(&project, &[]).1, ["drifted", "drifted"]);
    let refused = || project.run(&["reconcile", "--yes"]).ends(2).says("somebody else has deployed since");
    refused().says(&format!("not in this repository; fetch it first, then `hoist deploy -r {}` makes it", &two[..10]));
    project.git(&["fetch", "-q", other.path("").to_str().unwrap()]);
    refused().says(&format!("since: `hoist deploy -r {}` makes it", &two[..10]));
    project.run(&["rollback", "--yes"]).ends(2).says("somebody else has deployed since");
    (0..2).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&two)));
    project.run(&["reconcile", "--yes", "-l", "127.0.0.2"]).ends(0);
    assert_ne!(Links::of(&farm, 1), Links::finalized(&two));
}

#[test]
fn a_host_that_does_not_answer_is_not_said_to_run_what_somebody_else_has_deployed() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 3);
    project.deploy(&[]).ends(0);
    let other = configured_clone(&project);
    let two = page(&other, "two");
    other.deploy(&[]).ends(0);
    let all = |which: &str| format!("{which} run {}, which is finalized", &two[..10]);
    project.run(&["reconcile", "--yes"]).ends(2).says(&all("all hosts"));
    farm.set_down(&address(2), true);
    project.run(&["reconcile", "--yes"]).ends(2).says(&all("all hosts that answered"));
}

#[test]
fn a_host_that_missed_other_configuration_of_the_same_revision_is_behind_until_it_has_it() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.configure("config_deploy: yes\nfailure_limit: 1\nconnect_timeout: 3");
    project.write("hoist/config-files.yaml", "app.ini:\n  template: a.j2\n");
    project.write("hoist/templates/a.j2", "pool = {{ pool }}");
    project.write("hoist/vars.yaml", "pool: 1\n");
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let has = |n: usize| std::fs::read_to_string(farm.srv(&address(n)).join(CACHE).join("current/app.ini")).unwrap();
    project.write("hoist/vars.yaml", "pool: 2\n");
    farm.set_down(&address(1), true);
    project.deploy(&["-r", &one]).ends(0).says("still needs its revision");
    farm.set_down(&address(1), false);
    for look in [&["--offline"][..], &[], &["--verify"]] {
        assert_eq!(words(&project, look), (1, vec!["in sync".to_owned(), "behind".to_owned()]), "{look:?}");
    }
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!([has(0), has(1)], ["pool = 2", "pool = 2"]);
    assert_eq!(words(&project, &[]), (0, vec!["in sync".to_owned(); 2]));
    // A failure that is tolerated is a miss, too.
    project.write("hoist/vars.yaml", "pool: 3\n");
    project.write(
        "hoist/checks.yaml",
        "checks:\n  room:\n    stage: config_deploy\n    shell: true\n    command: '! test -e /srv/no'\n",
    );
    std::fs::write(farm.srv(&address(1)).join("no"), "").unwrap();
    project.deploy(&["-r", &one]).ends(0);
    std::fs::remove_file(farm.srv(&address(1)).join("no")).unwrap();
    assert_eq!(words(&project, &[]).1, ["in sync", "behind"]);
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!([has(0), has(1)], ["pool = 3", "pool = 3"]);
}

#[test]
fn a_wanted_revision_that_is_gone_from_the_repository_is_named_with_its_hosts() {
    let farm = Farm::up();
    let (project, one, two) = two_revisions(&farm, 0, 2, "Second page");
    project.run(&["deploy", "--yes", "-r", &one, "-l", "127.0.0.2", "--force"]).ends(0);
    let links = farm.srv(&address(0)).join(CACHE);
    std::fs::remove_file(links.join("current")).unwrap();
    // All that leads to it.
    project.git(&["reset", "-q", "--hard", &one]);
    let tags = project.git(&["tag", "--list"]);
    tags.lines().for_each(|tag| drop(project.git(&["tag", "--delete", tag])));
    project.git(&["reflog", "expire", "--expire=now", "--all"]);
    project.git(&["gc", "-q", "--prune=now"]);
    let ran = project.run(&["reconcile", "--yes"]).ends(2);
    let gone = format!("127.0.0.1: {}, which is wanted there, is not in this repository any more", &two[..10]);
    ran.says(&gone);
    project.run(&["reconcile", "--dry-run"]).ends(2).says(&gone).says("`hoist deploy -r REVISION -l 127.0.0.1`");
    let events = project.run(&["reconcile", "--yes", "--format", "json"]).ends(2).events();
    let end = events.last().unwrap();
    assert_eq!(
        (&end["event"], &end["status"], &end["rows"][0]["host"]),
        (&"ended".into(), &2.into(), &"127.0.0.1".into())
    );
    // Nothing is brought to others before it is known that all can be brought.
    std::fs::remove_file(farm.srv(&address(1)).join(CACHE).join("current")).unwrap();
    let others = "hoist reconcile -l '!127.0.0.1'";
    project.run(&["reconcile", "--yes"]).ends(2).says(&gone).says(others);
    assert_ne!(Links::of(&farm, 1), Links::finalized(&one));
    project.run(&["reconcile", "--yes", "-l", "!127.0.0.1"]).ends(0);
    assert_eq!(Links::of(&farm, 1), Links::finalized(&one));
}

#[test]
fn the_last_line_of_a_reconcile_has_its_status_and_the_hosts_that_it_left_whatever_ended_it() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 3);
    project.configure("failure_limit: 1");
    project.check("room", "finalize", "! test -e /srv/no");
    project.commit("A check");
    project.deploy(&[]).ends(0);
    page(&project, "two");
    project.run(&["deploy", "--yes", "-l", "127.0.0.1,127.0.0.2"]).ends(0);
    // One deployment for the first host, whose finalize fails, and another one for the third.
    for n in [0, 2] {
        std::fs::remove_dir_all(farm.srv(&address(n)).join(CACHE)).unwrap();
    }
    std::fs::write(farm.srv(&address(0)).join("no"), "").unwrap();
    farm.set_down(&address(1), true);
    let events = project.run(&["reconcile", "--yes", "--format", "json"]).ends(4).events();
    let ends: Vec<_> = events.iter().filter(|event| event["event"] == "ended").collect();
    assert_eq!((ends.len(), events.last(), &ends[1]["status"]), (2, Some(ends[1]), &4.into()), "{ends:?}");
    let left = [0, 1].map(|n| (&ends[1]["rows"][n]["host"], &ends[1]["rows"][n]["state"]));
    let [away, waits] = ["127.0.0.2", "127.0.0.3"].map(serde_json::Value::from);
    assert_eq!(left, [(&away, &"unreachable".into()), (&waits, &"not_attempted".into())], "{}", ends[1]);
    let said = project.run(&["reconcile", "--yes"]).ends(4).says("1 host is unreachable and left out: 127.0.0.2");
    said.says("127.0.0.3: not attempted, since an earlier deployment of this command ended with status 4");
}

#[test]
fn hosts_of_another_environment_are_not_brought_the_configuration_of_this_one() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.configure("failure_limit: 1");
    project.write("hoist/environments/prod/vars.yaml", "x: 1\n");
    project.commit("An environment");
    project.deploy(&["-e", "prod"]).ends(0);
    let two = page(&project, "two");
    farm.set_down(&address(1), true);
    project.deploy(&["-e", "prod"]).ends(0);
    farm.set_down(&address(1), false);
    let why = format!("127.0.0.2: {}, which is wanted there, was deployed in environment prod", &two[..10]);
    for words in [&["reconcile", "--yes"][..], &["reconcile", "--dry-run"]] {
        project.run(words).ends(2).says(&why).says("`hoist reconcile -e prod` brings it there");
    }
    let limited = project.run(&["reconcile", "--yes", "-l", "127.0.0.2"]).ends(2);
    limited.says("`hoist reconcile -e prod -l 127.0.0.2`");
    assert_ne!(Links::of(&farm, 1), Links::finalized(&two));
    // A new host has what the others have, and from where they have it.
    project.run(&["reconcile", "--yes", "-e", "prod"]).ends(0);
    assert_eq!(Links::of(&farm, 1), Links::finalized(&two));
    project.write("hoist/default", "127.0.0.1\n127.0.0.2\n127.0.0.3\n");
    project.run(&["reconcile", "--yes"]).ends(2).says("127.0.0.3: ").says("was deployed in environment prod");
    // What was deployed without one since is reconciled so.
    project.deploy(&["-l", "127.0.0.1,127.0.0.2"]).ends(0);
    project.run(&["reconcile", "--yes", "-e", "prod"]).ends(2).says("was deployed without an environment");
    project.run(&["reconcile", "--yes"]).ends(0);
    assert_eq!(Links::of(&farm, 2), Links::finalized(&two));
}

#[test]
fn after_a_first_deployment_that_failed_there_is_no_record_and_none_was_lost() {
    let (_farm, project) = Project::on_farm(0, 2);
    project.check("bad", "promote", "false");
    let one = project.commit("one");
    project.deploy(&[]).ends(3);
    for words in [&["reconcile", "--yes"][..], &["reconcile", "--dry-run"]] {
        let ran = project.run(words).ends(2).says("no deployment from here has succeeded yet").says("`hoist deploy`");
        assert!(!ran.err.contains("damaged") && !ran.err.contains(&one[..10]), "{ran:?}");
    }
}

#[test]
fn without_the_record_of_what_is_wanted_nothing_counts_as_brought() {
    let farm = Farm::up();
    let (project, _, two) = two_revisions(&farm, 0, 2, "Second page");
    std::fs::remove_file(project.path("hoist/state/fleet.json")).unwrap();
    let way = format!("`hoist deploy -r {}`", &two[..10]);
    for words in [&["reconcile", "--yes"][..], &["reconcile", "--dry-run"]] {
        project.run(words).ends(2).says("is missing or was damaged").says(&way);
    }
    project.deploy(&["-r", &two]).ends(0);
    project.run(&["reconcile", "--yes"]).ends(0).says("in sync");
}

#[test]
fn a_host_whose_first_deployment_failed_never_had_anything() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.configure("failure_limit: 1");
    std::fs::write(farm.srv(&address(1)).join("deployment"), "").unwrap();
    project.deploy(&[]).ends(0);
    let ran = project.run(&["status"]).ends(1).says("nothing is deployed on it");
    assert!(!ran.out.contains("is gone"), "{}", ran.out);
}

#[test]
fn where_the_clock_was_ahead_for_a_run_the_journals_do_not_tell_which_was_the_last() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    let one = project.commit("one");
    project.deploy(&[]).ends(0);
    let state = std::fs::read_dir(project.path("hoist/state")).unwrap().map(|it| it.unwrap().path());
    let path = state.filter(|path| path.extension().is_some_and(|it| it == "journal")).max().unwrap();
    let run = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let ahead = "20990101T000000.000Z-1-abcd";
    let text = std::fs::read_to_string(&path).unwrap().replace(&run, ahead);
    std::fs::write(path.with_file_name(format!("{ahead}.journal")), text).unwrap();
    std::fs::remove_file(&path).unwrap();
    let two = page(&project, "two");
    project.deploy(&[]).ends(0);
    let ran = project.run(&["rollback", "--yes"]).ends(2);
    let ran = ran.says(&format!("run {ahead} in the journals is ahead of the clock of this host"));
    assert!(!ran.err.contains("somebody else"), "{ran:?}");
    (0..2).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&two)));
    project.run(&["rollback", "--yes", "--to", &one]).ends(0);
    (0..2).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&one)));
}

#[test]
fn it_says_from_what_to_what_and_asks_once_before_anything_is_touched() {
    let farm = Farm::up();
    let (project, one, two) = two_revisions(&farm, 1, 2, "Second page");
    [0, 2].into_iter().for_each(|n| drift(&farm, n, &one));
    let question = format!("Bring 2 hosts to {}? [y]es/[N]o", &two[..10]);
    for (answer, status) in [("\n", 1), ("n\n", 1), ("\x04", 1)] {
        let mut terminal = Terminal::of_size(project.hoist(&["reconcile"]), 24, 160);
        terminal.wait_for(&question);
        let shown = terminal.unbroken();
        assert!(shown.contains(&format!("drifted: {} is live, should be {}", &one[..10], &two[..10])), "{shown}");
        assert!(shown.contains(&format!("to    {} \"Second page\", deployed by op@", &two[..10])), "{shown}");
        terminal.types(answer);
        terminal.ends(status);
        assert!(terminal.unbroken().contains("nothing was touched"), "{}", terminal.unbroken());
        assert_eq!(Links::of(&farm, 0).current.as_deref(), Some(one.as_str()));
    }
    let mut nobody = project.hoist(&["reconcile"]);
    Ran::of(nobody.output().unwrap()).ends(2).says("--yes");
    let mut terminal = Terminal::run(project.hoist(&["reconcile"]));
    terminal.wait_for(&question);
    terminal.types("y\n");
    terminal.answers("Continue?", "y");
    terminal.ends(0);
    common::all_on(&farm, 3, &two);
}

#[test]
fn a_host_that_failed_within_the_limit_is_status_7_if_that_is_asked_for_whatever_the_command() {
    let (farm, project) = Project::on_farm(0, 3);
    project.configure("failure_limit: 1");
    project.check("page", "promote", &format!("test -e /srv/broken && exit 1; {}", common::WAITS));
    common::go(&farm, 3);
    let one = page(&project, "First page");
    project.deploy(&[]).ends(0);
    page(&project, "Second page");
    project.deploy(&[]).ends(0);
    let broken = farm.srv(&address(2)).join("broken");
    std::fs::write(&broken, "").unwrap();

    project.run(&["rollback", "--yes", "--strict"]).ends(7).says("1 host failed within the limits");
    common::all_on(&farm, 2, &one);
    drift(&farm, 0, &project.git(&["rev-parse", "HEAD"]));
    project.run(&["reconcile", "--yes", "--strict"]).ends(7).says("1 host failed within the limits");

    common::hold(&farm, 2);
    common::kill_at_check(&farm, &project, &["deploy", "--yes", "-f", "--break-glass", "again"], 3);
    project.run(&["resume", "--yes", "--strict"]).ends(7).says("1 host failed within the limits");
}
