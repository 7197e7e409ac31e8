//! Going back from a finished deployment, on real sshd hosts.

mod common;

use common::{CACHE, Farm, Links, Project, address, all_on};

/// Commits a page with these words, and deploys it.
fn deploy(project: &Project, words: &str) -> String {
    project.write("index.html", &format!("{words}\n"));
    let revision = project.commit(words);
    project.deploy(&[]).ends(0);
    revision
}

/// A farm of so many hosts, a project, and two revisions of it: the first was deployed, and then the second.
fn with_two(canary: usize, default: usize) -> (Farm, Project, String, String) {
    let (farm, project) = Project::on_farm(canary, default);
    let (one, two) = (deploy(&project, "one"), deploy(&project, "two"));
    (farm, project, one, two)
}

/// The stages that a run with `--format json` ran.
fn stages(ran: &common::Ran) -> Vec<String> {
    let started = |event: &serde_json::Value| {
        let step = (event["event"] == "step_started").then(|| event["step"]["run"].as_str())??;
        Some(step.to_owned())
    };
    ran.events().iter().filter_map(started).collect()
}

#[test]
fn a_rollback_leads_to_the_revision_before_and_the_next_one_further_back() {
    let (farm, project, one, two) = with_two(1, 2);
    deploy(&project, "three");
    let ran = project.run(&["rollback", "--yes", "--format", "json"]).ends(0);
    all_on(&farm, 3, &two);
    assert_eq!(stages(&ran), ["promote", "promote", "finalize", "finalize"], "group by group, and nothing is fetched");
    let tags = project.git(&["tag", "-l", "-n1", "hoist/sync/*"]);
    assert!(tags.contains(&format!("roll back to {}", &two[..10])), "{tags}");

    // One step further is a step that has to be named.
    project.run(&["rollback", "--yes", &one[..10]]).ends(0).says(&one[..10]);
    all_on(&farm, 3, &one);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back").says("name a revision");
    all_on(&farm, 3, &one);
    project.run(&["rollback", "--yes", "--to", &two]).ends(0);
    all_on(&farm, 3, &two);
    assert_eq!(
        std::fs::read_dir(project.path("hoist/log")).unwrap().count(),
        3 + 3 + 1,
        "a log for each, and .gitignore"
    );
}

#[test]
fn a_host_that_caught_up_with_a_rollback_does_not_take_the_others_forth_again() {
    let (farm, project, one, _) = with_two(0, 3);
    farm.set_down(&address(2), true);
    project.run(&["rollback", "--yes", "-D", "failure_limit:1"]).ends(0);
    farm.set_down(&address(2), false);
    project.run(&["reconcile", "--yes"]).ends(0);
    all_on(&farm, 3, &one);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back");
    all_on(&farm, 3, &one);
}

#[test]
fn hosts_that_caught_up_or_were_added_are_gone_back_from_with_the_others_and_no_further() {
    let (farm, project) = Project::on_farm(0, 3);
    project.configure("failure_limit: 2");
    deploy(&project, "one");
    farm.set_down(&address(2), true);
    let (two, three) = (deploy(&project, "two"), deploy(&project, "three"));
    farm.set_down(&address(2), false);
    project.write("hoist/default", &(0..4).map(|n| address(n) + "\n").collect::<String>());
    project.run(&["reconcile", "--yes"]).ends(0);
    all_on(&farm, 4, &three);
    // Neither of the two has ever had what the others go back to.
    let ran = project.run(&["rollback", "--yes"]).ends(0);
    ran.says(&format!("not kept on 127.0.0.[3-4]: `hoist deploy -r {} -l", &two[..10]));
    all_on(&farm, 2, &two);
    (2..4).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&three)));
}

#[test]
fn a_host_that_is_new_is_left_as_it_is_and_nothing_is_said_to_be_deployed_there() {
    let (farm, project, one, _) = with_two(0, 2);
    project.write("hoist/default", &(0..3).map(|n| address(n) + "\n").collect::<String>());
    let ran = project.run(&["rollback", "--yes"]).ends(0);
    ran.says("left as it is, since nothing is live there: 127.0.0.3\n");
    all_on(&farm, 2, &one);
}

