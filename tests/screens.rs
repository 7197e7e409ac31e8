//! What a terminal shows, screen by screen, in colour and without, beside what a pipe gets.
//!
//! The expected screens are the files of `tests/screens/`. `HOIST_UPDATE_SCREENS=1 cargo test --test screens` writes them
//! anew: read the difference before you commit it.

mod common;

#[path = "screens/compare.rs"]
mod compare;

use std::path::Path;
use std::process::Command;

use regex::Regex;

use common::terminal::Terminal;
use common::{Farm, Project, address};
use compare::{at_last, normal, screen, text};

/// The sizes of terminals that are looked at: rows and columns.
const SIZES: [(u16, u16); 2] = [(24, 80), (50, 200)];

/// A farm and a repository that is deployed to it.
struct Scene {
    farm: Farm,
    project: Project,
}

impl Scene {
    /// `canary` of two hosts, `default` of ten, in subgroups of five, and nothing deployed.
    fn new() -> Scene {
        Scene::of(2, 10, "default_group_size: 5\n")
    }

    fn of(canary: usize, default: usize, settings: &str) -> Scene {
        let (farm, project) = Project::on_farm(canary, default);
        project.configure(settings);
        project.commit("First page");
        Scene { farm, project }
    }

    /// The first page is finalized everywhere, and the second one fails its check on the fourth host.
    fn broken() -> Scene {
        let scene = Scene::new();
        let check = "if test -e /srv/broken && grep -q two $SCAP_REV_PATH/index.html; \
                     then echo no answer on port 8080 >&2; exit 7; fi";
        scene.project.write(
            "hoist/checks.yaml",
            &format!("checks:\n  port:\n    stage: promote\n    shell: true\n    command: {check}\n"),
        );
        scene.project.commit("First page, with a check");
        scene.pipe(&["deploy", "--yes"]).ends(0);
        scene.second_page();
        std::fs::write(scene.farm.srv(&address(3)).join("broken"), "").unwrap();
        scene
    }

    /// The first page runs on three hosts, and the restart of the second one runs this script.
    fn restarts_by(script: &str) -> Scene {
        let scene = Scene::of(1, 2, "service_name: web\nservice_command: sh /srv/restart {action} {service}");
        let script = format!("if grep -q two /srv/deployment/app/index.html; then\n{script}\nfi\n");
        for n in 0..3 {
            std::fs::write(scene.farm.srv(&address(n)).join("restart"), &script).unwrap();
        }
        scene.pipe(&["deploy", "--yes"]).ends(0);
        scene.second_page();
        scene
    }

    fn second_page(&self) {
        self.project.write("index.html", "two\n");
        self.project.commit("Second page");
    }

    /// A command at a terminal of this size, on a deploy host whose name has always the same width.
    fn at(&self, (rows, columns): (u16, u16), arguments: &[&str]) -> Terminal {
        Terminal::of_size(self.on_deploy1(arguments, true), rows, columns)
    }

    /// A command at a terminal of this size ends with this status and shows this screen.
    #[track_caller]
    fn shows(&self, size: (u16, u16), arguments: &[&str], status: i32, name: &str) {
        let mut terminal = self.at(size, arguments);
        terminal.ends(status);
        screen(name, &terminal, size.1);
    }

    /// A command at a terminal of this size asks this, and shows this screen.
    #[track_caller]
    fn asks(&self, size: (u16, u16), arguments: &[&str], question: &str, name: &str) -> Terminal {
        let terminal = self.at(size, arguments);
        terminal.wait_for(question);
        screen(name, &terminal, size.1);
        terminal
    }

    fn on_deploy1(&self, arguments: &[&str], colour: bool) -> Command {
        let hoist = self.project.hoist(arguments);
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", "hostname deploy1 && exec \"$@\"", "sh"]);
        command.arg(hoist.get_program()).args(hoist.get_args());
        command.current_dir(hoist.get_current_dir().unwrap_or(Path::new(".")));
        common::take_environment(&mut command, &hoist);
        if colour {
            command.env_remove("NO_COLOR");
        }
        command
    }

    fn pipe(&self, arguments: &[&str]) -> common::Ran {
        common::Ran::of(self.on_deploy1(arguments, false).output().unwrap())
    }
}

