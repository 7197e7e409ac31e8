//! Run-once steps, on real sshd hosts: none runs twice, and what nobody knows of is asked about.

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::process::{Child, Stdio};

use common::step_notes::StepNotes;
use common::terminal::Terminal;
use common::{CACHE, Farm, Links, Project, WAITS, address, all_on, kill_at_check, wait_for_locks};
use schema::Answer;

/// Two hosts with a first revision, and steps that note what they do and wait for as long as they are to.
struct Scene {
    farm: Farm,
    project: Project,
    one: String,
    /// The step on the target, and the one on the deploy host.
    target: StepNotes,
    here: StepNotes,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// `more`: further keys of the step on the target.
    fn new(more: &str) -> Scene {
        let (farm, project, one) = Project::deployed(0, 2);
        let folder = tempfile::tempdir().unwrap();
        let (target, here) = (StepNotes::on_target(farm.srv(&address(0))), StepNotes::here(folder.path()));
        project.write(
            "hoist/steps.yaml",
            &format!(
                "steps:\n  migrate:\n    command: {}\n    on: first\n    when: before\n    stage: promote\n{more}  \
                 tell:\n    command: {}\n    undo: {}\n    on: deploy-host\n    when: after\n    group: default\n",
                target.command("migrate"),
                here.command("tell"),
                here.command("untell"),
            ),
        );
        Scene { farm, project, one, target, here, _folder: folder }
    }

    /// Another revision.
    fn next(&self, words: &str) -> String {
        self.project.write("index.html", &format!("{words}\n"));
        self.project.commit(words)
    }

    /// What the steps did since this was last asked: the one on the target, and the one on the deploy host.
    fn ran(&self) -> (String, String) {
        (self.target.ran(), self.here.ran())
    }

