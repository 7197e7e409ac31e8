//! Run-once steps, on a target and on the deploy host: whatever breaks while one runs, it is done, not done, or asked about;
//! none runs twice, and none is undone twice.

use std::path::Path;

use tempfile::TempDir;

use crate::common;
use crate::common::step_notes::StepNotes;
use crate::common::terminal::Terminal;
use crate::full::{fill, freeze, with_freezable_journals};
use crate::processes::{above, cmdline, kill, proc_file};
use crate::running::Running;
use crate::scene::Scene;
use crate::small::Small;

const BEFORE_PROMOTE: &str = "when: before\n    stage: promote";

/// A host, and two steps ahead of its promote: one there, and one on the deploy host.
pub struct Steps {
    pub scene: Scene,
    pub there: StepNotes,
    pub here: StepNotes,
    _folder: TempDir,
}

impl Steps {
    pub fn new() -> Steps {
        Steps::with(BEFORE_PROMOTE)
    }

    /// With these keys of both steps.
    pub fn with(keys: &str) -> Steps {
        Steps::over(Scene::new(0, 1), keys)
    }

    pub fn over(scene: Scene, keys: &str) -> Steps {
        let folder = tempfile::tempdir().unwrap();
        let (there, here) = (StepNotes::on_target(scene.srv(0)), StepNotes::here(folder.path()));
        let step = |name: &str, notes: &StepNotes, on: &str| {
            let undo =
                if keys.contains("irreversible") { "" } else { &format!("    undo: {}\n", notes.command("undo")) };
            format!("  {name}:\n    command: {}\n{undo}    on: {on}\n    {keys}\n", notes.command("do"))
        };
        let steps = step("there", &there, "first") + &step("here", &here, "deploy-host");
        scene.project.write("hoist/steps.yaml", &format!("steps:\n{steps}"));
        Steps { scene, there, here, _folder: folder }
    }

    pub fn notes(&self, name: &str) -> &StepNotes {
        if name == "there" { &self.there } else { &self.here }
    }

    /// A deployer whose step, or the undo of it, is under way, and the process of that.
    #[track_caller]
    pub fn stopped_in(&self, name: &str, word: &str) -> (Running, u32) {
        self.notes(name).ran();
        self.notes(name).pause(word);
        let running = self.scene.start_deploy(&[]);
        let step = self.notes(name).under_way(word);
        (running, step)
    }

    /// The same, killed there. The step goes on where it can.
    #[track_caller]
    pub fn killed_in(&self, name: &str, word: &str) {
        self.stopped_in(name, word).0.kill();
        self.notes(name).go_on(word);
    }

    /// Ends an unfinished run. One that somebody has to be asked about ends with 6, and is told so by `hoist status`.
    #[track_caller]
    pub fn end(&mut self, command: &str, asked: Option<(&str, &str)>, revision: &str) {
        let mut flags = vec![command, "--yes", "--format", "json"];
        let answer = asked.map(|(key, is)| format!("{key}={is}"));
        if let (Some((key, _)), Some(answer)) = (asked, &answer) {
            self.scene.start(&flags).wait().ends(6).says("it is not known whether").says(&format!("--step {key}=done"));
            let status = self.scene.project.run(&["status", "--offline"]).ends(1);
            // On the way back an answer leads to something else.
            let [done, not_done] = match (command, key.ends_with(".undo")) {
                (_, true) => [" (it is not undone again)", " (the undo is run again)"],
                ("resume", false) => ["", ""],
                _ => [" (it is undone)", " (nothing is undone)"],
            };
            status.says(&format!("add --step {key}=done{done} or --step {key}=not-done{not_done}"));
            flags.extend(["--step", answer]);
        }
        let summary = self.scene.start(&flags).end(&self.scene);
        if command == "resume" && summary.status == Some(0) {
            self.scene.stands = revision.to_owned();
        } else {
            summary.ends(1);
        }
        self.scene.all_on(&self.scene.stands, command);
    }

    /// What the steps did since this was last asked.
    #[track_caller]
    pub fn did(&self, there: &str, here: &str) {
        assert_eq!((self.there.ran().as_str(), self.here.ran().as_str()), (there, here));
    }
}

