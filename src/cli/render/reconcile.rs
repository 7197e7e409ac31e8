//! How a reconcile looks that is not done.

use serde::Serialize;

use crate::operation::{AstrayHost, ReconcilePreview};
use crate::targets::Target;
use crate::terminal::Page;
use crate::wire::Revision;

use super::rollback::RevisionAnswer;

/// What a reconcile would do, for people.
pub fn preview(preview: &ReconcilePreview) -> Page {
    let mut page = Page::default();
    preview.lines().iter().for_each(|line| page.line(line.as_str()));
    page
}

#[derive(Serialize)]
struct ToAnswer<'a> {
    #[serde(flatten)]
    what: RevisionAnswer<'a>,
    hosts: &'a [Target],
}

#[derive(Serialize)]
struct HostAnswer<'a> {
    host: &'a Target,
    standing: &'static str,
    live: Option<&'a Revision>,
    wanted: Option<&'a Revision>,
    why: Option<&'a str>,
}

impl<'a> From<&'a AstrayHost> for HostAnswer<'a> {
    fn from(AstrayHost { host, standing, live, wanted, why }: &'a AstrayHost) -> Self {
        let (live, wanted, why) = (live.as_ref(), wanted.as_ref(), why.as_deref());
        HostAnswer { host, standing: standing.name(), live, wanted, why }
    }
}

/// What a reconcile would do, for programs: the object of `--dry-run --format json`.
#[derive(Serialize)]
pub struct PreviewAnswer<'a> {
    to: Vec<ToAnswer<'a>>,
    hosts: Vec<HostAnswer<'a>>,
    in_sync: &'a [Target],
    unreachable: &'a [Target],
    wanted_unknown: &'a [Target],
}

impl PreviewAnswer<'_> {
    pub fn of(preview: &ReconcilePreview) -> PreviewAnswer<'_> {
        PreviewAnswer {
            to: preview.to.iter().map(|(what, hosts)| ToAnswer { what: what.into(), hosts }).collect(),
            hosts: preview.hosts.iter().map(HostAnswer::from).collect(),
            in_sync: &preview.in_sync,
            unreachable: &preview.unreachable,
            wanted_unknown: &preview.unclear,
        }
    }
}
