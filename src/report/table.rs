//! The end of a deployment: the table of hosts, and a line for each that is not well.

use super::HostRow;
use super::causes::{Cause, Causes, causes};
use super::render_options::RenderOptions;
use crate::terminal::{Style, Styled, Table, TableRow, cut_line};

/// What stands ahead of hosts that somebody has to look at.
const MARK: &str = "! ";

/// Hosts of a group that ended in the same way, for the same cause, by group: whether they are well; group, state and live
/// revision.
pub(super) fn folded(rows: &[HostRow]) -> Vec<Cause<(bool, [String; 3])>> {
    let mut folded: Causes<(bool, [String; 3])> = Causes::default();
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&row.group.as_str()) {
            groups.push(&row.group);
        }
    }
    // Rows of one group stand together even where they did not come so.
    for group in groups {
        for row in rows.iter().filter(|row| row.group == group) {
            let cells = [row.group.clone(), row.state_text(), current(row)];
            folded.add((row.ok, cells), &cut_line(row.reason.as_deref().unwrap_or_default()), &row.host);
        }
    }
    folded.take()
}

/// The table, by group; hosts of a group that ended in the same way, for the same cause, share a row.
pub(super) fn rows(look: &RenderOptions, rows: &[HostRow]) -> Vec<Styled> {
    let row = |Cause { key: (ok, [group, state, current]), text, hosts }: Cause<(bool, [String; 3])>| TableRow {
        mark: (!ok).then_some(MARK),
        cells: vec![group, hosts.len().to_string(), state, current, look.folded(&hosts)],
        note: text,
        style: if ok { Style::Plain } else { Style::Bad },
    };
    let table = Table {
        indent: "  ",
        head: ["group", "hosts", "state", "current", "names"].map(str::to_owned).to_vec(),
        note: "reason",
        spare: Vec::new(),
        rows: folded(rows).into_iter().map(row).collect(),
    };
    table.lines(look.theme, (look.columns)())
}

/// Who is not well and how, equal causes together: the hosts' folded name, and a text such as
/// `rolled back: fetch failed (at 0123456789)`.
pub(super) fn not_ok(look: &RenderOptions, rows: &[HostRow]) -> Vec<(String, String)> {
    let text = |row: &HostRow| match &row.reason {
        Some(reason) => format!("{}: {reason}", row.state_text()),
        None => row.state_text(),
    };
    let at = |row: &HostRow| row.current.as_ref().map(|revision| format!(" (at {})", revision.short()));
    let bad = rows.iter().filter(|row| !row.ok);
    let found = causes(bad.map(|row| (at(row).unwrap_or_default(), cut_line(&text(row)).into_owned(), &row.host)));
    found.into_iter().map(|it| (look.folded(&it.hosts), format!("{}{}", it.text, it.key))).collect()
}

fn current(row: &HostRow) -> String {
    row.current.as_ref().map_or("-".to_owned(), |revision| revision.short().to_owned())
}
