//! Every answer with `--format json` is as `schema/output.json` says.

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::fs::File;
use std::process::Stdio;

use common::{Farm, Project, Ran, address};
use schema::Answer;
use serde_json::Value;

/// Fails the test unless every line is as the schema says of this answer; gives the values back.
#[track_caller]
fn hold(answer: &Answer, lines: &str) -> Vec<Value> {
    let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    values.iter().for_each(|value| answer.holds(value));
    values
}

#[test]
fn every_answer_of_a_deploy_host_is_as_the_schema_says() {
    let farm = Farm::up();
    let project = Project::new(&farm, 1, 3);
    let (status, plan, event) = (Answer::named("status"), Answer::named("plan"), Answer::named("event"));
    let json = |arguments: &[&str]| project.run(&[arguments, &["--format", "json"]].concat());

    // Nothing is known yet.
    hold(&status, &json(&["status", "--offline"]).out);
    let events = hold(&event, &json(&["deploy", "--yes", "-v", "first"]).ends(0).out);
    assert!(events.len() > 20, "{events:?}");
    hold(&status, &json(&["status"]).ends(0).out);
    hold(&status, &json(&["status", "--verify"]).ends(0).out);

    // A host is down and missed; the others get a revision that fails its check.
    farm.set_down(&address(3), true);
    project.configure("failure_limit: 1");
    project.commit("two");
    hold(&event, &json(&["deploy", "--yes", "second"]).ends(0).out);
    let known = hold(&status, &json(&["status"]).ends(1).out).remove(0);
    assert!(known["hosts"][3]["owed"].is_object() && known["hosts"][3]["trouble"].is_string(), "{known}");
    // It misses the same revision once more.
    hold(&event, &json(&["deploy", "--yes", "-r", "HEAD", "second again"]).ends(0).out);
    let known = hold(&status, &json(&["status"]).ends(1).out).remove(0);
    assert_eq!(known["hosts"][3]["owed"]["again"], true, "{known}");
    project.write("hoist/checks.yaml", "checks:\n  bad: {type: command, stage: promote, command: 'false'}\n");
    project.commit("three");
    let events = hold(&event, &json(&["deploy", "--yes", "third"]).out);
    assert!(events.iter().any(|event| event["event"] == "host_ended" && event["outcome"] == "failed"), "{events:?}");
    hold(&event, &json(&["deploy", "--dry-run"]).out);
    let events = hold(&event, &json(&["reconcile", "--yes"]).ends(1).out);
    assert_eq!((events.len(), &events[0]["rows"][0]["host"]), (1, &"127.0.0.4".into()), "{events:?}");
    hold(&event, &json(&["rollback", "--yes"]).out);
    hold(&event, &json(&["run", "--", "echo out; echo err >&2; exit 3"]).out);

    hold(&plan, &json(&["plan"]).ends(0).out);
    let keys = hold(&Answer::named("config_key"), &json(&["config"]).ends(0).out);
    assert!(keys.len() > 30, "{}", keys.len());
    let lines = hold(&Answer::named("log_line"), &json(&["log", "-l", "-v"]).ends(0).out);
    assert!(!lines.is_empty());
    std::fs::write(project.path("a.log"), "not JSON\n").unwrap();
    let path = project.path("a.log").display().to_string();
    let line = hold(&Answer::named("log_line"), &json(&["log", "--file", &path]).ends(0).out).remove(0);
    assert_eq!(line, serde_json::json!({ "message": "not JSON" }));

    let checked = Answer::named("check_config");
    hold(&checked, &json(&["check-config", "-v"]).ends(0).out);
    project.configure("failure_limit: many\nnosuch: 1\nbatch_size: 0");
    let mistakes = hold(&checked, &json(&["check-config", "-v"]).ends(2).out).remove(0);
    assert!(mistakes["mistakes"].as_array().is_some_and(|found| found.len() > 1), "{mistakes}");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_says_why_but_one_that_nobody_reads_is_none() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 1);
    project.deploy(&[]).ends(0);
    let full = File::options().write(true).open("/dev/full").unwrap();
    project.commit("two");
    project.deploy(&[]).ends(0);
    let answers: [&[&str]; 17] = [
        &["status", "--json"],
        &["history"],
        &["plan", "--json"],
        &["hosts", "--names"],
        &["config"],
        &["log"],
        &["hooks"],
        &["rollback", "--list", "--json"],
        &["deploy", "--dry-run"],
        &["deploy", "--dry-run", "--json"],
        &["deploy", "--dry-run", "--ci", "gitlab"],
        &["rollback", "--dry-run"],
        &["rollback", "--dry-run", "--json"],
        &["reconcile", "--dry-run"],
        &["report", "--format", "trace"],
        &["--version"],
        &["deploy", "--help"],
    ];
    for arguments in answers {
        let lost = project.hoist(arguments).stdout(full.try_clone().unwrap()).output().unwrap();
        Ran::of(lost).ends(2).says("cannot write to standard output: No space left on device");
        let mut unread = project.hoist(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(unread.stdout.take());
        Ran::of(unread.wait_with_output().unwrap()).ends(0);
    }
    let lost = project.hoist(&["log", "-f"]).stdout(full.try_clone().unwrap()).output().unwrap();
    Ran::of(lost).ends(2).says("cannot write to standard output: No space left on device");
    // What it did is done, whoever is told of it.
    let done = project.hoist(&["reconcile", "--yes"]).stdout(full).output().unwrap();
    Ran::of(done).ends(0).says("cannot write to standard output");
}
