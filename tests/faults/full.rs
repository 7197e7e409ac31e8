//! The deploy host's own disk: full, or not to be written, when a journal, a log or a note is due.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common;
use crate::running::Summary;
use crate::scene::{STAGES, Scene};
use crate::small::{OnDisk, Small};

/// Three hosts, a canary among them, and a small disk under a folder of the deploy host.
fn with_small(folder: &str) -> (Scene, Small) {
    let scene = Scene::bare(1, 2);
    let small = Small::at(&scene.project.path(folder), "size=1m");
    (scene.finish(), small)
}

pub fn fill(folder: &Path) -> PathBuf {
    let file = folder.join("filling");
    let _ = fs::write(&file, vec![1; 4 << 20]);
    file
}

/// What `hoist status` shows of each host is on its disk.
fn status_is_true(scene: &Scene, finished: bool) {
    let ran = scene.project.run(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:#?}"));
    assert_eq!(status["unfinished"].is_null(), finished, "{ran:#?}");
    for (n, host) in status["hosts"].as_array().unwrap().iter().enumerate() {
        assert_eq!(host["current"].as_str(), scene.look(n).links.current.as_deref(), "{ran:#?}");
    }
}

/// The next deployment goes through: nothing is left in its way.
fn next_goes_through(scene: &mut Scene) {
    let next = scene.revision();
    scene.deploy(&[]).ends(0);
    scene.all_on(&next, "next");
    scene.stands = next;
}

#[test]
fn a_disk_that_fills_up_in_any_stage_stops_the_run_and_keeps_room_for_its_end() {
    let (mut scene, _small) = with_small("hoist/state");
    for stage in STAGES {
        for freed in [true, false] {
            let revision = scene.revision();
            scene.stop_in(0, stage);
            let running = scene.start_deploy(&[]);
            scene.stopped(0, stage);
            let filling = fill(&scene.project.path("hoist/state"));
            scene.stop_in(0, "rollback");
            scene.go_on(0, stage);
            let turned = std::cell::RefCell::new(running);
            common::wait_for("an end, or the rollback", || {
                scene.srv(0).join("in-rollback").exists() || turned.borrow_mut().child.try_wait().unwrap().is_some()
            });
            if freed {
                fs::remove_file(&filling).unwrap();
            }
            scene.go_on(0, "rollback");
            let summary = turned.into_inner().end(&scene);
            if summary.status == Some(0) {
                // The last block of the journal had room for the rest of it.
                assert!(["promote", "finalize"].contains(&stage), "{summary:#?}");
                scene.stands = revision;
            } else {
                summary.ends(1).says("is full").says("starting nothing new").says("verified");
            }
            scene.all_on(&scene.stands, stage);
            let _ = fs::remove_file(&filling);
            status_is_true(&scene, true);
        }
    }
    next_goes_through(&mut scene);
}

#[test]
fn a_limit_on_the_size_of_files_is_like_a_full_disk() {
    let mut scene = Scene::bare(1, 2).finish();
    for blocks in [1, 8, 32, 128] {
        scene.revision();
        let hoist = scene.project.hoist(&["deploy", "--yes", "--break-glass", "a test"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        limited.arg(hoist.get_program()).args(hoist.get_args()).current_dir(scene.project.path(""));
        for (name, value) in hoist.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        let ran = common::Ran::of(limited.output().unwrap());
        assert!(ran.status.is_some_and(|status| status <= 4), "{blocks}: {ran:?}");
        if ran.out.contains("`hoist resume`") {
            scene.project.run(&["resume", "--yes"]);
        }
    }
    next_goes_through(&mut scene);
}

#[test]
fn a_run_whose_journal_finds_no_room_is_refused_before_anything_is_touched() {
    let (mut scene, _small) = with_small("hoist/state");
    next_goes_through(&mut scene);
    scene.revision();
    let filling = fill(&scene.project.path("hoist/state"));
    let known = scene.journals();
    for command in ["deploy", "rollback"] {
        scene.start(&[command, "--yes", "--format", "json"]).end(&scene).ends(2).says("cannot create the journal");
    }
    assert_eq!(scene.journals(), known, "half a journal is left");
    scene.all_on(&scene.stands, "first");
    fs::remove_file(filling).unwrap();
    next_goes_through(&mut scene);
}

#[test]
fn a_killed_run_is_rolled_back_on_a_full_disk_too_and_resumed_once_there_is_room() {
    let (mut scene, _small) = with_small("hoist/state");
    for command in ["rollback", "resume"] {
        let revision = scene.revision();
        scene.stop_in(0, "promote");
        let running = scene.start_deploy(&[]);
        scene.stopped(0, "promote");
        let filling = fill(&scene.project.path("hoist/state"));
        running.kill();
        scene.go_on(0, "promote");
        if command == "resume" {
            // The room that its deployer kept may be enough. If not it says so, ahead of everything or at a record.
            let mut status = scene.end(command).status;
            fs::remove_file(filling).unwrap();
            if status == Some(2) {
                status = scene.end(command).status;
            }
            if status == Some(0) {
                scene.stands = revision;
            }
        } else {
            scene.end(command).ends(1);
            fs::remove_file(filling).unwrap();
        }
        scene.all_on(&scene.stands, command);
        status_is_true(&scene, true);
    }
    next_goes_through(&mut scene);
}

/// A scene whose journals can be made to refuse every change, by [`freeze`].
pub fn with_freezable_journals(canary: usize, default: usize) -> (Scene, OnDisk) {
    let scene = Scene::bare(canary, default);
    let disk = OnDisk::at(&scene.project.path("hoist/state"));
    (scene.finish(), disk)
}

/// Makes a file on a disk refuse every change, or no longer: what a disk does that has failed or is read-only.
pub fn freeze(path: &Path, frozen: bool) {
    let done = Command::new("chattr").arg(if frozen { "+i" } else { "-i" }).arg(path).status().unwrap();
    assert!(done.success());
}

/// A deployment whose journal cannot be written from a stage on, to its end.
fn unrecorded_from(scene: &mut Scene, stage: &str) -> (Summary, PathBuf) {
    scene.revision();
    scene.stop_in(0, stage);
    let running = scene.start_deploy(&[]);
    scene.stopped(0, stage);
    let journal = scene.journals().pop().unwrap();
    freeze(&journal, true);
    scene.go_on(0, stage);
    let summary = running.end(scene);
    freeze(&journal, false);
    (summary, journal)
}

#[test]
fn a_run_that_could_not_record_its_rollback_is_ended_by_what_its_targets_say() {
    let (mut scene, _disk) = with_freezable_journals(1, 2);
    for stage in STAGES {
        for command in ["resume", "rollback"] {
            let (summary, journal) = unrecorded_from(&mut scene, stage);
            summary.ends(1).says("starting nothing new").says("cannot record the end of this run");
            scene.all_on(&scene.stands, stage);
            assert!(!fs::read_to_string(&journal).unwrap().contains("\"closed\""));
            status_is_true(&scene, false);
            scene.deploy(&[]).ends(6);
            scene.end(command).ends(1).says("verified");
            scene.all_on(&scene.stands, stage);
            status_is_true(&scene, true);
        }
    }
    next_goes_through(&mut scene);
}

#[test]
fn a_resume_or_rollback_that_cannot_record_what_it_does_is_ended_by_the_next_one() {
    let (mut scene, _disk) = with_freezable_journals(0, 2);
    for command in ["resume", "rollback"] {
        scene.revision();
        scene.stop_in(0, "promote");
        let running = scene.start_deploy(&[]);
        scene.stopped(0, "promote");
        running.kill();
        let journal = scene.journals().pop().unwrap();
        scene.stop_in(0, "rollback");
        let running = scene.start(&[command, "--yes", "--format", "json"]);
        if command == "resume" {
            // It waits for the promote; what comes of that cannot be recorded.
            common::wait_for("the resumed run", || running_is_at_work(&scene));
            freeze(&journal, true);
            scene.go_on(0, "promote");
        } else {
            scene.go_on(0, "promote");
            scene.stopped(0, "rollback");
            freeze(&journal, true);
        }
        scene.go_on(0, "rollback");
        let summary = running.end(&scene).ends(1);
        freeze(&journal, false);
        summary.says("cannot record the end of this run");
        scene.all_on(&scene.stands, command);
        scene.end("resume").ends(1);
        scene.all_on(&scene.stands, command);
    }
    next_goes_through(&mut scene);
}

/// The newest log has the resumed run's note: its journal is open.
fn running_is_at_work(scene: &Scene) -> bool {
    scene.newest_log().contains("resume: the deployment of")
}

#[test]
fn lines_that_the_log_lacks_stop_no_run_and_are_counted_at_its_end() {
    let (mut scene, _small) = with_small("hoist/log");
    let revision = scene.revision();
    scene.stop_in(0, "promote");
    let running = scene.start_deploy(&[]);
    scene.stopped(0, "promote");
    let filling = fill(&scene.project.path("hoist/log"));
    scene.go_on(0, "promote");
    let summary = running.end(&scene).ends(0);
    summary.says("cannot write the log").says(" is missing ");
    scene.all_on(&revision, "all");
    fs::remove_file(filling).unwrap();
    let whole = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(scene.newest_log().lines().all(whole), "{}", scene.newest_log());
}

#[test]
fn a_tag_or_a_note_that_finds_no_room_fails_no_deployment() {
    let mut scene = Scene::new(0, 2);
    let small = Small::at(&scene.project.path(".git/refs/tags"), "size=16k");
    fill(&scene.project.path(".git/refs/tags"));
    let revision = scene.revision();
    scene.deploy(&[]).ends(0).says("no deployment tag");
    scene.all_on(&revision, "all");
    drop(small);
    fs::create_dir(scene.project.path("hoist/state/fleet.json.new")).unwrap();
    let revision = scene.revision();
    scene.deploy(&[]).ends(0).says("will not include this run");
    scene.all_on(&revision, "all");
}
