//! The documents say what the program does: each manual page is held to the table in the source that it describes, in
//! both directions, and DESIGN.md's map to the tree.

#[path = "../common/schema.rs"]
mod schema;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfoKind};
use hoist::config::keys::{KEYS, Key, Prefix};
use hoist::exit_code::ExitCode;
use hoist::fleet::ssh::{OPTIONS, Use};
use hoist::fleet::{HostResult, Step};
use hoist::once::OnceEnd;
use hoist::report::{
    Event, Format, GroupHead, HostRow, Moment, Note, OwedHost, Pending, RowState, Sample, SampleVerdict, WhyOwed,
};
use hoist::timings::{Part, Timings};
use hoist::wire::{Fault, Holder, Level, Line, Origin, OriginKind, Outcome, Stage, StartedBy};
use schema::Answer;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Commands that have no page of their own: `hoist(1)` has them.
const SMALL: [&str; 2] = ["completion", "version"];

/// The manual page of a command.
fn page_of(command: &str) -> String {
    if SMALL.contains(&command) { "man/hoist.1".into() } else { format!("man/hoist-{command}.1") }
}

/// The lines of a section of a manual page.
fn section<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let head = format!(".Sh {name}");
    let lines = page.lines().skip_while(|line| *line != head).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with(".Sh ")).collect();
    assert!(!lines.is_empty(), "there is no section {name}");
    lines
}

/// What macros of one name hold, over all lines: `.Va run , user` gives `run` and `user`.
fn words_of(lines: &[&str], wanted: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for line in lines.iter().filter_map(|line| line.strip_prefix('.')) {
        let mut within = false;
        for word in line.split_whitespace() {
            let is_macro = word.len() == 2
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.ends_with(|c: char| c.is_ascii_lowercase());
            if is_macro {
                within = word == wanted;
            } else if within && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-') {
                words.insert(word.to_owned());
            }
        }
    }
    words
}

/// Holds a list of a document to the one in the source. A failure says what is missing, and where.
#[track_caller]
fn same<T: Ord + Debug>(document: &str, documented: &BTreeSet<T>, source: &str, known: &BTreeSet<T>) {
    let lacking: Vec<_> = known.difference(documented).collect();
    let excess: Vec<_> = documented.difference(known).collect();
    assert!(lacking.is_empty(), "{document} lacks what {source} has: {lacking:?}");
    assert!(excess.is_empty(), "{document} has what {source} lacks: {excess:?}");
}

/// The keys of each name as one list: `ended`, `ended status`.
fn names_with_keys(map: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let keys = map.iter().flat_map(|(name, keys)| keys.iter().map(move |key| format!("{name} {key}")));
    map.keys().cloned().chain(keys).collect()
}

/// A flag as a page has it, or should: the short letter, the long name, the value's name.
type Flag = (Option<char>, String, Option<String>);

fn flags_of(command: &CommandInfoWithArgs) -> BTreeSet<Flag> {
    let flag = |flag: &argh::FlagInfo| {
        let value = match flag.kind {
            FlagInfoKind::Switch => None,
            FlagInfoKind::Option { arg_name } => Some(arg_name.to_owned()),
        };
        (flag.short, flag.long.trim_start_matches('-').to_owned(), value)
    };
    // `--help` is every command's, and hoist(1) has it.
    command.flags.iter().map(flag).filter(|(_, long, _)| long != "help").collect()
}

/// The flags that have an entry of their own: `.It Fl r , -rev Ar revision`.
fn documented_flags(page: &str) -> BTreeSet<Flag> {
    let entries = page.lines().filter_map(|line| line.strip_prefix(".It Fl "));
    let flag = |entry: &str| {
        let (names, value) = entry.split_once(" Ar ").map_or((entry, None), |(names, value)| (names, Some(value)));
        let (mut short, mut long) = (None, String::new());
        for name in names.split([' ', ',']).filter(|name| !name.is_empty()) {
            match name.strip_prefix('-') {
                Some(name) => long = name.to_owned(),
                None => short = name.chars().next(),
            }
        }
        (short, long, value.map(str::to_owned))
    };
    // `--help` and `-C` are every command's.
    entries.map(flag).filter(|(_, long, _)| long != "help" && !long.is_empty()).collect()
}

