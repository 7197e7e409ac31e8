//! How often a stage waits for the network, and where the rest of its time goes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Farm, Project, address};
use crate::proxy::{Delay, Proxy};

/// A probe opens a channel, starts a command there, and sends a request, whose answer is the result. A stage is a request to
/// the command of the probe.
const PROBE: usize = 3;
const STAGE: usize = 1;

/// The host behind the proxy is known by its port as well.
fn also_known(farm: &Farm, proxy: &Proxy) {
    let known = std::fs::read_to_string(farm.known_hosts()).unwrap();
    let also = known.replace(&format!("]:{} ", farm.port), &format!("]:{} ", proxy.port));
    std::fs::write(farm.known_hosts(), known + &also).unwrap();
}

/// A project with one host, which everything takes 40 ms to reach.
struct Far {
    project: Project,
    delay: std::sync::Arc<Delay>,
    _proxy: Proxy,
    _farm: Farm,
}

impl Far {
    fn new() -> Far {
        let farm = Farm::up();
        let project = Project::new(&farm, 0, 1);
        let delay = Delay::of(Duration::from_millis(40));
        let proxy = Proxy::with(&address(0), farm.port, Some(delay.clone()));
        project.write("hoist/default", &format!("{}:{}\n", address(0), proxy.port));
        also_known(&farm, &proxy);
        Far { project, delay, _proxy: proxy, _farm: farm }
    }
}

#[test]
fn every_stage_of_a_small_change_takes_one_round_trip() {
    let Far { project, delay, .. } = &Far::new();
    // A busy machine may tear a flight apart: the best of some deployments counts.
    let mut counts = Vec::new();
    for round in 0..4 {
        project.write("index.html", &format!("{round}\n"));
        project.commit("another");
        let mut command = project.hoist(&["deploy", "--yes", "--timings", "--format", "json"]);
        let mut deployer = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut before, mut after, mut told) = (0, 0, 0);
        for line in BufReader::new(deployer.stdout.take().unwrap()).lines().map(Result::unwrap) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            let is_stage = event["event"] == "host_ended" && event["step"]["run"].is_string();
            told += if is_stage { event["timings"]["round_trips"].as_u64().unwrap() as usize } else { 0 };
            match (event["event"].as_str().unwrap(), event["step"]["run"].as_str()) {
                ("step_started", Some("fetch")) => before = delay.flights(),
                ("step_ended", Some("finalize")) => after = delay.flights(),
                _ => {}
            }
        }
        assert!(deployer.wait().unwrap().success());
        counts.push(after - before);
        // Fetch, promote and finalize.
        if after - before <= 3 * STAGE {
            assert_eq!(told, 3 * STAGE, "of {counts:?} were reported");
            // The first may be on its way before its event was read.
            assert!(after - before >= 2, "{counts:?}: not all was counted");
            return;
        }
    }
    panic!("{counts:?} round trips");
}

/// With `transfer_limit` the pack of a fetch is a file, which is sent by a channel of its own.
#[test]
fn a_stage_with_a_channel_of_its_own_takes_three_round_trips() {
    let Far { project, .. } = &Far::new();
    let limit = ["-D", "transfer_limit:10000000"];
    let words = [&["deploy", "--yes", "--timings", "--format", "json"][..], &limit].concat();
    let output = project.hoist(&words).output().unwrap();
    assert!(output.status.success());
    let told = |stage: &str| {
        let events =
            output.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        let mut ended = events.filter(|event| event["event"] == "host_ended" && event["step"]["run"] == stage);
        ended.next().unwrap()["timings"]["round_trips"].as_u64().unwrap() as usize
    };
    assert_eq!((told("fetch"), told("promote"), told("finalize")), (3, STAGE, STAGE));
}

#[test]
fn a_probe_takes_three_round_trips_beside_the_login_and_a_rollback_one() {
    let Far { project, .. } = &Far::new();
    project.deploy(&["one"]).ends(0);
    project.check("bad", "promote", "false");
    // As above, the best of some counts.
    let mut counts = Vec::new();
    for round in 0..4 {
        project.write("index.html", &format!("bad {round}\n"));
        project.commit("a bad one");
        let output = project.hoist(&["deploy", "--yes", "--timings", "--format", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let mut told = BTreeMap::new();
        for line in output.stdout.lines().map(Result::unwrap) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["event"] == "host_ended" {
                let step = event["step"]["run"].as_str().or(event["step"].as_str()).unwrap().to_owned();
                told.insert(step, event["timings"]["round_trips"].as_u64().unwrap() as usize);
            }
        }
        let (probe, rollback) = (told["probe"], told["rollback"]);
        assert!(probe > 1 && rollback > 0, "{told:?}: not all was counted");
        if probe <= PROBE && rollback <= STAGE {
            return;
        }
        counts.push((probe, rollback));
    }
    panic!("{counts:?} round trips");
}

/// Seconds of each part of a step on a host, and of the whole.
type Parts = BTreeMap<String, f64>;

/// What was measured of each step on a host, as the events of a run tell it: `probe`, `fetch`.
fn measured(out: &str, host: &str) -> BTreeMap<String, (Parts, f64)> {
    let mut steps = BTreeMap::new();
    for event in out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        if event["event"] == "host_ended" && event["host"].as_str().unwrap().starts_with(host) {
            let step = event["step"]["run"].as_str().or(event["step"].as_str()).unwrap().to_owned();
            let parts: Parts = serde_json::from_value(event["timings"]["parts"].clone()).unwrap();
            assert!(parts.values().all(|seconds| *seconds >= 0.0), "{step}: {parts:?}");
            steps.insert(step, (parts, event["took_seconds"].as_f64().unwrap()));
        }
    }
    steps
}

