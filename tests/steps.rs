//! Run-once steps, on real sshd hosts: none runs twice, and what nobody knows of is asked about.

mod common;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use common::terminal::Terminal;
use common::{Farm, Links, Project, address, all_on, wait_for};

/// Two hosts with a first revision, and steps that note what they do and wait for as long as there is a file.
struct Scene {
    farm: Farm,
    project: Project,
    one: String,
    /// What the step on the deploy host notes.
    here: tempfile::TempDir,
}

impl Scene {
    /// `more`: further keys of the step on the target.
    fn new(more: &str) -> Scene {
        let (farm, project, one) = Project::deployed(0, 2);
        let scene = Scene { farm, project, one, here: tempfile::tempdir().unwrap() };
        let notes = |folder: &str, word: &str| {
            format!(
                "echo $$ > {folder}/pid; echo {word} >> {folder}/ran; while test -e {folder}/pause; do sleep 0.1; done; \
                 test ! -e {folder}/bad"
            )
        };
        let here = scene.here.path().display().to_string();
        scene.project.write(
            "hoist/steps.yaml",
            &format!(
                "steps:\n  migrate:\n    command: {}\n    on: first\n    when: before\n    stage: promote\n{more}  \
                 tell:\n    command: {}\n    undo: {}\n    on: deploy-host\n    when: after\n    group: default\n",
                notes("/srv", "migrate"),
                notes(&here, "tell"),
                notes(&here, "untell"),
            ),
        );
        scene
    }

    /// Another revision.
    fn next(&self, words: &str) -> String {
        self.project.write("index.html", &format!("{words}\n"));
        self.project.commit(words)
    }

    /// The folder of the step on the target, or on the deploy host.
    fn folder(&self, on_target: bool) -> PathBuf {
        if on_target { self.farm.srv(&address(0)) } else { self.here.path().to_owned() }
    }

    /// What the steps of a place did since this was last asked.
    fn ran(&self, on_target: bool) -> String {
        let path = self.folder(on_target).join("ran");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn pause(&self, on_target: bool) {
        std::fs::write(self.folder(on_target).join("pause"), "").unwrap();
    }

    fn go_on(&self, on_target: bool) {
        std::fs::remove_file(self.folder(on_target).join("pause")).unwrap();
    }

    /// A deployer whose step is under way.
    fn stopped_in(&self, on_target: bool) -> Child {
        self.pause(on_target);
        self.ran(on_target);
        let mut command = self.project.hoist(&["deploy", "--yes"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the step", || self.folder(on_target).join("ran").exists());
        child
    }

    /// A deployer that was killed while its step was under way.
    fn killed_in(&self, on_target: bool) {
        let mut deployer = self.stopped_in(on_target);
        deployer.kill().unwrap();
        deployer.wait().unwrap();
    }

    /// Kills the step itself.
    fn kill_step(&self, on_target: bool) {
        let pid = std::fs::read_to_string(self.folder(on_target).join("pid")).unwrap();
        let status = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        assert!(status.success());
    }
}

#[test]
fn a_step_runs_once_whoever_dies_and_what_its_host_does_not_know_is_asked() {
    let scene = Scene::new("");
    let project = &scene.project;
    // Everything goes well.
    let two = scene.next("two");
    let ran = project.deploy(&[]).ends(0).says("step migrate on 127.0.0.1: done");
    assert!(ran.out.find("step migrate on 127.0.0.1: done") < ran.out.find("promote: 2 ok"), "{}", ran.out);
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), "tell".into()));
    all_on(&scene.farm, 2, &two);

    // The target goes on without its deployer, and tells the next one.
    let three = scene.next("three");
    scene.killed_in(true);
    scene.go_on(true);
    project.run(&["resume", "--yes"]).ends(0).says("step migrate on 127.0.0.1: done");
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), "tell".into()));
    all_on(&scene.farm, 2, &three);

    // The deploy host has nobody who could tell.
    let four = scene.next("four");
    scene.killed_in(false);
    project.run(&["deploy", "--yes"]).ends(6);
    project.run(&["resume", "--yes", "--step", "nope=done"]).ends(2).says("unknown step \"nope\"");
    let way = "hoist resume --step tell=not-done";
    project
        .run(&["resume", "--yes"])
        .ends(6)
        .says("it is not known whether step tell on the deploy host ran")
        .says(way);
    scene.go_on(false);
    project.run(&["resume", "--yes", "--step", "tell=done"]).ends(0).says("done (--step)");
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), "tell".into()));
    all_on(&scene.farm, 2, &four);

    // A person is asked.
    let five = scene.next("five");
    scene.killed_in(false);
    scene.go_on(false);
    let mut terminal = Terminal::run(project.hoist(&["resume"]));
    terminal.answers("it is not known whether it ran", "n");
    terminal.ends(0);
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), "tell tell".into()));
    all_on(&scene.farm, 2, &five);
}