#[test]
fn every_flag_is_in_its_commands_page_and_every_flag_of_a_page_exists() {
    let hoist = hoist::cli::Hoist::get_args_info();
    for command in &hoist.commands {
        let path = page_of(command.name);
        let page = read(&path);
        // A page of several commands has the flags of all of them.
        let on_page = hoist.commands.iter().filter(|other| page_of(other.name) == path);
        let flags: BTreeSet<Flag> = on_page.flat_map(|other| flags_of(&other.command)).collect();
        let source = format!("hoist {}", command.name);
        same(&path, &documented_flags(&page), &source, &flags);
        // The synopsis has each flag too: by its letter where there is one, letters without a value in one bundle.
        let synopsis = section(&page, "SYNOPSIS");
        let shown = words_of(&synopsis, "Fl");
        for (short, long, value) in flags_of(&command.command) {
            let there = match (short, value) {
                (None, _) => shown.contains(&format!("-{long}")),
                (Some(letter), Some(_)) => shown.contains(&letter.to_string()),
                (Some(letter), None) => shown.iter().any(|word| !word.starts_with('-') && word.contains(letter)),
            };
            assert!(there, "{path}: the synopsis lacks --{long}");
        }
        let known = |word: &str| match word.strip_prefix('-') {
            Some(long) => flags_of(&command.command).iter().any(|(_, name, _)| name == long),
            None => {
                word.chars().all(|letter| flags_of(&command.command).iter().any(|(short, ..)| *short == Some(letter)))
            }
        };
        if !SMALL.contains(&command.name) {
            assert!(shown.iter().all(|word| known(word)), "{path}: the synopsis has a flag of no command: {shown:?}");
        }
        let positional = words_of(&synopsis, "Ar");
        for it in command.command.positionals {
            let name = it.name.split_whitespace().next().unwrap_or_default();
            assert!(positional.contains(name), "{path}: the synopsis lacks the argument {name}");
        }
    }
}

#[test]
fn every_command_is_in_the_first_page_and_every_command_there_exists() {
    let hoist = hoist::cli::Hoist::get_args_info();
    let page = read("man/hoist.1");
    let commands = section(&page, "COMMANDS");
    let entries: Vec<&str> = commands.iter().filter(|line| line.starts_with(".It Cm ")).copied().collect();
    let known: BTreeSet<String> = hoist.commands.iter().map(|command| command.name.to_owned()).collect();
    same("the list of commands in man/hoist.1", &words_of(&entries, "Cm"), "src/cli/commands/mod.rs", &known);
    for name in known.iter().filter(|name| !SMALL.contains(&name.as_str())) {
        assert!(page.contains(&format!(".Xr hoist-{name} 1")), "hoist(1) does not point at hoist-{name}(1)");
    }
    let there = fs::read_dir(root().join("man")).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    for file in there.filter(|file| file.starts_with("hoist-") && file.ends_with(".1")) {
        let command = file.trim_start_matches("hoist-").trim_end_matches(".1");
        assert!(known.contains(command), "man/{file} is the page of no command");
    }
}

/// A key's entry: `.It Oo Ar group Ns _ Oc Ns Ic failure_limit No = Ar number or percentage Pq default Ql 0`.
fn key_entry(key: &Key) -> String {
    let name = match key.prefix {
        Prefix::None => format!("Ic {}", key.name),
        Prefix::Group => format!("Oo Ar group Ns _ Oc Ns Ic {}", key.name),
        Prefix::Stage(suffix) if suffix == key.name => format!("Oo Ar stage Ns _ Oc Ns Ic {suffix}"),
        Prefix::Stage(suffix) => format!("Ic {} , Ar stage Ns Ic _{suffix}", key.name),
    };
    let default = match key.default {
        Some(default) => format!("default Ql {default}"),
        None if key.about.ends_with("; required") => "required".into(),
        None => "unset".into(),
    };
    format!(".It {name} No = Ar {} Pq {default}", key.kind)
}

