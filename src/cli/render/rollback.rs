//! How the revisions look that a fleet can go back to, and a way back that is not taken.

use serde::Serialize;

use crate::clock;
use crate::operation::{Described, Kept, KeptRevisions, Preview, Refused, Why};
use crate::targets::{Target, fold};
use crate::terminal::{Page, Theme};
use crate::text::hosts;
use crate::wire::{Revision, RunId};

const HEAD: [&str; 6] = ["revision", "live on", "kept on", "deployed", "by", "subject"];

/// The revisions that are kept, for people.
pub fn list(kept: &KeptRevisions) -> Page {
    let mut rows: Vec<[String; 6]> = vec![HEAD.map(str::to_owned)];
    for it in &kept.revisions {
        let (by, at) = match &it.what.deployed {
            Some((by, at)) => (by.clone(), clock::ago(at)),
            None => ("-".into(), "-".into()),
        };
        let live = if it.live_on.is_empty() { "-".into() } else { hosts(it.live_on.len()) };
        let subject = it.what.subject.clone().unwrap_or_else(|| "(not in this repository)".into());
        let on = format!("{} of {}", it.kept_on.len(), hosts(kept.read));
        rows.push([it.what.revision.short().to_owned(), live, on, at, by, subject]);
    }
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let theme = Theme::of_stdout();
    let mut page = Page::default();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let line = cells.join("  ").trim_end().to_owned();
        page.line(if number == 0 { theme.dim(&line) } else { line });
    }
    if !kept.unreachable.is_empty() {
        page.line(format!("unreachable: {}", fold(&kept.unreachable)));
    }
    page
}

/// What a rollback would do, for people.
pub fn preview(preview: &Preview) -> Page {
    let mut page = Page::default();
    preview.lines().iter().for_each(|line| page.line(line));
    page
}

/// A revision, as programs get it.
#[derive(Serialize)]
struct RevisionJson<'a> {
    revision: &'a Revision,
    subject: Option<&'a str>,
    deployed_by: Option<&'a str>,
    deployed_at: Option<&'a str>,
}

impl<'a> From<&'a Described> for RevisionJson<'a> {
    fn from(what: &'a Described) -> Self {
        let deployed = what.deployed.as_ref();
        RevisionJson {
            revision: &what.revision,
            subject: what.subject.as_deref(),
            deployed_by: deployed.map(|(by, _)| by.as_str()),
            deployed_at: deployed.map(|(_, at)| at.as_str()),
        }
    }
}

#[derive(Serialize)]
struct KeptJson<'a> {
    #[serde(flatten)]
    what: RevisionJson<'a>,
    kept_on: &'a [Target],
    live_on: &'a [Target],
}

#[derive(Serialize)]
struct ListJson<'a> {
    revisions: Vec<KeptJson<'a>>,
    unreachable: &'a [Target],
}

/// The revisions that are kept, for programs.
pub fn list_json(kept: &KeptRevisions) -> Result<String, Refused> {
    fn one(Kept { what, kept_on, live_on }: &Kept) -> KeptJson<'_> {
        KeptJson { what: what.into(), kept_on, live_on }
    }
    let whole = ListJson { revisions: kept.revisions.iter().map(one).collect(), unreachable: &kept.unreachable };
    Ok(serde_json::to_string(&whole).map_err(anyhow::Error::from)?)
}

#[derive(Serialize)]
struct FromJson<'a> {
    #[serde(flatten)]
    what: RevisionJson<'a>,
    hosts: &'a [Target],
}

#[derive(Serialize)]
struct WayJson<'a> {
    to: RevisionJson<'a>,
    /// named, before, mixed, further
    why: &'static str,
    from: Vec<FromJson<'a>>,
    nothing_live_on: &'a [Target],
    already_there: &'a [Target],
    not_kept_on: &'a [Target],
    unreachable: &'a [Target],
}

#[derive(Serialize)]
struct PreviewJson<'a> {
    /// The run that would be undone.
    unfinished: Option<&'a RunId>,
    way_back: Option<WayJson<'a>>,
}

/// What a rollback would do, for programs.
pub fn preview_json(preview: &Preview) -> Result<String, Refused> {
    let whole = match preview {
        Preview::Unfinished(run) => PreviewJson { unfinished: Some(&run.opened.plan.run), way_back: None },
        Preview::Way(way) => {
            let why = match way.why {
                Why::Named => "named",
                Why::Before => "before",
                Why::Mixed(_) => "mixed",
                Why::Further(_) => "further",
            };
            let from = way.from.iter().map(|(what, hosts)| FromJson { what: what.into(), hosts }).collect();
            let way_back = WayJson {
                to: (&way.to).into(),
                why,
                from,
                nothing_live_on: &way.empty,
                already_there: &way.there,
                not_kept_on: &way.lacking,
                unreachable: &way.unreachable,
            };
            PreviewJson { unfinished: None, way_back: Some(way_back) }
        }
    };
    Ok(serde_json::to_string(&whole).map_err(anyhow::Error::from)?)
}
