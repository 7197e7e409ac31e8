//! What a deployment would change, compared with what its targets run.

use std::time::Duration;

use crate::config::Config;
use crate::deploy::{Plan, Prepared, changed};
use crate::gates::statistics::median;
use crate::journal;
use crate::journal::{PastDuration, PastRun};
use crate::operation::status::View;
use crate::operation::{Refused, state_folder};
use crate::repo::{ChangedFiles, Distance, Repo};
use crate::targets::Target;
use crate::wire::{Revision, ServiceName, Stage};

use super::transfer::Transfer;

/// Commits and files that are named.
const NAMED: usize = 100;

/// Revisions that are live, and whose commits and files are compared.
const COMPARED: usize = 5;

/// What a deployment would change.
pub struct Outlook {
    /// Whether the targets were asked just now; otherwise it is what was last seen of them.
    pub asked: bool,
    /// All targets, in the order of the plan.
    pub views: Vec<View>,
    /// What would be live is compared with each revision that is; what most targets run comes first.
    pub changes: Vec<Change>,
    /// Revisions that are live and not compared: there are too many.
    pub not_compared: usize,
    /// The services that are restarted or reloaded on every host that gets the revision.
    pub services: Vec<ServiceName>,
    /// Control files, and configuration keys, that changed since the revision was deployed, so that hosts that run it
    /// already may be changed; `None`: nothing did that matters to these stages.
    pub new_configuration: Option<Vec<String>>,
    /// `None`: nothing is fetched.
    pub transfer: Option<Transfer>,
    /// Bytes a second for all of it; `None`: there is no limit.
    pub transfer_limit: Option<u64>,
    /// `None`: no earlier deployment was like this one.
    pub duration: Option<Estimate>,
}

/// What the revision changes for hosts that run another one.
pub struct Change {
    pub from: Revision,
    pub hosts: Vec<Target>,
    pub distance: Distance,
    /// `None`: the other revision is not in this repository.
    pub files: Option<ChangedFiles>,
}

/// How long a deployment may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The median of earlier deployments like this one, with the soaks of this one.
    pub typical: Duration,
    /// The fastest and the slowest of them.
    pub fastest: Duration,
    pub slowest: Duration,
    /// How many there were.
    pub runs: usize,
    /// The soaks, which are part of all these times.
    pub soaks: Duration,
}

impl Outlook {
    /// Compares a plan with what its targets run.
    pub(super) fn of(
        config: &Config,
        repo: &Repo,
        prepared: &Prepared,
        views: Vec<View>,
        asked: bool,
    ) -> Result<Outlook, Refused> {
        let plan = &prepared.plan;
        let (changes, not_compared) = changes(repo, plan, &views)?;
        let services = if plan.restarts() { config.settings.service_name.clone() } else { Vec::new() };
        let folder = state_folder(config);
        let durations = journal::durations(&folder, config.environment.as_deref())?;
        Ok(Outlook {
            asked,
            changes,
            not_compared,
            services,
            new_configuration: new_configuration(config, prepared, &views)?,
            transfer: Transfer::of(repo, prepared, &views, asked)?,
            transfer_limit: Some(config.settings.transfer_limit).filter(|limit| *limit > 0),
            duration: estimate(plan, &durations),
            views,
        })
    }

    /// The hosts that do not serve the revision, finalized, as far as is known.
    pub fn to_do<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a View> {
        self.views.iter().filter(|view| !view.serves(&plan.revision))
    }

    /// Those of them on which promote has something to do, and so restarts the services.
    pub fn to_promote<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a View> {
        let is_promoted = |view: &View| {
            let state = view.known.state.as_ref();
            let is_live =
                state.is_some_and(|it| it.current.as_ref() == Some(&plan.revision) && it.stray_links.is_empty());
            is_live && view.unfit().is_none()
        };
        self.views.iter().filter(move |view| !is_promoted(view))
    }

    /// Whether a deployment would change something, or may.
    pub fn changes_something(&self, plan: &Plan) -> bool {
        self.new_configuration.is_some() || self.to_do(plan).next().is_some()
    }
}

/// The revisions that are live and differ from the plan's, and how many of them are left out.
fn changes(repo: &Repo, plan: &Plan, views: &[View]) -> Result<(Vec<Change>, usize), Refused> {
    let mut held: Vec<(&Revision, Vec<Target>)> = Vec::new();
    for view in views {
        let Some(live) = view.live().filter(|live| **live != plan.revision) else { continue };
        match held.iter_mut().find(|(revision, _)| *revision == live) {
            Some((_, hosts)) => hosts.push(view.target.clone()),
            None => held.push((live, vec![view.target.clone()])),
        }
    }
    held.sort_by_key(|(_, hosts)| std::cmp::Reverse(hosts.len()));
    let not_compared = held.len().saturating_sub(COMPARED);
    let compare = |(from, hosts): (&Revision, Vec<Target>)| {
        let distance = repo.distance(from, &plan.revision, NAMED)?;
        let is_here = !repo.has(std::slice::from_ref(from))?.is_empty();
        let files = is_here.then(|| repo.changed_between(from, &plan.revision, NAMED)).transpose()?;
        Ok(Change { from: from.clone(), hosts, distance, files })
    };
    Ok((held.into_iter().take(COMPARED).map(compare).collect::<anyhow::Result<_>>()?, not_compared))
}