#[test]
fn every_key_is_in_the_manual_with_its_kind_and_default_and_every_key_there_exists() {
    let page = read("man/hoist.cfg.5");
    let documented: BTreeSet<String> = section(&page, "KEYS")
        .into_iter()
        .filter(|line| line.starts_with(".It Ic ") || line.starts_with(".It Oo "))
        .map(str::to_owned)
        .collect();
    let known: BTreeSet<String> = KEYS.iter().map(key_entry).collect();
    same("man/hoist.cfg.5", &documented, "src/config/keys.rs", &known);
}

#[test]
fn every_stage_is_in_the_manual_and_every_stage_there_exists() {
    let page = read("man/hoist-deploy-local.1");
    let stages = page.split("\n.Ss Stages\n").nth(1).and_then(|rest| rest.split("\n.Ss ").next()).unwrap();
    let described: Vec<&str> = stages.lines().filter_map(|line| line.strip_prefix(".It Cm ")).collect();
    assert_eq!(described, Stage::ALL.map(Stage::name), "the stages in hoist-deploy-local(1)");
    let page = read("man/hoist-deploy.1");
    let course = words_of(&section(&page, "COURSE OF A DEPLOYMENT"), "Cm");
    let names: Vec<&str> = Stage::of_deployment().into_iter().map(Stage::name).collect();
    for name in &names {
        assert!(course.contains(*name), "hoist-deploy(1) does not say what a deployment does in stage {name}");
    }
    let choice = format!(".Cm {} .", names.join(" , "));
    assert!(page.lines().any(|line| line == choice), "hoist-deploy(1), -s: there is no line {choice:?}");
}

#[test]
fn every_option_of_openssh_is_in_the_manual_under_what_becomes_of_it() {
    let page = read("man/hoist.cfg.5");
    let section = section(&page, "OPENSSH'S CONFIGURATION");
    for (head, belongs) in [
        ("honoured", (|usage| usage == Use::Honoured) as fn(Use) -> bool),
        ("change nothing", |usage| usage == Use::Ignored),
        ("are refused", |usage| matches!(usage, Use::Refused(_) | Use::RefusedWithout(_))),
    ] {
        let lines = section.iter().skip_while(|line| !(line.starts_with(".Ss ") && line.ends_with(head)));
        let within = |line: &&&str| **line != ".Pp" && !line.starts_with(".Ss ");
        let listed: Vec<&str> = lines.skip(1).take_while(within).copied().collect();
        let known = OPTIONS.iter().filter(|(_, usage)| belongs(*usage)).map(|(name, _)| (*name).to_owned());
        let document = format!("man/hoist.cfg.5, the options that {head},");
        same(&document, &words_of(&listed, "Cm"), "src/fleet/ssh/openssh/options.rs", &known.collect());
    }
    let mut names: Vec<String> = OPTIONS.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), OPTIONS.len(), "an option stands twice");
}

#[test]
fn every_exit_status_is_in_the_manual_and_every_status_there_exists() {
    let page = read("man/hoist.1");
    let documented: Vec<u8> = section(&page, "EXIT STATUS")
        .into_iter()
        .filter_map(|line| line.strip_prefix(".It "))
        .map(|status| status.parse().unwrap_or_else(|_| panic!("{status:?} is no exit status")))
        .collect();
    assert_eq!(documented, ExitCode::ALL.map(ExitCode::status), "man/hoist.1, against src/exit_code.rs");
}

