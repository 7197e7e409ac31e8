//! The summary of a run that GitHub Actions shows on the page of the workflow, and values for later steps.
//!
//! The summary is Markdown, in which a block of HTML stands as it is up to an empty line. Nothing but such blocks is
//! written, each in one line, with all text escaped: no text from elsewhere is Markdown, or an element.

use std::fmt::Write;

use super::collected::{Collected, End};
use super::{Cause, causes, sanitize, table};
use crate::targets::fold;
use crate::terminal::html;

/// Rows, causes and lines of each that are shown; GitHub takes no more than a mebibyte for a step.
const MOST: usize = 100;

/// The summary of a run that ended.
pub fn of_run(command: &str, collected: &Collected, end: &End) -> String {
    let title = match &collected.about {
        Some([(_, repo), (_, revision), ..]) => format!("{command}: {repo} {}", &revision[..revision.len().min(10)]),
        None => command.to_owned(),
    };
    let mut out = head(&title, end.status, end.verdict);
    if !end.rows.is_empty() {
        out +=
            "<table><tr><th>group</th><th>hosts</th><th>state</th><th>current</th><th>names</th><th>reason</th></tr>";
        let mut rows = table::folded(end.rows);
        // What somebody has to look at comes first, and is not cut.
        rows.sort_by_key(|row| row.key.0);
        let more = rows.len().saturating_sub(MOST);
        for Cause { key: (ok, cells), text, hosts } in rows.into_iter().take(MOST) {
            let [group, state, current] = cells;
            let state = if ok { html(&state) } else { format!("<strong>{}</strong>", html(&state)) };
            let (group, current, names) = (html(&group), html(&current), code(&fold(&hosts)));
            let _ = write!(out, "<tr><td>{group}</td><td>{}</td><td>{state}</td>", hosts.len());
            let _ = write!(out, "<td><code>{current}</code></td><td>{names}</td><td>{}</td></tr>", code(&text));
        }
        if more > 0 {
            let _ = write!(out, "<tr><td colspan=\"6\">and {more} more rows</td></tr>");
        }
        out += "</table>\n";
    }
    list(&mut out, "Why it stopped", &collected.halts);
    list(&mut out, "What to do", end.ways_out);
    let failed = end.rows.iter().flat_map(|row| {
        let failures = collected.steps(&row.host).failures;
        failures
            .into_iter()
            .filter(|failed| !failed.tail.is_empty())
            .map(|failed| (failed.tail, failed.text, &row.host))
    });
    for Cause { key: tail, text, hosts } in causes(failed).into_iter().take(MOST) {
        let _ = write!(out, "<details><summary>{}: {}</summary>", code(&fold(&hosts)), code(&text));
        let lines: Vec<String> = tail.iter().take(MOST).map(|line| html(line)).collect();
        // A reference for each newline keeps the block in one line.
        let _ = writeln!(out, "<pre>{}</pre></details>", lines.join("&#10;"));
    }
    out
}

/// The summary of a command that ended without a run.
pub fn of_command(command: &str, status: u8, text: &str) -> String {
    head(command, status, text)
}

fn head(title: &str, status: u8, verdict: &str) -> String {
    let sign = if status == 0 { "✅" } else { "❌" };
    let (title, verdict) = (html(title), verdict.lines().map(html).collect::<Vec<_>>().join("<br>"));
    format!("<h3>{sign} hoist {title}</h3>\n<p>{verdict} (exit status {status})</p>\n")
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if !items.is_empty() {
        let items: String = items.iter().map(|item| format!("<li>{}</li>", code(item))).collect();
        let _ = writeln!(out, "<p>{title}:</p><ul>{items}</ul>");
    }
}

/// Values for later steps, as the runner reads them: one a line.
pub fn outputs(collected: &Collected, status: u8, verdict: &str) -> String {
    let about = collected.about.iter().flatten().filter(|(name, _)| ["run", "revision"].contains(name));
    let mut out: String = about.map(|(name, value)| format!("{name}={}\n", sanitize(value, true))).collect();
    let _ = write!(out, "status={status}\nverdict={}\n", sanitize(verdict, true));
    out
}

/// Text that GitHub makes no mention or link of.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<code>{}</code>", html(text)) }
}
