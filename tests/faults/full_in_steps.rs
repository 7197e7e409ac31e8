//! A target's disk that is full when a run-once step begins or ends there, so that it cannot be recorded.

use crate::disks::fill;
use crate::scene::Scene;
use crate::small::Small;
use crate::steps::Steps;

/// A host with a small disk. That goes ahead of the folder that it is in.
fn on_small_disk() -> (Steps, Small) {
    let scene = Scene::bare(0, 1);
    let small = Small::under(&scene, 0, "size=8m");
    (Steps::over(scene.finish(), "when: before\n    stage: promote"), small)
}

#[test]
fn a_step_that_cannot_be_recorded_before_it_begins_is_not_begun() {
    let (mut steps, _small) = on_small_disk();
    steps.scene.revision();
    let running = steps.scene.deploy_until(0, "config_deploy");
    fill(&steps.scene.srv(0));
    steps.scene.go_on(0, "config_deploy");
    let ended = running.end(&steps.scene).ends(1);
    ended.says("step there on 127.0.0.1: not begun: ").says("No space left on device");
    steps.scene.all_on(&steps.scene.stands, "full");
    steps.did("", "");
    // With room again the next deployment goes through.
    steps.scene.remove(0, "filling");
    let revision = steps.scene.revision();
    steps.scene.deploy(&[]).ends(0);
    steps.scene.all_on(&revision, "next");
    steps.did("do", "do");
}

#[test]
fn a_step_whose_end_its_host_cannot_record_is_done_for_whoever_hears_of_it_and_not_undone_without_a_record() {
    let (mut steps, _small) = on_small_disk();
    steps.scene.revision();
    let (running, _) = steps.stopped_in("there", "do");
    fill(&steps.scene.srv(0));
    steps.there.go_on("do");
    let ended = running.end(&steps.scene).ends(3);
    // The promote finds no room, and neither does what would have to be on record before the step is undone.
    ended.says("step there on 127.0.0.1 was not undone (not begun: ").says("No space left on device");
    steps.scene.all_on(&steps.scene.stands, "full");
    steps.did("do", "do undo");
    let shown = steps.scene.project.run(&["history"]).ends(0);
    shown.says("step not undone");
}

#[test]
fn a_step_whose_end_is_not_on_record_for_want_of_room_is_asked_about_and_runs_no_second_time_by_itself() {
    let (mut steps, _small) = on_small_disk();
    for (command, is) in [("resume", "done"), ("resume", "not-done"), ("rollback", "done"), ("rollback", "not-done")] {
        let revision = steps.scene.revision();
        let (running, step) = steps.stopped_in("there", "do");
        fill(&steps.scene.srv(0));
        running.kill();
        steps.there.go_on("do");
        crate::common::wait_for("the step to end", || !std::path::Path::new(&format!("/proc/{step}")).exists());
        crate::common::wait_for("its host to be quiet", || steps.scene.is_quiet(0));
        steps.scene.remove(0, "filling");
        steps.end(command, Some(("there", is)), &revision);
        match (command, is) {
            ("resume", "done") => steps.did("do", "do"),
            ("resume", _) => steps.did("do do", "do"),
            (_, "done") => steps.did("do undo", ""),
            _ => steps.did("do", ""),
        }
    }
}