#[test]
fn a_step_that_fails_or_is_killed_halts_the_run_and_what_was_done_is_undone() {
    let scene = Scene::new("");
    let project = &scene.project;
    std::fs::write(scene.folder(true).join("bad"), "").unwrap();
    scene.next("two");
    let failed = project.deploy(&[]).ends(1).says("step migrate on 127.0.0.1: failed: exit status 1");
    assert!(!failed.out.contains("promote: "), "{}", failed.out);
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), String::new()));
    all_on(&scene.farm, 2, &scene.one);
    std::fs::remove_file(scene.folder(true).join("bad")).unwrap();

    // The step on the deploy host fails behind the promote, so it is not undone; the other has no undo, and is named.
    std::fs::write(scene.folder(false).join("bad"), "").unwrap();
    project.commit_again();
    project.deploy(&[]).ends(1).says("step migrate on 127.0.0.1 stays done: it has no undo");
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), "tell".into()));
    all_on(&scene.farm, 2, &scene.one);
    std::fs::remove_file(scene.folder(false).join("bad")).unwrap();

    // A step that is killed may have done its work.
    project.commit_again();
    let deployer = scene.stopped_in(true);
    scene.kill_step(true);
    let ended = deployer.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    scene.go_on(true);
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), String::new()));
    all_on(&scene.farm, 2, &scene.one);

    // A finished deployment is undone with its steps.
    let five = project.commit_again();
    project.deploy(&[]).ends(0);
    all_on(&scene.farm, 2, &five);
    assert_eq!((scene.ran(true), scene.ran(false)), ("migrate".into(), "tell".into()));
    let back = project.run(&["rollback", "--yes"]).ends(0).says("undo of step tell on the deploy host: done");
    assert!(back.err.contains("step migrate stays done: it has no undo"), "{}", back.err);
    assert_eq!((scene.ran(true), scene.ran(false)), (String::new(), "untell".into()));
    all_on(&scene.farm, 2, &scene.one);
}

#[test]
fn nothing_goes_back_past_an_irreversible_step_without_words() {
    let scene = Scene::new("    irreversible: true\n");
    let project = &scene.project;
    std::fs::write(scene.folder(false).join("bad"), "").unwrap();
    let two = scene.next("two");
    project
        .deploy(&[])
        .ends(3)
        .says("irreversible: a rollback past it takes words")
        .says("step migrate on 127.0.0.1 is done, and irreversible");
    assert_eq!(Links::of(&scene.farm, 1).current, Some(two.clone()), "nothing was rolled back");
    std::fs::remove_file(scene.folder(false).join("bad")).unwrap();

    let three = scene.next("three");
    project.deploy(&[]).ends(0);
    project.run(&["rollback", "--yes"]).ends(2).says("step migrate is irreversible, and nothing was touched");
    all_on(&scene.farm, 2, &three);

    // Interrupted by a death, and undone: by nobody without words, and by nothing but the words.
    scene.next("four");
    scene.killed_in(false);
    scene.go_on(false);
    project.run(&["rollback", "--yes"]).ends(2).says("type: roll back past migrate");
    let mut terminal = Terminal::run(project.hoist(&["rollback", "--step", "tell=not-done"]));
    terminal.answers("Undo it on every host", "y");
    terminal.answers("type: roll back past migrate", "y");
    terminal.answers("please type n, or the words", "roll back past migrate");
    terminal.ends(3);
    all_on(&scene.farm, 2, &three);
}

#[test]
fn mistakes_are_named_with_file_line_and_key_before_anything_is_touched() {
    let (_farm, project, _) = Project::deployed(0, 1);
    let good = "    command: 'true'\n    on: first\n    when: before\n";
    for (step, line, why) in [
        ("    on: first\n    when: before\n", 2, "has no command"),
        ("    command: 'true'\n    when: before\n", 2, "does not say where to run"),
        ("    command: 'true'\n    on: first\n", 2, "does not say when to run"),
        ("    command: 'true'\n    on: db9\n    when: before\n", 4, "no target file lists db9"),
        (&format!("{good}    group: nope\n"), 6, "unknown group \"nope\""),
        (&format!("{good}    stage: finalize\n"), 6, "no step runs before or after finalize"),
        (&format!("{good}    once: false\n"), 6, "every step runs once"),
        (&format!("{good}    undoo: x\n"), 6, "unknown key \"undoo\""),
        (&format!("{good}    timeout: soon\n"), 6, "bad timeout"),
    ] {
        project.write("hoist/steps.yaml", &format!("steps:\n  migrate:\n{step}"));
        let place = format!("hoist/steps.yaml:{line}: ");
        for arguments in [&["deploy", "--yes"][..], &["check-config"][..]] {
            let ran = project.run(arguments).ends(2).says(why);
            assert!(ran.out.contains(&place) || ran.err.contains(&place), "{step}\n{}{}", ran.out, ran.err);
        }
    }
    project.write("hoist/steps.yaml", &format!("steps:\n  migrate.undo:\n{good}"));
    project.run(&["check-config"]).ends(2).says("a name that ends in .undo");
    // An environment changes one, and switches one off.
    project.write("hoist/steps.yaml", &format!("steps:\n  a:\n{good}  b:\n{good}"));
    project.write("hoist/environments/beta/steps.yaml", "steps:\n  a: {}\n");
    let plan = project.run(&["plan", "-e", "beta", "--format", "json"]).ends(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(1), "{plan}");
    assert_eq!((&plan["steps"][0]["step"], &plan["steps"][0]["when"]), (&"b".into(), &"before".into()));
}