/// What may change hosts that run the revision already. Only the targets can tell whether it does.
fn new_configuration(config: &Config, prepared: &Prepared, views: &[View]) -> Result<Option<Vec<String>>, Refused> {
    let Prepared { plan, .. } = prepared;
    if !plan.brings_code() && !plan.promotes() && !renders(config, plan) {
        return Ok(None);
    }
    let runs = journal::deployments_of(&state_folder(config), &plan.repo, &plan.revision)?;
    if !runs.iter().any(PastRun::stayed) {
        // Nothing is known of a revision that was deployed by somebody else.
        return Ok(renders(config, plan).then(Vec::new));
    }
    let (mut may, mut is_unknown): (Vec<String>, bool) = Default::default();
    // Hosts that had the same runs are compared once.
    let mut compared: Vec<(usize, Option<usize>, Option<usize>)> = Vec::new();
    for view in views {
        let Some(had) = Had::of(&runs, &view.target) else {
            is_unknown |= view.serves(&plan.revision) && renders(config, plan);
            continue;
        };
        let key = (had.last, had.rendered, had.pending);
        if compared.contains(&key) {
            continue;
        }
        compared.push(key);
        let differing = had.differs(&runs, config, prepared);
        is_unknown |= differing.is_none();
        for name in differing.into_iter().flatten() {
            if !may.contains(&name) {
                may.push(name);
            }
        }
    }
    Ok((!may.is_empty() || is_unknown).then_some(may))
}

/// Which deployments of the plan's revision a host has what it has from: a run over some hosts, or in another environment,
/// leaves the others as they are, and a rollback restores what an earlier one has rendered.
struct Had {
    /// The last one that stayed there.
    last: usize,
    /// The one whose files are live there, as far as that is known.
    rendered: Option<usize>,
    /// A run without promote that has rendered since: its files go live with the next one.
    pending: Option<usize>,
}

impl Had {
    fn of(runs: &[PastRun], target: &Target) -> Option<Had> {
        let last = runs.iter().rposition(|run| run.stayed_on.contains(target))?;
        let is_prepared = |run: &PastRun| !run.promotes && !run.undone && run.targets.contains(target);
        let has_rendered = |run: &PastRun| run.rendered && (run.stayed_on.contains(target) || is_prepared(run));
        let rendered = runs[..=last].iter().rposition(has_rendered);
        let pending = runs[last + 1..].iter().position(|run| run.rendered && is_prepared(run)).map(|at| last + 1 + at);
        Some(Had { last, rendered, pending })
    }

    /// What is not as it was; `None`: that is not known.
    fn differs(&self, runs: &[PastRun], config: &Config, prepared: &Prepared) -> Option<Vec<String>> {
        let Prepared { plan, control_files, requests, .. } = prepared;
        let then = &runs[self.rendered.unwrap_or(self.last)].control_files;
        let now = match renders(config, plan) {
            true => Some(control_files),
            false => self
                .pending
                .filter(|_| config.settings.config_deploy && plan.promotes())
                .map(|pending| &runs[pending].control_files),
        };
        if now.is_some() && then.is_empty() {
            return None;
        }
        let mut may: Vec<String> =
            runs[self.last].asked.iter().flat_map(|then| then.differs_from(&requests.asked())).collect();
        may.extend(now.iter().flat_map(|now| changed(then, now)));
        Some(may)
    }
}

/// Whether the plan renders configuration files.
fn renders(config: &Config, plan: &Plan) -> bool {
    config.settings.config_deploy && plan.stages.iter().any(|it| it.stage == Stage::ConfigDeploy)
}

/// From the deployments that had the same stages and as many subgroups.
fn estimate(plan: &Plan, past: &[PastDuration]) -> Option<Estimate> {
    let shape = |plan: &Plan| {
        let stages = plan.stages.iter().chain(&plan.finalize).map(|it| it.stage).collect::<Vec<_>>();
        (stages, plan.groups.iter().map(|group| group.subgroups().len()).sum::<usize>())
    };
    let own = shape(plan);
    let times: Vec<Duration> = past.iter().filter(|it| shape(&it.plan) == own).map(|it| it.work).collect();
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    let typical = Duration::try_from_secs_f64(median(&seconds)?).ok()?;
    let (fastest, slowest, soaks) = (*times.iter().min()?, *times.iter().max()?, soaks(plan));
    let [typical, fastest, slowest] = [typical, fastest, slowest].map(|time| time + soaks);
    Some(Estimate { typical, fastest, slowest, runs: times.len(), soaks })
}

/// The whole time of a run's soaks.
fn soaks(plan: &Plan) -> Duration {
    let of = |group: &crate::targets::Group| {
        let subgroups = u32::try_from(group.subgroups().len()).unwrap_or(u32::MAX);
        group.soak_time.saturating_mul(subgroups).saturating_add(group.group_soak_time)
    };
    let all = plan.groups.iter().filter(|_| plan.is_watched()).map(of);
    all.fold(Duration::ZERO, Duration::saturating_add)
}