#[test]
fn nobody_else_is_blamed_where_only_a_host_that_does_not_answer_has_the_last_revision() {
    let (farm, project, _, two) = with_two(0, 3);
    project.write("index.html", "three\n");
    let three = project.commit("three");
    project.deploy(&["-l", &address(2)]).ends(0);
    farm.set_down(&address(2), true);
    let ran = project.run(&["rollback", "--yes"]).ends(2);
    let ran = ran.says(&format!("{} is not on any host that answers (finalized: {} ", &three[..10], &two[..10]));
    ran.says("127.0.0.3 may have it, and did not answer: run this again when it does");
    farm.set_down(&address(2), false);
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 3, &two);
}

#[test]
fn what_another_deploy_host_deployed_in_between_is_what_is_gone_back_to() {
    let (farm, project, _, _) = with_two(1, 2);
    let other = Project::clone_of(&project);
    let lock_dir = tempfile::tempdir().unwrap();
    let lock_dir = format!("lock_dir:{}", lock_dir.path().display());
    other.write("index.html", "three\n");
    let three = other.commit("three");
    other.deploy(&["-D", &lock_dir]).ends(0);
    project.git(&["pull", "-q", other.path("").to_str().unwrap(), "HEAD"]);
    deploy(&project, "four");
    project.run(&["rollback", "--yes"]).ends(0).says(&three[..10]);
    all_on(&farm, 3, &three);

    // Hosts that had different ones go where the journals lead, and it is said what is passed over.
    other.write("index.html", "five\n");
    let five = other.commit("five");
    other.deploy(&["-D", &lock_dir, "-l", &address(2)]).ends(0);
    project.git(&["pull", "-q", "--no-rebase", "--no-edit", "-X", "ours", other.path("").to_str().unwrap(), "HEAD"]);
    project.write("index.html", "six\n");
    project.commit("six");
    project.deploy(&["--break-glass", "more"]).ends(0);
    let passed_over = format!("not gone back to {}, which somebody else had deployed before to 127.0.0.3", &five[..10]);
    project.run(&["rollback", "--yes"]).ends(0).says(&three[..10]).says(&passed_over);
    all_on(&farm, 3, &three);
}

#[test]
fn under_another_name_the_repository_has_no_deployment_yet_that_could_be_undone() {
    let (farm, project, _, two) = with_two(0, 2);
    project.configure("git_repo: renamed");
    project.run(&["rollback", "--yes"]).ends(2).says("no deployment of renamed is unfinished");
    project.run(&["reconcile", "--yes"]).ends(0).says("nothing was deployed from here yet");
    deploy(&project, "three");
    project.run(&["rollback", "--yes"]).ends(2).says("no revision that was finalized before");
    all_on(&farm, 2, &two);
}

#[test]
fn a_deployment_to_some_hosts_is_undone_on_these_alone() {
    let (farm, project, _, two) = with_two(0, 3);
    let to_one = |words: &str| {
        project.write("index.html", &format!("{words}\n"));
        let revision = project.commit(words);
        project.deploy(&["-l", &address(2)]).ends(0);
        revision
    };
    let (three, _) = (to_one("three"), to_one("four"));
    let ran = project.run(&["rollback", "--yes"]).ends(0);
    ran.says("left as they are, since what is undone was not deployed there: 127.0.0.[1-2]\n");
    all_on(&farm, 2, &two);
    assert_eq!(Links::of(&farm, 2), Links::finalized(&three));
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back");
    project.run(&["rollback", "--yes", "--to", &two]).ends(0);
    all_on(&farm, 3, &two);
}

#[test]
fn what_hosts_keep_is_gone_back_to_by_its_commit_though_commits_stand_for_something_else_now() {
    let (farm, project) = Project::on_farm(0, 2);
    project.write("app/file", "1\n");
    let (one, two) = (deploy(&project, "one"), deploy(&project, "two"));
    project.configure("subdir: app");
    deploy(&project, "three");
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &two);
    let ran = project.run(&["rollback", "--yes"]).ends(2);
    ran.says(&format!("`hoist rollback {}` goes further back", &one[..10]));
    project.run(&["rollback", "--yes", &one[..10]]).ends(0);
    all_on(&farm, 2, &one);
}

