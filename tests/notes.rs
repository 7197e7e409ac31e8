//! What the operator should know beside what hosts say: on the terminal, in the log and in JSON alike.

mod common;

use common::{Farm, Project, Ran, address};
use serde_json::Value;

/// The notes among the events that hold this text.
fn notes(events: &[Value], text: &str) -> Vec<Value> {
    let holds =
        |event: &&Value| event["event"] == "note" && event["message"].as_str().is_some_and(|it| it.contains(text));
    events.iter().filter(holds).cloned().collect()
}

/// The events of the newest log.
fn log(project: &Project) -> Vec<Value> {
    project.run(&["log", "-l", "-v", "--format", "json"]).ends(0).events()
}

#[test]
fn a_host_key_that_cannot_be_kept_is_a_note_with_its_host_wherever_events_are_shown() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    // Nothing can be written there.
    let unwritable = ["-D", "known_hosts:/proc/nosuch/known_hosts", "-D", "host_key_checking:accept-new"];
    let run = |more: &[&str]| project.deploy(&[&unwritable[..], more].concat()).ends(0);
    let only = "is accepted for this run only";

    let ran = run(&["--format", "json", "-v"]);
    assert!(ran.err.is_empty(), "{}", ran.err);
    for events in [ran.events(), log(&project)] {
        let found = notes(&events, only);
        let mut hosts: Vec<&str> = found.iter().map(|note| note["host"].as_str().unwrap()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        assert_eq!(hosts, [address(0), address(1)], "{found:?}");
        assert!(found.iter().all(|note| note["level"] == "warning" && note["step"] == "probe"), "{found:?}");
    }

    for flags in [&["-q"][..], &[], &["-v"]] {
        let Ran { out, err, .. } = run(flags);
        assert!(err.is_empty(), "{flags:?}: {err}");
        let line = out.lines().find(|line| line.contains(only)).unwrap_or_else(|| panic!("{flags:?}: {out}"));
        assert!(line.contains(&format!("[{}] warning: the ", address(0))) || line.contains(&address(1)), "{line}");
    }
    let status = project.run(&[&["status"], &unwritable[..]].concat()).ends(0);
    assert!(status.err.contains("hoist status: warning: 127.0.0.") && status.err.contains(only), "{}", status.err);
    let ran = project.run(&[&["run"], &unwritable[..], &["--", "true"]].concat()).ends(0);
    assert!(ran.err.contains("hoist run: warning: 127.0.0.") && ran.err.contains(only), "{}", ran.err);
}

#[test]
fn what_hoist_keeps_and_finds_damaged_is_a_note_of_the_run() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.deploy(&[]).ends(0);
    let damage = || project.write("hoist/state/fleet.json", "{\"format\":1,");
    damage();
    let ran = project.deploy(&["--format", "json"]).ends(0);
    assert!(ran.err.is_empty(), "{}", ran.err);
    for events in [ran.events(), log(&project)] {
        let found = notes(&events, "fleet.json.damaged");
        assert!(found.len() == 1 && found[0]["level"] == "warning" && found[0].get("host").is_none(), "{found:?}");
    }
    damage();
    let status = project.run(&["status"]);
    assert!(
        status.err.contains("hoist status: warning: ") && status.err.contains("fleet.json.damaged"),
        "{}",
        status.err
    );
}

#[test]
fn the_developers_log_is_shown_to_whoever_asks_for_it() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    let with = |log: Option<&str>| {
        let mut command = project.hoist(&["deploy", "--yes", "-v"]);
        log.map(|log| command.env("HOIST_LOG", log));
        Ran::of(command.output().unwrap()).ends(0)
    };
    assert_eq!(with(None).err, "");
    let shown = with(Some("debug")).err;
    assert!(shown.contains("hoist: debug: "), "{shown}");
}
