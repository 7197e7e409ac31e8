//! How `hoist status` looks: a table in which equal hosts share a row, or one object of JSON.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::clock;
use crate::deploy::Plan;
use crate::fleet_state::Owed;
use crate::locks::LockOwner;
use crate::operation::{Skew, Standing, Status, View};
use crate::report::{Cause, causes};
use crate::targets::{Target, fold};
use crate::terminal::{Page, Style, Table, TableRow, Theme, columns, cut_line};
use crate::text;
use crate::wire::{Confirmation, Drained, Holder, Lacking, Origin, Revision, RunId, RunningService, StartedBy};

use super::steps;
use super::steps::StepAnswer;

const HEAD: [&str; 10] =
    ["group", "hosts", "standing", "current", "running", "done", "in progress", "wanted", "last contact", "names"];

/// The place of the column that is left out where nobody knows what runs.
const RUNNING: usize = 4;

/// Files that a note names, at the most.
const NAMED: usize = 3;

/// The places of a row's cells that equal hosts have in common; the number of hosts and their names come later.
type Cells = [String; 8];

/// For people.
pub fn text(status: &Status) -> Page {
    let mut page = Page::default();
    if let Some(by) = &status.locks.deploying {
        page.line(format!("{} is being deployed by {by}", status.repo));
    }
    for (what, by) in [(status.repo.as_str(), &status.locks.own), ("every repository on this host", &status.locks.all)]
    {
        if let Some(by) = by {
            page.line(format!("{what} {by}"));
        }
    }
    if let Some(by) = &status.locks.kept {
        let end = status.invocation.command("lock --end");
        page.line(format!("{} {by}; end the lock with `{end}`", status.repo));
    }
    if let Some(unfinished) = &status.unfinished {
        page.line(format!("{unfinished} is not finished"));
        page.line(unfinished.ways_out(&status.invocation));
        let goes_back = unfinished.goes_back();
        status.steps.iter().filter_map(|step| step.to_be_told(goes_back)).for_each(|line| page.line(line));
    }
    for skew in status.skew() {
        let one = |(revision, hosts): &(Revision, Vec<Target>)| format!("{} on {}", revision.short(), fold(hosts));
        let revisions = skew.revisions.iter().map(one).collect::<Vec<_>>().join(", ");
        page.line(format!("skew: the hosts of {} run different revisions: {revisions}", skew.group));
    }
    for (revision, origin) in &status.artifacts {
        page.line(format!("{} is {origin}", revision.short()));
    }
    let views = status.views.iter();
    let found =
        causes(views.map(|view| ((cells(view), view.is_fine()), cut_line(&note(view)).into_owned(), &view.target)));
    let row = |Cause { key: (cells, fine), text, hosts }: Cause<(Cells, bool)>| {
        let [group, rest @ ..] = cells;
        let mut cells = vec![group, hosts.len().to_string()];
        cells.extend(rest);
        cells.push(fold(&hosts));
        TableRow { mark: None, cells, note: text, style: if fine { Style::Plain } else { Style::Bad } }
    };
    let mut rows: Vec<TableRow> = found.into_iter().map(row).collect();
    let mut head = HEAD.map(str::to_owned).to_vec();
    if status.views.iter().all(|view| view.running().is_empty()) {
        head.remove(RUNNING);
        rows.iter_mut().for_each(|row| drop(row.cells.remove(RUNNING)));
    }
    // What says least goes first, and what says something only if nothing else helps.
    let column = |name: &str| head.iter().position(|it| it == name);
    let current = column("current");
    let is_idle = |row: &TableRow, name: &str, at: usize| match name {
        "done" => current.is_some_and(|current| row.cells[at] == row.cells[current]),
        "in progress" => ["-", "?"].contains(&row.cells[at].as_str()),
        _ => row.cells[at] == "now",
    };
    let idle = |(name, at): &(&str, usize)| rows.iter().all(|row| is_idle(row, name, *at));
    let spare = ["last contact", "in progress", "done"].into_iter().filter_map(|name| Some((name, column(name)?)));
    let (idle, telling): (Vec<_>, Vec<_>) = spare.partition(idle);
    let spare = idle.into_iter().chain(telling).map(|(_, at)| at).collect();
    let table = Table { indent: "", head, note: "note", spare, rows };
    table.lines(Theme::of_stdout(), columns()).into_iter().for_each(|line| page.line(line));
    page
}

