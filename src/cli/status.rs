//! `hoist status`: what every target runs, and what it should.

use serde::Serialize;

use crate::config::Config;
use crate::deploy;
use crate::exit_code::ExitCode;
use crate::fleet::remarks::Remark;
use crate::fleet::{Fleet, Flow, HostEvent, HostResult, Outcome, Task};
use crate::fleet_state::{FleetState, Known};
use crate::journal;
use crate::journal::Unfinished;
use crate::locks::{DeployLock, LockOwner, Purpose};
use crate::repo::Repo;
use crate::targets::{Group, Target};
use crate::wire::{Holder, Lacking, Level};

use super::observe::Observations;
use super::out::{answer_json, complain, complain_line};
use super::session::state_folder;
use super::{Refused, args, load, reconcile, status_text};

/// One target, as it is shown.
pub struct View {
    pub target: Target,
    pub group: String,
    pub standing: Standing,
    pub known: Known,
    /// Whether it answered just now; `None`: it was not asked.
    pub reached: Option<bool>,
    /// Who holds its lock.
    pub locked: Option<Holder>,
    /// Why it did not answer, or could not.
    pub trouble: Option<String>,
    /// What its live tree lacks; `None`: nobody looked.
    pub lacking: Option<Lacking>,
}

/// How a target stands to what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Where the last deployment to it wants it, or nothing is wanted of it yet.
    Ok,
    /// A deployment went through without it.
    Owed,
    /// It runs something else than is wanted of it.
    Astray,
    /// It is where it is wanted, and its live tree lacks files.
    Damaged,
    /// It cannot be reached.
    Unreachable,
    /// It answered, and not as a target should.
    Failed,
    /// Nothing is known of it.
    Unknown,
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Ok => "ok",
            Standing::Owed => "owed",
            Standing::Astray => "astray",
            Standing::Damaged => "damaged",
            Standing::Unreachable => "unreachable",
            Standing::Failed => "failed",
            Standing::Unknown => "unknown",
        }
    }
}

/// Everything that is shown.
pub struct Status {
    pub repo: String,
    /// Who deploys from here right now.
    pub deploying: Option<Holder>,
    /// Who keeps deployments of the repository out.
    pub locked: Option<LockOwner>,
    /// Who keeps out those of every repository.
    pub locked_all: Option<LockOwner>,
    /// A deployment that nobody is at work on any more.
    pub unfinished: Option<Unfinished>,
    pub views: Vec<View>,
}

/// Runs the command. It takes no lock and changes nothing on any target.
pub fn run(args: args::Status) -> Result<ExitCode, Refused> {
    if args.verify && args.offline {
        return Err(Refused::usage("status", "--verify asks the targets, and --offline asks none"));
    }
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let pattern = reconcile::limit(args.limit_hosts.as_deref())?;
    let (groups, notes) = config.groups(pattern.as_ref())?;
    for (_, note) in notes.iter().filter(|(level, _)| *level > crate::wire::Level::Info) {
        complain(&format!("hoist status: warning: {note}"));
    }
    let views = if args.offline { remembered(&config, &groups)? } else { asked(&config, groups, args.verify)? };
    let places = deploy::lock_places(&config);
    let own = DeployLock::holder(&places.own)?.flatten();
    let (locked, deploying) = match own {
        Some(own) if own.purpose == Purpose::Lock => (Some(own), None),
        own => (None, own.map(|own| own.holder)),
    };
    let locked_all = DeployLock::holder(&places.all)?.flatten();
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        complain_line(&format!("hoist status: note: {what} is {held}"));
    }
    // A run that is under way has a journal without an end as well.
    let unfinished = match deploying {
        Some(_) => None,
        None => {
            let (run, warnings) = journal::open_run(&state_folder(&config));
            for warning in warnings {
                complain(&format!("hoist status: warning: {warning}"));
            }
            run.filter(|run| !run.live)
        }
    };
    let repo = config.settings.git_repo.clone();
    let status = Status { repo, deploying, locked, locked_all, unfinished, views };
    match args.format {
        args::Format::Text => drop(status_text::text(&status).answer()),
        args::Format::Json => drop(answer_json(&status_text::Answer::of(&status))?),
    }
    let fine = status.unfinished.is_none() && status.views.iter().all(|view| view.standing == Standing::Ok);
    Ok(if fine { ExitCode::Success } else { ExitCode::Failed })
}

