//! How it looks what a deployment would change.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::deploy::{Pace, Plan};
use crate::operation::{Change, Estimate, Outlook, Transfer, View};
use crate::repo::{ChangedFiles, Commits, Distance};
use crate::report::took;
use crate::targets::{Target, fold};
use crate::terminal::{Page, Style};
use crate::text::{bytes, counted, hosts};
use crate::wire::{Revision, Stage, State};

/// Commits and files that are listed for people.
const LISTED: usize = 10;

/// The lines of the head: what the hosts run, what restarts, travels and lasts, and what a rollback would do.
pub fn head(plan: &Plan, outlook: &Outlook) -> Vec<(&'static str, String)> {
    let mut lines: Vec<(&str, String)> = running(plan, outlook).into_iter().map(|line| ("hosts", line)).collect();
    if plan.restarts() {
        lines.push(("services", services(plan, outlook)));
    }
    if let Some(files) = &outlook.new_configuration {
        let which = if files.is_empty() { String::new() } else { format!(": {}", crate::text::some(files, LISTED)) };
        lines.push(("config", format!("may change on hosts that run the revision already{which}")));
    }
    lines.extend(outlook.transfer.iter().map(|it| ("transfer", travels(it) + &slowed(it, outlook.transfer_limit))));
    lines
        .push(("time", outlook.duration.as_ref().map_or("not known: no earlier deployment was like it".into(), lasts)));
    lines.extend(way_back(plan, outlook).into_iter().map(|line| ("rollback", line)));
    lines
}

fn running(plan: &Plan, outlook: &Outlook) -> Vec<String> {
    let seen = if outlook.asked { "" } else { " as last seen" };
    let mut by_live: BTreeMap<Option<&Revision>, Vec<&Target>> = BTreeMap::new();
    let mut amiss: BTreeMap<(&Revision, &str), Vec<&Target>> = BTreeMap::new();
    let (mut silent, mut unseen, mut unknown, mut not_finalized) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for view in &outlook.views {
        match (outlook.asked && !view.was_read(), &view.known.state) {
            (true, _) => silent.push(&view.target),
            (_, None) if view.known.contact.is_none() => unseen.push(&view.target),
            // It was lost in the middle of a stage.
            (_, None) => unknown.push(&view.target),
            (_, Some(State { current: Some(live), .. })) if view.unfit().is_some() => {
                amiss.entry((live, view.unfit().unwrap_or_default())).or_default().push(&view.target);
            }
            (_, Some(state)) if state.current.as_ref() == Some(&plan.revision) && !view.known.has(&plan.revision) => {
                not_finalized.push(&view.target);
            }
            (_, Some(state)) => by_live.entry(state.current.as_ref()).or_default().push(&view.target),
        }
    }
    let mut rows: Vec<_> = by_live.into_iter().collect();
    rows.sort_by_key(|(_, targets)| std::cmp::Reverse(targets.len()));
    let mut lines: Vec<String> = Vec::new();
    for (live, targets) in rows {
        let what = match live {
            None => "nothing".to_owned(),
            Some(live) if *live == plan.revision => format!("{} already", live.short()),
            Some(live) => live.short().to_owned(),
        };
        let verb = if targets.len() == 1 { "runs" } else { "run" };
        lines.push(format!("{} {verb} {what}{seen}: {}", hosts(targets.len()), fold(targets)));
    }
    for ((live, why), targets) in amiss {
        lines.push(format!("{} with {}, but {why}: {}", hosts(targets.len()), live.short(), fold(targets)));
    }
    if !not_finalized.is_empty() {
        let (count, short) = (hosts(not_finalized.len()), plan.revision.short());
        lines.push(format!(
            "{count} with {short}, either not finalized or still drained{seen}: {}",
            fold(not_finalized)
        ));
    }
    if !unseen.is_empty() {
        lines.push(format!("{} not seen yet: {}", hosts(unseen.len()), fold(unseen)));
    }
    if !unknown.is_empty() {
        let verb = if unknown.len() == 1 { "runs" } else { "run" };
        lines.push(format!("it is not known what {} {verb}: {}", hosts(unknown.len()), fold(unknown)));
    }
    if !silent.is_empty() {
        lines.push(format!("{} could not be asked: {}", hosts(silent.len()), fold(silent)));
    }
    lines
}

