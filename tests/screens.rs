//! What a terminal shows, screen by screen, in colour and without, beside what a pipe gets.
//!
//! The expected screens are the files of `tests/screens/`. `HOIST_UPDATE_SCREENS=1 cargo test --test screens` writes them
//! anew: read the difference before you commit it.

mod common;

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use common::terminal::Terminal;
use common::{Farm, Project, Ran, address};

/// The sizes of terminals that are looked at: rows and columns.
const SIZES: [(u16, u16); 2] = [(24, 80), (50, 200)];

/// Rows of the emulated screen: a whole run stands on it, scrolled off or not.
const ROWS: u16 = 400;

/// A farm and a repository that is deployed to it: `canary` of two hosts, `default` of ten, in subgroups of five.
struct Scene {
    farm: Farm,
    project: Project,
}

impl Scene {
    fn new() -> Scene {
        let (farm, project) = Project::on_farm(2, 10);
        project.configure("default_group_size: 5\n");
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
        scene.project.deploy(&[]).ends(0);
        scene.project.write("index.html", "two\n");
        scene.project.commit("Second page");
        std::fs::write(scene.farm.srv(&address(3)).join("broken"), "").unwrap();
        scene
    }

    /// A command at a terminal of this size.
    fn at(&self, (rows, columns): (u16, u16), arguments: &[&str], colour: bool) -> Terminal {
        let mut command = self.project.hoist(arguments);
        if colour {
            command.env_remove("NO_COLOR");
        }
        Terminal::of_size(command, rows, columns)
    }
}

/// Compares a terminal's screen with the expected one.
#[track_caller]
fn screen(name: &str, terminal: &Terminal, columns: u16) {
    let mut parser = vt100::Parser::new(ROWS.try_into().unwrap(), columns.try_into().unwrap(), 0);
    parser.process(normal(&terminal.shows()).as_bytes());
    // A line that is wider than the screen is kept together.
    let mut rows: Vec<String> = Vec::new();
    let mut goes_on = false;
    for (number, row) in (0..).zip(parser.screen().rows(0, columns)) {
        match rows.last_mut().filter(|_| goes_on) {
            Some(line) => *line += &format!("\n{}", row.trim_end()),
            None => rows.push(row.trim_end().to_owned()),
        }
        goes_on = parser.screen().row_wrapped(number);
    }
    assert!(parser.screen().cursor_position().0 < ROWS - 1, "{name}: more than {ROWS} rows");
    compare(&format!("{name}.{columns}"), &sorted(&rows));
}

/// Compares what a pipe got with the expected text.
#[track_caller]
fn text(name: &str, ran: &Ran) {
    compare(name, &sorted(&normal(&format!("{}{}", ran.out, ran.err)).lines().map(str::to_owned).collect::<Vec<_>>()));
}

#[track_caller]
fn compare(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(format!("{name}.txt"));
    let shown = shown.trim_end().to_owned() + "\n";
    if std::env::var_os("HOIST_UPDATE_SCREENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == shown, "{} is not what is shown (HOIST_UPDATE_SCREENS=1 writes it):\n{shown}", path.display());
}

/// What differs from run to run, replaced by text of the same width where a column hangs on it.
fn normal(text: &str) -> String {
    static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?P<who>\bby op@[\w.-]+)",
            r"|(?P<run>\d{8}T\d{6}Z?(?:\.\d+Z?)?-\d+(?:-\w+)?)",
            r"|(?P<time>\d\d:\d\d:\d\d)",
            r"|(?P<slow> in \d+(?:\.\d+)? (?:ms|s|min)\b)",
            r"|(?P<took> *\b\d+(?:\.\d+)? (?:ms|s|min)\b)",
            r"|(?P<before>\x1b\[[0-9;]*m|\b)(?P<revision>[0-9a-f]{40}|[0-9a-f]{10})\b",
        ))
        .unwrap()
    });
    let mut revisions: Vec<String> = Vec::new();
    let replaced = CHANGING.replace_all(text, |found: &Captures<'_>| {
        if found.name("who").is_some() {
            "by op@deploy1".to_owned()
        } else if found.name("run").is_some() {
            "RUN".to_owned()
        } else if found.name("time").is_some() {
            "00:00:00".to_owned()
        } else if found.name("slow").is_some() {
            // Only what took a second or more is said to have taken it.
            String::new()
        } else if found.name("took").is_some() {
            " N s".to_owned()
        } else {
            let revision = &found["revision"];
            let number = revisions.iter().position(|seen| *seen == revision[..10]).unwrap_or_else(|| {
                revisions.push(revision[..10].to_owned());
                revisions.len() - 1
            });
            let letter = char::from(b'a' + u8::try_from(number).unwrap());
            format!("{}{}", &found["before"], letter.to_string().repeat(revision.len()))
        }
    });
    replaced.into_owned()
}

/// Rows, with those of hosts that were at work at once in the order of the hosts.
fn sorted(rows: &[String]) -> String {
    let of_host = |row: &String| row.starts_with("00:00:00 [");
    let mut rows = rows.to_vec();
    for group in rows.chunk_by_mut(|one, two| of_host(one) && of_host(two)) {
        group.sort_by_key(|row| (row.find(']'), row.clone()));
    }
    rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n")
}

/// A deployment from end to end, at a terminal of each size and into a pipe.
#[track_caller]
fn whole_run(name: &str, scene: fn() -> Scene, message: &str, status: i32) {
    for (rows, columns) in SIZES {
        let scene = scene();
        let mut terminal = scene.at((rows, columns), &["deploy", "--yes", message], true);
        terminal.ends(status);
        screen(name, &terminal, columns);
    }
    let scene = scene();
    text(&format!("{name}.pipe"), &scene.project.deploy(&[message]).ends(status));
}

#[test]
fn a_good_run_of_two_groups() {
    whole_run("good-run", Scene::new, "First page", 0);
}

#[test]
fn a_question_at_the_end_of_the_first_group() {
    for (rows, columns) in SIZES {
        let scene = Scene::new();
        let mut terminal = scene.at((rows, columns), &["deploy", "First page"], true);
        terminal.wait_for("Continue?");
        screen("question", &terminal, columns);
        terminal.types("n\n");
        terminal.wait_for("Roll back");
        terminal.types("y\n");
        terminal.ends(3);
    }
}

#[test]
fn a_failure_limit_that_is_exceeded() {
    whole_run("limit-exceeded", Scene::broken, "Second page", 1);
}

#[test]
fn without_colour_the_same_words_stand_there() {
    let scene = Scene::broken();
    let mut terminal = scene.at((50, 200), &["deploy", "--yes", "Second page"], false);
    terminal.ends(1);
    let shown = terminal.shows();
    let coloured = Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let colours: Vec<&str> =
        coloured.find_iter(&shown).map(|found| found.as_str()).filter(|code| *code != "\x1b[0m").collect();
    assert!(colours.is_empty(), "NO_COLOR is set, and there is {colours:?}");
    screen("limit-exceeded", &terminal, 200);
}

#[test]
fn the_plan_and_the_status_of_a_mixed_fleet() {
    let scene = Scene::broken();
    text("plan.pipe", &scene.project.run(&["plan"]).ends(0));
    scene.project.configure("failure_limit: 2\n");
    scene.project.deploy(&["Second page"]).ends(0);
    for (rows, columns) in SIZES {
        let mut terminal = scene.at((rows, columns), &["plan"], true);
        terminal.ends(0);
        screen("plan", &terminal, columns);
        let mut terminal = scene.at((rows, columns), &["status"], true);
        terminal.ends(1);
        screen("status", &terminal, columns);
    }
}