#[test]
fn what_was_only_fetched_is_not_gone_back_to_where_it_lacks_its_configuration_files() {
    let (farm, project) = Project::on_farm(0, 1);
    project.render("/srv/app.conf", "a\n", &[]);
    let one = deploy(&project, "one");
    project.write("index.html", "two\n");
    let two = project.commit("two");
    project.deploy(&["-s", "fetch"]).ends(0);
    let ran = project.run(&["rollback", "--yes", "--to", &two]).ends(2);
    ran.says(&format!("`hoist deploy -r {}` deploys it", &two[..10]));
    assert_eq!(Links::of(&farm, 0).current, Some(one));
    assert!(farm.srv(&address(0)).join("app.conf").is_symlink());
    // It has them once they were rendered.
    project.deploy(&["-s", "config_deploy", "-r", &two]).ends(0);
    project.run(&["rollback", "--yes", "--to", &two]).ends(0);
    assert_eq!(Links::of(&farm, 0).current, Some(two));
    assert!(farm.srv(&address(0)).join("app.conf").is_symlink());
}

#[test]
fn going_back_links_the_configuration_of_then_and_needs_no_script_of_now() {
    let (farm, project) = Project::on_farm(0, 2);
    project.write_configuration(&[
        ("templates/a.j2", "colour = {{ colour }}\n"),
        ("config-files.yaml", "/srv/etc/old.conf:\n  template: a.j2\n"),
        ("vars.yaml", "colour: red\n"),
    ]);
    let one = deploy(&project, "one");
    project.write("hoist/config-files.yaml", "/srv/etc/new.conf:\n  template: a.j2\n");
    project.write("hoist/vars.yaml", "colour: blue\n");
    project.write("hoist/checks.yaml", "checks:\n  looks:\n    type: script\n    stage: promote\n    command: looks\n");
    project.write("hoist/scripts/looks", "#!/bin/sh\n");
    project.git(&["add", "-A"]);
    project.git(&["update-index", "--chmod=+x", "hoist/scripts/looks"]);
    std::fs::set_permissions(project.path("hoist/scripts/looks"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    deploy(&project, "two");
    let link = |n: usize, name: &str| std::fs::read_link(farm.srv(&address(n)).join("etc").join(name)).ok();
    assert!(link(0, "old.conf").is_none() && link(0, "new.conf").is_some());

    project.run(&["rollback", "--yes", "-v"]).ends(0).says("check looks is skipped");
    all_on(&farm, 2, &one);
    for n in 0..2 {
        assert!(link(n, "old.conf").unwrap().to_str().unwrap().contains(&one));
        assert!(link(n, "new.conf").is_none(), "a link of the revision that is not live any more");
        let rendered = farm.srv(&address(n)).join(CACHE).join("current/.git/config-files/srv/etc/old.conf");
        assert_eq!(std::fs::read_to_string(rendered).unwrap(), "colour = red");
    }
}

#[test]
fn a_host_that_does_not_keep_the_revision_is_named_before_anything_is_touched() {
    let (farm, project, one, two) = with_two(0, 3);
    std::fs::remove_dir_all(farm.srv(&address(1)).join(CACHE).join("revs").join(&one)).unwrap();
    project
        .run(&["rollback", "--yes"])
        .ends(1)
        .says("127.0.0.2")
        .says("the host no longer has")
        .says("nothing was touched");
    all_on(&farm, 3, &two);
    project.configure("failure_limit: 1");
    project.run(&["rollback", "--yes"]).ends(0).says("the host no longer has");
    assert_eq!(Links::of(&farm, 0), Links::finalized(&one));
    assert_eq!(Links::of(&farm, 1), Links::finalized(&two));
}

#[test]
fn a_rollback_that_exceeds_a_limit_is_itself_rolled_back() {
    let (farm, project) = Project::on_farm(1, 2);
    project.write(
        "hoist/checks.yaml",
        "checks:\n  page:\n    stage: promote\n    shell: true\n    command: \"! test -e /srv/broken || grep -q two index.html\"\n",
    );
    deploy(&project, "one");
    let two = deploy(&project, "two");
    std::fs::write(farm.srv(&address(2)).join("broken"), "").unwrap();
    project.run(&["rollback", "--yes"]).ends(1).says("check page failed").says("verified");
    all_on(&farm, 3, &two);
    // It finalized nothing, so the way back is the same as before.
    std::fs::remove_file(farm.srv(&address(2)).join("broken")).unwrap();
    project.run(&["rollback", "--yes"]).ends(0);
}

#[test]
fn a_rollback_that_was_turned_back_is_done_again_also_where_a_host_was_not_well_afterwards() {
    let (farm, project) = Project::on_farm(0, 3);
    project.write("hoist/checks.yaml", "checks:\n  well:\n    stage: promote\n    command: test ! -e /srv/bad\n");
    let (one, two) = (deploy(&project, "one"), deploy(&project, "two"));
    std::fs::write(farm.srv(&address(1)).join("bad"), "").unwrap();
    project.run(&["rollback", "--yes"]).ends(3).says("3 hosts were rolled back and verified, but checks fail");
    all_on(&farm, 3, &two);
    project.run(&["history", "-n", "1"]).ends(0).says("rolled back, checks fail");
    std::fs::remove_file(farm.srv(&address(1)).join("bad")).unwrap();
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 3, &one);
}

#[test]
fn a_host_that_a_rollback_has_missed_is_taken_to_where_it_led_and_not_further() {
    let (farm, project, _, two) = with_two(0, 3);
    deploy(&project, "three");
    farm.set_down(&address(2), true);
    project.run(&["rollback", "--yes", "-D", "failure_limit:1"]).ends(0);
    farm.set_down(&address(2), false);
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 3, &two);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back");
}

