//! What every target runs, and what it should.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use anyhow::Context as _;

use crate::config::{Config, Options};
use crate::deploy;
use crate::files::ownership::Denied;
use crate::fleet::{HostResult, NoPacks, SshFleet};
use crate::fleet_state::{FleetState, Known, Links, Observation};
use crate::invocation::Invocation;
use crate::journal;
use crate::journal::Unfinished;
use crate::locks;
use crate::locks::{DeployLock, LockOwner, Purpose};
use crate::repo::ArtifactStore;
use crate::targets::{Group, Target};
use crate::wire::{
    Confirmation, Drained, Facts, Fault, Holder, Lacking, LeaseStands, Origin, Revision, RunningService,
};

use super::hosts::groups;
use super::past_steps::StepTried;
use super::recorded::Observations;
use super::standing::{Standing, Wanted};
use super::{Frontend, Refused, load_for_journals, ssh, state_folder};

/// One target, as it is shown.
pub struct View {
    pub target: Target,
    pub group: String,
    /// What it should run; `None`: nothing was deployed from here that would tell.
    pub wanted: Option<Revision>,
    pub known: Known,
    pub standing: Standing,
    /// What came of asking it just now; `None`: it was not asked.
    pub inquiry: Option<Inquiry>,
}

/// What came of asking a target.
pub struct Inquiry {
    /// Whether it answered.
    pub reached: bool,
    /// Why it did not answer, or could not say everything.
    pub trouble: Option<String>,
    /// What it said, where it did.
    pub facts: Option<Facts>,
}

/// Everything that is shown.
pub struct Status {
    pub repo: String,
    pub locks: Locks,
    /// A deployment that nobody is at work on any more.
    pub unfinished: Option<Unfinished>,
    /// The run-once steps of that deployment.
    pub steps: Vec<StepTried>,
    pub views: Vec<View>,
    /// How those of their revisions were made that are no commits.
    pub artifacts: Vec<(Revision, Origin)>,
    /// For the commands that are named.
    pub invocation: Invocation,
}

/// Who holds the deploy host's locks.
pub struct Locks {
    /// Who deploys from here right now.
    pub deploying: Option<Holder>,
    /// Who keeps deployments of the repository out.
    pub own: Option<LockOwner>,
    /// That a rollback has left.
    pub kept: Option<LockOwner>,
    /// Who keeps out those of every repository.
    pub all: Option<LockOwner>,
}

impl Status {
    /// The groups whose hosts, as far as they could be asked, run different revisions.
    pub fn skew(&self) -> Vec<Skew> {
        let mut groups: Vec<Skew> = Vec::new();
        for view in self.views.iter().filter(|view| view.standing != Standing::Unreachable) {
            let Some(live) = view.live() else { continue };
            let place = groups.iter().position(|skew| skew.group == view.group).unwrap_or_else(|| {
                groups.push(Skew { group: view.group.clone(), revisions: Vec::new() });
                groups.len() - 1
            });
            let revisions = &mut groups[place].revisions;
            match revisions.iter_mut().find(|(revision, _)| revision == live) {
                Some((_, targets)) => targets.push(view.target.clone()),
                None => revisions.push((live.clone(), vec![view.target.clone()])),
            }
        }
        groups.retain(|skew| skew.revisions.len() > 1);
        groups.iter_mut().for_each(|skew| skew.revisions.sort_by_key(|(_, targets)| std::cmp::Reverse(targets.len())));
        groups
    }

    /// Whether nobody has anything to do: every target is in sync and whole as far as was looked, those of a group run
    /// one revision, and no deployment is unfinished.
    pub fn is_ok(&self) -> bool {
        self.unfinished.is_none() && self.skew().is_empty() && self.views.iter().all(View::is_fine)
    }
}

impl View {
    /// Whether it is in sync, whole, and in service with what is live, as far as was looked.
    pub fn is_fine(&self) -> bool {
        self.standing == Standing::InSync
            && self.lacking().is_none_or(|lacking| lacking.count == 0)
            && self.drained().is_none()
            && self.unfit().is_none()
            && self.running().iter().all(|service| service.differs_from(self.live()).is_none())
    }

