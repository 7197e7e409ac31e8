//! What goes wrong with the work itself, in every stage.

use std::time::Duration;

use rustix::process::Signal;

use crate::common;
use crate::processes::{above, cmdline, kill, signal};
use crate::running::Summary;
use crate::scene::{STAGES, Scene};

/// What the status is when a host of a fleet without tolerance fails in a stage.
fn status_of(stage: &str) -> i32 {
    if stage == "finalize" { 4 } else { 1 }
}

/// Holds that the first host failed in a stage, and that the others are where that leaves them.
#[track_caller]
fn failed_in(scene: &mut Scene, stage: &str, revision: &str, summary: Summary) {
    let summary = summary.ends(status_of(stage));
    let stands = if stage == "finalize" { revision.to_owned() } else { scene.stands.clone() };
    for n in 1..scene.hosts {
        assert_eq!(scene.look(n), scene.finalized(&stands), "{stage}: {summary:#?}");
    }
    if stage == "finalize" {
        // The next deployment finds it, and brings it along.
        assert_ne!(summary.state(0), "finalized");
    }
    scene.stands = stands;
}

/// Strikes the first host in each stage, one deployment a stage: its failure is told in these words.
fn failed_in_each_stage(mut scene: Scene, words: &str, strike: impl Fn(&Scene, &str)) {
    for stage in STAGES {
        let revision = scene.revision();
        scene.stop_in(0, stage);
        let running = scene.start_deploy(&[]);
        strike(&scene, stage);
        scene.go_on(0, stage);
        let summary = running.end(&scene).says(words);
        failed_in(&mut scene, stage, &revision, summary);
    }
}

#[test]
fn deploy_local_killed_in_any_stage_fails_its_host_and_that_one_is_brought_back() {
    failed_in_each_stage(Scene::new(1, 2), "KILL", |scene, stage| kill(scene.deploy_local(0, stage)));
}

#[test]
fn a_lock_holder_that_is_killed_while_its_stage_works_changes_nothing() {
    let mut scene = Scene::new(0, 3);
    for stage in STAGES {
        let revision = scene.revision();
        scene.stop_in(0, stage);
        let running = scene.start_deploy(&[]);
        let lock_holder = above(scene.deploy_local(0, stage), |pid| cmdline(pid).contains("deploy-local"));
        kill(lock_holder);
        scene.go_on(0, stage);
        running.end(&scene).ends(0);
        scene.all_on(&revision, stage);
        scene.stands = revision;
    }
}

/// A process that is stopped does not even see its time limit pass.
#[test]
fn a_stage_whose_process_stands_still_is_given_up_and_what_it_does_later_is_not_taken_for_another() {
    let mut scene = Scene::new(0, 3);
    let stands = scene.stands.clone();
    scene.revision();
    scene.stop_in(0, "promote");
    let running = scene.start_deploy(&["-D", "promote_timeout:2", "-D", "rollback_timeout:60"]);
    let process = scene.deploy_local(0, "promote");
    signal(process, Signal::STOP);
    // Its rollback waits for it, by another lock holder: the first one's output is still the stage's.
    common::wait_for("the rollback", || {
        let above_all = scene.processes(0).into_iter();
        above_all.filter(|pid| *pid != process && cmdline(*pid).contains("deploy-local")).count() > 1
    });
    signal(process, Signal::CONT);
    scene.go_on(0, "promote");
    let summary = running.end(&scene).ends(1).says("timed out after 2 s");
    assert_eq!(summary.state(0), "rolled_back");
    for n in 0..scene.hosts {
        assert_eq!(scene.look(n), scene.finalized(&stands), "{summary:#?}");
    }
}

#[test]
fn deploy_local_killed_in_a_rollback_is_told_and_the_next_deployment_repairs_it() {
    let mut scene = Scene::new(0, 3);
    let revision = scene.revision();
    scene.stop_in(0, "rollback");
    scene.breaks_at(2, &revision);
    let running = scene.start_deploy(&[]);
    kill(scene.deploy_local(0, "rollback"));
    scene.go_on(0, "rollback");
    let summary = running.end(&scene).ends(3).says("KILL");
    assert_eq!(summary.state(0), "rollback_failed");
    let next = scene.revision();
    scene.deploy(&[]).ends(0);
    scene.all_on(&next, "all");
}