fn services(plan: &Plan, outlook: &Outlook) -> String {
    if outlook.services.is_empty() {
        return "none are restarted".to_owned();
    }
    let named: Vec<String> = outlook.services.iter().map(|it| format!("{} {}", it.action, it.name)).collect();
    let more = if outlook.new_configuration.is_some() { ", and where configuration files change" } else { "" };
    format!("{} on {}{more}", named.join(", "), hosts(outlook.to_promote(plan).count()))
}

fn travels(transfer: &Transfer) -> String {
    let Transfer { bytes: all, smallest, largest, large_files, not_measured, is_estimate, .. } = transfer;
    let to = hosts(transfer.hosts);
    let Some(all) = all else { return format!("{to} fetch from git_server; how much is not known here") };
    if transfer.hosts == 0 {
        return "nothing: all hosts have the revision".to_owned();
    }
    let each = match smallest == largest {
        true => format!("{} each", bytes(*largest)),
        false => format!("{} to {} each", bytes(*smallest), bytes(*largest)),
    };
    let about = if *is_estimate { "about " } else { "" };
    let mut text = format!("{about}{} to {to} ({each})", bytes(*all));
    if *large_files > 0 {
        text += &format!("; large files: at most {}", bytes(*large_files));
    }
    if *not_measured > 0 {
        text += &format!("; not counted: {} in other states", hosts(*not_measured));
    }
    text
}

/// How long the transfer limit makes it.
fn slowed(transfer: &Transfer, limit: Option<u64>) -> String {
    let (Some(limit), Some(bytes)) = (limit, transfer.bytes.filter(|bytes| *bytes > 0)) else { return String::new() };
    let all = bytes.saturating_add(transfer.large_files);
    format!("; at least {} at transfer_limit", took(all as f64 / limit.max(1) as f64))
}

fn lasts(estimate: &Estimate) -> String {
    let [typical, fastest, slowest, soaks] =
        [estimate.typical, estimate.fastest, estimate.slowest, estimate.soaks].map(|time| took(time.as_secs_f64()));
    let mut text = match estimate.runs {
        1 => format!("about {typical}, as the one earlier deployment like it"),
        runs => format!("about {typical} ({fastest} to {slowest} in {runs} earlier deployments like it)"),
    };
    if !estimate.soaks.is_zero() {
        text += &format!(", {soaks} of it soaking");
    }
    text
}

/// Where the hosts would go back to.
fn way_back(plan: &Plan, outlook: &Outlook) -> Vec<String> {
    if plan.stages.iter().all(|it| it.stage != Stage::Promote) {
        return vec!["no revision goes live, so there is nothing to go back from".to_owned()];
    }
    let back = Back::of(plan, outlook);
    let limit = format!("{} s each", plan.rollback.timeout.as_secs());
    let pace = match plan.rollback_pace {
        Pace::Budget => format!("in the steps of the deployment, {limit}"),
        Pace::AtOnce => format!("all hosts of a group at once, {limit}"),
    };
    let to = |(revision, targets): &(&Revision, Vec<&Target>)| {
        format!("{} to {}, {pace}", fold(targets.iter().copied()), revision.short())
    };
    let mut lines: Vec<String> = back.to.iter().map(to).collect();
    if !back.none.is_empty() {
        lines.push(format!("nothing to go back to, left as it is: {}", fold(back.none)));
    }
    if !back.foreign.is_empty() {
        let on = fold(back.foreign);
        lines.push(format!("to what stands at the path of the service now, which promote moves aside: {on}"));
    }
    if !back.unknown.is_empty() {
        lines.push(format!("to what the probe finds: {}", fold(back.unknown)));
    }
    if !back.same.is_empty() {
        let (on, short) = (fold(back.same), plan.revision.short());
        lines.push(format!("{short} stays live, and changed configuration files are restored: {on}"));
    }
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    lines
}

