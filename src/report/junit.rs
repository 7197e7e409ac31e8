//! A run as JUnit XML, which CI systems show as the results of tests: a suite for each group, a case for each host.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::collected::{Collected, End, HostSteps};
use super::{HostRow, RowState, Sample, SampleVerdict, sanitize};
use crate::clock;
use crate::terminal::cut_line;

/// The suite of what is about no group.
const WHOLE: &str = "gates";

/// The document on a command whose runs ended so, one after the other; the last end is that of the command.
pub fn of_runs(command: &str, collected: &Collected, ends: &[End]) -> String {
    let mut rows: Vec<&HostRow> = Vec::new();
    for row in ends.iter().flat_map(|end| end.rows) {
        // What was said last of a host counts.
        rows.retain(|earlier| earlier.host != row.host || earlier.group != row.group);
        rows.push(row);
    }
    let mut groups: Vec<&str> = Vec::new();
    let named = rows.iter().map(|row| &row.group).chain(collected.gates.iter().map(|(group, ..)| group));
    for group in named.map(|group| if group.is_empty() { WHOLE } else { group }) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let mut suites = Vec::new();
    for group in groups {
        let mut suite = TestSuite::new(safe(group));
        for row in rows.iter().filter(|row| row.group == group) {
            let steps = collected.steps(&row.host);
            suite.add_test_case(host(row, &steps));
            suite.add_test_cases(rollback(row, &steps));
        }
        for (of, label, sample) in &collected.gates {
            if of == group || (of.is_empty() && group == WHOLE) {
                suite.add_test_case(gate(group, label, sample));
            }
        }
        suites.push(suite);
    }
    let mut lines = Vec::new();
    // How the command ended comes first.
    if let Some((end, earlier)) = ends.split_last() {
        lines.push(end.text());
        lines.extend(collected.halts.iter().chain(end.ways_out).cloned());
        lines.extend(earlier.iter().flat_map(|end| std::iter::once(end.text()).chain(end.ways_out.iter().cloned())));
    }
    let (status, seconds) = (ends.last().map(|end| end.status), ends.iter().map(|end| end.seconds).sum());
    let whole = whole(command, status, NonSuccessKind::Failure, &lines, seconds);
    document(command, Some(collected), suites, whole)
}

/// The document on a command that ended without a run; without a status, on one that has not ended.
pub fn of_command(command: &str, status: Option<u8>, lines: &[String]) -> String {
    document(command, None, Vec::new(), whole(command, status, NonSuccessKind::Error, lines, 0.0))
}

fn document(command: &str, collected: Option<&Collected>, suites: Vec<TestSuite>, whole: TestCase) -> String {
    let mut report = Report::new(format!("hoist {command}"));
    let mut first = TestSuite::new("hoist");
    let began = collected.and_then(|collected| collected.began.clone()).unwrap_or_else(clock::rfc3339_utc);
    let abouts = collected.into_iter().flat_map(|collected| collected.earlier.iter().chain(&collected.about));
    let mut about: Vec<(&str, &str)> = Vec::new();
    for (name, value) in abouts.flatten() {
        // Of a further run, what is different.
        if !about.contains(&(name, value)) {
            about.push((name, value));
        }
    }
    first.add_properties(about.into_iter().map(|(name, value)| Property::new(name, safe(value))));
    first.add_test_case(whole);
    for mut suite in std::iter::once(first).chain(suites) {
        let seconds = suite.test_cases.iter().filter_map(|case| case.time).sum();
        suite.set_time(seconds);
        suite.extra.insert("timestamp".into(), began.clone().into());
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_else(|error| format!("<!-- {} -->", safe(&error.to_string())))
}

/// The command itself: it failed if its status says so.
fn whole(command: &str, status: Option<u8>, kind: NonSuccessKind, lines: &[String], seconds: f64) -> TestCase {
    let status = match status {
        Some(0) => TestCaseStatus::success(),
        Some(status) => failing(TestCaseStatus::non_success(kind), &format!("exit status {status}"), lines),
        None => failing(TestCaseStatus::non_success(kind), "no result", lines),
    };
    case(command, "hoist", seconds, status)
}

fn host(row: &HostRow, steps: &HostSteps) -> TestCase {
    use RowState::*;
    let end = match &row.reason {
        Some(reason) => format!("{}: {}", row.state_text(), cut_line(reason)),
        None => row.state_text(),
    };
    // The first cause first: what it came to is often the rollback.
    let failures: Vec<String> = steps.failures.iter().flat_map(|failed| failed.lines()).collect();
    let lines = if row.ok { vec![end] } else { [failures.clone(), vec![end]].concat() };
    let kind = match row.state {
        // Not the host's failure: it was not its turn, or another one's was why it went back.
        NotAttempted | RolledBack if row.ok => None,
        _ if row.ok => Some(TestCaseStatus::success()),
        Unreachable | Lost | Unknown | Refused | Running => Some(TestCaseStatus::non_success(NonSuccessKind::Error)),
        _ => Some(TestCaseStatus::non_success(NonSuccessKind::Failure)),
    };
    let status = failing(kind.unwrap_or_else(TestCaseStatus::skipped), row.state.word(), &lines);
    let mut case = case(&row.host.to_string(), &row.group, steps.seconds, status);
    // One that failed at first and was tried again with success.
    if row.ok && !failures.is_empty() {
        case.set_system_out(joined(&failures));
    }
    case
}

/// The rollback of a host is a case of its own: it can fail by itself.
fn rollback(row: &HostRow, steps: &HostSteps) -> Option<TestCase> {
    let (failed, seconds) = steps.rollback.as_ref()?;
    let status = match failed {
        None => TestCaseStatus::success(),
        Some(failed) => {
            let lines: Vec<String> = failed.lines().collect();
            failing(TestCaseStatus::non_success(NonSuccessKind::Failure), "rollback", &lines)
        }
    };
    Some(case(&format!("{} rollback", row.host), &row.group, *seconds, status))
}

fn gate(group: &str, label: &str, sample: &Sample) -> TestCase {
    let status = match sample.verdict {
        SampleVerdict::Pass => TestCaseStatus::success(),
        _ if sample.observe => TestCaseStatus::skipped(),
        SampleVerdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        SampleVerdict::Inconclusive => TestCaseStatus::non_success(NonSuccessKind::Error),
        SampleVerdict::Skipped => TestCaseStatus::skipped(),
    };
    let line = cut_line(&sample.to_string()).into_owned();
    let of = if label.is_empty() || label == group { String::new() } else { format!(" ({label})") };
    let status = failing(status, sample.verdict.name(), &[line]);
    case(&format!("gate {}{of}", sample.gate), group, 0.0, status)
}

fn case(name: &str, class: &str, seconds: f64, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(safe(name), status);
    case.set_classname(safe(class)).set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    case
}

/// The status with why: the first line is the message, all of them are the text.
fn failing(mut status: TestCaseStatus, kind: &str, lines: &[String]) -> TestCaseStatus {
    status.set_type(kind).set_message(safe(lines.first().map_or("", String::as_str))).set_description(joined(lines));
    status
}

/// Lines that stay lines.
fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| safe(line)).collect::<Vec<_>>().join("\n")
}

/// Text as XML may have it: not every character is one there, and whoever prints the file has a terminal.
fn safe(text: &str) -> String {
    sanitize(text, true).into_owned()
}
