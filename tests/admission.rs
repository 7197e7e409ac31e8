//! What keeps a deployment from beginning: the times that the configuration allows, and earlier rollbacks.

mod common;

use std::process::Command;

use common::terminal::Terminal;
use common::{Links, Project, WAITS, address, all_on, kill_at_check};

/// A day so many days from now, in UTC: `2026-11-28`.
fn day(from_now: i32) -> String {
    let date = Command::new("date").args(["-u", "-d", &format!("{from_now} days"), "+%Y-%m-%d"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

#[test]
fn outside_its_windows_and_in_a_freeze_nothing_new_goes_live_and_the_way_back_is_open() {
    let (farm, project, one) = Project::deployed(0, 1);
    project.write("index.html", "two\n");
    let two = project.commit("two");
    let (before, journals) = (Links::of(&farm, 0), || std::fs::read_dir(project.path("hoist/state")).unwrap().count());
    let had = journals();

    project.configure(&format!("deploy_windows: {} 09:00..10:00 UTC", day(2)));
    let allowed = format!("deployments are allowed again on {}", day(2));
    for arguments in [&["--yes"][..], &["--yes", "-s", "promote"], &["--yes", "-l", "*"]] {
        project
            .run(&[&["deploy", "-r", &two], arguments].concat())
            .ends(2)
            .says("no deployment window is open (deploy_windows, hoist/hoist.cfg:")
            .says(&allowed)
            .says("nothing was touched")
            .says("--break-glass");
    }
    assert_eq!((Links::of(&farm, 0), journals()), (before, had));
    project
        .run(&["plan"])
        .ends(0)
        .says("a deployment would be refused now: no deployment window is open")
        .says(&allowed);

    // What makes nothing new live.
    project.deploy(&["-s", "fetch,config_deploy", "-r", &two]).ends(0);
    project.deploy(&["--dry-run"]).ends(0);
    project.deploy(&["--service-restart", "-D", "service_name:cron", "-D", "verify_service:off"]).ends(0);
    project.run(&["reconcile", "--yes"]).ends(0);

    // The emergency is in the journal and in the log.
    project
        .deploy(&["-r", &two, "--break-glass", "the site is down"])
        .ends(0)
        .says("deployed all the same (--break-glass): no deployment window is open");
    all_on(&farm, 1, &two);
    project.run(&["log"]).says("the site is down").says("no deployment window is open");
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 1, &one);

    // A freeze is stronger than a window that is open.
    project.configure(&format!("deploy_windows: {} .. {} UTC", day(-1), day(2)));
    project.run(&["plan"]).ends(0);
    project.configure(&format!("freeze: {} 12:00 .. {} 12:00 UTC: stock-taking", day(-1), day(2)));
    project.deploy(&["-r", &two]).ends(2).says("deployments are frozen: stock-taking (freeze, ").says(&day(2));
    project.configure("freeze: 2020-01-01 UTC");
    project.deploy(&["-r", &one, "-f"]).ends(0);

    // What has begun goes on.
    project.write("index.html", "three\n");
    project.check("waits", "promote", WAITS);
    let three = project.commit("three");
    kill_at_check(&farm, &project, &["deploy", "--yes", "--break-glass", "again"], 1);
    project.configure("freeze: *-*-01..*-*-31 UTC");
    project.run(&["resume", "--yes"]).ends(0);
    all_on(&farm, 1, &three);
    project.deploy(&["-f"]).ends(2).says("not allowed in the next nine years");
}

#[test]
fn an_expression_that_is_wrong_is_named_with_file_line_key_and_word() {
    let project = Project::empty();
    project.write("hoist/all", "web1\n");
    project.write(
        "hoist/hoist.cfg",
        "[global]\ngit_repo: app\ndsh_targets: all\ndeploy_windows:\n  Mon 09:00..10:00 UTC\n  Tue 9..10 UTC\n\
         freeze: 2026-12-20 .. 2027-01-03 Europe/Atlantis: Christmas\n",
    );
    project.commit("all");
    project
        .run(&["check-config"])
        .ends(2)
        .says("hoist/hoist.cfg:4: deploy_windows in [global]: in \"Tue 9..10 UTC\": \"9\" is not a time of day")
        .says("hoist/hoist.cfg:7: freeze in [global]: in \"2026-12-20 .. 2027-01-03 Europe/Atlantis\": ")
        .says("\"Europe/Atlantis\" is not a time zone of this host");
}

#[test]
fn after_an_automatic_rollback_the_repository_is_locked_with_the_reason_until_somebody_ends_it() {
    let (farm, project, one) = Project::deployed(0, 1);
    project.configure("lock_after_rollback:");
    let told = project.path(".git/told");
    project.write(
        "hoist/hooks.yaml",
        &format!(
            "hooks: {{file: {{type: command, on: [locked, finished], command: \"cat >> {}\", shell: true}}}}\n",
            told.display()
        ),
    );
    project.check("fails", "promote", "! grep bad /srv/deployment/app/index.html");
    project.write("index.html", "bad\n");
    let bad = project.commit("bad");
    let locks =
        format!("app is locked until somebody ends the lock with `hoist lock --end` (lock_after_rollback): {bad:.10}");
    // Settings of this deployment alone say nothing of how the lock is ended.
    let flags = ["--timings", "--strict", "-D", "batch_size:1"];
    project.deploy(&flags).ends(1).says(&locks).says("was rolled back: failure limit of default exceeded");
    project.git(&["revert", "--no-edit", "HEAD"]);

    let why = "is locked after a rollback, by a run of op on ";
    let before = Links::of(&farm, 0);
    project.deploy(&[]).ends(5).says(why).says("failure limit of default").says("`hoist lock --end`");
    assert_eq!(Links::of(&farm, 0), before);
    project.run(&["status"]).ends(0).says(why).says("`hoist lock --end`");
    let status = project.run(&["status", "--offline", "--format", "json"]).out;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["locked"]["purpose"], "rollback");
    project.run(&["plan"]).ends(0).says("a deployment would be refused now: app is locked after a rollback");
    project.run(&["unlock", "--all", "--yes"]).ends(0).says(why);
    project.run(&["reconcile", "--yes"]).ends(0);
    let events: Vec<serde_json::Value> = serde_json::Deserializer::from_str(&std::fs::read_to_string(&told).unwrap())
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["locked", "finished"]);
    assert!(events[0]["reason"].as_str().unwrap().contains("failure limit of default exceeded"), "{}", events[0]);

    // The glass is for one deployment.
    project.deploy(&["--break-glass", "the fix"]).ends(0).says("deployed all the same (--break-glass): app is locked");
    project.deploy(&[]).ends(5).says(why);
    project.run(&["lock", "--end"]).ends(0).says("app is unlocked; it was locked after a rollback");
    project.run(&["lock", "--end"]).ends(0).says("app is not locked");
    project.deploy(&["-f"]).ends(0);

    // A file that nobody can read locks too, and is ended as well.
    project.write("hoist/state/locked.json", "{");
    project.deploy(&["-f"]).ends(5).says("locked.json").says("`hoist lock --end`");
    project.run(&["lock", "--end"]).ends(0).says("app is unlocked");
    // A rollback that somebody calls for locks nothing.
    project.run(&["rollback", &one, "--yes"]).ends(0);
    assert!(!project.path("hoist/state/locked.json").exists());
}

