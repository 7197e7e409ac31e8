//! The deployer: two of them, interrupted, and without its terminal.

use std::process::Stdio;

use crate::common::{self, Project};
use crate::scene::{STAGES, Scene};

#[test]
fn of_two_deployers_at_once_one_deploys_and_the_other_touches_nothing() {
    let mut scene = Scene::new(0, 3);
    let revision = scene.revision();
    let clone = Project::clone_of(&scene.project);
    for file in ["hoist/hoist.cfg", "hoist/default", "hoist/canary", "hoist/checks.yaml", "hoist/config-files.yaml"] {
        clone.write(file, &std::fs::read_to_string(scene.project.path(file)).unwrap());
    }
    let locks = clone.path(".git/locks");
    std::fs::create_dir(&locks).unwrap();
    let elsewhere = format!("lock_dir:{}", locks.display());
    let first = scene.start_deploy(&[]);
    let second = clone.hoist(&["deploy", "--yes", "--format", "json", "-D", &elsewhere]).stdout(Stdio::piped()).spawn();
    let second = second.unwrap().wait_with_output().unwrap();
    let first = first.wait();
    let text = String::from_utf8(second.stdout).unwrap();
    let mut ends = [first.status, second.status.code()];
    ends.sort();
    // Both may have found each other in the way; never do both deploy at a time, and whoever gets through, gets through whole.
    assert!([[Some(0), Some(5)], [Some(5), Some(5)], [Some(0), Some(0)]].contains(&ends), "{first:#?}\n{text}");
    if ends[0] == Some(0) {
        scene.all_on(&revision, "all");
    } else {
        scene.all_on(&scene.stands, "first");
    }
    // In the middle of a stage the second one finds the first one's locks for certain.
    let next = scene.revision();
    scene.stop_in(0, "promote");
    let first = scene.start_deploy(&[]);
    scene.stopped(0, "promote");
    clone.deploy(&["-D", &elsewhere]).ends(5).says("nothing was touched");
    scene.deploy(&[]).ends(5);
    scene.go_on(0, "promote");
    first.end(&scene).ends(0);
    scene.all_on(&next, "all");
}

#[test]
fn an_interrupt_in_any_stage_lets_hosts_finish_and_ends_in_one_state() {
    let mut scene = Scene::new(1, 2);
    for (stage, signal) in STAGES.into_iter().zip(["INT", "TERM", "HUP", "INT"]) {
        scene.revision();
        scene.stop_in(0, stage);
        let running = scene.start_deploy(&[]);
        scene.stopped(0, stage);
        common::signal(&running.child, signal);
        // It is noticed while the stage goes on.
        std::thread::sleep(std::time::Duration::from_millis(200));
        scene.go_on(0, stage);
        let summary = running.end(&scene);
        // Even in finalize: the second group is still to come, so the first is turned back.
        summary.ends(1).says("interrupted");
        scene.all_on(&scene.stands, stage);
    }
}

#[test]
fn an_interrupt_in_a_rollback_does_not_cut_it_short() {
    let scene = Scene::breaking(1, 2, 2);
    let running = scene.deploy_until(1, "rollback");
    common::signal(&running.child, "INT");
    std::thread::sleep(std::time::Duration::from_millis(200));
    scene.go_on(1, "rollback");
    running.end(&scene).ends(1);
    scene.all_on(&scene.stands, "first");
}

#[test]
fn a_second_interrupt_in_any_stage_leaves_a_run_that_can_be_resumed() {
    let mut scene = Scene::new(0, 2);
    for (stage, command) in STAGES.into_iter().zip(["resume", "rollback", "resume", "rollback"]) {
        let revision = scene.revision();
        scene.stop_in(0, stage);
        let running = scene.start_deploy(&[]);
        scene.stopped(0, stage);
        common::signal(&running.child, "INT");
        std::thread::sleep(std::time::Duration::from_millis(300));
        common::signal(&running.child, "INT");
        running.wait().ends(130).says("hoist resume");
        scene.deploy(&[]).ends(6);
        scene.go_on(0, stage);
        let summary = scene.end(command);
        match summary.status {
            // The first interrupt was on record, or the run is rolled back as asked.
            Some(1) => scene.all_on(&scene.stands, "before"),
            Some(0) => {
                scene.all_on(&revision, "all");
                scene.stands = revision;
            }
            _ => panic!("{stage}: {summary:#?}"),
        }
    }
}

#[test]
fn a_terminal_that_goes_away_at_a_prompt_is_taken_for_no_and_the_rollback_waits_for_whoever_comes() {
    let mut scene = Scene::new(1, 2);
    let revision = scene.revision();
    let command = format!("exec {} deploy", common::HOIST);
    let shown = scene.project.path(".git/shown");
    let template = scene.project.hoist(&[]);
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-q", "-e", "-f", "-c", &command, "/dev/null"]).current_dir(scene.project.path(""));
    crate::common::take_environment(&mut terminal, &template);
    let mut terminal = terminal
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&shown).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let text = || String::from_utf8_lossy(&std::fs::read(&shown).unwrap()).into_owned();
    common::wait_for("the question", || text().contains("Continue?"));
    assert_eq!(scene.look(0).links.current.as_deref(), Some(revision.as_str()), "the canary is deployed to");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    // It ends by itself, its locks are free, and its journal waits.
    common::wait_for("the deployer to end by itself", || scene.project.deploy(&[]).status == Some(6));
    assert_eq!(scene.look(0).links.current.as_deref(), Some(revision.as_str()), "nobody has said that it goes back");
    scene.project.run(&["resume", "--yes"]).ends(1).says("verified");
    scene.all_on(&scene.stands, "first");
    common::wait_for("the locks to be let go of", || scene.deploy(&[]).status == Some(0));
    scene.all_on(&revision, "all");
}