    /// A deployer whose step is under way, and the process of that.
    fn stopped_in(&self, notes: &StepNotes, word: &str) -> (Child, u32) {
        notes.pause(word);
        notes.ran();
        let mut command = self.project.hoist(&["deploy", "--yes"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        (child, notes.under_way(word))
    }

    /// Kills a deployer whose step on the target, or on the deploy host, is under way.
    fn killed_in(&self, notes: &StepNotes, word: &str) {
        let (mut deployer, _) = self.stopped_in(notes, word);
        deployer.kill().unwrap();
        deployer.wait().unwrap();
    }
}

/// The object that a command answers with, as the schema has it.
#[track_caller]
fn json(project: &Project, answer: &'static str, words: &[&str]) -> serde_json::Value {
    let value = serde_json::from_str(&project.run(&[words, &["--json"]].concat()).out).unwrap();
    Answer::named(answer).holds(&value);
    value
}

/// What the steps did: the one on the target, and the one on the deploy host.
fn did(target: &str, here: &str) -> (String, String) {
    (target.into(), here.into())
}

#[test]
fn a_step_runs_once_whoever_dies_and_what_its_host_does_not_know_is_asked() {
    let scene = Scene::new("");
    let project = &scene.project;
    // Everything goes well.
    let two = scene.next("two");
    let ran = project.deploy(&[]).ends(0).says("step migrate on 127.0.0.1: done");
    assert!(ran.out.find("step migrate on 127.0.0.1: done") < ran.out.find("promote: 2 ok"), "{}", ran.out);
    assert_eq!(scene.ran(), did("migrate", "tell"));
    all_on(&scene.farm, 2, &two);

    // The target goes on without its deployer, and tells the next one.
    let three = scene.next("three");
    scene.killed_in(&scene.target, "migrate");
    scene.target.go_on("migrate");
    project.run(&["resume", "--yes"]).ends(0).says("step migrate on 127.0.0.1: done");
    assert_eq!(scene.ran(), did("migrate", "tell"));
    all_on(&scene.farm, 2, &three);

    // The deploy host has nobody who could tell.
    let four = scene.next("four");
    scene.killed_in(&scene.here, "tell");
    project.run(&["deploy", "--yes"]).ends(6);
    project.run(&["resume", "--yes", "--step", "nope=done"]).ends(2).says("unknown step \"nope\"");
    project
        .run(&["resume", "--yes", "--step", "migrate=not-done"])
        .ends(2)
        .says("--step migrate: nobody is asked about this step (done)");
    let way = "hoist resume --step tell=not-done";
    project
        .run(&["resume", "--yes"])
        .ends(6)
        .says("it is not known whether step tell on the deploy host ran")
        .says(way);
    let ways = "(its deployer ended while it ran): add --step tell=done or --step tell=not-done";
    project.run(&["status", "--offline"]).ends(1).says(ways);
    let shown = json(project, "status", &["status", "--offline"]);
    let steps = serde_json::json!([
        {"step": "migrate", "undo": false, "on": "127.0.0.1", "end": "done"},
        {"step": "tell", "undo": false, "on": "the deploy host", "end": "unknown", "reason": "its deployer ended while it ran"},
    ]);
    assert_eq!((&shown["unfinished"]["steps"], &shown["unfinished"]["asked"]), (&steps, &serde_json::json!(["tell"])));
    scene.here.go_on("tell");
    project.run(&["resume", "--yes", "--step", "tell=done"]).ends(0).says("done (--step)");
    assert_eq!(scene.ran(), did("migrate", "tell"));
    all_on(&scene.farm, 2, &four);

    project.run(&["rollback", "--yes", "--step", "tell=done"]).ends(2).says("--step tell: no deployment is unfinished");
    all_on(&scene.farm, 2, &four);
    let trace = project.run(&["report", "--format", "trace"]).ends(0);
    let trace: serde_json::Value = serde_json::from_str(&trace.out).unwrap();
    let spans = trace["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let of_steps: Vec<_> = spans.iter().filter(|span| span["name"].as_str().unwrap().starts_with("step ")).collect();
    let names: Vec<_> = of_steps.iter().map(|span| (&span["name"], &span["status"]["code"])).collect();
    let (ok, error) = (serde_json::json!(1), serde_json::json!(2));
    assert_eq!(names, [(&"step migrate".into(), &ok), (&"step tell".into(), &error)]);
    assert_eq!(of_steps[1]["parentSpanId"], spans[0]["spanId"]);

    // A person is asked.
    let five = scene.next("five");
    scene.killed_in(&scene.here, "tell");
    scene.here.go_on("tell");
    let mut terminal = Terminal::run(project.hoist(&["resume"]));
    terminal.answers("it is not known whether it ran", "n");
    terminal.ends(0);
    assert_eq!(scene.ran(), did("migrate", "tell tell"));
    all_on(&scene.farm, 2, &five);
}

#[test]
fn a_run_on_its_way_back_says_what_each_answer_about_a_step_does_there() {
    let scene = Scene::new("");
    let project = &scene.project;
    let here = &scene.here;
    let (command, undo) = (here.command("tell"), here.command("untell"));
    project.write(
        "hoist/steps.yaml",
        &format!("steps:\n  tell:\n    command: {command}\n    undo: {undo}\n    on: deploy-host\n    when: before\n"),
    );
    let back = "the run is on its way back: `hoist rollback --step tell=done` says that it ran, and it is undone; `hoist \
                rollback --step tell=not-done` says that it did not, and nothing is undone; `hoist resume` does the same";
    let to_end = "it is on its way back: `hoist rollback` completes that, and so does `hoist resume`";
    let told = "add --step tell=done (it is undone) or --step tell=not-done (nothing is undone)";
    for (command, answer, did, says) in [
        ("resume", "tell=done", "tell untell", "not deployed; no host was changed; step tell was undone"),
        ("resume", "tell=not-done", "tell", "not deployed; nothing was touched"),
        ("rollback", "tell=done", "tell untell", "not deployed; no host was changed; step tell was undone"),
    ] {
        scene.next(&format!("{command} {answer}"));
        scene.killed_in(here, "tell");
        here.go_on("tell");
        project.run(&["status", "--offline"]).ends(1).says("continue it with `hoist resume`, or undo it with");
        project.run(&["rollback", "--dry-run"]).ends(0).says(told);
        project.run(&["rollback", "--yes"]).ends(6).says(back);
        project.run(&["status", "--offline"]).ends(1).says(to_end).says(told);
        project.run(&["deploy", "--yes"]).ends(6).says(to_end);
        project.run(&[command, "--yes", "--step", answer]).ends(1).says(says);
        assert_eq!(here.ran(), did, "{command} {answer}");
        all_on(&scene.farm, 2, &scene.one);
    }
    project.run(&["history", "-n", "1"]).ends(0).says("failed, hosts as before");
}

#[test]
fn a_rollback_that_died_in_an_undo_is_not_turned_back_before_somebody_says_how_that_ended() {
    let scene = Scene::new("");
    let (project, here) = (&scene.project, &scene.here);
    for (answer, says) in [("done", "step tell on the deploy host stays undone"), ("not-done", "not rolled back to")] {
        let next = scene.next(answer);
        project.deploy(&[]).ends(0);
        here.ran();
        here.pause("untell");
        let mut command = project.hoist(&["rollback", "--yes"]);
        let mut dying = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        here.under_way("untell");
        dying.kill().unwrap();
        dying.wait().unwrap();
        here.go_on("untell");
        let told =
            "add --step tell.undo=done (the step stays undone) or --step tell.undo=not-done (the step stays done)";
        project.run(&["rollback", "--dry-run"]).ends(0).says(told);
        let way = "`hoist rollback --step tell.undo=done` says that it ran, and the step stays undone";
        project.run(&["rollback", "--yes"]).ends(6).says(way);
        let ended = project.run(&["rollback", "--yes", "--step", &format!("tell.undo={answer}")]);
        ended.ends(1).says(says);
        assert_eq!(here.ran(), "untell");
        all_on(&scene.farm, 2, &next);
        // What a later rollback undoes follows from that.
        let undoes = "undo of step tell: on the deploy host, before any host goes back";
        let preview = project.run(&["rollback", "--dry-run", &scene.one]).ends(0);
        assert_eq!(preview.out.contains(undoes), answer == "not-done", "{}", preview.out);
    }
}

#[test]
fn a_rollback_that_leads_forward_names_the_steps_that_stay_undone() {
    let scene = Scene::new("");
    let project = &scene.project;
    let two = scene.next("two");
    project.deploy(&[]).ends(0);
    let stays = "a rollback does not run it again";
    let back = project.run(&["rollback", "--yes"]).ends(0);
    assert!(!back.out.contains(stays) && !back.err.contains(stays), "{back:?}");
    assert_eq!(scene.ran(), did("migrate", "tell untell"));
    let short = &two[..10];
    let said = format!("step tell was undone since {short} was deployed, and {stays}: `hoist deploy -r {short}` does");
    project.run(&["rollback", "--dry-run", &two]).ends(0).says(&format!("warning: {said}"));
    let preview = json(project, "rollback_preview", &["rollback", "--dry-run", &two]);
    assert_eq!(preview["not_undone"], serde_json::json!([said]), "{preview}");
    let forward = project.run(&["rollback", "--yes", &two]).ends(0);
    assert!(forward.out.contains(&format!("warning: {said}")), "{forward:?}");
    assert_eq!(scene.ran(), did("", ""));
    all_on(&scene.farm, 2, &two);
    // It does, and then nothing is missing.
    project.deploy(&["-r", &two, "--break-glass", "its step"]).ends(0);
    assert_eq!(scene.ran(), did("migrate", "tell"));
    scene.next("three");
    project.deploy(&["--break-glass", "goes on"]).ends(0);
    let preview = project.run(&["rollback", "--dry-run", &two]).ends(0).says("undo of step tell");
    assert!(!preview.out.contains(stays), "{preview:?}");
}

#[test]
fn a_step_whose_host_is_down_at_the_probe_ends_the_run_before_anything_is_touched() {
    let (farm, project, one) = Project::deployed(0, 2);
    project.configure("failure_limit: 1\nconnect_timeout: 3");
    let notes = StepNotes::on_target(farm.srv(&address(1)));
    let step = |on: &str| {
        let command = notes.command("reindex");
        let text = format!("steps:\n  reindex:\n    command: {command}\n    on: {on}\n    when: after\n");
        project.write("hoist/steps.yaml", &text);
    };
    step("127.0.0.2");
    project.write("index.html", "two\n");
    let two = project.commit("two");
    farm.set_down(&address(1), true);
    let ran = project.deploy(&[]).ends(1);
    ran.says("step reindex cannot run: 127.0.0.2 has failed or cannot be reached; nothing was touched");
    (0..2).for_each(|n| assert_eq!(Links::of(&farm, n), Links::finalized(&one)));
    assert_eq!(notes.ran(), "");
    // Any other host will do for a step of the first one that there is.
    step("first");
    project.commit("on any host");
    project.deploy(&[]).ends(0).says("step reindex on 127.0.0.1: done");
    farm.set_down(&address(1), false);
    step("127.0.0.2");
    project.deploy(&["-r", &two]).ends(0).says("step reindex on 127.0.0.2: done");
    all_on(&farm, 2, &two);
}

#[test]
fn what_was_done_on_the_deploy_host_stays_where_somebody_else_has_deployed_since() {
    let (farm, project, _) = Project::deployed(0, 2);
    let folder = tempfile::tempdir().unwrap();
    let notes = StepNotes::here(folder.path());
    project.write(
        "hoist/steps.yaml",
        &format!(
            "steps:\n  migrate:\n    command: {}\n    undo: {}\n    on: deploy-host\n    when: before\n    stage: promote\n",
            notes.command("migrate"),
            notes.command("back"),
        ),
    );
    project.check("waits", "promote", WAITS);
    project.write("index.html", "two\n");
    project.commit("two");
    kill_at_check(&farm, &project, &["deploy", "--yes"], 2);
    wait_for_locks(&farm, 2);
    let other = Project::clone_of(&project);
    other.write("index.html", "three\n");
    let three = other.commit("three");
    let lock_dir = tempfile::tempdir().unwrap();
    other.deploy(&["-D", &format!("lock_dir:{}", lock_dir.path().display())]).ends(0);
    all_on(&farm, 2, &three);
    assert_eq!(notes.ran(), "migrate migrate");
    let ran = project.run(&["rollback", "--yes"]).ends(3);
    ran.says(&format!(
        "step migrate on the deploy host was not undone (not begun: 127.0.0.1 runs {three:.10} of another"
    ));
    assert_eq!(notes.ran(), "");
    all_on(&farm, 2, &three);
}

#[test]
fn an_answer_about_a_step_that_has_not_begun_is_refused_before_anything_is_touched() {
    let scene = Scene::new("");
    let project = &scene.project;
    let two = scene.next("two");
    scene.killed_in(&scene.target, "migrate");
    for (command, key) in
        [("resume", "tell"), ("rollback", "tell"), ("resume", "migrate.undo"), ("rollback", "tell.undo")]
    {
        for is in ["done", "not-done"] {
            let why =
                format!("--step {key}: nobody is asked about this step (not begun): leave it out; nothing was touched");
            project.run(&[command, "--yes", "--step", &format!("{key}={is}")]).ends(2).says(&why);
        }
    }
    // The step that is under way goes on, undisturbed.
    scene.target.go_on("migrate");
    project.run(&["resume", "--yes"]).ends(0);
    assert_eq!(scene.ran(), did("migrate", "tell"));
    all_on(&scene.farm, 2, &two);
}

#[test]
fn a_preview_of_a_rollback_has_the_undo_of_each_step_that_it_would_run() {
    let scene = Scene::new("");
    let project = &scene.project;
    let preview = |words: &[&str]| {
        let shown = json(project, "rollback_preview", &[&["rollback", "--dry-run"], words].concat());
        ["steps", "irreversible", "not_undone", "asked"].map(|key| shown[key].clone())
    };
    let none = || serde_json::json!([]);
    scene.next("two");
    project.deploy(&[]).ends(0);
    let undo = serde_json::json!([{
        "step": "tell", "when": "before", "group": "default", "on": "deploy-host", "command": scene.here.command("untell"),
        "timeout": 600,
    }]);
    let stays = serde_json::json!(["step migrate stays done: it has no undo"]);
    assert_eq!(preview(&[]), [undo.clone(), none(), stays.clone(), none()]);
    // A way back of some hosts leaves the steps alone, and says so.
    let left = serde_json::json!(["step tell is not undone: only some hosts go back", stays[0]]);
    assert_eq!(preview(&["-l", "127.0.0.2"]), [none(), none(), left, none()]);
    let text = project.run(&["rollback", "--dry-run", "-l", "127.0.0.2"]).says("only some hosts go back");
    assert!(!text.out.contains("undo of step"), "{}", text.out);

    // An unfinished deployment's steps: those that are known, and those that are found out or asked about.
    scene.next("three");
    scene.killed_in(&scene.target, "migrate");
    let begun = serde_json::json!(["step migrate has begun on 127.0.0.1, which is asked how it ended"]);
    assert_eq!(preview(&[]), [none(), none(), begun, none()]);
    scene.target.go_on("migrate");
    scene.ran();
    let mut resumed = {
        scene.here.pause("tell");
        project.hoist(&["resume", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    scene.here.under_way("tell");
    resumed.kill().unwrap();
    resumed.wait().unwrap();
    scene.here.go_on("tell");
    assert_eq!(preview(&[]), [none(), none(), stays.clone(), serde_json::json!(["tell"])]);
    scene.here.fails(true);
    project.run(&["resume", "--yes", "--step", "tell=not-done"]).ends(1);
    scene.here.fails(false);
    // Nothing is left to do, once the hosts are back where they were.
    assert_eq!(preview(&[&scene.one])[1..], [none(), stays, none()]);
    project.run(&["rollback", "--yes", &scene.one]).ends(0);
    assert_eq!(preview(&[&scene.one]), [none(), none(), none(), none()]);
}

#[test]
fn a_rollback_and_its_preview_leave_out_steps_whose_host_or_group_is_not_part_of_it() {
    let scene = Scene::new("    undo: \"false\"\n");
    let project = &scene.project;
    scene.next("two");
    project.deploy(&[]).ends(0);
    let why = |step: &str| format!("step {step} is not undone: its group or its host is not part of this run");
    let preview = || {
        let shown = json(project, "rollback_preview", &["rollback", "--dry-run"]);
        (shown["steps"].as_array().unwrap().len(), shown["not_undone"].clone())
    };
    assert_eq!(preview(), (2, serde_json::json!([])));
    // The host on which the step ran is listed no more.
    project.write("hoist/default", &format!("{}\n", address(1)));
    assert_eq!(preview(), (1, serde_json::json!([why("migrate")])));
    project.run(&["rollback", "--dry-run"]).ends(0).says(&why("migrate")).says("undo of step tell");
    // Nor is the group of the other.
    project.configure("server_groups: canary\ncanary_dsh_targets: default");
    assert_eq!(preview(), (0, serde_json::json!([why("tell"), why("migrate")])));
    scene.ran();
    project.run(&["rollback", "--yes"]).ends(0).says(&why("migrate")).says(&why("tell"));
    assert_eq!(scene.ran(), did("", ""));
}

#[test]
fn an_unfinished_run_is_announced_as_dead_or_as_one_that_waits_for_an_answer() {
    let scene = Scene::new("");
    let project = &scene.project;
    let heard = project.path(".git/heard");
    let hook = format!("hooks: {{log: {{on: unfinished, shell: true, command: 'cat >> {}'}}}}\n", heard.display());
    project.write("hoist/hooks.yaml", &hook);
    scene.next("two");
    scene.killed_in(&scene.here, "tell");
    scene.here.go_on("tell");
    (0..2).for_each(|_| drop(project.run(&["resume", "--yes"]).ends(6)));
    let text = std::fs::read_to_string(heard).unwrap();
    let heard: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    heard.iter().for_each(|it| Answer::named("announcement").holds(it));
    let texts: Vec<_> = heard.iter().map(|it| it["text"].as_str().unwrap()).collect();
    assert!(texts[0].contains("has died"), "{texts:?}");
    assert!(texts[1].ends_with("it is not known whether step tell on the deploy host ran"), "{texts:?}");
    assert_eq!(texts.len(), 2);
}

#[test]
fn a_mixed_fleet_that_is_deployed_to_where_going_back_is_not_enough_has_its_steps_undone_as_well() {
    let scene = Scene::new("");
    let (farm, project) = (&scene.farm, &scene.project);
    let steps = std::fs::read_to_string(project.path("hoist/steps.yaml")).unwrap();
    project.write("hoist/steps.yaml", &steps.replace("when: after", "when: before"));
    project.write("hoist/checks.yaml", "checks:\n  bad:\n    stage: promote\n    command: test ! -e /srv/bad\n");
    std::fs::write(farm.srv(&address(1)).join("bad"), "").unwrap();
    scene.next("two");
    let mut declined = Terminal::run(project.hoist(&["deploy"]));
    declined.answers("Roll back", "n");
    declined.ends(3);
    assert_eq!(scene.ran(), did("migrate", "tell"));
    std::fs::remove_file(farm.srv(&address(1)).join("bad")).unwrap();
    std::fs::remove_dir_all(farm.srv(&address(1)).join(CACHE)).unwrap();

    let shown = json(project, "rollback_preview", &["rollback", "--dry-run"]);
    assert_eq!(shown["steps"][0]["step"], "tell", "{shown}");
    project
        .run(&["rollback", "--yes"])
        .ends(0)
        .says("the fleet is mixed")
        .says("undo of step tell on the deploy host: done");
    assert_eq!(scene.ran(), did("", "untell"));
    all_on(farm, 2, &scene.one);
    // Nothing is left to undo.
    let shown = json(project, "rollback_preview", &["rollback", "--dry-run", &scene.one]);
    assert_eq!(shown["steps"], serde_json::json!([]), "{shown}");
}

/// A step that opens the way for the new revision, ahead of the first group, and one that closes the way back, after the last.
#[test]
fn a_finished_deployments_steps_are_undone_the_last_one_first_and_one_that_cannot_be_keeps_no_host_from_going_back() {
    let (farm, project, one) = Project::deployed(1, 2);
    let notes = project.path(".git/notes");
    let line = |word: &str| format!("echo {word} >> {}", notes.display());
    let step = |name: &str, when: &str, group: &str| {
        let (doing, undoing) = (line(name), format!("{}; test ! -e .git/fails", line(&format!("un{name}"))));
        format!(
            "  {name}:\n    command: {doing}\n    undo: {undoing}\n    on: deploy-host\n    when: {when}\n    group: {group}\n"
        )
    };
    project.write(
        "hoist/steps.yaml",
        &format!("steps:\n{}{}", step("open", "before", "canary"), step("close", "after", "default")),
    );
    let ran = || {
        let text = std::fs::read_to_string(&notes).unwrap_or_default();
        let _ = std::fs::remove_file(&notes);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    project.write("index.html", "two\n");
    project.commit("two");
    project.deploy(&[]).ends(0);
    assert_eq!(ran(), "open close");
    project
        .run(&["rollback", "--dry-run"])
        .ends(0)
        .says("undo of step close: on the deploy host, before any host goes back: echo unclose");
    project.run(&["rollback", "--yes"]).ends(0);
    assert_eq!(ran(), "unclose unopen");
    all_on(&farm, 3, &one);

    project.write("index.html", "three\n");
    project.commit("three");
    project.deploy(&["--break-glass", "again"]).ends(0);
    ran();
    project.write(".git/fails", "");
    let back = project.run(&["rollback", "--yes"]).ends(3);
    back.says("step close on the deploy host was not undone (failed: exit status 1); step open on the deploy host was not undone");
    assert_eq!(ran(), "unclose unopen");
    all_on(&farm, 3, &one);
}

#[test]
fn a_step_that_fails_or_is_killed_halts_the_run_and_what_was_done_is_undone() {
    let scene = Scene::new("");
    let project = &scene.project;
    scene.target.fails(true);
    scene.next("two");
    let failed = project.deploy(&[]).ends(1).says("step migrate on 127.0.0.1: failed: exit status 1");
    assert!(!failed.out.contains("promote: "), "{}", failed.out);
    assert_eq!(scene.ran(), did("migrate", ""));
    all_on(&scene.farm, 2, &scene.one);
    scene.target.fails(false);

    // The step on the deploy host fails behind the promote, so it is not undone; the other has no undo, and is named.
    scene.here.fails(true);
    project.commit_again();
    project.deploy(&[]).ends(1).says("step migrate on 127.0.0.1 stays done: it has no undo");
    assert_eq!(scene.ran(), did("migrate", "tell"));
    all_on(&scene.farm, 2, &scene.one);
    scene.here.fails(false);

    // A step that is killed may have done its work.
    project.commit_again();
    let (deployer, step) = scene.stopped_in(&scene.target, "migrate");
    assert!(std::process::Command::new("kill").args(["-KILL", &step.to_string()]).status().unwrap().success());
    let ended = deployer.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    scene.target.go_on("migrate");
    assert_eq!(scene.ran(), did("migrate", ""));
    all_on(&scene.farm, 2, &scene.one);

    // A finished deployment is undone with its steps.
    let five = project.commit_again();
    project.deploy(&[]).ends(0);
    all_on(&scene.farm, 2, &five);
    assert_eq!(scene.ran(), did("migrate", "tell"));
    let back = project.run(&["rollback", "--yes"]).ends(0).says("undo of step tell on the deploy host: done");
    assert!(back.err.contains("step migrate stays done: it has no undo"), "{}", back.err);
    assert_eq!(scene.ran(), did("", "untell"));
    all_on(&scene.farm, 2, &scene.one);

    // What became of the steps is shown of every run.
    let shown = project.run(&["history"]).ends(0).says("steps: undo of tell").says("steps: migrate, tell");
    shown.says("steps: migrate (failed: exit status 1)").says("steps: migrate (it is not known whether it ran: killed");
    let back = &json(project, "history", &["history", "-n", "1"])["deployments"][0]["steps"];
    let undone = serde_json::json!([{"step": "tell", "undo": true, "on": "the deploy host", "end": "done"}]);
    assert_eq!(*back, undone);
}

#[test]
fn nothing_goes_back_past_an_irreversible_step_without_words() {
    let scene = Scene::new("    irreversible: true\n");
    let project = &scene.project;
    scene.here.fails(true);
    let two = scene.next("two");
    project
        .deploy(&[])
        .ends(3)
        .says("irreversible: a rollback past it takes words")
        .says("step migrate on 127.0.0.1 is done, and irreversible");
    assert_eq!(Links::of(&scene.farm, 1).current, Some(two.clone()), "nothing was rolled back");
    scene.here.fails(false);

    let three = scene.next("three");
    project.deploy(&[]).ends(0);
    project.run(&["rollback", "--yes"]).ends(2).says("step migrate is irreversible, and nothing was touched");
    all_on(&scene.farm, 2, &three);

    // Interrupted by a death, and undone: by nobody without words, and by nothing but the words.
    scene.next("four");
    scene.killed_in(&scene.here, "tell");
    scene.here.go_on("tell");
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

#[test]
fn the_example_runs_its_steps_in_their_order_and_its_last_one_bars_the_way_back() {
    let (farm, project, one) = Project::deployed(0, 2);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/database-migration/hoist/steps.yaml");
    project.write("hoist/steps.yaml", &std::fs::read_to_string(example).unwrap());
    let done = farm.dir.path().join("done");
    for name in ["bin/migrate", "bin/warm-cache"] {
        project.write(name, &format!("#!/bin/sh\necho $(basename $0) $* >> {}\n", done.display()));
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(project.path(name), runs).unwrap();
    }
    let ran = || std::fs::read_to_string(&done).unwrap();
    // One that fails at its promote is taken back with the first step.
    project.check("no", "promote", "false");
    project.commit("bad");
    project.deploy(&[]).ends(1);
    all_on(&farm, 2, &one);
    assert_eq!(ran(), "migrate expand\nmigrate undo-expand\n");
    std::fs::remove_file(&done).unwrap();
    std::fs::remove_file(project.path("hoist/checks.yaml")).unwrap();
    let two = project.commit_again();
    project.deploy(&[]).ends(0);
    all_on(&farm, 2, &two);
    assert_eq!(ran(), "migrate expand\nwarm-cache\nmigrate contract\n");
    project.run(&["rollback", "--yes"]).ends(2).says("type: roll back past contract-schema");
    all_on(&farm, 2, &two);
}