/// The entries of the list that begin with `.It Cm NAME`, each with its lines.
fn entries<'a>(lines: &[&'a str]) -> BTreeMap<String, Vec<&'a str>> {
    let mut entries: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in lines {
        if let Some(name) = line.strip_prefix(".It Cm ") {
            assert!(entries.insert(name.to_owned(), Vec::new()).is_none(), "{name} stands twice");
            open = Some(name.to_owned());
        } else if let Some(name) = &open {
            entries.get_mut(name).unwrap().push(line);
        }
    }
    entries
}

fn holder() -> Holder {
    let since = "2026-11-23T12:00:00.000Z".to_owned();
    let run = "20261123T144552.123Z-4711-7d3f".parse().unwrap();
    Holder { run, user: "u".into(), host: "h".into(), pid: 1, since, message: "m".into() }
}

fn origin() -> Origin {
    Origin {
        kind: OriginKind::Archive,
        from: "f".into(),
        sha256: Some("a".repeat(64)),
        source: "a".repeat(40).parse().ok(),
        inputs: Some("i".into()),
        by: StartedBy { user: "u".into(), deploy_host: "d".into() },
        at: "2026-11-23T12:00:00Z".into(),
    }
}

/// One of each outcome. One that is new does not compile until it is here, and then the manual has to have it.
fn outcomes() -> Vec<Outcome> {
    let all = vec![
        Ok(()),
        Err(Fault::Failed { reason: "r".into(), status: Some(1) }),
        Err(Fault::ChecksFailed { reason: "r".into() }),
        Err(Fault::MovedOn { to: "a".repeat(40).parse().unwrap() }),
        Err(Fault::Killed { signal: "KILL".into() }),
        Err(Fault::TimedOut { seconds: 1 }),
        Err(Fault::Locked { by: Box::new(holder()) }),
        Err(Fault::Unreachable { reason: "r".into() }),
        Err(Fault::Lost { reason: "r".into() }),
        Err(Fault::CacheBroken { reason: "r".into() }),
    ];
    let mut kinds = BTreeSet::new();
    for outcome in &all {
        kinds.insert(match outcome {
            Ok(()) => 0,
            Err(Fault::Failed { .. }) => 1,
            Err(Fault::Killed { .. }) => 2,
            Err(Fault::TimedOut { .. }) => 3,
            Err(Fault::Locked { .. }) => 4,
            Err(Fault::Unreachable { .. }) => 5,
            Err(Fault::Lost { .. }) => 6,
            Err(Fault::ChecksFailed { .. }) => 7,
            Err(Fault::MovedOn { .. }) => 8,
            Err(Fault::CacheBroken { .. }) => 9,
        });
    }
    assert_eq!(kinds.len(), 10, "an outcome is missing from the list above");
    all
}

