//! What run-once steps leave running: a daemon is in nobody's way, and what may be the work itself is not run beside.

use crate::processes::{above, cmdline, kill};
use crate::running::Summary;
use crate::steps::Steps;

/// The step on a target, and the one on the deploy host.
const BOTH: [&str; 2] = ["there", "here"];

#[test]
fn a_daemon_that_a_step_leaves_behind_keeps_nobody_from_undoing_it() {
    let mut steps = Steps::with("when: before\n    stage: promote\n    timeout: 10");
    BOTH.iter().for_each(|name| steps.notes(name).leaves("do", true));
    let revision = steps.scene.revision();
    steps.scene.breaks_at(0, &revision);
    steps.scene.deploy(&[]).ends(1);
    steps.did("do undo", "do undo");
    BOTH.iter().for_each(|name| kill(steps.notes(name).left()));
    // Nor is it waited for by whoever finds out how the undo ended.
    for name in BOTH {
        let revision = steps.scene.revision();
        steps.scene.breaks_at(0, &revision);
        steps.killed_in(name, "undo");
        steps.end("rollback", (name == "here").then_some(("here.undo", "done")), &revision);
        steps.did("do undo", "do undo");
        BOTH.iter().for_each(|name| kill(steps.notes(name).left()));
    }
}

/// Kills the deployer in a step, and the step with it, of which a process goes on.
#[track_caller]
fn half_killed(steps: &Steps, name: &str) -> u32 {
    let notes = steps.notes(name);
    notes.leaves("do", true);
    let (running, step) = steps.stopped_in(name, "do");
    if name == "there" {
        kill(above(step, |pid| cmdline(pid).contains("deploy-local")));
    }
    running.kill();
    notes.go_on("do");
    notes.leaves("do", false);
    notes.left()
}

/// Ends the run, with an answer.
#[track_caller]
fn answered(steps: &Steps, command: &str, answer: &str) -> Summary {
    steps.scene.start(&[command, "--yes", "--format", "json", "--step", answer]).wait()
}

#[test]
fn a_step_is_not_run_beside_what_is_left_of_an_earlier_try_and_the_run_waits_for_its_end() {
    let mut steps = Steps::with("when: before\n    stage: promote\n    timeout: 10");
    for name in BOTH {
        let revision = steps.scene.revision();
        let left = half_killed(&steps, name);
        let not_done = format!("{name}=not-done");
        let why = format!("not begun, since process {left} (sleep) of user root of an earlier try still runs");
        for _ in 0..2 {
            answered(&steps, "resume", &not_done).ends(6).says(&format!("ran ({why}"));
            steps.scene.project.run(&["status", "--offline"]).ends(1).says(&why).says(&not_done);
        }
        kill(left);
        answered(&steps, "resume", &not_done).ends(0);
        steps.scene.all_on(&revision, name);
        let [there, here] = BOTH.map(|it| if it == name { "do do" } else { "do" });
        steps.did(there, here);
        steps.scene.stands = revision;

        // Nor is it undone while it may still be at work.
        steps.scene.revision();
        let left = half_killed(&steps, name);
        let why = format!("not begun, since process {left} (sleep) of user root of an earlier try still runs");
        answered(&steps, "rollback", &format!("{name}=done")).ends(6).says(&why);
        assert!(!steps.notes(name).ran().contains("undo"), "{name}");
        kill(left);
        answered(&steps, "rollback", &format!("{name}.undo=not-done")).ends(1);
        steps.scene.all_on(&steps.scene.stands, name);
        assert_eq!(steps.notes(name).ran(), "undo", "{name}");
        BOTH.iter().for_each(|name| drop(steps.notes(name).ran()));
    }
}

#[test]
fn an_answer_of_a_flag_is_about_one_try_and_not_about_those_that_follow() {
    let mut steps = Steps::new();
    let revision = steps.scene.revision();
    steps.killed_in("here", "do");
    steps.here.pause("do");
    steps.here.ran();
    let resumed = steps.scene.start(&["resume", "--yes", "--format", "json", "--step", "here=not-done"]);
    kill(steps.here.under_way("do"));
    steps.here.go_on("do");
    resumed.wait().ends(6).says("it is not known whether step here on the deploy host ran");
    assert_eq!(steps.here.ran(), "do", "it was run again by itself");
    answered(&steps, "resume", "here=not-done").ends(0);
    steps.scene.all_on(&revision, "resumed");
    assert_eq!(steps.here.ran(), "do");
}
