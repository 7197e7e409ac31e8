//! `--junit`, as junitparser reads it.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{CACHE, Project, WAITS, address, all_on, go, kill_at_check, signal, wait_for_check};
use crate::{own, python, set_bad, with_check};

/// A report: its cases by `suite/name`, each with how it ended, its message, and its text.
struct Report {
    cases: BTreeMap<String, [String; 3]>,
    whole: Value,
}

impl Report {
    fn of(project: &Project) -> Report {
        let whole = python(&[&own("read_junit.py"), project.path(REPORT_FILE).to_str().unwrap()]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut cases = BTreeMap::new();
        for case in whole["cases"].as_array().unwrap() {
            let [suite, class, name] = [0, 1, 2].map(|n| text(&case[n]));
            assert_eq!(suite, class, "a case is of the class that its suite is named after");
            cases.insert(format!("{suite}/{name}"), [3, 4, 5].map(|n| text(&case[n])));
        }
        Report { cases, whole }
    }

    /// `suite/name: how it ended`, of each case.
    fn ends(&self) -> Vec<String> {
        self.cases.iter().map(|(name, [kind, ..])| format!("{name}: {kind}")).collect()
    }

    #[track_caller]
    fn says(&self, name: &str, text: &str) {
        let [_, message, body] = &self.cases[name];
        assert!(message.contains(text) && body.contains(text), "{name}: {message}\n{body}");
    }
}

/// Where it is not committed.
const REPORT_FILE: &str = ".git/junit.xml";

const REPORT: [&str; 2] = ["--junit", REPORT_FILE];

#[test]
fn a_report_has_a_case_for_each_host_and_gate_and_rollback() {
    let (farm, project) = Project::on_farm(1, 3);
    with_check(&project);
    project.write("hoist/gates.yaml", "gates:\n  pages: {when: group, command: 'true'}\n");
    project.commit("A gate");
    project.deploy(&REPORT).ends(0);
    let good = Report::of(&project);
    let hosts = ["canary/127.0.0.1", "default/127.0.0.2", "default/127.0.0.3", "default/127.0.0.4"];
    for name in hosts.iter().copied().chain(["hoist/deploy"]) {
        assert_eq!(good.cases[name][0], "passed", "{:?}", good.ends());
    }
    assert!(good.ends().iter().any(|it| it.contains("/gate pages")), "{:?}", good.ends());
    assert_eq!(good.whole["counts"]["failures"], 0);
    assert_eq!(good.whole["properties"]["repository"], "app");
    let times = good.whole["cases"].as_array().unwrap().iter().filter(|case| case[6].as_f64().unwrap() > 0.0);
    assert!(times.count() >= 5, "hosts and the whole have a time");

    // One host fails with hostile output, and all are rolled back.
    project.write("index.html", "two");
    project.commit("two");
    set_bad(&farm, 2, true);
    project.deploy(&REPORT).ends(3);
    let bad = Report::of(&project);
    let [kind, message, body] = &bad.cases["default/127.0.0.3"];
    assert_eq!(kind, "failure");
    assert!(message.starts_with("promote failed: check fine failed with exit status 3"), "{message}");
    assert!(
        body.contains("]]> <b> & \\x01\\x1b[31mred \\x9b \\u{ffff} \u{fffd} section_start:1:x\\r\\x1b[0Khey"),
        "{body}"
    );
    assert!(body.contains("::error::forged\n") && body.contains("##[add-mask]x"), "{body}");
    for name in ["canary/127.0.0.1", "default/127.0.0.2", "default/127.0.0.4"] {
        assert_eq!(bad.cases[name][..2], ["skipped", "rolled back"], "{:?}", bad.ends());
        assert_eq!(bad.cases[&format!("{name} rollback")][0], "passed");
    }
    bad.says("default/127.0.0.3 rollback", "rollback failed: the old revision is live again, but check fine failed");
    bad.says("hoist/deploy", "not deployed");
    assert!(bad.cases["hoist/deploy"][2].contains("default: 1 host failed, more than the failure limit"));
    let file = std::fs::read(project.path(REPORT_FILE)).unwrap();
    let ours = |byte: &u8| matches!(byte, b'\n' | 0x20..=0x7e | 0x80..);
    assert!(file.iter().all(ours), "a control character is in the report");
    assert!(!String::from_utf8(file).unwrap().contains(['\u{9b}', '\u{ffff}']));

    // A gate stops the run; a host that is down within the limit is an error.
    set_bad(&farm, 2, false);
    // Not on top of what was rolled back.
    project.git(&["reset", "-q", "--hard", "HEAD~1"]);
    project.write("hoist/gates.yaml", "gates:\n  pages: {when: group, command: 'echo 7 errors; false', shell: true}\n");
    project.write("index.html", "three");
    project.commit("three");
    farm.set_down("127.0.0.4", true);
    project.deploy(&[&REPORT[..], &["-D", "failure_limit:1"]].concat()).ends(1);
    let gate = Report::of(&project);
    let (name, ends) = (gate.cases.keys().find(|name| name.contains("/gate pages")).unwrap(), gate.ends());
    assert_eq!(gate.cases[name][0], "failure", "{ends:?}");
    gate.says(name, "7 errors");
    assert_eq!(gate.cases["default/127.0.0.4"][0], "error", "{ends:?}");
}

#[test]
fn a_report_of_several_deployments_has_every_host_of_them_and_those_that_were_left_out() {
    let (farm, project) = Project::on_farm(0, 3);
    project.deploy(&[]).ends(0);
    project.write("index.html", "two");
    let two = project.commit("two");
    project.deploy(&["-l", "127.0.0.1"]).ends(0);
    let reinstall = || {
        for n in [0, 1] {
            std::fs::remove_dir_all(farm.srv(&address(n)).join(CACHE)).unwrap();
        }
    };
    let words = [&["reconcile", "--yes"][..], &REPORT].concat();
    reinstall();
    project.run(&words).ends(0);
    let hosts = ["default/127.0.0.1", "default/127.0.0.2"].map(|name| format!("{name}: passed"));
    assert_eq!(Report::of(&project).ends(), [&hosts[..], &["hoist/reconcile: passed".to_owned()]].concat());
    // A host that nobody reaches is an error beside them.
    reinstall();
    farm.set_down(&address(2), true);
    project.run(&words).ends(1);
    let report = Report::of(&project);
    let others = ["default/127.0.0.3: error", "hoist/reconcile: failure"].map(str::to_owned);
    assert_eq!(report.ends(), [&hosts[..], &others].concat());
    report.says("default/127.0.0.3", "no answer to the probe");
    report.says("hoist/reconcile", "1 host is unreachable and left out: 127.0.0.3");
    assert_eq!(report.whole["properties"]["repository"], "app");
    let text = std::fs::read_to_string(project.path(REPORT_FILE)).unwrap();
    assert!(text.contains(&format!("name=\"revision\" value=\"{two}\"")), "{text}");
    // So it is if there is nothing else to do.
    project.run(&words).ends(1);
    assert_eq!(Report::of(&project).ends(), others);
}

#[test]
fn a_command_that_is_refused_or_killed_or_interrupted_is_no_success_of_its_report() {
    let (farm, project, one) = Project::deployed(1, 1);
    let only = |kind: &str, text: &str| {
        let report = Report::of(&project);
        assert_eq!(report.ends(), [format!("hoist/deploy: {kind}")]);
        report.says("hoist/deploy", text);
    };
    project.deploy(&[&REPORT[..], &["-D", "failure_limit:0.2"]].concat()).ends(2).says("failure_limit");
    only("error", "failure_limit");
    project.run(&["deploy", "--junit", REPORT_FILE]).ends(2);
    only("error", "add --yes");
    project.run(&["lock", "--detach", "moving the database"]).ends(0);
    project.deploy(&REPORT).ends(5).says("hoist: app is locked by");
    only("error", "app is locked by");
    only("error", "moving the database");
    project.run(&["lock", "--end"]).ends(0);
    for (file, why) in [("none/junit.xml", "No such file"), ("hoist", "is not a file")] {
        project.deploy(&["--junit", file]).ends(2).says("--junit: ").says(why);
    }
    symlink("/etc/hostname", project.path("link.xml")).unwrap();
    project.deploy(&["--junit", "link.xml"]).ends(2).says("is a symbolic link");
    std::fs::remove_file(project.path("link.xml")).unwrap();

    // It is killed, and then resumed.
    project.write("index.html", "two");
    project.check("waits", "promote", WAITS);
    let two = project.commit("two");
    kill_at_check(&farm, &project, &["deploy", "--yes", "--junit", REPORT_FILE], 2);
    only("error", "stopped before it could report");
    project.deploy(&REPORT).ends(6);
    only("error", "is not finished");
    project.run(&["resume", "--yes", "--junit", REPORT_FILE]).ends(0);
    let ends = ["canary/127.0.0.1", "default/127.0.0.2", "hoist/resume"].map(|name| format!("{name}: passed"));
    assert_eq!(Report::of(&project).ends(), ends);
    all_on(&farm, 2, &two);
    project.run(&["reconcile", "--yes", "--junit", REPORT_FILE]).ends(0);
    assert_eq!(Report::of(&project).ends(), ["hoist/reconcile: passed"]);

    // It is interrupted, and rolls back.
    crate::common::hold(&farm, 2);
    project.write("index.html", "three");
    project.commit("three");
    let deployer = project.hoist(&["deploy", "--yes", "--junit", REPORT_FILE]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for_check(&farm, 0);
    signal(&deployer, "INT");
    go(&farm, 2);
    assert_eq!(deployer.wait_with_output().unwrap().status.code(), Some(1));
    let interrupted = Report::of(&project);
    interrupted.says("hoist/deploy", "not deployed");
    assert!(interrupted.cases["hoist/deploy"][2].contains("\ninterrupted"));
    assert_eq!(interrupted.cases["canary/127.0.0.1 rollback"][0], "passed", "{:?}", interrupted.ends());
    assert_eq!(interrupted.cases["default/127.0.0.2"][..2], ["skipped", "not attempted"]);
    project.run(&["rollback", "--yes", one.as_str(), "--junit", REPORT_FILE]).ends(0);
    assert_eq!(Report::of(&project).cases["hoist/rollback"][0], "passed");
}
