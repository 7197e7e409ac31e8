//! The end of a deployment: the table of hosts, and a line for each that is not well.

use super::HostRow;
use super::folded::Folded;
use super::render_options::RenderOptions;
use crate::terminal::{Style, Styled, cut_line};

/// A column that is wider than this does not push the others away.
const MAX_COLUMN: usize = 40;

/// The table, by group; hosts of a group that ended in the same way share a row.
pub(super) fn rows(look: &RenderOptions, rows: &[HostRow]) -> Vec<Styled> {
    let mut folded: Folded<[String; 5]> = Folded::default();
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&row.group.as_str()) {
            groups.push(&row.group);
        }
    }
    // Rows of one group stand together even where they did not come so.
    for group in groups {
        for row in rows.iter().filter(|row| row.group == group) {
            let mark = if row.ok { "" } else { "!" };
            folded.add(
                [
                    row.group.clone(),
                    mark.to_owned(),
                    row.state_text(),
                    current(row),
                    cut_line(row.reason.as_deref().unwrap_or_default()).into_owned(),
                ],
                &row.host,
            );
        }
    }
    let mut table = vec![["group", "hosts", "state", "current", "names", "reason"].map(str::to_owned)];
    let mut fine = vec![true];
    for ([group, mark, state, current, reason], hosts) in folded.take() {
        let names = look.folded(&hosts);
        table.push([group, hosts.len().to_string(), state, current, names, reason]);
        fine.push(mark.is_empty());
    }
    let widths: [usize; 6] = std::array::from_fn(|column| {
        table.iter().map(|row| look.theme.width(&row[column])).filter(|width| *width <= MAX_COLUMN).max().unwrap_or(0)
    });
    table
        .iter()
        .zip(fine)
        .enumerate()
        .map(|(number, (row, fine))| {
            let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| look.theme.padded(cell, width)).collect();
            let line = format!("  {}", cells.join("  "));
            let style = match (number, fine) {
                (0, _) => Style::Dim,
                (_, true) => Style::Plain,
                (_, false) => Style::Bad,
            };
            style.of(line.trim_end())
        })
        .collect()
}

/// Who is not well and how, equal ones together: the hosts' folded name, and a text such as
/// `rolled back: fetch failed (at 0123456789)`.
pub(super) fn not_ok(look: &RenderOptions, rows: &[HostRow]) -> Vec<(String, String)> {
    let mut folded: Folded<String> = Folded::default();
    for row in rows.iter().filter(|row| !row.ok) {
        let mut text = row.state_text();
        if let Some(reason) = &row.reason {
            text.push_str(&format!(": {reason}"));
        }
        let at = match &row.current {
            Some(revision) => format!(" (at {})", revision.short()),
            None => String::new(),
        };
        folded.add(format!("{}{at}", cut_line(&text)), &row.host);
    }
    folded.take().into_iter().map(|(text, hosts)| (look.folded(&hosts), text)).collect()
}

fn current(row: &HostRow) -> String {
    row.current.as_ref().map_or("-".to_owned(), |revision| revision.short().to_owned())
}
