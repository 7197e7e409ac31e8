//! How `hoist hooks` looks.

use serde::Serialize;

use crate::hooks::EventKind;
use crate::operation::{ListedHook, Tried};
use crate::terminal::Page;
use crate::text::counted;

/// For people.
pub fn text(hooks: &[ListedHook]) -> Page {
    let mut page = Page::default();
    if hooks.is_empty() {
        page.line("no hooks: nobody is told of deployments, see hoist-hooks(5)");
        return page;
    }
    let row = |ListedHook { hook, .. }: &ListedHook| {
        let on: Vec<&str> = hook.scope.at.iter().map(|event| event.name()).collect();
        let group = hook.scope.group.as_ref().map(|group| format!(" (group {group})")).unwrap_or_default();
        let required = if hook.required { ", required" } else { "" };
        [
            hook.name.clone(),
            hook.action.name().to_owned(),
            format!("{}{group}{required}  to {}", on.join(", "), hook.action.receiver()),
        ]
    };
    if hooks.iter().all(|listed| listed.tried.is_empty()) {
        page.columns(hooks.iter().map(row).collect());
        return page;
    }
    let tried = hooks.iter().flat_map(|listed| listed.tried.iter().map(move |tried| (&listed.hook.name, tried)));
    let row = |(name, Tried { event, failed }): (&String, &Tried)| {
        let said = failed.clone().unwrap_or_default();
        [if failed.is_some() { "failed" } else { "sent" }.to_owned(), format!("{name} ({event})"), said]
    };
    let rows: Vec<[String; 3]> = tried.map(row).collect();
    let failed = rows.iter().filter(|row| row[0] == "failed").count();
    let sent = rows.len() - failed;
    page.columns(rows);
    page.line(format!("{} sent, {failed} failed", counted(sent, "sample")));
    page
}

/// For programs: the object of `--format json`.
#[derive(Serialize)]
pub struct Answer<'a> {
    hooks: Vec<HookRow<'a>>,
}

#[derive(Serialize)]
struct HookRow<'a> {
    hook: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    on: &'a [EventKind],
    group: Option<&'a str>,
    required: bool,
    to: String,
    /// With `--test`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples: Vec<SampleRow<'a>>,
}

#[derive(Serialize)]
struct SampleRow<'a> {
    event: EventKind,
    sent: bool,
    reason: Option<&'a str>,
}

impl<'a> Answer<'a> {
    pub fn of(hooks: &'a [ListedHook]) -> Answer<'a> {
        Answer { hooks: hooks.iter().map(HookRow::of).collect() }
    }
}

impl<'a> HookRow<'a> {
    fn of(ListedHook { hook, tried }: &'a ListedHook) -> HookRow<'a> {
        let sample = |Tried { event, failed }: &'a Tried| SampleRow {
            event: *event,
            sent: failed.is_none(),
            reason: failed.as_deref(),
        };
        HookRow {
            hook: &hook.name,
            kind: hook.action.name(),
            on: &hook.scope.at,
            group: hook.scope.group.as_deref(),
            required: hook.required,
            to: hook.action.receiver(),
            samples: tried.iter().map(sample).collect(),
        }
    }
}
