//! How `hoist history` looks: a table, the newest deployment first, or one object of JSON.

use serde::Serialize;

use crate::clock;
use crate::deploy::Kind;
use crate::hooks::GroupSize;
use crate::operation::{Arrival, Deployed, FailedHosts, HostTimeline, How, Stay};
use crate::report::{RunTimings, step_name, took};
use crate::targets::fold;
use crate::terminal::{Page, Style, Table, TableRow, Theme, columns};
use crate::text;
use crate::wire::{Origin, RunId};

use super::steps;
use super::steps::StepAnswer;

/// The columns that not every table has.
const ENVIRONMENT: &str = "environment";

/// Causes of failures that a row names, at the most.
const NAMED: usize = 3;

/// For people. `filters`: not every deployment was asked for.
pub fn text(history: &[Deployed], filters: bool) -> Page {
    let mut page = Page::default();
    if history.is_empty() {
        page.line(if filters { "no deployment matches" } else { "no deployments yet" });
        return page;
    }
    let head = ["when", "who", ENVIRONMENT, "revision", "result", "took", "groups"];
    let row = |it: &Deployed| {
        let groups = it.plan.iter().flat_map(|plan| &plan.groups).map(|group| group.name.clone());
        let cells = [
            clock::local_minute(&it.about.when),
            it.about.who.clone(),
            it.about.environment.clone().unwrap_or_default(),
            it.revision.short().to_owned(),
            it.end.result.to_owned(),
            it.end.time.seconds.map(took).unwrap_or_default(),
            groups.collect::<Vec<_>>().join(","),
        ];
        let style = if is_bad(it) { Style::Bad } else { Style::Plain };
        TableRow { mark: None, cells: cells.to_vec(), note: note(it), style }
    };
    table(&head, "message", history.iter().map(row).collect(), &mut page);
    page
}

/// Where the time of a run went, as the run itself has shown it at its end.
pub fn timings_text(timings: &RunTimings) -> Page {
    let mut page = Page::default();
    timings.lines(Theme::of_stdout(), columns()).into_iter().for_each(|line| page.line(line));
    page
}

/// The same for programs.
pub fn timings_json<'a>(run: &'a RunId, timings: &'a RunTimings) -> TimingsAnswer<'a> {
    TimingsAnswer { run, timings }
}

/// Where the time of a run went.
#[derive(Serialize)]
pub struct TimingsAnswer<'a> {
    run: &'a RunId,
    #[serde(flatten)]
    timings: &'a RunTimings,
}

/// The lines of a table. Columns in which no row has anything are left out.
fn table(head: &[&str], note: &'static str, mut rows: Vec<TableRow>, page: &mut Page) {
    let mut head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    for at in (0..head.len()).rev() {
        if head[at] == ENVIRONMENT && rows.iter().all(|row| row.cells[at].is_empty()) {
            head.remove(at);
            rows.iter_mut().for_each(|row| drop(row.cells.remove(at)));
        }
    }
    let spare = ["took", "who", "how"].into_iter().filter_map(|name| head.iter().position(|it| it == name)).collect();
    let table = Table { indent: "", head, note, spare, rows };
    table.lines(Theme::of_stdout(), columns()).into_iter().for_each(|line| page.line(line));
}

/// Whether somebody may have to look at it.
fn is_bad(deployed: &Deployed) -> bool {
    deployed.end.status.is_some_and(|status| !matches!(status, 0 | 7 | 130)) || deployed.end.result == "unfinished"
}

/// The message, what failed, and the run-once steps.
fn note(deployed: &Deployed) -> String {
    let failed: Vec<String> = deployed.end.causes.hosts.iter().map(failure).collect();
    let failed = (!failed.is_empty()).then(|| format!("failed: {}", text::some(&failed, NAMED)));
    let message = deployed.about.message.lines().next().map(str::to_owned);
    let origin = deployed.origin.as_ref().map(ToString::to_string);
    let ended_by = deployed.end.by.as_ref().map(|by| format!("ended by {by}"));
    let parts = [origin, message, ended_by, deployed.end.causes.gate.clone(), failed, steps::line(&deployed.steps)];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// `web[01-02] (promote: exit status 3)`.
fn failure(FailedHosts { hosts, step, reason }: &FailedHosts) -> String {
    format!("{} ({}: {})", fold(hosts), step_name(*step), reason.lines().next().unwrap_or_default())
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    deployments: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    when: &'a str,
    ended: Option<&'a str>,
    seconds: Option<f64>,
    who: &'a str,
    /// If that is not who began it.
    ended_by: Option<&'a str>,
    kind: Option<Kind>,
    revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a Origin>,
    groups: Option<&'a [GroupSize]>,
    result: &'a str,
    status: Option<u8>,
    verdict: Option<&'a str>,
    failed: Vec<Failed<'a>>,
    gate: Option<&'a str>,
    /// Its run-once steps.
    steps: Vec<StepAnswer<'a>>,
    message: &'a str,
    environment: Option<&'a str>,
    run: Option<&'a str>,
    tag: Option<&'a str>,
}

#[derive(Serialize)]
struct Failed<'a> {
    hosts: Vec<String>,
    step: &'static str,
    reason: &'a str,
}