fn cells(view: &View) -> Cells {
    let state = view.known.state.as_ref();
    let short = |revision: Option<&Revision>| revision.map_or("-".to_owned(), |it| it.short().to_owned());
    // Not known is another thing than none.
    let known = |revision: Option<&Revision>| if state.is_some() { short(revision) } else { "?".to_owned() };
    let contact = match view.reached() {
        Some(true) => "now".to_owned(),
        _ => view.known.contact.as_deref().map_or("never".to_owned(), clock::ago),
    };
    [
        view.group.clone(),
        view.standing.name().to_owned(),
        known(state.and_then(|state| state.current.as_ref())),
        running(view),
        known(state.and_then(|state| state.done.as_ref())),
        known(state.and_then(|state| state.in_progress.as_ref())),
        short(view.wanted.as_ref()),
        contact,
    ]
}

/// The revisions that the services use.
fn running(view: &View) -> String {
    let revisions: BTreeSet<&Revision> = view.running().iter().flat_map(|service| &service.revisions).collect();
    match revisions.len() {
        0 if view.running().is_empty() => "-".to_owned(),
        0 => "?".to_owned(),
        _ => revisions.into_iter().map(Revision::short).collect::<Vec<_>>().join(", "),
    }
}

/// What more there is to say of a target.
fn note(view: &View) -> String {
    let mut notes = Vec::new();
    let inquiry = view.inquiry.as_ref();
    notes.extend(inquiry.and_then(|it| it.trouble.clone()));
    notes.extend(view.known.owed.as_ref().map(|owed| format!("missed: {}", owed.reason)));
    let nothing_is_there = view.known.state.as_ref().is_some_and(|state| state.current.is_none());
    match (view.standing, &view.known.wanted) {
        // What it missed may have been the first.
        (Standing::New, Some(_)) if nothing_is_there && view.known.owed.is_none() => {
            notes.push("what was deployed to it is gone".into());
        }
        (Standing::New, _) if nothing_is_there => notes.push("nothing is deployed on it".into()),
        (Standing::New, _) if view.known.state.is_some() => {
            notes.push("no deployment of it is on record here".into());
        }
        (Standing::Unreachable, _) if view.known.state.is_none() => notes.push("it is not known what it runs".into()),
        _ => {}
    }
    if let Some(link) = view.known.state.as_ref().and_then(|state| state.stray_links.first()) {
        notes.push(format!("{link} does not point into the live revision"));
    }
    if let Some(lacking) = view.lacking().filter(|lacking| lacking.count > 0) {
        let files = text::first(&lacking.files, lacking.count, NAMED);
        notes.push(format!("{} missing or changed in its tree: {files}", text::counted(lacking.count, "file")));
    }
    // What it missed may say so already.
    if let Some(drained) = view.drained().map(Drained::to_string)
        && !notes.iter().any(|note| note.contains(&drained))
    {
        notes.push(drained);
    }
    notes.extend(view.unfit().map(str::to_owned));
    if view.standing == Standing::InSync && view.confirmation() == Some(&Confirmation::Lapsed) {
        notes.push("not confirmed since it was started".to_owned());
    }
    notes.extend(view.running().iter().filter_map(|service| service.differs_from(view.live())));
    notes.extend(view.facts().and_then(|it| it.locked.as_ref()).map(|by| format!("locked by {by}")));
    notes.join("; ")
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    repo: &'a str,
    deploying: Option<&'a Holder>,
    locked: Option<&'a LockOwner>,
    locked_all: Option<&'a LockOwner>,
    unfinished: Option<UnfinishedRun<'a>>,
    /// Groups whose hosts run different revisions.
    skew: Vec<SkewAnswer>,
    artifacts: Vec<Artifact<'a>>,
    hosts: Vec<HostAnswer<'a>>,
}

/// A revision that is no commit.
#[derive(Serialize)]
struct Artifact<'a> {
    revision: &'a Revision,
    origin: &'a Origin,
}