#[test]
fn a_deployer_that_is_killed_ahead_of_in_or_behind_a_step_leaves_it_done_once_and_undone_once() {
    let mut steps = Steps::new();
    for command in ["resume", "rollback"] {
        let goes_on = command == "resume";
        let then = |forward: &'static str, back: &'static str| if goes_on { forward } else { back };
        for stage in ["fetch", "promote"] {
            let revision = steps.scene.revision();
            steps.scene.deploy_until(0, stage).kill();
            steps.scene.go_on(0, stage);
            steps.end(command, None, &revision);
            let back = if stage == "fetch" { "" } else { "do undo" };
            steps.did(then("do", back), then("do", back));
        }
        // Its host tells of the one; of the other somebody has to.
        let revision = steps.scene.revision();
        steps.killed_in("there", "do");
        steps.end(command, None, &revision);
        steps.did(then("do", "do undo"), then("do", ""));
        let revision = steps.scene.revision();
        steps.killed_in("here", "do");
        steps.end(command, Some(("here", then("not-done", "done"))), &revision);
        steps.did(then("do", "do undo"), then("do do", "do undo"));
        // The same on the way back.
        for name in ["there", "here"] {
            let revision = steps.scene.revision();
            steps.scene.breaks_at(0, &revision);
            steps.killed_in(name, "undo");
            steps.end(command, (name == "here").then_some(("here.undo", "done")), &revision);
            steps.did("do undo", "do undo");
        }
    }
}

#[test]
fn a_step_goes_on_without_its_connection_and_what_was_killed_with_it_is_unknown() {
    let mut steps = Steps::new();
    let revision = steps.scene.revision();
    let (running, step) = steps.stopped_in("there", "do");
    kill(above(step, |pid| proc_file(pid, "comm").trim() == "sshd"));
    steps.there.go_on("do");
    running.end(&steps.scene).ends(0);
    steps.did("do", "do");
    steps.scene.stands = revision;
    for whole_host in [false, true] {
        steps.scene.revision();
        let (running, step) = steps.stopped_in("there", "do");
        match whole_host {
            true => steps.scene.cut(0),
            false => kill(above(step, |pid| cmdline(pid).contains("deploy-local"))),
        }
        steps.there.go_on("do");
        // Nobody knows, so it is not undone either. The host is as it was.
        running.wait().ends(3).says("it is not known whether step there on 127.0.0.1 ran");
        steps.scene.all_on(&steps.scene.stands, "before");
        steps.did("do", "");
    }
    let shown = steps.scene.project.run(&["history"]).ends(0);
    shown.says("steps: there, here").says("step in unknown state");
    let found = steps.scene.project.run(&["history", "--result", "step-in-unknown-state"]).ends(0);
    assert_eq!(found.out.matches("it ended on the host without a record of how").count(), 2, "{}", found.out);
    // It is in nobody's way.
    let revision = steps.scene.revision();
    steps.scene.deploy(&[]).ends(0);
    steps.scene.all_on(&revision, "next");
    steps.did("do", "do");
}

#[test]
fn nothing_goes_back_past_an_irreversible_step_of_which_nobody_knows() {
    let mut steps = Steps::with("when: after\n    irreversible: true");
    for name in ["there", "here"] {
        let revision = steps.scene.revision();
        let (running, step) = steps.stopped_in(name, "do");
        kill(step);
        steps.notes(name).go_on("do");
        running.wait().ends(3).says(&format!("it is not known whether step {name}"));
        let live = || steps.scene.look(0).links.current;
        assert_eq!(live().as_deref(), Some(revision.as_str()));
        let back = steps.scene.project.run(&["rollback", "--yes"]).ends(2);
        back.says(&format!("{name} ")).says("irreversible, and nothing was touched");
        assert_eq!(live().as_deref(), Some(revision.as_str()));
        let preview = steps.scene.project.run(&["rollback", "--dry-run"]).ends(0);
        preview.says(&format!("step {name} is irreversible"));
        // Going forward is open.
        let revision = steps.scene.revision();
        steps.scene.deploy(&[]).ends(0);
        steps.scene.all_on(&revision, "next");
        steps.scene.stands = revision;
    }
}

#[test]
fn a_rollback_that_fails_and_is_called_for_again_undoes_no_step_twice() {
    let mut steps = Steps::with("when: after");
    let first = steps.scene.stands.clone();
    let revision = steps.scene.revision();
    steps.scene.deploy(&[]).ends(0);
    steps.did("do", "do");
    // The host does not take the old revision, and stays on the new one.
    steps.scene.breaks_at(0, &first);
    let back = || steps.scene.project.run(&["rollback", "--yes"]);
    let failed = back();
    assert_ne!(failed.status, Some(0), "{failed:?}");
    assert_eq!(steps.scene.look(0).links.current, Some(revision), "{failed:?}");
    steps.did("undo", "undo");
    steps.scene.remove(0, "broken");
    back().ends(0);
    steps.did("", "");
    steps.scene.all_on(&first, "first");
}