/// The delays are longer than a busy machine holds anything up, and each is found in its own part.
#[test]
fn every_moment_is_in_one_part_and_each_delay_in_its_own() {
    const DELAY: f64 = 2.0;
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    let [first, second] = [address(0), address(1)];
    // The first connection to the first host gets its server's version late.
    let proxy = Proxy::with(&first, farm.port, Some(Delay::of_greeting(Duration::from_secs_f64(DELAY))));
    project.write("hoist/default", &format!("{first}:{}\n{second}\n", proxy.port));
    also_known(&farm, &proxy);
    project.check("slow", "promote", &format!("sleep {DELAY}"));
    project.configure("batch_size: 1");
    project.commit("a slow check");
    let ran = project.hoist(&["deploy", "--yes", "--timings", "--format", "json"]).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{out}");
    let of = |parts: &Parts, part: &str| parts.get(part).copied().unwrap_or_default();
    let (one, two) = (measured(&out, &first), measured(&out, &second));
    for (step, (parts, took)) in one.iter().chain(&two) {
        // What a host waits for its turn is ahead of what its step took; threads and channels are between the two clocks.
        let whole: f64 = parts.values().sum::<f64>() - of(parts, "queue");
        assert!(whole <= took + 0.001 && whole >= took - 0.5, "{step}: {whole} of {took}: {parts:?}");
    }
    assert!((DELAY..2.0 * DELAY).contains(&of(&one["probe"].0, "handshake")), "{one:?}");
    assert!(of(&two["probe"].0, "handshake") < DELAY, "{two:?}");
    for (steps, waited) in [(&one, 0.0), (&two, DELAY)] {
        let (parts, _) = &steps["promote"];
        assert!((DELAY..2.0 * DELAY).contains(&of(parts, "checks")), "{parts:?}");
        assert!((waited..waited + DELAY).contains(&of(parts, "queue")), "{parts:?}");
        let rest: f64 =
            parts.iter().filter(|(name, _)| !["checks", "queue"].contains(&name.as_str())).map(|it| it.1).sum();
        assert!(rest < DELAY, "{parts:?}");
        assert!(of(&steps["fetch"].0, "git") > 0.0 && of(&steps["fetch"].0, "sync") > 0.0, "{steps:?}");
    }
    // The journal has it as well, for a report; and the last word but one is the summary.
    let past = project.run(&["history", "--timings"]).ends(0).out;
    assert!(past.contains("default: 2 hosts, median ") && past.contains("target: checks"), "{past}");
    let trace = project.run(&["report", "--format", "trace"]).ends(0).out;
    assert!(trace.contains("hoist.seconds.checks") && trace.contains("doubleValue"), "{trace}");
    let page = project.run(&["report"]).ends(0).out;
    assert!(page.contains("Where the time went") && page.contains("target: checks"), "{page}");
    let summary = out.lines().rev().nth(1).unwrap();
    assert!(summary.contains(r#""event":"timings""#), "{summary}");
    // A command of the operator's own, and in text.
    let command = ["--hosts", &second, "--", "true"];
    let said = project.run(&[&["run", "--timings"], &command[..]].concat()).ends(0).err;
    assert!(said.contains("hosts: 1 host, median ") && said.contains("authentication"), "{said}");
    assert!(!project.run(&[&["run"], &command[..]].concat()).ends(0).err.contains("median"));
}

/// Of a pack that the lock holder takes, too. The way lets some 400 kB a second through.
#[test]
fn a_pack_that_is_slow_to_arrive_counts_as_transfer_and_not_as_the_start_of_a_process() {
    let Far { project, .. } = &Far::new();
    project.deploy(&["one"]).ends(0);
    let mut content = vec![0; 900_000];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut content).unwrap();
    std::fs::write(project.path("content"), content).unwrap();
    project.commit("what cannot be compressed");
    let ran = project.hoist(&["deploy", "--yes", "--timings", "--format", "json"]).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{out}");
    let (parts, _) = &measured(&out, &address(0))["fetch"];
    assert!(parts.get("transfer").is_some_and(|seconds| *seconds > 1.0), "{parts:?}");
}