    /// What it said just now.
    pub fn facts(&self) -> Option<&Facts> {
        self.inquiry.as_ref()?.facts.as_ref()
    }

    /// That it was drained and is not back in service.
    pub fn drained(&self) -> Option<&Drained> {
        self.known.drained()
    }

    /// What its services run; empty where that is not known.
    pub fn running(&self) -> &[RunningService] {
        self.facts().map_or(&[], |facts| &facts.running)
    }

    /// Whether it said just now what it runs.
    pub fn was_read(&self) -> bool {
        self.reached() == Some(true) && self.standing != Standing::Unreachable
    }

    /// Whether it answered just now; `None`: it was not asked.
    pub fn reached(&self) -> Option<bool> {
        self.inquiry.as_ref().map(|inquiry| inquiry.reached)
    }

    /// Revisions whose whole trees it keeps; none where it was not asked.
    pub fn kept(&self) -> &[Revision] {
        self.facts().map_or(&[], |facts| &facts.revisions)
    }

    /// What its live tree lacks; `None`: nobody looked.
    pub fn lacking(&self) -> Option<&Lacking> {
        self.facts()?.lacking.as_ref()
    }

    /// Why the live revision should not be served though its links are in order; `None` where nobody looked.
    pub fn unfit(&self) -> Option<&str> {
        self.facts()?.unfit.as_deref()
    }

    /// Whether a revision is live and finalized there, and is what is served, as far as is known.
    pub fn serves(&self, revision: &Revision) -> bool {
        self.known.has(revision) && self.unfit().is_none()
    }

    /// Whether it was confirmed since it was started; `None`: it was not asked.
    pub fn confirmation(&self) -> Option<&Confirmation> {
        Some(&self.facts()?.confirmation)
    }

    /// Whether something can be deployed to it: it was not asked, or it said what it runs.
    pub fn may_be_brought(&self) -> bool {
        self.inquiry.is_none() || self.was_read()
    }

    /// The revision that is live there, as last read.
    pub fn live(&self) -> Option<&Revision> {
        self.known.state.as_ref()?.current.as_ref()
    }
}

/// A group whose hosts run different revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skew {
    pub group: String,
    /// What most hosts run comes first.
    pub revisions: Vec<(Revision, Vec<Target>)>,
}

/// How closely targets are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// None is asked: what is remembered of them counts.
    Offline,
    /// They are asked what they run.
    Ask,
    /// They look besides whether the live revision has all its files.
    Verify,
}

/// What targets are asked besides what they run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking {
    /// They look whether the live revision has all its files.
    pub verify: bool,
    /// Those that are in sync are confirmed. The repository's lock is held.
    pub confirm: bool,
}