/// For programs.
pub fn json(history: &[Deployed]) -> Answer<'_> {
    let failed = |it: &'_ FailedHosts| it.hosts.iter().map(ToString::to_string).collect();
    let deployments = history.iter().map(|it| Entry {
        when: &it.about.when,
        ended: it.end.time.ended.as_deref(),
        seconds: it.end.time.seconds,
        who: &it.about.who,
        ended_by: it.end.by.as_deref(),
        kind: it.plan.as_ref().map(|plan| plan.kind),
        revision: it.revision.as_str(),
        origin: it.origin.as_ref(),
        groups: it.plan.as_ref().map(|plan| plan.groups.as_slice()),
        result: it.end.result,
        status: it.end.status,
        verdict: it.end.verdict.as_deref(),
        failed: it
            .end
            .causes
            .hosts
            .iter()
            .map(|of| Failed { hosts: failed(of), step: step_name(of.step), reason: &of.reason })
            .collect(),
        gate: it.end.causes.gate.as_deref(),
        steps: steps::json(&it.steps),
        message: &it.about.message,
        environment: it.about.environment.as_deref(),
        run: it.about.run.as_deref(),
        tag: it.tag.as_deref(),
    });
    Answer { deployments: deployments.collect() }
}

/// What one host ran, for people.
pub fn host_text(timelines: &[HostTimeline]) -> Page {
    let mut page = Page::default();
    for HostTimeline { host, repository, last_seen, stays } in timelines {
        match last_seen {
            Some(seen) => page.line(format!("{host} ({repository}), last seen {}", clock::local_with_zone(seen))),
            None => page.line(format!("{host} ({repository}): no run has reached it")),
        }
        if stays.is_empty() {
            continue;
        }
        let row = |stay: &Stay| {
            let Arrival { how, run } = &stay.arrival;
            let (how, run) = (*how, run.as_ref());
            let before = if how == How::Found { "before " } else { "" };
            let cells = [
                format!("{before}{}", clock::local_minute(&stay.seen)),
                stay.until.as_deref().map_or("-".to_owned(), clock::local_minute),
                stay.revision.as_ref().map_or("none", |revision| revision.short()).to_owned(),
                how.to_string(),
                run.and_then(|run| run.environment.clone()).unwrap_or_default(),
                run.map(|run| run.who.clone()).filter(|_| how != How::Found).unwrap_or_default(),
            ];
            let message = run.filter(|_| how == How::Deployed).and_then(|run| run.message.lines().next());
            TableRow {
                mark: None,
                cells: cells.to_vec(),
                note: message.unwrap_or_default().to_owned(),
                style: Style::Plain,
            }
        };
        let head = ["since", "until", "revision", "how", ENVIRONMENT, "who"];
        table(&head, "message", stays.iter().map(row).collect(), &mut page);
    }
    page
}

/// The same for programs: the object of `--format json`.
#[derive(Serialize)]
pub struct HostAnswer<'a> {
    hosts: Vec<HostEntry<'a>>,
}

#[derive(Serialize)]
struct HostEntry<'a> {
    host: String,
    repository: &'a str,
    last_seen: Option<&'a str>,
    revisions: Vec<StayEntry<'a>>,
}

#[derive(Serialize)]
struct StayEntry<'a> {
    seen: &'a str,
    until: Option<&'a str>,
    revision: Option<&'a str>,
    how: How,
    run: Option<&'a str>,
    who: Option<&'a str>,
    environment: Option<&'a str>,
    message: Option<&'a str>,
}

/// For programs.
pub fn host_json(timelines: &[HostTimeline]) -> HostAnswer<'_> {
    let hosts = timelines.iter().map(|it| HostEntry {
        host: it.host.to_string(),
        repository: &it.repository,
        last_seen: it.last_seen.as_deref(),
        revisions: it.stays.iter().map(StayEntry::of).collect(),
    });
    HostAnswer { hosts: hosts.collect() }
}

impl<'a> StayEntry<'a> {
    fn of(stay: &'a Stay) -> StayEntry<'a> {
        let run = stay.arrival.run.as_ref();
        StayEntry {
            seen: &stay.seen,
            until: stay.until.as_deref(),
            revision: stay.revision.as_ref().map(|revision| revision.as_str()),
            how: stay.arrival.how,
            run: run.and_then(|run| run.run.as_deref()),
            who: run.map(|run| run.who.as_str()),
            environment: run.and_then(|run| run.environment.as_deref()),
            message: run.map(|run| run.message.as_str()),
        }
    }
}
