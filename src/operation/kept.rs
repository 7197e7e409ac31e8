//! The revisions that the fleet can go back to.

use serde::Serialize;

use crate::config::Options;
use crate::targets::Target;
use crate::wire::Revision;

use super::rollback::where_undone;
use super::way_back::Described;
use super::{Frontend, Refused, limit, load_telling, past_deployments, repository, status};

/// A revision that targets keep.
#[derive(Debug)]
pub struct Kept {
    pub what: Described,
    pub hosts: KeptOn,
}

/// Where a revision is kept.
#[derive(Debug, Serialize)]
pub struct KeptOn {
    pub kept_on: Vec<Target>,
    pub live_on: Vec<Target>,
}

/// What the targets keep.
#[derive(Debug)]
pub struct KeptRevisions {
    /// The one that was deployed last comes first.
    pub revisions: Vec<Kept>,
    /// Targets that said what they keep.
    pub read: usize,
    pub unreachable: Vec<Target>,
}

/// Asks the targets that match `limit_hosts` which revisions they keep. It takes no lock and changes nothing on any
/// target.
pub fn kept(options: &Options, limit_hosts: Option<&str>, front: &dyn Frontend) -> Result<KeptRevisions, Refused> {
    let config = load_telling(options, front)?;
    let repo = repository(&config)?;
    let (groups, _) = config.groups(limit(limit_hosts)?.as_ref())?;
    let history = past_deployments(&config)?;
    let views = status::ask(&where_undone(&config, &history), groups, status::Asking::default(), front)?;
    let mut found: Vec<(Revision, Vec<Target>)> = Vec::new();
    for (revision, target) in views.iter().flat_map(|view| view.kept().iter().map(move |it| (it, &view.target))) {
        match found.iter_mut().find(|(other, _)| other == revision) {
            Some((_, targets)) => targets.push(target.clone()),
            None => found.push((revision.clone(), vec![target.clone()])),
        }
    }
    let live_on = |revision: &Revision| {
        let is_live = |view: &&status::View| view.was_read() && view.live() == Some(revision);
        views.iter().filter(is_live).map(|view| view.target.clone()).collect()
    };
    let kept = |(revision, kept_on): (Revision, Vec<Target>)| Kept {
        what: Described::new(&repo, &history, &revision),
        hosts: KeptOn { live_on: live_on(&revision), kept_on },
    };
    let mut revisions: Vec<Kept> = found.into_iter().map(kept).collect();
    let when = |kept: &Kept| kept.what.deployed.as_ref().map(|(_, at)| at.clone());
    revisions.sort_by_key(|kept| std::cmp::Reverse(when(kept)));
    let unreachable: Vec<Target> =
        views.iter().filter(|view| !view.was_read()).map(|view| view.target.clone()).collect();
    Ok(KeptRevisions { revisions, read: views.len() - unreachable.len(), unreachable })
}