/// The status of the targets that match `limit_hosts`. It takes no lock and changes nothing on any target.
pub fn status(
    options: &Options,
    limit_hosts: Option<&str>,
    look: Look,
    front: &dyn Frontend,
) -> Result<Status, Refused> {
    let config = load_for_journals(options, front)?;
    let groups = groups(&config, limit_hosts, front)?;
    let mut views = match look {
        Look::Offline => remembered(&config, &groups, front)?,
        Look::Ask | Look::Verify => {
            ask(&config, groups, Asking { verify: look == Look::Verify, ..Asking::default() }, front)?
        }
    };
    let places = deploy::lock_places(&config);
    let holder = |path: &Path| {
        let found = DeployLock::holder(path).map_err(|error| Denied::new(path, error));
        found.with_context(|| format!("cannot see who has the lock {}", path.display()))
    };
    let own = holder(&places.own)?.named();
    let (own, deploying) = match own {
        Some(own) if own.purpose == Purpose::Lock => (Some(own), None),
        own => (None, own.map(|own| own.holder)),
    };
    let kept = locks::kept(&state_folder(&config)).unwrap_or_else(|error| {
        front.tell(&format!("warning: {error:#}"));
        None
    });
    let locks = Locks { deploying, own, kept, all: holder(&places.all)?.named() };
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        front.tell(&format!("note: {what} is {held}"));
    }
    let (run, warnings) = journal::open_run(&state_folder(&config));
    // A run that is under way has a journal without an end as well.
    let deploys = locks.deploying.is_some();
    for warning in warnings.iter().filter(|_| !deploys) {
        front.tell(&format!("warning: {warning}"));
    }
    if let Some(plan) = run.as_ref().map(|run| &run.opened.plan).filter(|plan| plan.repo == config.settings.git_repo) {
        let targets: HashSet<&Target> = plan.targets().map(|(_, target)| target).collect();
        for view in views.iter_mut().filter(|view| targets.contains(&view.target)) {
            view.standing = view.standing.within(&plan.revision, &view.known, view.wanted.as_ref());
        }
    }
    let unfinished = run.filter(|run| !run.live && !deploys);
    let (repo, invocation) = (config.settings.git_repo.clone(), config.invocation.clone());
    let artifacts = artifacts(&config, &views);
    let steps = unfinished.as_ref().map(StepTried::of_unfinished).unwrap_or_default();
    Ok(Status { repo, locks, unfinished, steps, views, artifacts, invocation })
}

/// How the revisions of targets were made, as is known here, or as the targets say.
fn artifacts(config: &Config, views: &[View]) -> Vec<(Revision, Origin)> {
    let store = ArtifactStore::open(&state_folder(config));
    let mut found: BTreeMap<&Revision, Option<Origin>> = BTreeMap::new();
    for view in views {
        let state = view.known.state.as_ref();
        let links = state.into_iter().flat_map(|state| [&state.current, &state.done, &state.in_progress]).flatten();
        for revision in links.chain(&view.wanted) {
            let of_store = || store.as_ref().and_then(|store| store.origin(revision));
            let origin = found.entry(revision).or_insert_with(of_store);
            let told = view.facts().filter(|_| view.live() == Some(revision)).and_then(|facts| facts.origin.as_deref());
            *origin = origin.take().or_else(|| told.cloned());
        }
    }
    found.into_iter().filter_map(|(revision, origin)| Some((revision.clone(), origin?))).collect()
}

/// From memory alone.
pub(super) fn remembered(config: &Config, groups: &[Group], front: &dyn Frontend) -> Result<Vec<View>, Refused> {
    let memory = super::memory(config).unwrap_or_else(|error| {
        front.tell(&format!("warning: {error:#}"));
        FleetState::empty(&config.settings.git_repo)
    });
    let (fleet, _) = config.groups(None)?;
    let wanted = Wanted::new(&memory, &fleet);
    let view = |(group, target): (&Group, &Target)| {
        let known = memory.of(target).cloned().unwrap_or_default();
        let wanted = wanted.of(&group.name, target);
        View {
            target: target.clone(),
            group: group.name.clone(),
            standing: Standing::of(&known, wanted.as_ref()),
            wanted,
            known,
            inquiry: None,
        }
    };
    Ok(everyone(groups).map(view).collect())
}