#[derive(Serialize)]
struct UnfinishedRun<'a> {
    run: &'a RunId,
    revision: &'a Revision,
    #[serde(flatten)]
    by: &'a StartedBy,
    /// Its run-once steps.
    steps: Vec<StepAnswer<'a>>,
    /// What `--step` would say of those of which nobody knows whether they ran.
    asked: Vec<&'a str>,
}

#[derive(Serialize)]
struct SkewAnswer {
    group: String,
    /// What most hosts run comes first.
    revisions: Vec<RevisionOfSome>,
}

#[derive(Serialize)]
struct RevisionOfSome {
    revision: Revision,
    hosts: Vec<Target>,
}

impl SkewAnswer {
    fn of(Skew { group, revisions }: Skew) -> SkewAnswer {
        let revisions = revisions.into_iter().map(|(revision, hosts)| RevisionOfSome { revision, hosts }).collect();
        SkewAnswer { group, revisions }
    }
}

#[derive(Serialize)]
struct HostAnswer<'a> {
    host: &'a Target,
    group: &'a str,
    standing: Standing,
    current: Option<&'a Revision>,
    done: Option<&'a Revision>,
    in_progress: Option<&'a Revision>,
    /// `None`: its links are not known.
    stray_links: Option<&'a [String]>,
    wanted: Option<&'a Revision>,
    owed: Option<&'a Owed>,
    /// RFC 3339, UTC.
    last_contact: Option<&'a str>,
    /// `None`: it was not asked.
    reached: Option<bool>,
    trouble: Option<&'a str>,
    locked_by: Option<&'a Holder>,
    /// `None`: nobody looked.
    lacking: Option<&'a Lacking>,
    /// `None`: it is in service, as far as is known.
    drained: Option<&'a Drained>,
    /// What its services run; empty where nobody looked, or their manager does not tell.
    running: &'a [RunningService],
    /// Why the live revision should not be served. `None`: nothing is against it, or it was not asked.
    unfit: Option<&'a str>,
    /// Whether it was confirmed since it was started. `None`: it was not asked.
    confirmed: Option<bool>,
}

impl Answer<'_> {
    pub fn of(status: &Status) -> Answer<'_> {
        let unfinished = status.unfinished.as_ref().map(|unfinished| {
            let Plan { run, revision, by, .. } = &unfinished.opened.plan;
            let asked = status.steps.iter().filter_map(|step| step.asked_as.as_deref()).collect();
            UnfinishedRun { run, revision, by, steps: steps::json(&status.steps), asked }
        });
        Answer {
            repo: &status.repo,
            deploying: status.locks.deploying.as_ref(),
            locked: status.locks.own.as_ref().or(status.locks.kept.as_ref()),
            locked_all: status.locks.all.as_ref(),
            unfinished,
            skew: status.skew().into_iter().map(SkewAnswer::of).collect(),
            artifacts: status.artifacts.iter().map(|(revision, origin)| Artifact { revision, origin }).collect(),
            hosts: status.views.iter().map(HostAnswer::of).collect(),
        }
    }
}

impl HostAnswer<'_> {
    fn of(view: &View) -> HostAnswer<'_> {
        let (state, inquiry) = (view.known.state.as_ref(), view.inquiry.as_ref());
        HostAnswer {
            host: &view.target,
            group: &view.group,
            standing: view.standing,
            current: state.and_then(|state| state.current.as_ref()),
            done: state.and_then(|state| state.done.as_ref()),
            in_progress: state.and_then(|state| state.in_progress.as_ref()),
            stray_links: state.map(|state| state.stray_links.as_slice()),
            wanted: view.wanted.as_ref(),
            owed: view.known.owed.as_ref(),
            last_contact: view.known.contact.as_deref(),
            reached: view.reached(),
            trouble: inquiry.and_then(|it| it.trouble.as_deref()),
            locked_by: view.facts().and_then(|it| it.locked.as_ref()),
            lacking: view.lacking(),
            drained: view.drained(),
            running: view.running(),
            unfit: view.unfit(),
            confirmed: view.confirmation().map(Confirmation::stands),
        }
    }
}