/// One of each event, every field filled, in the same manner.
fn events() -> Vec<Event> {
    let heads = vec![GroupHead {
        name: "g".into(),
        hosts: 1,
        subgroups: 1,
        limit: "0".into(),
        max_unavailable: Some("1".into()),
    }];
    let (host, revision): (hoist::targets::Target, hoist::wire::Revision) =
        ("web1".parse().unwrap(), "a".repeat(40).parse().unwrap());
    let step = Step::Run(Stage::Fetch);
    let line = Line { level: Level::Info, message: "m".into() };
    let timings = serde_json::json!({ "parts": {"git": 1.5}, "bytes": 1, "round_trips": 3, "round_trip_seconds": 0.1 });
    let timings: Timings = serde_json::from_value(timings).unwrap();
    let of_run = serde_json::json!({
        "groups": [{
            "group": "g", "hosts": 1, "median": 1.5, "p95": 1.5, "bytes": 1, "round_trip_seconds": 0.1,
            "parts": [{ "part": "git", "median": 1.5, "p95": 1.5, "share": 1.0 }],
        }],
        "slowest": [{
            "host": "web1", "seconds": 1.5, "between_steps": 1.0, "slowest_step": "fetch", "slowest_step_seconds": 1.5,
            "parts": {"git": 1.5},
        }],
    });
    let row = HostRow {
        host: host.clone(),
        group: "g".into(),
        state: RowState::Failed,
        stage: Some(Stage::Fetch),
        ok: false,
        current: Some(revision.clone()),
        reason: Some("r".into()),
        cause: None,
    };
    let all = vec![
        Event::Started {
            run: holder().run,
            by: StartedBy { user: "u".into(), deploy_host: "d".into() },
            repo: "r".into(),
            revision,
            origin: Some(Box::new(origin())),
            message: "m".into(),
            groups: heads.clone(),
            break_glass: Some("w".into()),
            signed_by: vec!["a".into()],
        },
        Event::Command {
            command: "c".into(),
            by: StartedBy { user: "u".into(), deploy_host: "d".into() },
            groups: heads,
        },
        Event::Note(Note { host: Some(host.clone()), step: Some(step), ..Note::new(Level::Info, "m") }),
        Event::Subgroup { group: "g".into(), label: "g1".into(), hosts: vec![host.clone()] },
        Event::StepStarted { step, label: "g1".into(), hosts: 1 },
        Event::HostStarted { host: host.clone(), step },
        Event::HostLine { host: host.clone(), line: line.clone() },
        Event::HostDiff { host: host.clone(), file: "f".into(), diff: "d".into() },
        Event::HostWaiting { host: host.clone(), what: "w".into(), seconds: 1, limit: 2 },
        Event::HostEnded {
            host: host.clone(),
            step,
            outcome: Ok(()),
            tail: vec![line],
            seconds: 1.0,
            timings: Some(Box::new(timings)),
        },
        Event::StepEnded { step, label: "g1".into(), ok: 1, failed: 0, not_attempted: vec![host], seconds: 1.0 },
        Event::LimitExceeded { group: "g".into(), failed: 1, limit: "0".into() },
        Event::CapacityUsedUp { group: "g".into(), max_unavailable: "1".into(), hosts: vec!["web1".parse().unwrap()] },
        Event::SoakStarted { group: "g".into(), label: "g1".into(), seconds: 2 },
        Event::Soaking { group: "g".into(), label: "g1".into(), left_seconds: 1, soak_seconds: 2 },
        Event::SoakEnded { group: "g".into(), label: "g1".into(), left_seconds: 0 },
        Event::Gate {
            moment: Moment::Soak,
            group: "g".into(),
            label: "g1".into(),
            sample: Sample {
                gate: "errors".into(),
                value: Some("0.1".into()),
                verdict: SampleVerdict::Fail,
                reason: "r".into(),
                attempt: 1,
                observe: true,
                pending: Some(Pending::NoValue),
            },
        },
        Event::GateFailed {
            gate: "errors".into(),
            moment: Moment::Soak,
            group: "g".into(),
            reason: "r".into(),
            inconclusive: false,
        },
        Event::OnceStarted { name: "n".into(), on: "db1".into(), undo: false, irreversible: true },
        Event::OnceLine { name: "n".into(), on: "db1".into(), line: Line { level: Level::Info, message: "m".into() } },
        Event::OnceEnded {
            name: "n".into(),
            on: "db1".into(),
            undo: false,
            end: OnceEnd::Failed { reason: "r".into() },
            seconds: 1.0,
        },
        Event::Asked { question: "q".into(), answer: "a".into(), by: "b".into() },
        Event::Interrupted,
        Event::Stopping {
            step,
            hosts: vec!["web1".parse().unwrap()],
            stops: true,
            seconds: 1,
            limit: 2,
            advice: "a".into(),
        },
        Event::Aborting { step, hosts: vec!["web1".parse().unwrap()] },
        Event::Timings(serde_json::from_value(of_run).unwrap()),
        Event::Ended {
            verdict: "v".into(),
            ways_out: vec!["w".into()],
            owed: vec![OwedHost {
                host: "web2".parse().unwrap(),
                group: "web".into(),
                revision: "a".repeat(40).parse().unwrap(),
                why: WhyOwed::MissedEarlier,
            }],
            status: 1,
            rows: vec![row],
            seconds: 1.0,
        },
    ];
    let mut kinds = BTreeSet::new();
    for event in &all {
        kinds.insert(match event {
            Event::Started { .. } => 0,
            Event::Note { .. } => 1,
            Event::Subgroup { .. } => 2,
            Event::StepStarted { .. } => 3,
            Event::HostStarted { .. } => 4,
            Event::HostLine { .. } => 5,
            Event::HostDiff { .. } => 6,
            Event::HostEnded { .. } => 7,
            Event::StepEnded { .. } => 8,
            Event::LimitExceeded { .. } => 9,
            Event::Asked { .. } => 10,
            Event::Interrupted => 11,
            Event::Ended { .. } => 12,
            Event::Command { .. } => 13,
            Event::HostWaiting { .. } => 14,
            Event::Stopping { .. } => 15,
            Event::Aborting { .. } => 16,
            Event::SoakStarted { .. } => 17,
            Event::Soaking { .. } => 18,
            Event::SoakEnded { .. } => 19,
            Event::Gate { .. } => 20,
            Event::GateFailed { .. } => 21,
            Event::CapacityUsedUp { .. } => 22,
            Event::OnceStarted { .. } => 23,
            Event::OnceLine { .. } => 24,
            Event::OnceEnded { .. } => 25,
            Event::Timings(_) => 26,
        });
    }
    assert_eq!(kinds.len(), 27, "an event is missing from the list above");
    all
}