/// What a rollback of the whole deployment would do.
#[derive(Default)]
struct Back<'a> {
    to: Vec<(&'a Revision, Vec<&'a Target>)>,
    /// Nothing is live there.
    none: Vec<&'a Target>,
    /// Nothing is live there, and something of somebody else's is moved aside, and back.
    foreign: Vec<&'a Target>,
    /// It is not known what they run.
    unknown: Vec<&'a Target>,
    /// The revision is live there, and stays; what else the run has changed is restored.
    same: Vec<&'a Target>,
}

impl<'a> Back<'a> {
    fn of(plan: &'a Plan, outlook: &'a Outlook) -> Back<'a> {
        let mut back = Back::default();
        for View { target, known, .. } in outlook.to_do(plan) {
            let has_occupant = known.state.as_ref().is_some_and(|state| state.occupant.is_some());
            match known.state.as_ref().map(|state| state.current.as_ref()) {
                Some(None) if has_occupant => back.foreign.push(target),
                None => back.unknown.push(target),
                Some(None) => back.none.push(target),
                // It is live there, and stays.
                Some(Some(live)) if *live == plan.revision => {}
                Some(Some(live)) => match back.to.iter_mut().find(|(revision, _)| *revision == live) {
                    Some((_, targets)) => targets.push(target),
                    None => back.to.push((live, vec![target])),
                },
            }
        }
        if outlook.new_configuration.is_some() {
            let same = outlook.views.iter().filter(|view| view.serves(&plan.revision));
            back.same.extend(same.map(|view| &view.target));
        }
        back
    }
}

/// The commits and files that change.
pub fn changes(plan: &Plan, outlook: &Outlook, page: &mut Page) {
    for Change { from, hosts: on, distance, files } in &outlook.changes {
        page.line("");
        page.line(format!("changes from {} on {}: {}", from.short(), hosts(on.len()), fold(on)));
        match distance {
            Distance::Same => {}
            Distance::Forward(new) => commits("+", "new", new, page),
            Distance::Back(missing) => commits("-", "removed", missing, page),
            Distance::Diverged { new, missing } => {
                commits("+", "new", new, page);
                commits("-", "removed", missing, page);
            }
            Distance::Unknown(why) => page.line(format!("  cannot compare it with {}: {why}", plan.revision.short())),
        }
        files.iter().for_each(|files| list_files(files, page));
    }
    if outlook.not_compared > 0 {
        page.line("");
        page.line(format!("not compared: {}", counted(outlook.not_compared, "other live revision")));
    }
}

fn commits(mark: &str, what: &str, commits: &Commits, page: &mut Page) {
    page.line(format!("  {what}: {}", counted(commits.count, "commit")));
    for commit in commits.newest.iter().take(LISTED) {
        page.line(format!("    {mark} {} {}", commit.revision.short(), commit.subject));
    }
    more(commits.count, page);
}

fn list_files(files: &ChangedFiles, page: &mut Page) {
    let ChangedFiles { added, modified, deleted, lines_added, lines_removed, first } = files;
    page.line(format!(
        "  {}: {added} added, {modified} modified, {deleted} deleted; lines: +{lines_added} -{lines_removed}",
        counted(files.count(), "file")
    ));
    for file in first.iter().take(LISTED) {
        page.line(format!("    {} {}", file.status, file.path));
    }
    more(files.count(), page);
}

fn more(count: usize, page: &mut Page) {
    if count > LISTED {
        page.line(Style::Dim.of(format!("    and {} more", count - LISTED)));
    }
}

/// For programs: what the object of `--format json` has of it.
#[derive(Serialize)]
pub struct OutlookAnswer<'a> {
    changes_something: bool,
    asked: bool,
    hosts: Vec<HostAnswer<'a>>,
    changes: Vec<ChangeAnswer<'a>>,
    not_compared: usize,
    services: Vec<ServiceAnswer<'a>>,
    /// `None`: configuration files stay as they are on hosts that run the revision.
    new_configuration: Option<&'a [String]>,
    transfer: Option<&'a Transfer>,
    duration: Option<DurationAnswer>,
    rollback: RollbackAnswer<'a>,
}

