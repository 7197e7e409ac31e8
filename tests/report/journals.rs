//! Pages of journals that no farm could write: thousands of hosts, and texts that want out.

use hoist::deploy::health::{Health, Moment, Sample, SampleVerdict};
use hoist::deploy::{Answer, Plan};
use hoist::fleet::{Call, HostId, HostResult, Step, Task};
use hoist::journal::{Choice, FORMAT, Journal, Opened, Record, whole_run};
use hoist::targets::Group;
use hoist::timeline::{Timeline, html, trace};
use hoist::wire::{Fault, Level, Line, Stage};

use crate::reader::{read, texts};
use crate::scripted::plan_of;
use crate::{hosts_of, page};

/// A journal of a run of `plan` with these records, read back as a run.
fn run_of(plan: Plan, records: &[Record]) -> Timeline {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened {
        version: "test".into(),
        format: FORMAT,
        plan,
        environment: None,
        config_file: None,
        defines: Vec::new(),
        asked: None,
        control_files: Default::default(),
    };
    let mut journal = Journal::create(folder.path(), opened).unwrap();
    journal.append(records).unwrap();
    journal.close("the end", 0, true).unwrap();
    drop(journal);
    let run = whole_run(folder.path(), Choice::Newest(None)).unwrap().unwrap();
    Timeline::new(run, Err("no log".into()))
}

fn group(hosts: usize, size: usize) -> Group {
    let targets = (1..=hosts).map(|n| format!("web{n:04}").parse().unwrap()).collect();
    Group { name: "default".into(), targets, steps: Some(size).into(), ..Group::default() }
}

/// A step on hosts, with what it came to on each.
fn step(step: Step, hosts: std::ops::Range<usize>, result: impl Fn(usize) -> HostResult) -> Vec<Record> {
    let group = if matches!(step, Step::Run(_)) { "default" } else { "" };
    let call = Call { group: group.into(), ..Call::contact(step, 80, std::time::Duration::from_secs(60)) };
    let tasks = hosts.clone().map(|host| Task::first(HostId::new(host))).collect();
    let ended = hosts.map(|host| Record::Ended {
        host: HostId::new(host),
        result: Box::new(result(host)),
        took_seconds: Some(0.0),
    });
    std::iter::once(Record::Called { call, tasks }).chain(ended).chain([Record::Returned]).collect()
}

#[test]
fn thousands_of_hosts_are_all_there_and_the_page_stays_small() {
    let result = |host: usize| match host % 1000 {
        17 => Fault::failed(format!("check answers failed on web{:04}", host + 1)).into(),
        _ => HostResult::ok(),
    };
    let mut records = step(Step::Probe, 0..3000, |_| HostResult::ok());
    for first in (0..3000).step_by(30) {
        records.extend(step(Step::Run(Stage::Fetch), first..first + 30, |_| HostResult::ok()));
        records.extend(step(Step::Run(Stage::Promote), first..first + 30, result));
    }
    let timeline = run_of(plan_of(vec![group(3000, 30)], 80), &records);
    let text = html(&timeline);
    assert!(text.len() < 500_000, "{}", text.len());
    let page = page(&text);
    let mut hosts = hosts_of(&page);
    hosts.sort();
    assert_eq!(hosts, (1..=3000).map(|n| format!("web{n:04}")).collect::<Vec<_>>());
    assert!(page["lanes"].as_array().unwrap().len() <= 60);
    assert_eq!(texts(&page["reasons"]), ["check answers failed on HOST"], "equal causes are one");
}

#[test]
fn no_text_leaves_its_element_and_long_output_is_cut_and_says_so() {
    let hostile = "</pre></summary></style><script>alert(1)</script>]]>--> \" onload='x' &amp; \u{1b}]0;t\u{7}\0\u{202e}\
                   \u{ffff}\u{fdd0}\r";
    let line = |message: String| Line { level: Level::Error, message };
    let failed = |_: usize| HostResult {
        tail: vec![line(hostile.into()), line("x".repeat(10 << 20))],
        ..Fault::failed(hostile).into()
    };
    let verdict = SampleVerdict::Fail;
    let (value, observe) = (Some(hostile.to_owned()), false);
    let sample =
        Sample { gate: hostile.into(), value, verdict, reason: hostile.into(), attempt: 1, observe, pending: None };
    let mut records = step(Step::Run(Stage::Fetch), 0..1, failed);
    let (moment, label) = (Moment::Group, hostile.to_owned());
    records.extend([
        Record::LookBegun { moment, group: "default".into(), label, soak: std::time::Duration::from_secs(5) },
        Record::Sampled { sample },
        Record::LookEnded { health: Health::Fail { gate: hostile.into(), reason: hostile.into() } },
        Record::Answered { answer: Answer::No, by: None },
        Record::Interrupted,
    ]);
    let mut plan = plan_of(vec![Group { name: hostile.into(), ..group(1, 1) }, group(2, 1)], 1);
    plan.groups[1].targets = vec!["web2".parse().unwrap()];
    (plan.message, plan.repo, plan.break_glass) = (hostile.into(), hostile.into(), Some(hostile.into()));
    let timeline = run_of(plan, &records);
    let text = html(&timeline);
    assert!(text.len() < 200_000, "{}", text.len());
    let page = page(&text);
    // What a reader sees: the text itself, and escapes for what would steer it.
    let seen = "</pre></summary></style><script>alert(1)</script>]]>--> \" onload='x' &amp; \\x1b]0;t\\x07\\x00\\u{202e}\
                \\u{ffff}\u{fffd}\\r";
    assert_eq!(texts(&page["message"]), [seen]);
    assert_eq!(texts(&page["reasons"]), [seen]);
    let output = texts(&page["outputs"])[0];
    assert!(output.starts_with(&format!("{seen}\nxxx")) && output.ends_with(" more bytes]"), "{}", &output[..200]);
    assert!(page["title"].as_str().unwrap().starts_with(seen), "{}", page["title"]);
    assert!(page["sections"]["Gates"][0].to_string().contains("alert"), "{page}");
    let trace = trace(&timeline).to_string();
    assert!(trace.len() < 200_000 && trace.contains("more bytes]"), "{}", trace.len());
    read("trace", &trace);
}

#[test]
fn every_journal_of_an_earlier_build_has_a_page() {
    let journals = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals");
    let mut seen = 0;
    for entry in std::fs::read_dir(journals).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "journal") {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        let run = whole_run(folder.path(), Choice::Newest(None)).unwrap().unwrap();
        let timeline = Timeline::new(run, Err("The log is gone.".into()));
        let page = page(&html(&timeline));
        assert!(texts(&page["notes"]).len() > 1 && !hosts_of(&page).is_empty(), "{}: {page}", path.display());
        read("trace", &trace(&timeline).to_string());
        seen += 1;
    }
    assert!(seen >= 5);
}