#[test]
fn a_screen_is_the_same_however_long_the_machine_takes() {
    let table = |one: &str, two: &str| {
        let width = one.len().max(two.len()).max("took".len());
        format!(
            "result    {:width$}  groups\ndeployed  {one:width$}  all\ndeployed  {two:width$}  all\n3 ok in {one}",
            "took"
        )
    };
    let expected = normal(&table("9.1 s", "9.2 s"));
    for (one, two) in [("10 s", "9.2 s"), ("12 s", "13 s"), ("9.1 s", "2 min 01 s"), ("2 min 01 s", "1.0 s")] {
        assert_eq!(normal(&table(one, two)), expected, "{one}, {two}");
    }
}

#[test]
fn a_good_run_of_sixty_hosts_in_two_groups() {
    let scene = Scene::of(4, 56, "default_group_size: 28\n");
    for size in SIZES {
        scene.shows(size, &["deploy", "--yes", "A new page"], 0, "good-run");
        scene.project.write("index.html", &format!("{}\n", size.1));
        scene.project.commit("Second page");
    }
    text("good-run.pipe", &scene.pipe(&["deploy", "--yes", "A new page"]).ends(0));
    scene.shows(SIZES[0], &["status"], 0, "status-in-sync");
}

#[test]
fn a_question_at_the_end_of_the_first_group() {
    let scene = Scene::new();
    for size in SIZES {
        let mut terminal = scene.asks(size, &["deploy", "First page"], "Continue?", "question");
        terminal.types("n\n");
        terminal.answers("Roll back", "y");
        terminal.ends(3);
        screen("nothing-to-go-back-to", &terminal, size.1);
        std::fs::remove_dir_all(scene.farm.srv(&address(0)).join("deployment")).unwrap();
        std::fs::remove_dir_all(scene.farm.srv(&address(1)).join("deployment")).unwrap();
    }
}

#[test]
fn a_failure_limit_that_is_exceeded_and_the_same_without_colour() {
    let scene = Scene::broken();
    let deploy = ["deploy", "--yes", "Second page"];
    for size in SIZES {
        scene.shows(size, &deploy, 1, "limit-exceeded");
        scene.project.commit_again();
    }
    text("limit-exceeded.pipe", &scene.pipe(&deploy).ends(1));

    scene.project.commit_again();
    let mut terminal = Terminal::of_size(scene.on_deploy1(&deploy, false), 50, 200);
    terminal.ends(1);
    let shown = terminal.shows();
    let coloured = Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let colours: Vec<&str> =
        coloured.find_iter(&shown).map(|found| found.as_str()).filter(|code| *code != "\x1b[0m").collect();
    assert!(colours.is_empty(), "NO_COLOR is set, and there is {colours:?}");
    screen("limit-exceeded", &terminal, 200);
}

#[test]
fn a_mixed_fleet() {
    let scene = Scene::broken();
    text("plan.pipe", &scene.pipe(&["plan"]).ends(0));
    scene.project.configure("failure_limit: 2\n");
    scene.project.commit("Two hosts may fail");
    for size in SIZES {
        scene.shows(size, &["deploy", "--yes", "Second page"], 0, "mixed-deploy");
        scene.shows(size, &["plan"], 0, "plan");
        scene.shows(size, &["status"], 1, "status");
    }
    // The operator wants no rollback.
    scene.project.configure("failure_limit: 0\n");
    scene.project.write("index.html", "two, again\n");
    scene.project.commit("Third page");
    for size in SIZES {
        let mut terminal = scene.at(size, &["deploy", "Third page"]);
        terminal.answers("Continue?", "y");
        terminal.answers("Roll back", "n");
        terminal.ends(3);
        screen("declined", &terminal, size.1);
        scene.pipe(&["history", "-n", "1"]).ends(0).says("stopped, not rolled back");
        scene.shows(size, &["status"], 1, "status-mixed");
    }
    std::fs::remove_file(scene.farm.srv(&address(3)).join("broken")).unwrap();
    scene.pipe(&["rollback", "--yes"]).ends(0);
    assert_eq!(
        common::Links::of(&scene.farm, 0),
        common::Links::finalized(&scene.project.git(&["rev-parse", "HEAD~1"]))
    );
}