#[derive(Serialize)]
struct HostAnswer<'a> {
    host: &'a Target,
    group: &'a str,
    current: Option<&'a Revision>,
    done: Option<&'a Revision>,
    last_contact: Option<&'a str>,
    /// `None`: it was not asked.
    reached: Option<bool>,
    to_do: bool,
}

#[derive(Serialize)]
struct ChangeAnswer<'a> {
    from: &'a Revision,
    hosts: &'a [Target],
    new: Option<&'a Commits>,
    removed: Option<&'a Commits>,
    files: Option<&'a ChangedFiles>,
}

#[derive(Serialize)]
struct ServiceAnswer<'a> {
    name: &'a str,
    action: &'a str,
}

/// In seconds.
#[derive(Serialize)]
struct DurationAnswer {
    typical: f64,
    fastest: f64,
    slowest: f64,
    soaks: f64,
    runs: usize,
}

#[derive(Serialize)]
struct GoesBack<'a> {
    revision: &'a Revision,
    hosts: Vec<&'a Target>,
}

#[derive(Serialize)]
struct RollbackAnswer<'a> {
    to: Vec<GoesBack<'a>>,
    nothing_live_on: Vec<&'a Target>,
    not_known: Vec<&'a Target>,
}

impl<'a> OutlookAnswer<'a> {
    pub fn of(plan: &'a Plan, outlook: &'a Outlook) -> OutlookAnswer<'a> {
        let promotes = plan.stages.iter().any(|it| it.stage == Stage::Promote);
        let back = if promotes { Some(Back::of(plan, outlook)) } else { None };
        let (to, none, unknown) = back.map(|back| (back.to, back.none, back.unknown)).unwrap_or_default();
        OutlookAnswer {
            changes_something: outlook.changes_something(plan),
            asked: outlook.asked,
            hosts: outlook.views.iter().map(|view| HostAnswer::of(plan, view)).collect(),
            changes: outlook.changes.iter().map(ChangeAnswer::of).collect(),
            not_compared: outlook.not_compared,
            services: outlook.services.iter().map(|it| ServiceAnswer { name: &it.name, action: &it.action }).collect(),
            new_configuration: outlook.new_configuration.as_deref(),
            transfer: outlook.transfer.as_ref(),
            duration: outlook.duration.map(|it| DurationAnswer {
                typical: it.typical.as_secs_f64(),
                fastest: it.fastest.as_secs_f64(),
                slowest: it.slowest.as_secs_f64(),
                soaks: it.soaks.as_secs_f64(),
                runs: it.runs,
            }),
            rollback: RollbackAnswer {
                to: to.into_iter().map(|(revision, hosts)| GoesBack { revision, hosts }).collect(),
                nothing_live_on: none,
                not_known: unknown,
            },
        }
    }
}

impl<'a> HostAnswer<'a> {
    fn of(plan: &Plan, view: &'a View) -> HostAnswer<'a> {
        HostAnswer {
            host: &view.target,
            group: &view.group,
            current: view.live(),
            done: view.known.state.as_ref().and_then(|state| state.done.as_ref()),
            last_contact: view.known.contact.as_deref(),
            reached: view.reached(),
            to_do: !view.serves(&plan.revision),
        }
    }
}

impl<'a> ChangeAnswer<'a> {
    fn of(change: &'a Change) -> ChangeAnswer<'a> {
        let (new, removed) = match &change.distance {
            Distance::Forward(new) => (Some(new), None),
            Distance::Back(missing) => (None, Some(missing)),
            Distance::Diverged { new, missing } => (Some(new), Some(missing)),
            Distance::Same | Distance::Unknown(_) => (None, None),
        };
        ChangeAnswer { from: &change.from, hosts: &change.hosts, new, removed, files: change.files.as_ref() }
    }
}