#[test]
fn a_rollback_that_was_not_finalized_everywhere_is_what_the_next_deployment_leads_back_to() {
    let (farm, project) = Project::on_farm(0, 3);
    project.write("hoist/checks.yaml", "checks:\n  end:\n    stage: finalize\n    command: test ! -e /srv/bad\n");
    let (one, two) = (deploy(&project, "one"), deploy(&project, "two"));
    std::fs::write(farm.srv(&address(1)).join("bad"), "").unwrap();
    let went_back = format!("went back to {}, but 1 host was not finalized", &one[..10]);
    project.run(&["rollback", "--yes"]).ends(4).says(&went_back);
    let done = format!("went back from {} to {}", &two[..10], &one[..10]);
    project.run(&["rollback", "--yes"]).ends(2).says("already rolled back").says(&done);
    project.run(&["stats"]).ends(0).says("1 of them by hoist rollback");
    std::fs::remove_file(farm.srv(&address(1)).join("bad")).unwrap();
    project.git(&["revert", "--no-edit", "HEAD"]);
    project.deploy(&[]).ends(0);
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 3, &one);
}

#[test]
fn with_something_unfinished_a_rollback_ends_that_and_one_to_a_revision_refuses() {
    let (farm, project, one, two) = with_two(0, 2);
    project.check("waits", "promote", common::WAITS);
    project.commit("three");
    common::kill_at_check(&farm, &project, &["deploy", "--yes"], 2);
    project.run(&["rollback", "--yes", "--to", &one]).ends(6).says("hoist resume");
    project.run(&["reconcile", "--yes"]).ends(6).says("hoist rollback");
    project.run(&["rollback", "--yes"]).ends(1).says("verified");
    all_on(&farm, 2, &two);
    project.run(&["rollback", "--yes", &one]).ends(0);
    all_on(&farm, 2, &one);
}

#[test]
fn a_rollback_whose_deployer_was_killed_is_resumed_or_undone_like_any_deployment() {
    let (farm, project, one, two) = with_two(0, 2);
    project.check("waits", "promote", common::WAITS);
    for (command, status, ends_on) in [("rollback", 1, &two), ("resume", 0, &one)] {
        common::hold(&farm, 2);
        common::kill_at_check(&farm, &project, &["rollback", "--yes"], 2);
        project.run(&["status", "--offline"]).ends(1).says("is not finished");
        project.run(&[command, "--yes"]).ends(status);
        all_on(&farm, 2, ends_on);
    }
}

#[test]
fn who_means_to_undo_a_run_that_died_untouched_is_not_taken_back_a_revision_further() {
    let (farm, project, one, two) = with_two(0, 2);
    // What a deployer leaves that dies right after its journal's first line, and one that dies within it.
    let newest = |folder: &std::path::Path| {
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|it| it == "journal")).max().unwrap()
    };
    let journal = std::fs::read_to_string(newest(&project.path("hoist/state"))).unwrap();
    let first = format!("{}\n", journal.lines().next().unwrap());
    for (run, text) in [("29990101T000000.000Z-1-aaaa", first.as_str()), ("29990101T000000.000Z-1-bbbb", &first[..40])]
    {
        project.write(&format!("hoist/state/{run}.journal"), text);
        project.run(&["rollback", "--yes"]).ends(2).says("nothing to undo").says(run);
        all_on(&farm, 2, &two);
        let _ = std::fs::remove_file(project.path(&format!("hoist/state/{run}.journal")));
    }
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
}

