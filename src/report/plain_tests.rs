//! The text as the operator reads it: events in, text out.

use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::fleet::Step;
use crate::report::{GroupHead, HostRow, RowState, Theme, comma_list};
use crate::targets::Target;
use crate::wire::{Fault, Level, Line, Stage, StartedBy};

const FETCH: Step = Step::Run(Stage::Fetch);

fn host(name: &str) -> Target {
    name.parse().unwrap()
}

/// Stands in for the folding of names: the first, the last, and how many.
fn fold(hosts: &[&Target]) -> String {
    match hosts {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}..{last}"),
        [] => String::new(),
    }
}

fn look(verbosity: Verbosity) -> RenderOptions {
    RenderOptions { theme: Theme::plain(true), verbosity, fold, columns: || None }
}

fn shown(look: RenderOptions, events: &[Event]) -> String {
    let mut plain = Plain::with(Text::at(look, || "14:45:52".into()), Vec::new(), Box::new(|| Duration::ZERO));
    for event in events {
        plain.event(event);
    }
    String::from_utf8(plain.sink.into_inner().unwrap()).unwrap()
}

fn subgroup(label: &str, hosts: &[&str]) -> Event {
    Event::Subgroup { group: "g".into(), label: label.into(), hosts: hosts.iter().map(|name| host(name)).collect() }
}

fn started(step: Step, hosts: usize) -> Event {
    Event::StepStarted { step, label: "canary".into(), hosts }
}

fn failed(name: &str, reason: &str, tail: &[&str]) -> Event {
    Event::HostEnded {
        host: host(name),
        step: FETCH,
        outcome: Err(Fault::failed(reason)),
        tail: tail.iter().map(|text| Line { level: Level::Info, message: text.to_string() }).collect(),
        seconds: 0.2,
        timings: None,
    }
}

fn well(name: &str, step: Step) -> Event {
    Event::HostEnded { host: host(name), step, outcome: Ok(()), tail: vec![], seconds: 0.2, timings: None }
}

fn ended(step: Step, ok: usize, failed: usize, not_attempted: &[&str], seconds: f64) -> Event {
    let not_attempted = not_attempted.iter().map(|name| host(name)).collect();
    Event::StepEnded { step, label: "canary".into(), ok, failed, not_attempted, seconds }
}

fn said(level: Level, message: &str) -> Event {
    Event::HostLine { host: host("web1"), line: Line { level, message: message.into() } }
}

fn row(name: &str, group: &str, state: RowState, ok: bool, digit: &str, reason: Option<&str>) -> HostRow {
    HostRow {
        host: host(name),
        group: group.into(),
        state,
        stage: None,
        ok,
        current: digit.repeat(40).parse().ok(),
        reason: reason.map(str::to_owned),
        cause: None,
    }
}

/// A small deployment that goes well, but for the last host.
fn deployment() -> Vec<Event> {
    vec![
        Event::Started {
            run: "20261123T144552.123Z-4711-7d3f".parse().unwrap(),
            by: StartedBy { user: "alice".into(), deploy_host: "deploy1".into() },
            repo: "web/site".into(),
            revision: "a".repeat(40).parse().unwrap(),
            origin: None,
            message: "new front page".into(),
            break_glass: None,
            signed_by: Vec::new(),
            groups: vec![
                GroupHead { name: "canary".into(), hosts: 1, subgroups: 1, limit: "0".into(), max_unavailable: None },
                GroupHead {
                    name: "default".into(),
                    hosts: 5,
                    subgroups: 3,
                    limit: "20% of 5 = 1".into(),
                    max_unavailable: None,
                },
            ],
        },
        Event::StepStarted { step: Step::Probe, label: String::new(), hosts: 6 },
        Event::StepEnded { step: Step::Probe, label: "".into(), ok: 6, failed: 0, not_attempted: vec![], seconds: 0.3 },
        subgroup("canary", &["web1"]),
        started(FETCH, 1),
        Event::HostStarted { host: host("web1"), step: FETCH },
        said(Level::Debug, "42 objects"),
        said(Level::Info, "fetched"),
        well("web1", FETCH),
        ended(FETCH, 1, 0, &[], 75.0),
        Event::Asked { question: "Continue?".into(), answer: "yes".into(), by: "--yes".into() },
        Event::note(Level::Debug, "for finding faults"),
        Event::note(Level::Warning, "max_failures has no effect"),
        Event::StepEnded {
            step: Step::Release,
            label: "".into(),
            ok: 6,
            failed: 0,
            not_attempted: vec![],
            seconds: 0.0,
        },
        Event::Ended {
            verdict: "deployed; 1 host failed within the limit".into(),
            ways_out: Vec::new(),
            owed: Vec::new(),
            status: 0,
            rows: vec![
                row("web1", "canary", RowState::Finalized, true, "a", None),
                row("web2", "default", RowState::Finalized, true, "a", None),
                row("web3", "default", RowState::Finalized, true, "a", None),
                row("web4", "default", RowState::Failed, false, "b", Some("fetch: disk full")),
                row("web5", "default", RowState::Unreachable, false, "", Some("connection refused")),
            ],
            seconds: 80.0,
        },
    ]
}

