//! How `hoist status` looks: a table in which equal hosts share a row, or one object of JSON.

use crate::clock;
use crate::operation::{Refused, Skew, Standing, Status, View};
use crate::report::Folded;
use crate::targets::{Target, fold};
use crate::terminal::{Page, Theme, safe_line};
use crate::text;
use crate::wire::{Holder, Revision};

const HEAD: [&str; 9] =
    ["group", "hosts", "standing", "current", "done", "in progress", "wanted", "last contact", "names"];

/// Files that a note names, at the most.
const NAMED: usize = 3;

/// The places of a row's cells that equal hosts have in common; the number of hosts and their names come later.
type Cells = [String; 8];

/// For people.
pub fn text(status: &Status) -> Page {
    let theme = Theme::of_stdout();
    let mut page = Page::default();
    if let Some(by) = &status.deploying {
        page.line(format!("{} is being deployed by {by}", status.repo));
    }
    for (what, by) in [(status.repo.as_str(), &status.locked), ("every repository of this host", &status.locked_all)] {
        if let Some(by) = by {
            page.line(format!("{what} {by}"));
        }
    }
    if let Some(unfinished) = &status.unfinished {
        page.line(format!("{unfinished} is not finished"));
        page.line("continue it with `hoist resume`, or undo it with `hoist rollback`");
    }
    for skew in &status.skew {
        let one = |(revision, hosts): &(Revision, Vec<Target>)| format!("{} on {}", revision.short(), fold(hosts));
        let revisions = skew.revisions.iter().map(one).collect::<Vec<_>>().join(", ");
        page.line(format!("skew: the hosts of {} run different revisions: {revisions}", skew.group));
    }
    let mut folded: Folded<(Cells, bool)> = Folded::default();
    for view in &status.views {
        let note = safe_line(&note(view), theme.unicode).into_owned();
        folded.add((cells(view, note), view.is_fine()), &view.target);
    }
    let mut rows: Vec<(Vec<String>, bool)> = Vec::new();
    for ((cells, fine), hosts) in folded.take() {
        let [group, standing, current, done, in_progress, wanted, contact, note] = cells;
        let (count, names) = (hosts.len().to_string(), fold(&hosts));
        rows.push((vec![group, count, standing, current, done, in_progress, wanted, contact, names, note], fine));
    }
    table(rows, theme, &mut page);
    page
}

fn table(rows: Vec<(Vec<String>, bool)>, theme: Theme, page: &mut Page) {
    let noted = rows.iter().any(|(row, _)| row.last().is_some_and(|note| !note.is_empty()));
    let mut head: Vec<String> = HEAD.map(str::to_owned).to_vec();
    head.push(if noted { "note".into() } else { String::new() });
    let lines: Vec<_> = std::iter::once((head, true)).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|(row, _)| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=HEAD.len()).map(width).collect();
    for (number, (row, fine)) in lines.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let line = cells.join("  ").trim_end().to_owned();
        page.line(match (number, fine) {
            (0, _) => theme.dim(&line),
            (_, true) => line,
            (_, false) => theme.bad(&line),
        });
    }
}

fn cells(view: &View, note: String) -> Cells {
    let state = view.known.state.as_ref();
    let short = |revision: Option<&Revision>| revision.map_or("-".to_owned(), |it| it.short().to_owned());
    // Not known is another thing than none.
    let known = |revision: Option<&Revision>| if state.is_some() { short(revision) } else { "?".to_owned() };
    let contact = match view.reached {
        Some(true) => "now".to_owned(),
        _ => view.known.contact.as_deref().map_or("never".to_owned(), clock::ago),
    };
    [
        view.group.clone(),
        view.standing.name().to_owned(),
        known(state.and_then(|state| state.current.as_ref())),
        known(state.and_then(|state| state.done.as_ref())),
        known(state.and_then(|state| state.in_progress.as_ref())),
        short(view.wanted.as_ref()),
        contact,
        note,
    ]
}

/// What more there is to say of a target.
fn note(view: &View) -> String {
    let mut notes = Vec::new();
    notes.extend(view.trouble.clone());
    notes.extend(view.known.owed.as_ref().map(|owed| format!("missed out: {}", owed.reason)));
    let nothing_is_there = view.known.state.as_ref().is_some_and(|state| state.current.is_none());
    match (view.standing, &view.known.wanted) {
        (Standing::New, Some(_)) if nothing_is_there => notes.push("what was deployed to it is gone".into()),
        (Standing::New, None) if nothing_is_there => notes.push("nothing is deployed to it".into()),
        (Standing::New, _) if view.known.state.is_some() => notes.push("nothing was deployed to it from here".into()),
        (Standing::Unreachable, _) if view.known.state.is_none() => notes.push("what it runs is not known".into()),
        _ => {}
    }
    if let Some(link) = view.known.state.as_ref().and_then(|state| state.stray_links.first()) {
        notes.push(format!("{link} does not lead into what is live"));
    }
    if let Some(lacking) = view.lacking.as_ref().filter(|lacking| lacking.count > 0) {
        let files = text::first(&lacking.files, lacking.count, NAMED);
        notes.push(format!("its tree lacks {}: {files}", text::counted(lacking.count, "file")));
    }
    notes.extend(view.locked.as_ref().map(|by| format!("locked by {by}")));
    notes.join("; ")
}

/// For programs.
pub fn json(status: &Status) -> Result<String, Refused> {
    let hosts: Vec<_> = status
        .views
        .iter()
        .map(|view| {
            let state = view.known.state.as_ref();
            serde_json::json!({
                "host": view.target,
                "group": view.group,
                "standing": view.standing.name(),
                "current": state.map(|state| &state.current),
                "done": state.map(|state| &state.done),
                "in_progress": state.map(|state| &state.in_progress),
                "stray_links": state.map(|state| &state.stray_links),
                "wanted": view.wanted,
                "owed": view.known.owed,
                "last_contact": view.known.contact,
                "reached": view.reached,
                "trouble": view.trouble,
                "locked_by": view.locked,
                "lacking": view.lacking,
            })
        })
        .collect();
    let unfinished = status.unfinished.as_ref().map(|unfinished| {
        let plan = &unfinished.opened.plan;
        serde_json::json!({
            "run": plan.run, "revision": plan.revision, "user": plan.user, "deploy_host": plan.deploy_host,
        })
    });
    let part =
        |(revision, hosts): &(Revision, Vec<Target>)| serde_json::json!({ "revision": revision, "hosts": hosts });
    let group = |skew: &Skew| {
        let revisions: Vec<_> = skew.revisions.iter().map(part).collect();
        serde_json::json!({ "group": skew.group, "revisions": revisions })
    };
    let skew: Vec<_> = status.skew.iter().map(group).collect();
    let deploying: Option<&Holder> = status.deploying.as_ref();
    let whole = serde_json::json!({
        "repo": status.repo,
        "deploying": deploying,
        "locked": status.locked,
        "locked_all": status.locked_all,
        "unfinished": unfinished,
        "skew": skew,
        "hosts": hosts,
    });
    Ok(serde_json::to_string(&whole).map_err(anyhow::Error::from)?)
}