#[test]
fn a_revision_that_failed_before_anything_could_show_its_worth_is_deployed_again_without_a_question() {
    let (farm, project, one) = Project::deployed(0, 2);
    let full = farm.srv(&address(1)).join("full");
    std::fs::write(&full, "").unwrap();
    project.check("room", "fetch", "test ! -e /srv/full");
    let two = project.commit("two");
    project.deploy(&[]).ends(1);
    all_on(&farm, 2, &one);
    std::fs::remove_file(&full).unwrap();
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &two);
}

#[test]
fn a_revision_that_was_rolled_back_is_asked_about_twice_as_is_one_that_contains_it() {
    let (farm, project, one) = Project::deployed(0, 1);
    project.check("fails", "promote", "! grep bad /srv/deployment/app/index.html || test -e /srv/good");
    project.write("index.html", "bad\n");
    let bad = project.commit("bad");
    project.deploy(&[]).ends(1);
    let was = format!("{bad:.10} was rolled back by op@");
    project.deploy(&["-r", &bad]).ends(2).says(&was).says("--yes is no answer to that").says("--break-glass");
    project
        .run(&["plan", "-r", &bad])
        .ends(0)
        .says("a deployment would ask twice, and be refused with --yes: ")
        .says(&was);
    project.write("other.html", "more\n");
    let more = project.commit("more");
    let contains = format!("{more:.10} contains {bad:.10}, which was rolled back by op@");
    project.deploy(&[]).ends(2).says(&contains).says("does not revert it");
    all_on(&farm, 1, &one);

    // Nobody but a person who has read which revision it is.
    let ask = || {
        let mut terminal = Terminal::run(project.hoist(&["deploy", "-r", &bad]));
        terminal.wait_for("Deploy it all the same? [y]es/[N]o");
        terminal.types("y\n");
        terminal.wait_for(&format!("Type {bad:.10} to confirm:"));
        terminal
    };
    let mut terminal = ask();
    terminal.types("y\n");
    terminal.wait_for("nothing was touched");
    terminal.ends(1);
    all_on(&farm, 1, &one);

    // A revert is no doubt.
    project.git(&["revert", "--no-edit", &bad]);
    let reverted = project.git(&["rev-parse", "HEAD"]);
    project.deploy(&[]).ends(0);
    all_on(&farm, 1, &reverted);
    project.run(&["rollback", "--yes"]).ends(0);
    let back = format!("{reverted:.10} was rolled back by op@");
    project.deploy(&["-r", &reverted]).ends(2).says(&back);

    // What was deployed after all is as good as any other.
    std::fs::write(farm.srv(&common::address(0)).join("good"), "").unwrap();
    let mut terminal = ask();
    terminal.types(&format!("{bad:.10}\n"));
    terminal.ends(0);
    all_on(&farm, 1, &bad);
    project.deploy(&["-r", &more]).ends(0);
}
