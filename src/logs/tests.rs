//! What expressions mean, and what lines of every origin say.

use std::fs;
use std::io::Write;

use super::*;

fn parse(expression: &[&str]) -> Result<Filter, String> {
    Filter::parse(&expression.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn filter(expression: &[&str]) -> Filter {
    parse(expression).unwrap()
}

fn entry(line: &str) -> LogEntry {
    LogReader::default().read(line.as_bytes()).unwrap()
}

const WEB: &str = r#"{"msg": "Rolling back from 1 to 2", "levelno": 30, "levelname": "WARNING", "host": "web-10",
    "name": "target.canary.app", "created": 1479938310.5, "asctime": "21:58:30"}"#;

#[test]
fn every_term_has_to_hold() {
    let web = entry(&WEB.replace('\n', ""));
    for (expression, holds) in [
        ("", true),
        ("host == web-*", true),
        ("host = web-10", true),
        ("host==web-1?", true),
        ("host ==web-1", false),
        ("host != web-1*", false),
        ("host != db-1", true),
        ("host ~ 'b-1'", true),
        ("host !~ 'b-1'", false),
        ("name == target.*", true),
        ("stage == fetch", false),
        ("stage != fetch", true),
        ("levelno >= WARNING", true),
        ("levelno >= 30 level<=warn levelname == WARNING", true),
        ("levelno > WARNING", false),
        ("level != 30", false),
        ("level < error", true),
        ("host == web-* levelno >= WARNING msg ~ \"back from [0-9]+\"", true),
        ("host == web-* levelno >= ERROR msg ~ \"back from [0-9]+\"", false),
        ("Rolling", true),
        ("rolling", false),
        ("'back from' to", true),
        ("\"host\"", false),
        ("msg == Rolling", false),
        ("msg=~^Rolling", true),
        ("msg ~ \"from \\d \"", true),
    ] {
        assert_eq!(filter(&[expression]).matches(&web), holds, "{expression}");
    }
}

#[test]
fn an_expression_may_come_in_any_number_of_arguments() {
    let web = entry(&WEB.replace('\n', ""));
    for expression in [
        &["host", "==", "web-*", "level", ">=", "WARNING", "msg", "~", "back from 1"][..],
        &["host == web-*", "level >= WARNING", "msg ~", "back from 1"],
        &["msg", "~", "\"back from 1\""],
        &["host ==", "web-*", "back from"],
    ] {
        assert!(filter(expression).matches(&web), "{expression:?}");
    }
    assert!(!filter(&["msg", "~", "back to"]).matches(&web), "two words of one argument are one value");
}

#[test]
fn a_bad_expression_is_one_error_with_its_place_and_what_is_allowed() {
    for (expression, at, why) in [
        (&["host"][..], 1, "an operator is missing"),
        (&["host =="], 6, "a value is missing"),
        (&["host == a level is 3"], 17, "unknown operator \"is\"; quote the expression, since ~, < and >"),
        (&["colour == red"], 1, "unknown field \"colour\" before \"==\""),
        (&["== red"], 1, "unknown field"),
        (&["host == web1 or level == DEBUG"], 14, "there is no `or`: write one term with a pattern"),
        (&["host == web1", "and", "msg ~ x"], 14, "leave the word out"),
        (&["level >= LOUD"], 10, "unknown level \"LOUD\": write DEBUG"),
        (&["level ~ WARN"], 9, "a level cannot be searched"),
        (&["host >= a"], 9, ">= works for levels only"),
        (&["msg ~ \"open"], 7, "the \" is never closed"),
        (&["é", "msg ~", "(a"], 9, "is not a regular expression: unclosed group"),
    ] {
        let error = parse(expression).unwrap_err();
        assert!(error.contains(&format!("at character {at}: ")) && error.contains(why), "{error}");
        assert!(error.contains("fields: host, level, msg"), "{error}");
    }
}

#[test]
fn a_record_of_pythons_logging_is_read_under_any_of_its_keys() {
    let clock = |entry: &LogEntry| entry.time.as_ref().and_then(|time| time.clock.clone());
    let web = entry(&WEB.replace('\n', ""));
    assert_eq!((web.about.host.as_deref(), web.level), (Some("web-10"), Some(30)));
    assert_eq!(web.message, "Rolling back from 1 to 2");
    assert_eq!(clock(&web).as_deref().map(|clock| &clock[2..]), Some(":58:30"), "as seconds since 1970");
    let other = entry(r#"{"message": "m", "levelname": "CRITICAL", "asctime": "2016-11-23 21:58:30,123"}"#);
    assert_eq!((clock(&other).as_deref(), other.level), (Some("21:58:30"), Some(50)));
    let odd = entry(r#"{"msg": null, "levelno": "x", "created": 1e300, "host": 7}"#);
    assert_eq!((odd.about.host.as_deref(), odd.level, clock(&odd)), (Some("7"), None, None));
}

#[test]
fn what_is_no_json_is_a_message_as_it_stands() {
    for line in ["plain text", "{\"msg\": \"torn", "[1, 2]", "\u{fffd}\u{0}"] {
        let entry = entry(line);
        assert_eq!((entry.message.as_str(), entry.line, entry.level), (line, LogLine::Plain(line.to_owned()), None));
    }
    assert_eq!(LogReader::default().read(b" \r\n"), None);
    assert_eq!(LogReader::default().read(b"\xff\n").unwrap().message, "\u{fffd}");
    let unknown = entry(r#"{"time":"2026-11-23T14:45:52.123Z","event":"of_the_future","why":"so"}"#);
    assert_eq!(unknown.name.as_deref(), Some("of_the_future"));
    assert!(unknown.message.contains("\"why\":\"so\""), "{}", unknown.message);
}

const STARTED: &str = r#"{"time":"2026-11-23T14:45:52.123Z","event":"started","run":"20261123T144552.123Z-4711-7d3f","user":"u","deploy_host":"deploy1","repo":"app","revision":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","message":"why","groups":[]}"#;
const SUBGROUP: &str =
    r#"{"time":"2026-11-23T14:45:53.123Z","event":"subgroup","group":"canary","label":"canary1","hosts":["web1"]}"#;
const ENDED: &str = r#"{"time":"2026-11-23T14:45:54.123Z","event":"host_ended","host":"web1","step":{"run":"fetch"},"outcome":"failed","reason":"no space","status":1,"took_seconds":1.5}"#;

#[test]
fn what_earlier_lines_say_of_a_host_holds_for_later_ones() {
    let mut reader = LogReader::default();
    let [started, _, ended] = [STARTED, SUBGROUP, ENDED].map(|line| reader.read(line.as_bytes()).unwrap());
    assert_eq!(started.about.host.as_deref(), Some("deploy1"), "what is of no target is the deploy host's");
    assert!(started.message.contains("app aaaaaaaaaa by u@deploy1") && started.message.ends_with(": why"));
    assert_eq!((ended.about.group.as_deref(), ended.about.stage.as_deref()), (Some("canary"), Some("fetch")));
    assert_eq!((ended.name.as_deref(), ended.level), (Some("host_ended"), Some(40)));
    assert_eq!(ended.message, "fetch: no space, after 1.5 s");
}

/// What a follower tells at one look: names of logs, and messages.
fn look(follower: &mut Follower) -> Vec<String> {
    let mut told = Vec::new();
    let tell = &mut |news: News| {
        told.push(match news {
            News::From(path) => format!("<{}>", path.file_name().unwrap().to_str().unwrap()),
            News::LogEntry(entry) => entry.message,
            News::Trouble(..) => "trouble".into(),
        });
        true
    };
    follower.look(tell).unwrap();
    told
}

fn append(path: &std::path::Path, text: &str) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_follower_tells_what_is_new_once_its_line_is_whole_and_goes_over_to_a_newer_log() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.log"), folder.path().join("two.log"));
    append(&one, &format!("{STARTED}\n{SUBGROUP}\nhalf of"));
    let mut follower = Follower::new(folder.path()).unwrap();
    assert_eq!(look(&mut follower), Vec::<String>::new());
    append(&one, " a line\n");
    assert_eq!(look(&mut follower), Vec::<String>::new(), "it began before");
    append(&one, "new\nha");
    assert_eq!(look(&mut follower), ["new"]);
    append(&one, "lf\n");
    append(&folder.path().join("other.txt"), "no log\n");
    assert_eq!(look(&mut follower), ["half"]);
    append(&two, "two's first\n");
    assert_eq!(look(&mut follower), ["<two.log>", "two's first"]);
    append(&one, &format!("{ENDED}\n"));
    assert_eq!(look(&mut follower), ["<one.log>", "fetch: no space, after 1.5 s"]);
}

#[test]
fn a_follower_survives_a_log_that_is_cut_replaced_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.log");
    append(&path, "old\n");
    let mut follower = Follower::new(folder.path()).unwrap();
    append(&path, "a\n");
    assert_eq!(look(&mut follower), ["a"]);
    fs::write(&path, "b\n").unwrap();
    assert_eq!(look(&mut follower), ["b"], "it was cut short");
    append(&path, "last of the old one\nand torn");
    fs::rename(&path, folder.path().join("one.log.1")).unwrap();
    append(&path, "first of the new one\n");
    assert_eq!(look(&mut follower), ["last of the old one", "and torn", "first of the new one"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(look(&mut follower), Vec::<String>::new());
    append(&path, "back\n");
    assert_eq!(look(&mut follower), ["back"]);
    fs::create_dir(folder.path().join("folder.log")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe.log"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(look(&mut follower), Vec::<String>::new(), "neither a folder nor a pipe is a log");
}

#[test]
fn a_log_without_any_newline_costs_little_memory() {
    let mut lengths = Vec::new();
    read_whole(&vec![b'x'; (2 << 20) + 5][..], &mut |entry| {
        lengths.push(entry.message.len());
        true
    })
    .unwrap();
    assert_eq!(lengths, [1 << 20, 1 << 20, 5]);
}

#[test]
fn a_character_class_means_what_it_means_to_a_shell() {
    let entry = |host: &str| LogEntry {
        about: Subject { host: Some(host.into()), ..Subject::default() },
        ..LogEntry::default()
    };
    let matches = |expression: &str, host: &str| Filter::parse(&[expression.to_owned()]).unwrap().matches(&entry(host));
    for (pattern, hosts) in [
        ("web-0[12]*", "web-01 web-02.example.org"),
        ("web-0[!3-9]", "web-01 web-02"),
        ("[a-c&&x]1", "a1 &1 x1"),
        ("[]x]", "] x"),
        ("[^1]", "^ 1"),
        ("web[1", "web[1"),
        ("[z-a]", "z - a"),
    ] {
        for host in hosts.split(' ') {
            assert!(matches(&format!("host == {pattern}"), host), "{pattern} {host}");
        }
    }
    for (pattern, host) in [("web-0[12]*", "web-03"), ("web-0[!3-9]", "web-03"), ("[a-c]", "-"), ("web[1]", "web[1]")] {
        assert!(!matches(&format!("host == {pattern}"), host), "{pattern} {host}");
    }
}

#[test]
fn a_record_of_scaps_shows_the_difference_and_the_trace_that_came_with_it() {
    let read = |line: &str| entry(line).message;
    let difference =
        r#"{"msg": "{type}: {output}", "args": [], "type": "config_diff", "output": "-1\n+2\n", "levelno": 20}"#;
    assert_eq!(read(difference), "-1\n+2\n");
    assert_eq!(read(r#"{"msg": "{type}", "type": "other", "output": "x", "levelno": 20}"#), "{type}");
    let trace = r#"{"msg": "%s failed", "args": ["fetch"], "exc_text": "Traceback:\n  KeyError: 'x'", "levelno": 40}"#;
    assert_eq!(read(trace), "fetch failed\nTraceback:\n  KeyError: 'x'");
}

#[test]
fn a_record_of_pythons_has_its_arguments_in_its_message() {
    let read = |line: &str| LogReader::default().read(line.as_bytes()).unwrap().message;
    assert_eq!(read(r#"{"msg": "%s: %s", "args": ["answers", "OK"], "levelno": 20}"#), "answers: OK");
    assert_eq!(read(r#"{"msg": "%d%%", "args": [], "levelno": 20}"#), "%d%%");
    assert_eq!(read(r#"{"msg": "%d %d", "args": [1], "levelno": 20}"#), "%d %d");
    assert_eq!(read(r#"{"msg": "%s", "message": "whole", "args": ["x"], "levelno": 20}"#), "whole");
}