/// From memory alone.
fn remembered(config: &Config, groups: &[Group]) -> Result<Vec<View>, Refused> {
    let memory = FleetState::load(&state_folder(config)).unwrap_or_else(|error| {
        complain(&format!("hoist status: warning: {error:#}"));
        FleetState::default()
    });
    let view = |(group, target): (&Group, &Target)| {
        let known = memory.of(target).cloned();
        let standing = match &known {
            None => Standing::Unknown,
            Some(known) => standing(known),
        };
        View {
            target: target.clone(),
            group: group.name.clone(),
            standing,
            known: known.unwrap_or_default(),
            reached: None,
            locked: None,
            trouble: None,
            lacking: None,
        }
    };
    Ok(everyone(groups).map(view).collect())
}

/// Asks the fleet, and remembers what it says.
pub fn asked(config: &Config, groups: Vec<Group>, verify: bool) -> Result<Vec<View>, Refused> {
    let repo = Repo::open(&config.top)?;
    let ssh = super::ssh::prepare(config, everyone(&groups).map(|(_, target)| target))?;
    let (prepared, [probe, release]) = deploy::look(config, groups, deploy::holder("hoist status".into())?, verify)?;
    let plan = &prepared.plan;
    let observations = Observations::new(plan.size());
    let folder = state_folder(config);
    let before = FleetState::load(&folder).unwrap_or_default();
    let mut fleet = observations.states(observations.contacts(super::ssh::fleet(ssh, &repo, &prepared, None)));
    let tasks: Vec<Task> = (0..plan.size()).map(|host| Task { host, attempt: 0, restore: None }).collect();
    let mut results: Vec<Option<HostResult>> = vec![None; plan.size()];
    fleet.run(&probe, &tasks, &mut |events| {
        for event in events {
            match event {
                HostEvent::Ended(host, result) => results[host] = Some(*result),
                HostEvent::Remark(remark) => warn(&remark),
                _ => {}
            }
        }
        Flow::Continue
    });
    fleet.run(&release, &tasks, &mut |events| {
        for event in events {
            if let HostEvent::Remark(remark) = event {
                warn(&remark);
            }
        }
        Flow::Continue
    });

    let observations = observations.take();
    let see = |memory: &mut FleetState| {
        for ((group, target), observation) in plan.targets().zip(&observations) {
            let known = memory.entry(target);
            // A deployment that ended while we asked knows better.
            if known.contact != before.of(target).and_then(|known| known.contact.clone()) {
                continue;
            }
            known.group = plan.groups[group].name.clone();
            known.see(observation.clone());
        }
    };
    let memory = match FleetState::update(&folder, see) {
        Ok(memory) => {
            if let Some(warning) = &memory.warning {
                complain_line(&format!("hoist status: warning: {warning}"));
            }
            memory
        }
        // Somebody who may only read may still ask.
        Err(error) => {
            complain(&format!("hoist status: warning: what was seen is not remembered: {error:#}"));
            let mut memory = FleetState::load(&folder).unwrap_or_default();
            see(&mut memory);
            memory
        }
    };
    let view = |((group, target), result): ((usize, &Target), Option<HostResult>)| {
        let known = memory.of(target).cloned().unwrap_or_default();
        let result = result.unwrap_or_else(|| Outcome::Unreachable { reason: "it was not asked".into() }.into());
        let trouble = (!result.outcome.is_ok()).then(|| result.outcome.beside_unreachable());
        let facts = result.facts;
        let unreachable = matches!(result.outcome, Outcome::Unreachable { .. } | Outcome::Lost { .. });
        let lacking = facts.as_ref().and_then(|facts| facts.lacking.clone());
        let standing = match (&result.outcome, unreachable) {
            (Outcome::Ok, _) => match (standing(&known), &lacking) {
                (Standing::Ok, Some(lacking)) if lacking.count > 0 => Standing::Damaged,
                (standing, _) => standing,
            },
            (_, true) => Standing::Unreachable,
            (_, false) => Standing::Failed,
        };
        View {
            target: target.clone(),
            group: plan.groups[group].name.clone(),
            standing,
            known,
            reached: Some(!unreachable),
            trouble: trouble.or_else(|| facts.as_ref().and_then(|facts| facts.stranger.clone())),
            locked: facts.and_then(|facts| facts.locked),
            lacking,
        }
    };
    Ok(plan.targets().zip(results).map(view).collect())
}

/// Of the fleet's remarks, those that matter when nothing is odd.
fn warn(remark: &Remark) {
    if remark.level >= Level::Warning {
        complain_line(&format!("hoist status: warning: {remark}"));
    }
}

fn everyone(groups: &[Group]) -> impl Iterator<Item = (&Group, &Target)> {
    groups.iter().flat_map(|group| group.targets.iter().map(move |target| (group, target)))
}

fn standing(known: &Known) -> Standing {
    match () {
        () if known.owed.is_some() => Standing::Owed,
        () if known.is_where_wanted() => Standing::Ok,
        () if known.state.is_none() => Standing::Unknown,
        () => Standing::Astray,
    }
}
