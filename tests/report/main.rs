//! `hoist report`: what a page and a trace say of a run, read back by programs that are not Hoist's.

#[path = "../common/mod.rs"]
mod common;
mod journals;
#[path = "../common/programs.rs"]
mod programs;
mod reader;
#[path = "../story/scripted.rs"]
mod scripted;

use std::fs;

use common::terminal::Terminal;
use common::{Farm, Project, address, kill_at_check};
use reader::{read, texts};
use serde_json::Value;

/// Everything that a page is made of.
const ELEMENTS: [&str; 37] = [
    "article", "body", "circle", "dd", "details", "div", "dl", "dt", "footer", "h1", "h2", "h3", "head", "header",
    "html", "li", "main", "meta", "p", "pre", "rect", "section", "small", "span", "style", "summary", "svg", "table",
    "tbody", "td", "text", "th", "thead", "title", "tr", "ul", "br",
];

/// All attributes of a page: none of them leads anywhere or runs anything.
const ATTRIBUTES: [&str; 20] = [
    "aria-hidden",
    "aria-label",
    "charset",
    "class",
    "content",
    "cx",
    "cy",
    "data-name",
    "height",
    "http-equiv",
    "lang",
    "name",
    "open",
    "r",
    "role",
    "text-anchor",
    "title",
    "width",
    "x",
    "y",
];