/// The end of that deployment, however much is shown.
const VERDICT: &str = "14:45:52 deployed; 1 host failed within the limit (exit status 0, 1 min 20 s)\n";

/// The hosts to look at, where no table has them.
const NOT_OK: &str = "\
14:45:52 [web4] failed: fetch: disk full (at bbbbbbbbbb)
14:45:52 [web5] unreachable: connection refused
";

#[test]
fn a_deployment_reads_from_its_header_to_its_verdict() {
    let expected = "\
14:45:52 web/site aaaaaaaaaa by alice@deploy1, run 20261123T144552.123Z-4711-7d3f
14:45:52 new front page
14:45:52   canary: 1 host, failure limit 0
14:45:52   default: 5 hosts in 3 subgroups, failure limit 20% of 5 = 1
14:45:52 probe: 6 hosts reachable
── canary (1 host) ─────────────────────────────────────────
14:45:52 fetch: 1 ok, 0 failed in 1 min 15 s
14:45:52 Continue? → yes (--yes)
14:45:52 warning: max_failures has no effect
── result ──────────────────────────────────────────────────
  group    hosts  state        current     names       reason
  canary   1      finalized    aaaaaaaaaa  web1
  default  2      finalized    aaaaaaaaaa  web2..web3
! default  1      failed       bbbbbbbbbb  web4        fetch: disk full
! default  1      unreachable  -           web5        connection refused
";
    assert_eq!(shown(look(Verbosity::Normal), &deployment()), expected.to_owned() + VERDICT);
}

#[test]
fn quiet_leaves_what_is_wrong_and_the_verdict() {
    let warning = "14:45:52 warning: max_failures has no effect\n";
    assert_eq!(shown(look(Verbosity::Quiet), &deployment()), warning.to_owned() + VERDICT + NOT_OK);
}

#[test]
fn verbose_adds_every_host_and_what_is_for_finding_faults() {
    let verbose = shown(look(Verbosity::Verbose), &deployment());
    for line in [
        "14:45:52 fetch: started on 1 host\n",
        "14:45:52 [web1] fetched\n",
        "14:45:52 [web1] fetch started\n",
        "14:45:52 [web1] 42 objects\n",
        "14:45:52 [web1] fetch: ok in 0.2 s\n",
        "14:45:52 for finding faults\n",
        "14:45:52 unlock: 6 hosts released\n",
    ] {
        assert!(verbose.contains(line), "{line:?} is missing from\n{verbose}");
        assert!(!shown(look(Verbosity::Normal), &deployment()).contains(line), "{line:?} is shown by default");
    }
}

#[test]
fn the_same_failure_of_97_hosts_is_told_at_once_of_the_first_and_once_of_the_others() {
    let names: Vec<String> = (1..=97).map(|n| format!("web{n:02}")).collect();
    let mut events = vec![started(FETCH, 100)];
    let reason = |name: &str| format!("no space left on {name}:/srv");
    events.extend(names.iter().map(|name| failed(name, &reason(name), &["write error", "no space left on"])));
    events.push(failed("db1", "no space left on db1:/srv", &["quota"]));
    events.push(failed("db2", "bad luck", &[]));
    events.push(ended(FETCH, 1, 99, &["db3", "db4"], 0.5));
    let expected = "\
14:45:52 [web01] fetch failed: no space left on web01:/srv
         │ write error
14:45:52 [db2] fetch failed: bad luck
14:45:52 [web02..db1] fetch failed on 97 more hosts, as on web01
14:45:52 fetch (canary): 1 ok, 99 failed, 2 not attempted
14:45:52 [db3..db4] not attempted
";
    assert_eq!(shown(look(Verbosity::Normal), &events), expected);
    assert_eq!(shown(look(Verbosity::Quiet), &events), expected);
}

