//! How `hoist history` looks: a table, the newest deployment first, or one object of JSON.

use serde::Serialize;

use crate::clock;
use crate::deploy::Kind;
use crate::operation::Deployed;
use crate::terminal::Page;

const HEAD: [&str; 6] = ["when", "who", "environment", "revision", "result", "message"];

/// For people.
pub fn text(history: &[Deployed]) -> Page {
    let mut page = Page::default();
    if history.is_empty() {
        page.line("no deployments yet");
        return page;
    }
    let environments = history.iter().any(|it| it.environment.is_some());
    let row = |it: &Deployed| {
        [
            clock::local_minute(&it.when),
            it.who.clone(),
            it.environment.clone().unwrap_or_default(),
            it.revision.short().to_owned(),
            it.result.clone(),
            it.message.lines().next().unwrap_or_default().to_owned(),
        ]
    };
    let rows: Vec<[String; 6]> = std::iter::once(HEAD.map(str::to_owned)).chain(history.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().filter(|(column, _)| environments || *column != 2);
        let cells: Vec<String> = cells.map(|(_, (cell, width))| format!("{cell:width$}")).collect();
        page.line(cells.join("  ").trim_end());
    }
    page
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    deployments: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    when: &'a str,
    who: &'a str,
    kind: Option<Kind>,
    revision: &'a str,
    result: &'a str,
    status: Option<u8>,
    verdict: Option<&'a str>,
    message: &'a str,
    environment: Option<&'a str>,
    run: Option<&'a str>,
    tag: Option<&'a str>,
}

/// For programs.
pub fn json(history: &[Deployed]) -> Answer<'_> {
    let deployments = history.iter().map(|it| Entry {
        when: &it.when,
        who: &it.who,
        kind: it.kind,
        revision: it.revision.as_str(),
        result: &it.result,
        status: it.status,
        verdict: it.verdict.as_deref(),
        message: &it.message,
        environment: it.environment.as_deref(),
        run: it.run.as_deref(),
        tag: it.tag.as_deref(),
    });
    Answer { deployments: deployments.collect() }
}
