//! What keeps a deployment from beginning: the times that the configuration allows.

mod common;

use std::process::Command;

use common::{Links, Project, WAITS, all_on, kill_at_check};

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
    project.deploy(&["-r", &two, "-f"]).ends(0);

    // What has begun goes on.
    project.write("index.html", "three\n");
    project.check("waits", "promote", WAITS);
    let three = project.commit("three");
    kill_at_check(&farm, &project, &["deploy", "--yes"], 1);
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