#[test]
fn a_failure_is_told_once_and_of_every_host() {
    let events =
        [started(FETCH, 2), failed("web1", "no", &["a"]), failed("web2", "no", &[]), ended(FETCH, 0, 2, &[], 0.0)];
    let expected = "\
14:45:52 [web1] fetch failed: no
         │ a
14:45:52 [web2] fetch failed, as on web1
14:45:52 fetch (canary): 0 ok, 2 failed
";
    assert_eq!(shown(look(Verbosity::Normal), &events), expected);
    // Who wants to see what hosts say has seen it.
    let verbose = shown(look(Verbosity::Verbose), &events);
    assert!(verbose.contains("[web1] fetch failed: no\n14:45:52 [web2] fetch failed: no\n"), "{verbose}");
}

#[test]
fn the_same_warning_of_many_hosts_is_told_once_in_a_step_and_between_steps() {
    let said = |name: &str| Event::HostLine {
        host: host(name),
        line: Line { level: Level::Warning, message: format!("{name}: tidying up") },
    };
    let noted = |name: &str| Event::note_on(&host(name), Level::Warning, format!("the key of {name} is new"));
    let events = [
        started(FETCH, 3),
        said("web1"),
        noted("web1"),
        said("web2"),
        said("web3"),
        ended(FETCH, 3, 0, &[], 0.0),
        noted("web1"),
        noted("web2"),
        noted("web3"),
        Event::Interrupted,
    ];
    let expected = "\
14:45:52 [web1] web1: tidying up
14:45:52 [web1] warning: the key of web1 is new
14:45:52 [web2..web3] HOST: tidying up
14:45:52 fetch (canary): 3 ok, 0 failed
14:45:52 [web1] warning: the key of web1 is new
14:45:52 [web2..web3] warning: the key of HOST is new
14:45:52 interrupted
";
    assert_eq!(
        shown(look(Verbosity::Quiet), &events),
        expected.replace("14:45:52 fetch (canary): 3 ok, 0 failed\n", "")
    );
    assert_eq!(shown(look(Verbosity::Normal), &events), expected);
    let mut held =
        Plain::with(Text::at(look(Verbosity::Quiet), || "t".into()), Vec::new(), Box::new(|| Duration::ZERO));
    events[6..9].iter().for_each(|event| held.event(event));
    held.flush();
    assert!(String::from_utf8(held.sink.into_inner().unwrap()).unwrap().ends_with("key of HOST is new\n"));
}

#[test]
fn a_failure_is_told_again_in_the_next_step() {
    let step = [started(FETCH, 1), failed("web1", "no", &[]), ended(FETCH, 0, 1, &[], 0.0)];
    let twice: Vec<Event> = step.iter().chain(&step).cloned().collect();
    assert_eq!(shown(look(Verbosity::Quiet), &twice).matches("[web1] fetch failed: no\n").count(), 2);
}

#[test]
fn the_limit_and_the_small_steps_say_what_failed() {
    let events = [
        Event::StepEnded { step: Step::Probe, label: "".into(), ok: 6, failed: 2, not_attempted: vec![], seconds: 0.0 },
        Event::StepEnded { step: Step::Hold, label: "".into(), ok: 5, failed: 1, not_attempted: vec![], seconds: 0.0 },
        Event::LimitExceeded { group: "default".into(), failed: 3, limit: "10% of 20 = 2".into() },
        Event::Interrupted,
    ];
    let expected = "\
14:45:52 probe: 6 hosts reachable, 2 failed
14:45:52 lock: 5 hosts held, 1 failed
14:45:52 default: 3 hosts failed, more than the failure limit (10% of 20 = 2)
14:45:52 interrupted
";
    assert_eq!(shown(look(Verbosity::Quiet), &events), expected);
}