/// Asks the fleet, and remembers what it says.
pub fn ask(config: &Config, groups: Vec<Group>, asking: Asking, front: &dyn Frontend) -> Result<Vec<View>, Refused> {
    let hosts: Vec<(&Group, &Target)> = everyone(&groups).collect();
    let ssh = ssh::prepare(config, hosts.iter().map(|(_, target)| *target))?;
    let targets = hosts.iter().map(|(_, target)| (*target).clone()).collect();
    let observations = Observations::new(hosts.len());
    let (folder, repo) = (state_folder(config), &config.settings.git_repo);
    let load = || super::memory(config).unwrap_or_else(|_| FleetState::empty(repo));
    let before = load();
    let (whole, _) = config.groups(None)?;
    let confirms = match asking.confirm {
        true => wanted_on(&before, &whole, hosts.iter().map(|(group, target)| (group.name.as_str(), *target))),
        false => HashMap::new(),
    };
    let requests = deploy::Look::new(config, deploy::holder("hoist status".into())?, asking.verify);
    let requests = requests.at_services(config).confirming(confirms);
    let fleet = SshFleet::new(ssh, targets, Box::new(requests), Box::new(NoPacks));
    let mut fleet = observations.states(observations.contacts(fleet));
    let mut remarks = Vec::new();
    let results = deploy::look(&mut fleet, config.settings.batch_size, hosts.len(), &mut remarks);
    deploy::close(&mut fleet, config.settings.batch_size, hosts.len(), &mut remarks);
    front.pass_on(&remarks);

    let observations = observations.take();
    // Such a host goes back by itself when its deployer does not come: what it runs now is no last known state.
    let is_on_lease = |result: &Option<HostResult>| {
        let lease = result.as_ref().and_then(|result| result.facts.as_ref()?.lease.as_ref());
        lease.is_some_and(|lease| matches!(lease.stands, LeaseStands::Open | LeaseStands::RollingBack { .. }))
    };
    let see = |memory: &mut FleetState| {
        for (((group, target), observation), result) in hosts.iter().zip(&observations).zip(&results) {
            let known = memory.entry(target);
            // A deployment that ended while we asked knows better.
            if known.contact != before.of(target).and_then(|known| known.contact.clone()) {
                continue;
            }
            known.group = group.name.clone();
            let observation = observation.clone();
            known.see(if is_on_lease(result) { observation.doubted() } else { observation });
        }
    };
    let memory = match FleetState::update(&folder, repo, see) {
        Ok(memory) => {
            if let Some(warning) = &memory.warning {
                front.tell(&format!("warning: {warning}"));
            }
            memory
        }
        // Somebody who may only read may still ask.
        Err(error) => {
            front.tell(&format!("warning: cannot store these results: {error:#}"));
            let mut memory = load();
            see(&mut memory);
            memory
        }
    };
    let wanted = Wanted::new(&memory, &whole);
    let view = |((group, target), result): (&(&Group, &Target), Option<HostResult>)| {
        let mut known = memory.of(target).cloned().unwrap_or_default();
        if let Some(facts) = result.as_ref().and_then(|result| result.facts.as_ref()).filter(|_| is_on_lease(&result)) {
            known.see(Observation { links: Links::Read(facts.state.clone()), contact: None });
        }
        let result = result.unwrap_or_else(|| Fault::Unreachable { reason: "it was not asked".into() }.into());
        let (answered, unreachable) = (result.outcome.is_ok(), result.is_out_of_reach());
        let trouble = result.outcome.as_ref().err().map(Fault::beside_unreachable);
        let facts = result.facts;
        let wanted = wanted.of(&group.name, target);
        let standing = if answered { Standing::of(&known, wanted.as_ref()) } else { Standing::Unreachable };
        let inquiry = Inquiry {
            reached: !unreachable,
            trouble: trouble.or_else(|| facts.as_ref().and_then(|facts| facts.stranger.clone())),
            facts,
        };
        let (target, group) = ((*target).clone(), group.name.clone());
        View { target, group, standing, wanted, known, inquiry: Some(inquiry) }
    };
    Ok(hosts.iter().zip(results).map(view).collect())
}

/// What each of these targets of a group should run, as far as that can be told.
pub fn wanted_on<'a>(
    memory: &FleetState,
    whole: &[Group],
    hosts: impl Iterator<Item = (&'a str, &'a Target)>,
) -> HashMap<Target, Revision> {
    let wanted = Wanted::new(memory, whole);
    hosts.filter_map(|(group, target)| Some((target.clone(), wanted.of(group, target)?))).collect()
}

fn everyone(groups: &[Group]) -> impl Iterator<Item = (&Group, &Target)> {
    groups.iter().flat_map(|group| group.targets.iter().map(move |target| (group, target)))
}