/// Reads a page, which is valid and consists of nothing but text and shapes.
#[track_caller]
pub fn page(html: &str) -> Value {
    let page = read("html", html);
    let strange = |key: &str, known: &[&str]| {
        texts(&page[key]).into_iter().filter(|it| !known.contains(it)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(strange("elements", &ELEMENTS), [""; 0]);
    assert_eq!(strange("attributes", &ATTRIBUTES), [""; 0]);
    let policy = texts(&page["policy"])[0].to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    for outside in ["http://", "https://", "url(", "@import"] {
        assert!(!html.contains(outside), "the page names {outside}");
    }
    page
}

/// Every host of the lanes, whether it has one of its own or is on a list.
pub fn hosts_of(page: &Value) -> Vec<String> {
    let mut hosts = Vec::new();
    for lane in page["lanes"].as_array().unwrap() {
        let (own, listed) = (texts(&lane["own"]), texts(&lane["listed"]));
        match (own.is_empty(), listed.is_empty()) {
            (true, true) => hosts.push(lane["name"].as_str().unwrap().to_owned()),
            (_, true) => hosts.extend(own.into_iter().map(str::to_owned)),
            _ => hosts.extend(listed.into_iter().map(str::to_owned)),
        }
    }
    hosts
}

#[test]
fn a_run_is_shown_with_its_stages_failures_and_rollback_once_each() {
    let (farm, project, _) = Project::deployed(1, 3);
    project.check("answers", "promote", "echo checking; echo '</pre><script>alert(1)</script>' ; false");
    project.write("index.html", "two\n");
    project.commit("Two, with <b>markup</b>");
    project.deploy(&["A bad one & more"]).ends(1);
    let report = project.run(&["report"]).ends(0);
    let page = page(&report.out);
    assert_eq!(page["badge"][0], "failed, rolled back");
    assert_eq!(page["message"][0], "A bad one & more");
    assert_eq!(hosts_of(&page), (0..4).map(address).collect::<Vec<_>>());
    assert_eq!(texts(&page["failures"]).len(), 1, "{page}");
    assert!(texts(&page["failures"])[0].contains("promote: failed on 127.0.0.1"), "{page}");
    assert!(texts(&page["outputs"])[0].contains("</pre><script>alert(1)</script>"), "{page}");
    let bars = texts(&page["lanes"][0]["bars"]);
    assert_eq!(bars, ["probe", "lock", "fetch", "bad", "rollback"]);
    assert!(texts(&page["marks"]).contains(&"rollback") && texts(&page["marks"]).contains(&"halt"), "{page}");
    let rows = page["sections"]["Hosts at the end"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(page["sections"]["Commits"].to_string().contains("Two, with <b>markup</b>"), "{page}");
    assert!(page["sections"]["Plan"].as_array().unwrap().len() >= 6, "{page}");

    // The trace says the same, and two writings are equal.
    let trace = project.run(&["report", "--format", "trace"]).ends(0).out;
    assert_eq!(trace, project.run(&["report", "--format", "trace"]).ends(0).out);
    let spans = read("trace", &trace);
    let spans = spans.as_array().unwrap();
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    assert_eq!((named("deploy app")[0]["status"].clone(), named("probe").len()), (2.into(), 5));
    let failed = named("promote");
    assert_eq!((failed.len(), &failed[0]["parent"], &failed[0]["status"]), (1, &"canary promote".into(), &2.into()));
    assert!(failed[0]["message"].as_str().unwrap().contains("answers"), "{failed:?}");
    assert_eq!(named("rollback")[0]["attributes"]["host.name"], address(0));

    // Without its log the journal still tells what was done.
    fs::remove_dir_all(project.path("hoist/log")).unwrap();
    let bare = self::page(&project.run(&["report"]).ends(0).out);
    assert_eq!(texts(&bare["lanes"][0]["bars"]), bars);
    assert!(texts(&bare["notes"])[0].contains("cannot be read"), "{bare}");
    assert!(bare["sections"]["Hosts, as last recorded"].to_string().contains("rolled back"), "{bare}");
    drop(farm);
}

#[test]
fn a_run_that_was_killed_says_so_and_one_that_was_resumed_shows_when_nobody_was_there() {
    let (farm, project, _) = Project::deployed(0, 2);
    project.check("waits", "promote", common::WAITS);
    project.commit("two");
    kill_at_check(&farm, &project, &["deploy", "--yes"], 2);
    let killed = page(&project.run(&["report"]).ends(0).out);
    assert_eq!(killed["badge"][0], "unfinished");
    assert!(texts(&killed["notes"])[0].contains("its deployer was killed or cut off"), "{killed}");
    assert!(texts(&killed["lanes"][0]["bars"]).contains(&"open"), "{killed}");
    project.run(&["resume", "--yes"]).ends(0);
    let resumed = page(&project.run(&["report"]).ends(0).out);
    assert_eq!((&resumed["badge"][0], &resumed["gaps"]), (&"successful".into(), &2.into()), "a gap, and its legend");
    let bars = texts(&resumed["lanes"][0]["bars"]);
    assert!(bars.contains(&"open") && bars.ends_with(&["finalize"]), "{bars:?}");
    assert!(texts(&resumed["marks"]).contains(&"resumed"), "{resumed}");
    read("trace", &project.run(&["report", "--format", "trace"]).ends(0).out);
}

#[test]
fn a_run_is_chosen_by_the_beginning_of_its_id_and_what_cannot_be_is_refused() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let none = project.run(&["report"]).ends(2);
    assert!(none.err.contains("nothing has been deployed yet"), "{}", none.err);
    project.deploy(&["first"]).ends(0);
    project.deploy(&["-f", "second"]).ends(0);
    let history: Value = serde_json::from_str(&project.run(&["history", "--json"]).ends(0).out).unwrap();
    let first = history["deployments"][1]["run"].as_str().unwrap();
    let shown = page(&project.run(&["report", &first[..first.len() - 2]]).ends(0).out);
    assert_eq!(shown["message"][0], "first");
    assert_eq!(page(&project.run(&["report"]).ends(0).out)["message"][0], "second");
    for (run, why) in [("2026x", "no journal of a run \"2026x\""), ("20", "the ids of several runs begin with \"20\"")]
    {
        let refused = project.run(&["report", run]).ends(2);
        assert!(refused.err.contains(why) && refused.err.contains("hoist history"), "{}", refused.err);
    }
    let nowhere = project.path("no-such-folder/a.html").display().to_string();
    let refused = project.run(&["report", "-o", &nowhere]).ends(2);
    assert!(refused.err.contains(&format!("cannot write {nowhere}")), "{}", refused.err);
    project.run(&["report", "-o", "a.html"]).ends(0);
    page(&fs::read_to_string(project.path("a.html")).unwrap());
    let mut terminal = Terminal::run(project.hoist(&["report"]));
    terminal.ends(2);
    assert!(terminal.unbroken().contains("a page is not for a terminal"), "{}", terminal.shows());
}
