//! How the revisions look that a fleet can go back to, and a way back that is not taken.

use serde::Serialize;

use crate::clock;
use crate::once::{On, OnceStep, When};
use crate::operation::{Described, Kept, KeptOn, KeptRevisions, Preview, Why};
use crate::targets::{Target, fold};
use crate::terminal::{Page, Style, Theme};
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
        let live = if it.hosts.live_on.is_empty() { "-".into() } else { hosts(it.hosts.live_on.len()) };
        let subject = it.what.subject.clone().unwrap_or_else(|| "(not in this repository)".into());
        let on = format!("{} of {}", it.hosts.kept_on.len(), hosts(kept.read));
        rows.push([it.what.revision.short().to_owned(), live, on, at, by, subject]);
    }
    let theme = Theme::of_stdout();
    let width = |column: usize| rows.iter().map(|row| theme.width(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut page = Page::default();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| theme.padded(cell, *width)).collect();
        let line = cells.join("  ").trim_end().to_owned();
        let style = if number == 0 { Style::Dim } else { Style::Plain };
        page.line(style.of(line));
    }
    if !kept.unreachable.is_empty() {
        page.line(format!("unreachable: {}", fold(&kept.unreachable)));
    }
    page
}

/// What a rollback would do, for people.
pub fn preview(preview: &Preview) -> Page {
    let mut page = Page::default();
    preview.lines().into_iter().for_each(|line| page.line(line));
    page
}

/// A revision, as programs get it.
#[derive(Serialize)]
pub(super) struct RevisionAnswer<'a> {
    revision: &'a Revision,
    subject: Option<&'a str>,
    deployed_by: Option<&'a str>,
    deployed_at: Option<&'a str>,
}

impl<'a> From<&'a Described> for RevisionAnswer<'a> {
    fn from(what: &'a Described) -> Self {
        let deployed = what.deployed.as_ref();
        RevisionAnswer {
            revision: &what.revision,
            subject: what.subject.as_deref(),
            deployed_by: deployed.map(|(by, _)| by.as_str()),
            deployed_at: deployed.map(|(_, at)| at.as_str()),
        }
    }
}

#[derive(Serialize)]
struct KeptAnswer<'a> {
    #[serde(flatten)]
    what: RevisionAnswer<'a>,
    #[serde(flatten)]
    hosts: &'a KeptOn,
}

/// The revisions that are kept, for programs: the object of `--list --format json`.
#[derive(Serialize)]
pub struct ListAnswer<'a> {
    revisions: Vec<KeptAnswer<'a>>,
    unreachable: &'a [Target],
}

impl ListAnswer<'_> {
    pub fn of(kept: &KeptRevisions) -> ListAnswer<'_> {
        fn one(Kept { what, hosts }: &Kept) -> KeptAnswer<'_> {
            KeptAnswer { what: what.into(), hosts }
        }
        ListAnswer { revisions: kept.revisions.iter().map(one).collect(), unreachable: &kept.unreachable }
    }
}

#[derive(Serialize)]
struct FromAnswer<'a> {
    #[serde(flatten)]
    what: RevisionAnswer<'a>,
    hosts: &'a [Target],
}

#[derive(Serialize)]
struct WayBackAnswer<'a> {
    to: RevisionAnswer<'a>,
    /// named, before, mixed, further
    why: &'static str,
    from: Vec<FromAnswer<'a>>,
    nothing_live_on: &'a [Target],
    already_there: &'a [Target],
    not_kept_on: &'a [Target],
    left_as_they_are: &'a [Target],
    unreachable: &'a [Target],
}

/// What a rollback would do, for programs: the object of `--dry-run --format json`.
#[derive(Serialize)]
pub struct PreviewAnswer<'a> {
    /// The run that would be undone.
    unfinished: Option<&'a RunId>,
    way_back: Option<WayBackAnswer<'a>>,
    /// The run-once steps that would be undone.
    steps: Vec<UndoneAnswer>,
    irreversible: Vec<String>,
    /// A sentence for each step that would stay as it is.
    not_undone: Vec<String>,
    /// What `--step` calls the steps of which somebody has to say first how they ended.
    asked: Vec<String>,
}

/// The undo of a step.
#[derive(Serialize)]
struct UndoneAnswer {
    step: String,
    when: When,
    group: Option<String>,
    on: On,
    command: String,
    /// In seconds.
    timeout: u64,
}

impl From<OnceStep> for UndoneAnswer {
    fn from(step: OnceStep) -> UndoneAnswer {
        let OnceStep { name, command, on, when, group, timeout, .. } = step;
        UndoneAnswer { step: name, when, group, on, command, timeout: timeout.as_secs() }
    }
}

impl PreviewAnswer<'_> {
    pub fn of(preview: &Preview) -> PreviewAnswer<'_> {
        let undoing = preview.steps();
        let answer = PreviewAnswer {
            unfinished: None,
            way_back: None,
            not_undone: undoing.not_undone().chain(undoing.not_run()).cloned().collect(),
            steps: undoing.steps.into_iter().map(UndoneAnswer::from).collect(),
            irreversible: undoing.barring,
            asked: undoing.asked,
        };
        let way = match preview {
            Preview::Unfinished(run, _) => {
                return PreviewAnswer { unfinished: Some(&run.opened.plan.run), ..answer };
            }
            Preview::Way(way, _) => way,
        };
        let why = match way.why {
            Why::Named => "named",
            Why::Before => "before",
            Why::Mixed(_) => "mixed",
            Why::Further { .. } => "further",
        };
        let way_back = WayBackAnswer {
            to: (&way.to).into(),
            why,
            from: way.from.iter().map(|(what, hosts)| FromAnswer { what: what.into(), hosts }).collect(),
            nothing_live_on: &way.empty,
            already_there: &way.there,
            not_kept_on: &way.lacking,
            left_as_they_are: &way.apart,
            unreachable: &way.unreachable,
        };
        PreviewAnswer { way_back: Some(way_back), ..answer }
    }
}