#[test]
fn both_deploy_local_and_its_connection_killed_in_any_stage_is_found_out_by_asking() {
    failed_in_each_stage(Scene::new(0, 3), "deploy-local died", |scene, stage| {
        let (sshd, local) = (scene.sshd(0, stage), scene.deploy_local(0, stage));
        kill(sshd);
        kill(local);
    });
}

#[test]
fn a_stage_that_hangs_is_ended_by_its_time_limit() {
    let mut scene = Scene::new(0, 3);
    for stage in STAGES {
        let revision = scene.revision();
        scene.put(0, &format!("do-{stage}"), &format!("rm /srv/do-{stage}; sleep 600"));
        let summary = scene.deploy(&["-D", &format!("{stage}_timeout:2")]).says("timed out after 2 s");
        failed_in(&mut scene, stage, &revision, summary);
    }
}

/// Lets the first host do something in each stage, and holds that it fails there, saying so.
#[track_caller]
fn fails_with(what: &str, words: &str) {
    let mut scene = Scene::new(0, 3);
    for stage in STAGES {
        let revision = scene.revision();
        scene.put(0, &format!("do-{stage}"), &format!("rm /srv/do-{stage}; {what}"));
        let summary = scene.deploy(&[]).says(words);
        failed_in(&mut scene, stage, &revision, summary);
    }
}

#[test]
fn exit_status_255_is_a_failure_like_any_other() {
    fails_with("exit 255", "exit status 255");
}

#[test]
fn death_by_a_signal_is_a_failure_that_names_it() {
    fails_with("kill -SEGV $$", "killed by signal SEGV");
}

#[test]
fn binary_garbage_is_shown_as_text_and_no_answer_is_read_from_it() {
    let answer = r#"printf '\000\377\033[2J{"event":"ended","outcome":{"ended":"ok"}}\n\n{\n[[[[\r'"#;
    fails_with(&format!("{answer}; head -c 100000 /dev/urandom; exit 3"), "exit status 3");
}

#[test]
fn output_without_end_is_cut_and_ended_by_the_time_limit() {
    let mut scene = Scene::new(0, 2);
    for (stage, what) in [("fetch", "yes"), ("promote", "cat /dev/zero")] {
        let revision = scene.revision();
        scene.put(0, &format!("do-{stage}"), &format!("rm /srv/do-{stage}; {what}"));
        let summary = scene.deploy(&["-D", &format!("{stage}_timeout:3")]).says("timed out after 3 s");
        assert!(summary.said.len() < 64 << 20, "all of it was kept");
        failed_in(&mut scene, stage, &revision, summary);
    }
}

#[test]
fn a_service_that_does_not_start_fails_promote_and_runs_again_after_the_rollback() {
    let mut scene = Scene::new(0, 3);
    let revision = scene.revision();
    scene.put(1, "breaks-service", &scene.text_of(&revision));
    scene.deploy(&[]).ends(1).says("service web: restart failed");
    scene.all_on(&scene.stands, "first");
}

#[test]
fn a_target_whose_clock_is_set_back_deploys_all_the_same() {
    let mut scene = Scene::new(0, 2);
    // What a run that lived in the future has left: records and trees that are newer than now.
    let future = std::time::SystemTime::now() + Duration::from_secs(400 * 24 * 3600);
    for n in 0..2 {
        let cache = scene.srv(n).join(crate::common::CACHE);
        for folder in [cache.join(".hoist"), cache.join("revs"), cache.join("cache/.git/objects")] {
            age(&folder, future);
        }
    }
    for _ in 0..3 {
        let revision = scene.revision();
        scene.deploy(&["-D", "cache_revs:1"]).ends(0);
        scene.all_on(&revision, "all");
    }
}

fn age(path: &std::path::Path, time: std::time::SystemTime) {
    if path.is_symlink() {
        return;
    }
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| age(&entry.unwrap().path(), time));
    }
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}
