//! Deployers that are killed: their end is announced by whoever finds them, once.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Project, WAITS, all_on, go, hold, kill_at_check, locked, signal, wait_for_check};
use crate::listeners::{Manner, Web, local, tcp, udp, until};

const LIFE: &str = "[started, group, halted, rolled_back, finished, unfinished, resumed]";

fn told_by(project: &Project, web: &Web, timeout: u32) {
    let hook = format!("hooks: {{web: {{type: webhook, on: {LIFE}, url: '{}', timeout: {timeout}}}}}\n", web.url());
    project.write("hoist/hooks.yaml", &hook);
}

fn files(project: &Project, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.path("hoist/state")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == extension));
    paths.sort();
    paths
}

#[test]
fn the_end_of_a_killed_deployer_is_announced_once_by_whoever_finds_it() {
    let (farm, project) = Project::on_farm(1, 1);
    let web = Web::start(Manner::Well);
    let ((statsd_port, statsd), (irc_port, irc)) = (udp(), tcp());
    let socket = project.path(".git/log");
    let syslog = local(&socket);
    told_by(&project, &web, 10);
    let others = format!(
        "  metrics: {{type: statsd, on: {LIFE}, host: 127.0.0.1, port: {statsd_port}}}\n  log: {{type: syslog, on: {LIFE}, \
         socket: {}}}\n",
        socket.display()
    );
    let hooks = std::fs::read_to_string(project.path("hoist/hooks.yaml")).unwrap();
    project
        .write("hoist/hooks.yaml", &(hooks.replacen("hooks: {", "hooks:\n  ", 1).replacen("}}\n", "}\n", 1) + &others));
    project.configure(&format!("tcpircbot_host: 127.0.0.1\ntcpircbot_port: {irc_port}"));
    project.check("wait", "promote", WAITS);
    let one = project.commit("one");

    // Found by a deployment that is refused, once however many are; then resumed.
    kill_at_check(&farm, &project, &["deploy", "--yes"], 2);
    assert_eq!(web.told(), ["started"]);
    for _ in 0..2 {
        project.deploy(&[]).ends(6);
        assert_eq!(web.told(), ["started", "unfinished"]);
    }
    project.run(&["resume", "--yes"]).ends(0);
    all_on(&farm, 2, &one);
    let resumed = ["started", "unfinished", "resumed", "group canary", "group default", "finished deployed"];
    assert_eq!(web.told(), resumed);
    let runs: std::collections::HashSet<_> =
        web.requests().iter().map(|request| request.json()["run"].to_string()).collect();
    assert_eq!(runs.len(), 1);

    // Found by who rolls it back.
    hold(&farm, 2);
    project.commit("two");
    kill_at_check(&farm, &project, &["deploy", "--yes"], 2);
    project.run(&["rollback", "--yes"]).ends(1);
    all_on(&farm, 2, &one);
    let undone = ["started", "unfinished", "resumed", "halted", "rolled_back rolled_back", "finished rolled_back"];
    assert_eq!(web.told()[resumed.len()..], undone);

    // Killed in the second group, after the first was announced: nothing is said again.
    let before = web.told().len();
    hold(&farm, 2);
    go(&farm, 1);
    let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
    wait_for_check(&farm, 1);
    until("the word of the first group", || web.told().len() == before + 2);
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    go(&farm, 2);
    // Found by who keeps deployments out, and not by who only reads.
    project.run(&["status", "--offline"]);
    project.run(&["history"]).ends(0).says("unfinished");
    assert_eq!(web.told().len(), before + 2);
    let mut lock = locked(project.hoist(&["lock"]), "is locked");
    until("the word of the death", || web.told().len() == before + 3);
    signal(&lock, "INT");
    assert!(lock.wait().unwrap().success());
    project.run(&["resume", "--yes"]).ends(0);
    let told = web.told()[before..].to_vec();
    assert_eq!(told, ["started", "group canary", "unfinished", "resumed", "group default", "finished deployed"]);
    // A run that is over leaves nothing to be said.
    let before = web.told().len();
    project.deploy(&[]).ends(0);
    assert_eq!(web.told()[before..], ["started", "group canary", "group default", "finished deployed"]);
    for path in files(&project, "announcements") {
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("{\"record\":\"closed\"}\n"), "{}", path.display());
    }

    // Every other kind of listener has heard the same, in the same order.
    let events: Vec<String> = web.told().iter().map(|told| told.split(' ').next().unwrap().to_owned()).collect();
    until("the last datagrams", || syslog.all().len() == events.len() && counted(&statsd.all()) == events);
    let (lines, last) = (syslog.all(), events.len() - 1);
    assert!(lines[0].contains("deploys app") && lines[last].contains("is over: "), "{lines:?}");
    // Scap's listeners are told of the beginning and of the end of each.
    let heard = irc.wait_for(8);
    let words = [" Started deploy [app@", " Finished deploy [app@"];
    let begins = |at: usize| heard[at].contains(words[at % 2]);
    assert!(heard.len() == 8 && (0..8).all(begins) && heard[3].trim_end().ends_with(": rolled back"), "{heard:#?}");
}

/// The events that a statsd has counted.
fn counted(metrics: &[String]) -> Vec<String> {
    let names = metrics.iter().filter_map(|metric| metric.strip_prefix("hoist.app.")?.strip_suffix(":1|c"));
    names.filter(|name| !name.starts_with("result.")).map(str::to_owned).collect()
}

#[test]
fn what_was_under_way_when_a_deployer_was_killed_is_sent_by_the_next() {
    let (farm, project) = Project::on_farm(1, 1);
    // Whoever listens takes the first word, and says nothing.
    let answers = Arc::new(AtomicBool::new(false));
    let (held, well) = (Web::start(Manner::Held(answers.clone())), Web::start(Manner::Well));
    told_by(&project, &held, 300);
    project.check("wait", "promote", WAITS);
    project.commit("one");
    let mut deployer = project.hoist(&["deploy", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
    wait_for_check(&farm, 0);
    until("the first word", || held.requests().len() == 1);
    deployer.kill().unwrap();
    deployer.wait().unwrap();
    answers.store(true, Ordering::SeqCst);
    go(&farm, 2);
    // Nobody knows whether it was heard: it is said again, under the same name.
    told_by(&project, &well, 10);
    project.run(&["resume", "--yes"]).ends(0);
    let told = ["started", "unfinished", "resumed", "group canary", "group default", "finished deployed"];
    assert_eq!(well.told(), told);
    assert_eq!(well.requests()[0].json()["id"], held.requests()[0].json()["id"]);

    // One that dies between its last record and its last word has it said by the next command.
    let journals = files(&project, "announcements");
    let ledger = journals.last().unwrap();
    let text = std::fs::read_to_string(ledger).unwrap();
    let without_end: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("\"record\":\"closed\"") && !line.contains("\"event\":\"finished\""))
        .collect();
    let sent_of_end = without_end.iter().rposition(|line| line.contains("\"record\":\"sent\"")).unwrap();
    std::fs::write(ledger, without_end[..sent_of_end].join("\n") + "\n").unwrap();
    let before = well.told().len();
    project.deploy(&[]).ends(0);
    let told = ["finished deployed", "started", "group canary", "group default", "finished deployed"];
    assert_eq!(well.told()[before..], told);
}
