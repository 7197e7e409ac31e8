//! How much code a deployment sends to its targets.

use serde::Serialize;

use crate::deploy::Prepared;
use crate::operation::Refused;
use crate::operation::status::View;
use crate::repo::{Packs, Repo};
use crate::wire::{Revision, Stage};

/// Packs that are made to measure them: one for each list of commits that targets have.
const PACKS: usize = 8;

/// What a fetch sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// Hosts that fetch.
    pub hosts: usize,
    /// Bytes of git packs to all of them; `None`: they fetch from a git server.
    pub bytes: Option<u64>,
    /// The smallest and the largest pack.
    pub smallest: u64,
    pub largest: u64,
    /// Large files to all of them, if they had none of these yet.
    pub large_files: u64,
    /// Hosts whose pack was not measured: they have too many different revisions.
    pub not_measured: usize,
    /// What the targets have was not read just now.
    pub is_estimate: bool,
}

impl Transfer {
    /// Measures the packs that the targets of a plan lack. `None`: the plan fetches nothing.
    pub(super) fn of(
        repo: &Repo,
        prepared: &Prepared,
        views: &[View],
        asked: bool,
    ) -> Result<Option<Transfer>, Refused> {
        let (plan, requests) = (&prepared.plan, &prepared.requests);
        if plan.stages.iter().all(|it| it.stage != Stage::Fetch) {
            return Ok(None);
        }
        let mut lists: Vec<(Vec<Revision>, usize)> = Vec::new();
        for have in views.iter().filter(|view| !has(view, &plan.revision)).map(commits) {
            match lists.iter_mut().find(|(list, _)| *list == have) {
                Some((_, hosts)) => *hosts += 1,
                None => lists.push((have, 1)),
            }
        }
        lists.sort_by_key(|(_, hosts)| std::cmp::Reverse(*hosts));
        let hosts = lists.iter().map(|(_, hosts)| hosts).sum();
        let mut transfer = Transfer {
            hosts,
            bytes: None,
            smallest: 0,
            largest: 0,
            large_files: 0,
            not_measured: 0,
            is_estimate: !asked || !views.iter().all(View::was_read),
        };
        if requests.by_server() || requests.by_download() || hosts == 0 {
            return Ok(Some(Transfer { bytes: (hosts == 0).then_some(0), ..transfer }));
        }
        let packs = Packs::new(repo.clone(), plan.revision.clone()).with_parts(requests.parts(), requests.shallow());
        let (mut bytes, mut smallest) = (0u64, u64::MAX);
        for (have, hosts) in lists.iter().take(PACKS) {
            let size = packs.pack(have)?.map_or(0, |pack| pack.bytes);
            bytes = bytes.saturating_add(size.saturating_mul(*hosts as u64));
            (smallest, transfer.largest) = (smallest.min(size), transfer.largest.max(size));
        }
        let large_files: u64 = packs.large_files().iter().map(|file| file.bytes()).sum();
        Ok(Some(Transfer {
            bytes: Some(bytes),
            smallest,
            large_files: large_files.saturating_mul(hosts as u64),
            not_measured: lists.iter().skip(PACKS).map(|(_, hosts)| hosts).sum(),
            ..transfer
        }))
    }
}

/// Whether a target has the whole revision, as far as is known.
fn has(view: &View, revision: &Revision) -> bool {
    match view.was_read() {
        true => view.kept().contains(revision),
        false => revisions(view).contains(&revision),
    }
}

/// The commits that a target has, as far as is known.
fn commits(view: &View) -> Vec<Revision> {
    let mut commits: Vec<Revision> = match view.was_read() {
        true => view.facts().map(|facts| facts.cached.clone()).unwrap_or_default(),
        false => revisions(view).into_iter().cloned().collect(),
    };
    commits.sort();
    commits.dedup();
    commits
}

/// The revisions that the links of a target named when they were last read.
fn revisions(view: &View) -> Vec<&Revision> {
    let state = view.known.state.as_ref();
    state.into_iter().flat_map(|state| state.current.iter().chain(&state.done)).collect()
}
