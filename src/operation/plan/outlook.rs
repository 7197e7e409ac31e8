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
            new_configuration: new_configuration(config, prepared)?,
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
fn new_configuration(config: &Config, prepared: &Prepared) -> Result<Option<Vec<String>>, Refused> {
    let Prepared { plan, control_files, .. } = prepared;
    if !plan.brings_code() && !plan.promotes() && !renders(config, plan) {
        return Ok(None);
    }
    let history = journal::history(&state_folder(config), config.environment.as_deref())?;
    let mut runs = history.runs.iter().rev().filter(|run| run.revision == plan.revision);
    let Some(last) = runs.clone().find(|run| run.stayed()) else {
        // Nothing is known of a revision that was deployed by somebody else.
        return Ok(renders(config, plan).then(Vec::new));
    };
    // The files that a run without promote has rendered since go live with the next one.
    let is_pending = |run: &&PastRun| !run.promotes && !run.undone && run.rendered;
    let pending = runs.by_ref().take_while(|run| !run.stayed()).find(is_pending);
    let now = match renders(config, plan) {
        true => Some(control_files),
        false => pending.filter(|_| config.settings.config_deploy && plan.promotes()).map(|run| &run.control_files),
    };
    let mut may: Vec<String> =
        last.asked.iter().flat_map(|then| then.differs_from(&prepared.requests.asked())).collect();
    may.extend(now.iter().flat_map(|now| changed(&last.control_files, now)));
    let is_unknown = now.is_some() && last.control_files.is_empty();
    Ok((!may.is_empty() || is_unknown).then_some(may))
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