const WAITS: &str = "checks:\n  waits:\n    stage: promote\n    shell: true\n    timeout: 120\n    command: \
                     \"touch /srv/waiting; while test -e /srv/stop; do sleep 0.1; done\"\n";

/// A service program on each host that writes down what it is told.
fn with_services(farm: &Farm, project: &Project, hosts: usize) {
    project.configure("service_command: /srv/svc {action} {service}");
    for n in 0..hosts {
        let path = farm.srv(&address(n)).join("svc");
        std::fs::write(&path, "#!/bin/sh\necho \"$*\" >> /srv/svc.log\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// What the services of a host were told since the last look, each word once.
fn restarted(farm: &Farm, n: usize) -> Vec<String> {
    let path = farm.srv(&address(n)).join("svc.log");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with("status")).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn an_unfinished_run_is_ended_with_the_settings_that_it_was_begun_with() {
    let (farm, project) = Project::on_farm(0, 2);
    with_services(&farm, &project, 2);
    project.configure("service_name: web");
    project.render("/srv/etc/a.conf", "colour = {{ colour }}\n", &[]);
    project.write("hoist/vars.yaml", "colour: red\n");
    project.write("hoist/checks.yaml", WAITS);
    let mut stands = deploy(&project, "one");
    let files = ["hoist.cfg", "config-files.yaml", "vars.yaml", "checks.yaml", "default"];
    for (command, status) in [("rollback", 1), ("resume", 0)] {
        project.write("hoist/vars.yaml", &format!("colour: {command}\n"));
        project.write("index.html", command);
        let next = project.commit(command);
        for n in 0..2 {
            let _ = std::fs::remove_file(farm.srv(&address(n)).join("waiting"));
            std::fs::write(farm.srv(&address(n)).join("stop"), "").unwrap();
        }
        let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        common::wait_for("promote", || (0..2).all(|n| farm.srv(&address(n)).join("waiting").exists()));
        deployer.kill().unwrap();
        deployer.wait().unwrap();
        (0..2).for_each(|n| {
            std::fs::remove_file(farm.srv(&address(n)).join("stop")).unwrap();
            restarted(&farm, n);
        });
        // A revert of the whole repository, say.
        let kept = files.map(|file| std::fs::read_to_string(project.path(&format!("hoist/{file}"))).unwrap());
        project.configure("service_name:\ngit_deploy_dir: /srv/elsewhere\nconfig_deploy: False");
        project.write("hoist/config-files.yaml", "- no longer read\n");
        project.write("hoist/vars.yaml", "colour: other\n");
        project.write("hoist/checks.yaml", "checks:\n  fails:\n    stage: promote\n    command: \"false\"\n");
        project.write("hoist/default", "127.0.0.9\n");
        let ran = project.run(&[command, "--yes"]).ends(status);
        if command == "resume" {
            ran.says("vars.yaml has changed");
            stands = next;
        }
        all_on(&farm, 2, &stands);
        for n in 0..2 {
            assert_eq!(restarted(&farm, n), ["restart web"], "{command}");
            assert!(!farm.srv(&address(n)).join("elsewhere").exists());
            let rendered = std::fs::read_to_string(
                farm.srv(&address(n)).join(CACHE).join(format!("revs/{stands}/.git/config-files/srv/etc/a.conf")),
            );
            let colour = if command == "resume" { "resume" } else { "red" };
            assert_eq!(rendered.unwrap().trim_end(), format!("colour = {colour}"));
        }
        for (file, text) in files.iter().zip(kept) {
            project.write(&format!("hoist/{file}"), &text);
        }
    }
}

#[test]
fn going_back_restarts_the_services_of_either_revision_in_the_folder_that_was_deployed_to() {
    let (farm, project) = Project::on_farm(0, 2);
    with_services(&farm, &project, 2);
    project.configure("service_name: web");
    let one = deploy(&project, "one");
    project.configure("service_name: api");
    deploy(&project, "two");
    (0..2).for_each(|n| drop(restarted(&farm, n)));
    project.configure("service_name:\ngit_deploy_dir: /srv/elsewhere");
    project.run(&["rollback", "--dry-run"]).ends(0).says("; kept on 2 of 2 hosts");
    project.run(&["rollback", "--list"]).ends(0).says(&one[..10]);
    project.run(&["rollback", "--yes"]).ends(0).says("; kept on 2 of 2 hosts");
    all_on(&farm, 2, &one);
    for n in 0..2 {
        assert_eq!(restarted(&farm, n), ["restart api", "restart web"]);
    }
}

#[test]
fn the_targets_keep_what_is_gone_back_to_and_the_deploy_host_need_not() {
    let (farm, project) = Project::on_farm(0, 2);
    let one = deploy(&project, "one");
    deploy(&project, "two");
    // A history without the first revision, as a shallow clone has, or one that was rewritten.
    project.git(&["checkout", "-q", "--orphan", "rewritten"]);
    let three = project.commit("three");
    for branch in project.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]).lines() {
        if branch != "rewritten" {
            project.git(&["branch", "-q", "-D", branch]);
        }
    }
    for tag in project.git(&["tag", "-l"]).lines() {
        project.git(&["tag", "-d", tag]);
    }
    project.git(&["reflog", "expire", "--expire=now", "--all"]);
    project.git(&["gc", "-q", "--prune=now"]);
    project.run(&["rollback", "--yes", "--to", "0123456789"]).ends(2).says("nor a revision that a host keeps");
    project.run(&["rollback", "--list"]).ends(0).says(&one[..10]).says("(not in this repository)");
    project.run(&["rollback", "--dry-run", &one[..10]]).ends(0).says("kept on 2 of 2 hosts");
    project.run(&["rollback", "--yes", "--to", &"1".repeat(40)]).ends(1).says("the host no longer has");
    all_on(&farm, 2, &project_head(&farm));
    project.run(&["rollback", "--yes", "--to", &one]).ends(0).says("the deploy host no longer has");
    all_on(&farm, 2, &one);
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &three);
    // The journals name it, too.
    project.run(&["rollback", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
}

/// What the first host runs.
fn project_head(farm: &Farm) -> String {
    Links::of(farm, 0).current.unwrap()
}

#[test]
fn a_host_that_is_written_in_another_way_now_is_no_host_that_has_left_its_list() {
    let (farm, project, one, _) = with_two(0, 2);
    project.write("hoist/default", &format!("root@127.0.0.1:{}\n127.0.0.2\n", farm.port));
    let ran = project.run(&["rollback", "--yes"]).ends(0);
    assert!(!ran.err.contains("in no list any more"), "{}", ran.err);
    all_on(&farm, 2, &one);
}

#[test]
fn hosts_that_somebody_elses_release_served_are_served_by_it_again_when_the_first_deployment_fails_or_dies() {
    let (farm, project) = Project::on_farm(0, 2);
    let releases: Vec<_> = (0..2).map(|n| farm.srv(&address(n)).join("deployment/app")).collect();
    for release in &releases {
        std::fs::create_dir_all(release).unwrap();
        std::fs::write(release.join("version"), "theirs").unwrap();
    }
    let is_back = || {
        for (n, release) in releases.iter().enumerate() {
            assert_eq!(std::fs::read_to_string(release.join("version")).unwrap(), "theirs");
            assert!(!release.is_symlink());
            assert_eq!(Links::of(&farm, n), Links::default());
            let names = std::fs::read_dir(release.parent().unwrap()).unwrap().flatten().map(|entry| entry.file_name());
            assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("before-hoist")));
        }
    };
    project.check("bad", "promote", "test -e /srv/deployment/app/version");
    project.commit("one");
    let ran = project.deploy(&[]).ends(1);
    ran.says("/srv/deployment/app is a directory that neither Hoist nor Scap has made")
        .says("2 hosts were rolled back and verified");
    is_back();
    // Its deployer dies, and somebody else undoes it.
    project.check("waits", "promote", common::WAITS);
    project.commit("two");
    common::kill_at_checks(&farm, &project, &["deploy", "--yes"], 2, 2);
    project.run(&["rollback", "--yes"]).ends(1).says("2 hosts were rolled back and verified");
    is_back();
}