/// Every key of a JSON value, those of the objects within it too, but for a step's (`{"run":"fetch"}`).
fn keys_of(value: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                keys.insert(key.clone());
                if key != "step" {
                    keys_of(value, keys);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys_of(item, keys)),
        _ => {}
    }
}

/// The kind of an event or an outcome, and its other keys.
fn shape(value: &impl serde::Serialize, tag: &str) -> (String, BTreeSet<String>) {
    let value = serde_json::to_value(value).unwrap();
    let mut keys = BTreeSet::new();
    keys_of(&value, &mut keys);
    keys.remove(tag);
    (value[tag].as_str().unwrap().to_owned(), keys)
}

#[test]
fn every_event_and_outcome_is_in_the_manual_with_its_keys_and_each_of_them_there_exists() {
    let page = read("man/hoist-deploy.1");
    let documented: BTreeMap<String, BTreeSet<String>> =
        entries(&section(&page, "EVENTS")).into_iter().map(|(name, lines)| (name, words_of(&lines, "Va"))).collect();
    let mut known: BTreeMap<String, BTreeSet<String>> = events().iter().map(|event| shape(event, "event")).collect();
    known.extend(outcomes().into_iter().map(|outcome| shape(&HostResult::from(outcome), "outcome")));
    // The list of outcomes is led by a line that names the key again.
    let mut documented = documented;
    documented.get_mut("ended").unwrap().remove("outcome");
    let source = "the types of events and outcomes";
    same("man/hoist-deploy.1, EVENTS,", &names_with_keys(&documented), source, &names_with_keys(&known));
}

#[test]
fn every_state_of_a_row_is_in_the_manual_and_each_of_them_there_exists() {
    let page = read("man/hoist-deploy.1");
    let lines: Vec<&str> = page.lines().skip_while(|line| *line != ".Ss States of a host").collect();
    let lines: Vec<&str> = lines.into_iter().take_while(|line| !line.starts_with(".Sh ")).collect();
    let documented: BTreeSet<String> = entries(&lines).into_keys().collect();
    let known: BTreeSet<String> = RowState::all().map(|state| state.word().to_owned()).collect();
    same("man/hoist-deploy.1, States of a host,", &documented, "src/report/row.rs", &known);
}