#[test]
fn a_rollback_from_its_question_to_its_end() {
    let scene = Scene::broken();
    std::fs::remove_file(scene.farm.srv(&address(3)).join("broken")).unwrap();
    for size in SIZES {
        scene.project.commit_again();
        scene.pipe(&["deploy", "--yes", "Second page"]).ends(0);
        let mut terminal = scene.asks(size, &["rollback"], "[y]es/[N]o", "rollback-question");
        terminal.types("y\n");
        terminal.answers("Roll back the next group?", "y");
        terminal.ends(0);
        screen("rollback", &terminal, size.1);
    }
    scene.shows(SIZES[0], &["history"], 0, "history");
}

#[test]
fn a_rollback_that_does_not_bring_every_host_back() {
    // It does not start on the way back either.
    let scene = Scene::restarts_by("touch /srv/broken; echo no memory >&2; exit 1");
    for n in 0..3 {
        let script = scene.farm.srv(&address(n)).join("restart");
        let both = std::fs::read_to_string(&script).unwrap() + "if test -e /srv/broken; then exit 3; fi\n";
        std::fs::write(&script, both).unwrap();
    }
    for size in SIZES {
        scene.project.commit_again();
        scene.shows(size, &["deploy", "--yes", "Second page"], 3, "rollback-failed");
        std::fs::remove_file(scene.farm.srv(&address(0)).join("broken")).unwrap();
    }
}

#[test]
fn ctrl_c_with_what_is_waited_for_and_an_abort() {
    let scene = Scene::restarts_by("touch /srv/hangs; while :; do sleep 0.1; done");
    for (rows, columns) in SIZES {
        let hangs = scene.farm.srv(&address(0)).join("hangs");
        let mut terminal = scene.at((rows, columns), &["deploy", "Second page"]);
        common::wait_for("the restart that hangs", || hangs.exists());
        at_last("bar", &terminal, columns, "waiting for 127.0.0.1");
        terminal.types("\x03");
        terminal.wait_for("a second Ctrl-C");
        screen("interrupted", &terminal, columns);
        terminal.types_and_sees("a\n", "Roll back");
        terminal.types("y\n");
        terminal.ends(1);
        screen("aborted", &terminal, columns);
        std::fs::remove_file(hangs).unwrap();
    }
}

#[test]
fn eight_hosts_with_unknown_keys() {
    // One after the other, so that the first one is the first that is told of.
    let scene = Scene::of(0, 8, "max_sessions: 1\n");
    std::fs::write(scene.farm.known_hosts(), "").unwrap();
    for size in SIZES {
        scene.shows(size, &["deploy", "--yes", "First page"], 1, "unknown-keys");
        scene.shows(size, &["status"], 1, "status-unknown-keys");
    }
}

#[test]
fn a_run_that_is_resumed() {
    let scene = Scene::of(1, 2, "");
    scene.project.check("waits", "promote", common::WAITS);
    scene.project.commit("First page, with a check");
    for size in SIZES {
        common::hold(&scene.farm, 3);
        let mut deployer = scene.at(size, &["deploy", "--yes", "First page"]);
        common::wait_for_check(&scene.farm, 0);
        common::go(&scene.farm, 1);
        common::wait_for_check(&scene.farm, 1);
        common::wait_for_check(&scene.farm, 2);
        deployer.child.kill().unwrap();
        deployer.child.wait().unwrap();
        common::go(&scene.farm, 3);
        common::wait_for_locks(&scene.farm, 3);
        scene.shows(size, &["status"], 1, "status-unfinished");
        scene.shows(size, &["resume", "--yes"], 0, "resumed");
        scene.project.write("index.html", &format!("{}\n", size.1));
        scene.project.commit("Second page");
    }
}