#[test]
fn equal_differences_of_a_configuration_file_are_shown_once() {
    let diff =
        |name: &str, diff: &str| Event::HostDiff { host: host(name), file: "/etc/site.yaml".into(), diff: diff.into() };
    let step = Step::Run(Stage::ConfigDiff);
    let events = [diff("web1", "-a\n+b\n"), diff("web2", "-a\n+c\x1b[2J\n"), diff("web3", "-a\n+b\n"), {
        ended(step, 3, 0, &[], 0.0)
    }];
    let expected = "\
14:45:52 [web1..web3] /etc/site.yaml would change:
         │ -a
         │ +b
14:45:52 [web2] /etc/site.yaml would change:
         │ -a
         │ +c\\x1b[2J
14:45:52 config_diff (canary): 3 ok, 0 failed
";
    assert_eq!(shown(look(Verbosity::Normal), &events), expected);
}

#[test]
fn what_a_host_says_cannot_touch_the_terminal() {
    let hostile = "\x1b]0;owned\x07\u{9b}2J\r\u{202e}\n14:45:52 [web9] all is well";
    let mut reasons = row("web1", "g\x1b[1m", RowState::Failed, false, "a", Some(hostile));
    reasons.reason = Some(hostile.into());
    let events = [
        Event::note(Level::Info, hostile),
        said(Level::Info, hostile),
        said(Level::Error, &"x".repeat(5000)),
        failed("web1", hostile, &[hostile]),
        failed("web2", hostile, &[hostile]),
        ended(FETCH, 0, 2, &[], 0.0),
        Event::Asked { question: hostile.into(), answer: hostile.into(), by: hostile.into() },
        Event::LimitExceeded { group: hostile.into(), failed: 1, limit: hostile.into() },
        Event::Ended {
            verdict: hostile.into(),
            ways_out: vec![hostile.into()],
            owed: Vec::new(),
            status: 1,
            rows: vec![reasons],
            seconds: 0.0,
        },
    ];
    let text = shown(look(Verbosity::Verbose), &events);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}'));
    assert!(!text.contains("\n14:45:52 [web9]"), "a host has forged a line of another");
    assert!(text.lines().all(|line| line.chars().count() < 1200));
}

#[test]
fn a_terminal_without_utf8_gets_ascii_only() {
    let ascii = RenderOptions { theme: Theme::plain(false), ..look(Verbosity::Verbose) };
    let mut events = deployment();
    events.extend([failed("web1", "für", &["naïve"]), ended(FETCH, 0, 1, &[], 0.0)]);
    let text = shown(ascii, &events);
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("-- canary (1 host) --") && text.contains("Continue? -> yes") && text.contains("f\\xfcr"));
}

#[test]
fn names_are_listed_whole_until_they_are_folded() {
    assert_eq!(comma_list(&[&host("web1"), &host("me@web2:22")]), "web1,me@web2:22");
}

#[test]
fn a_long_step_tells_its_progress_at_most_each_ten_seconds() {
    let time = Rc::new(Cell::new(100));
    let clock = Rc::clone(&time);
    let text = Text::at(look(Verbosity::Normal), || "14:45:52".into());
    let mut plain = Plain::with(text, Vec::new(), Box::new(move || Duration::from_secs(clock.get())));
    plain.event(&started(FETCH, 4));
    for name in ["web1", "web2", "web3"] {
        plain.event(&Event::HostStarted { host: host(name), step: FETCH });
    }
    plain.event(&well("web1", FETCH));
    for seconds in [109, 110, 111, 119] {
        time.set(seconds);
        plain.tick();
    }
    time.set(121);
    plain.event(&failed("web2", "no", &[]));
    time.set(200);
    plain.event(&ended(FETCH, 1, 1, &[], 100.0));
    plain.tick();
    let text = String::from_utf8(plain.sink.into_inner().unwrap()).unwrap();
    let expected = "\
14:45:52 fetch: 1 ok, 0 failed, 2 running, 1 left
14:45:52 [web2] fetch failed: no
14:45:52 fetch: 1 ok, 1 failed, 1 running, 1 left
14:45:52 fetch (canary): 1 ok, 1 failed in 1 min 40 s
";
    assert_eq!(text, expected);
}