#[test]
fn a_step_whose_end_finds_no_room_is_undone_once() {
    let scene = Scene::bare(0, 1);
    let state = scene.project.path("hoist/state");
    let small = Small::at(&state, "size=1m");
    let mut steps = Steps::over(scene.finish(), "when: before\n    stage: promote");
    // It is unmounted ahead of the folder that it is in.
    let _small = small;
    for name in ["there", "here"] {
        let revision = steps.scene.revision();
        let (running, _) = steps.stopped_in(name, "do");
        let filling = fill(&state);
        steps.notes(name).go_on("do");
        let summary = running.end(&steps.scene);
        if summary.status == Some(0) {
            // The last block of the journal had room for the rest of it.
            steps.scene.stands = revision;
            steps.did("do", "do");
        } else {
            summary.ends(1).says("is full").says("verified");
            steps.did("do undo", if name == "here" { "do undo" } else { "" });
        }
        steps.scene.all_on(&steps.scene.stands, name);
        std::fs::remove_file(filling).unwrap();
    }
}

#[test]
fn a_step_whose_end_cannot_be_recorded_is_undone_once_by_whoever_ends_the_run() {
    let (scene, _disk) = with_freezable_journals(0, 1);
    let mut steps = Steps::over(scene, BEFORE_PROMOTE);
    for name in ["there", "here"] {
        let revision = steps.scene.revision();
        let (running, _) = steps.stopped_in(name, "do");
        let journal = steps.scene.journals().pop().unwrap();
        freeze(&journal, true);
        steps.notes(name).go_on("do");
        let unrecorded = running.wait();
        freeze(&journal, false);
        unrecorded.ends(3).says("was not undone").says("cannot record the end of this run");
        steps.scene.all_on(&steps.scene.stands, name);
        steps.end("rollback", (name == "here").then_some(("here", "done")), &revision);
        steps.did("do undo", if name == "here" { "do undo" } else { "" });
    }
}

#[test]
fn an_interrupt_lets_a_step_end_and_undoes_it_and_one_that_is_aborted_is_asked_about() {
    let mut steps = Steps::new();
    for name in ["there", "here"] {
        steps.scene.revision();
        let (running, _) = steps.stopped_in(name, "do");
        common::signal(&running.child, "INT");
        let out = running.out.clone();
        let noticed =
            |path: &Path| std::fs::read_to_string(path).unwrap().contains(&format!("step {name} is still running"));
        common::wait_for("the interrupt to be noticed", || noticed(&out));
        steps.notes(name).go_on("do");
        running.end(&steps.scene).ends(1).says("interrupted");
        steps.scene.all_on(&steps.scene.stands, name);
        steps.did("do undo", if name == "here" { "do undo" } else { "" });

        steps.scene.revision();
        steps.notes(name).pause("do");
        let mut terminal = Terminal::run(steps.scene.project.hoist(&["deploy"]));
        steps.notes(name).under_way("do");
        terminal
            .types_and_sees("\x03", if name == "here" { "a second Ctrl-C ends it and hoist" } else { "continues on" });
        terminal.types("a\n");
        terminal.answers("[d]one/[n]ot done/[l]eave it", "n");
        terminal.answers("Roll back", "y");
        terminal.ends(1);
        steps.notes(name).go_on("do");
        steps.scene.all_on(&steps.scene.stands, name);
        steps.did(if name == "here" { "do undo" } else { "do" }, if name == "here" { "do" } else { "" });
    }
    // The second interrupt ends a step on the deploy host, and a run that somebody has to tell of it.
    let revision = steps.scene.revision();
    let (running, step) = steps.stopped_in("here", "do");
    let out = running.out.clone();
    common::signal(&running.child, "INT");
    common::wait_for("the interrupt to be noticed", || {
        std::fs::read_to_string(&out).unwrap().contains("is still running")
    });
    common::signal(&running.child, "INT");
    running.wait().ends(130);
    common::wait_for("the step to be gone", || !Path::new(&format!("/proc/{step}")).exists());
    steps.here.go_on("do");
    steps.end("rollback", Some(("here", "not-done")), &revision);
    steps.did("do undo", "do");
}