#[test]
fn the_schema_has_every_event_and_outcome_with_their_keys_and_nothing_else() {
    // A difference of a configuration file is never written as JSON.
    let written = |event: &Event| !matches!(event, Event::HostDiff { .. });
    let ends = outcomes().into_iter().map(|outcome| {
        let event = events().into_iter().find(|event| matches!(event, Event::HostEnded { .. }));
        match event {
            Some(Event::HostEnded { host, step, tail, seconds, timings, .. }) => {
                Event::HostEnded { host, step, outcome, tail, seconds, timings }
            }
            other => panic!("{other:?}"),
        }
    });
    let others = events().into_iter().filter(|event| !matches!(event, Event::HostEnded { .. }));
    let answer = Answer::named("event");
    let mut known = BTreeSet::new();
    for event in others.filter(written).chain(ends) {
        let mut value = serde_json::to_value(&event).unwrap();
        let kind = match &value["outcome"] {
            serde_json::Value::String(outcome) => format!("host_ended_{outcome}"),
            _ => value["event"].as_str().unwrap().to_owned(),
        };
        value["time"] = "2026-11-23T12:00:00.000Z".into();
        if !["started", "command", "stopping", "aborting", "ended"].contains(&kind.as_str()) {
            value["replayed"] = true.into();
        }
        answer.holds(&value);
        let schema = schema::schema();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let document = format!("schema/output.json, {kind},");
        same(&document, &keys(&schema["$defs"][&kind]["properties"]), "its type", &keys(&value));
        known.insert(format!("#/$defs/{kind}"));
    }
    // What failed need not have been a process that ended with a status.
    let mut failed = events().into_iter().find(|event| matches!(event, Event::HostEnded { .. })).unwrap();
    if let Event::HostEnded { outcome, tail, timings, .. } = &mut failed {
        (*outcome, *timings) = (Err(Fault::failed("no space")), None);
        tail.clear();
    }
    let mut value = serde_json::to_value(&failed).unwrap();
    value["time"] = "2026-11-23T12:00:00.000Z".into();
    answer.holds(&value);
    let schema = schema::schema();
    let listed = schema["$defs"]["event"]["oneOf"].as_array().unwrap().iter();
    let listed = listed.map(|it| it["$ref"].as_str().unwrap().to_owned()).collect();
    same("schema/output.json, event,", &listed, "the types of events and outcomes", &known);
}

#[test]
fn every_part_of_the_time_is_in_the_manual_and_in_the_schema() {
    let page = read("man/hoist-deploy.1");
    let documented: BTreeSet<String> = entries(&section(&page, "WHERE THE TIME GOES")).into_keys().collect();
    let parts = Part::ALL.into_iter().filter(|part| *part != Part::Input);
    let known = parts.map(|part| part.name().to_owned()).collect();
    same("man/hoist-deploy.1, WHERE THE TIME GOES,", &documented, "src/timings/mod.rs", &known);
    let listed = schema::schema()["$defs"]["timing_part"]["enum"].as_array().unwrap().clone();
    let listed = listed.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    same("schema/output.json, timing_part,", &listed, "src/timings/mod.rs", &known);
}

#[test]
fn every_format_of_events_is_in_the_manual() {
    let page = read("man/hoist-deploy.1");
    let options = section(&page, "DESCRIPTION");
    let entry = options.iter().skip_while(|line| !line.starts_with(".It Fl -format")).skip(1);
    let entry: Vec<&str> = entry.take_while(|line| !line.starts_with(".It")).copied().collect();
    let documented = words_of(&entry, "Cm");
    let known = Format::ALL.map(|format| format.name().to_owned()).into();
    same("man/hoist-deploy.1, --format,", &documented, "src/report/mod.rs", &known);
}

#[test]
fn mandoc_finds_nothing_wrong_with_any_page() {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("man")).unwrap().map(|it| it.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 5, "{pages:?}");
    let output = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(&pages).output();
    let output = output.expect("mandoc can be run: make deps installs it");
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}
