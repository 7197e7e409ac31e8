//! Whether a deployment may begin now: the times that the configuration allows, the lock that a rollback leaves, and
//! revisions that were rolled back.
//!
//! Only what makes another revision live is refused: the way back is always open, and so is what a deployment does ahead
//! of it.

mod rolled_back;

use crate::calendar::Schedule;
use crate::clock;
use crate::config::{Config, Note};
use crate::deploy::{Kind, Plan};
use crate::exit_code::ExitCode;
use crate::locks;
use crate::repo::Repo;
use crate::wire::{Level, Stage};

use super::{Frontend, Refused, past_deployments, state_folder};

/// What speaks against a deployment.
enum Objection {
    /// Deployments are not allowed at this time.
    Time(String),
    /// An earlier one was rolled back, and the repository is locked.
    Locked(String),
    /// The revision was rolled back.
    Doubt(String),
}

impl Objection {
    fn why(&self) -> &str {
        let (Objection::Time(why) | Objection::Locked(why) | Objection::Doubt(why)) = self;
        why
    }

    /// What it is to somebody who answers no questions.
    fn refusal(&self) -> Refused {
        let emergency = "nothing was touched; in an emergency, give the reason with --break-glass";
        match self {
            Objection::Time(why) => Refused::new(format!("{why}; {emergency}")),
            Objection::Locked(why) => Refused::Because(ExitCode::Locked, format!("{why}; {emergency}")),
            Objection::Doubt(why) => Refused::new(format!(
                "{why}; --yes is no answer to that: deploy it without --yes, which asks twice; {emergency}"
            )),
        }
    }
}

/// Refuses a run that may not begin now, and asks about one of a revision that was rolled back. Gives remarks on what it
/// begins in spite of, because of `--break-glass`. Call it with the repository's lock held.
pub fn check(config: &Config, repo: &Repo, plan: &Plan, front: &dyn Frontend) -> Result<Vec<Note>, Refused> {
    let objections = objections(config, repo, plan)?;
    if plan.break_glass.is_some() {
        let remark = |it: &Objection| (Level::Warning, format!("deployed all the same (--break-glass): {}", it.why()));
        return Ok(objections.iter().map(remark).collect());
    }
    for objection in &objections {
        match objection {
            Objection::Time(_) | Objection::Locked(_) => return Err(objection.refusal()),
            Objection::Doubt(_) if front.is_unattended() => return Err(objection.refusal()),
            Objection::Doubt(why) => ask_twice(why, plan, front)?,
        }
    }
    Ok(Vec::new())
}

/// Refuses a run that may not begin now, before it builds what it deploys. Questions are asked when that is known.
pub fn ahead_of_build(config: &Config, repo: &Repo, plan: &Plan, front: &dyn Frontend) -> Result<(), Refused> {
    if plan.break_glass.is_some() {
        return Ok(());
    }
    let stands = |it: &Objection| front.is_unattended() || !matches!(it, Objection::Doubt(_));
    let refused = objections(config, repo, plan)?.into_iter().find(stands);
    refused.map_or(Ok(()), |objection| Err(objection.refusal()))
}

/// What a deployment would be told if it began now; for `hoist plan`.
pub fn preview(config: &Config, repo: &Repo, plan: &Plan) -> Vec<Note> {
    let told = |objection: &Objection| match objection {
        Objection::Time(why) | Objection::Locked(why) => format!("a deployment would be refused now: {why}"),
        Objection::Doubt(why) => format!("a deployment would ask twice, and be refused with --yes: {why}"),
    };
    match objections(config, repo, plan) {
        Ok(objections) => objections.iter().map(|objection| (Level::Info, told(objection))).collect(),
        Err(refused) => vec![(Level::Info, format!("a deployment would be refused now: {refused}"))],
    }
}

/// A yes could be habit; the name of the revision is not.
fn ask_twice(why: &str, plan: &Plan, front: &dyn Frontend) -> Result<(), Refused> {
    let short = plan.revision.short();
    front.insist(&format!("{why}. Deploy it all the same?"))?;
    let typed = front.ask_line(&format!("Type {short} to confirm:"));
    let is_it = typed.trim().len() >= short.len() && plan.revision.as_str().starts_with(typed.trim());
    if is_it { Ok(()) } else { Err(Refused::stopped()) }
}

fn objections(config: &Config, repo: &Repo, plan: &Plan) -> Result<Vec<Objection>, Refused> {
    let promotes = plan.stages.iter().any(|stage| stage.stage == Stage::Promote);
    if plan.kind != Kind::Deploy || !promotes {
        return Ok(Vec::new());
    }
    let history = past_deployments(config)?;
    let all = [
        locked(config)?.map(Objection::Locked),
        barred(config).map(Objection::Time),
        rolled_back::doubt(&history, repo, &plan.revision)?.map(Objection::Doubt),
    ];
    Ok(all.into_iter().flatten().collect())
}

/// The lock that a rollback has left, and how to end it.
fn locked(config: &Config) -> Result<Option<String>, Refused> {
    let end = config.invocation.command("lock --end");
    let repo = &config.settings.git_repo;
    match locks::kept(&state_folder(config)) {
        Ok(owner) => Ok(owner.map(|owner| format!("{repo} {owner}; end the lock with `{end}`"))),
        Err(error) => Err(Refused::Because(ExitCode::Locked, format!("{error:#}; end the lock with `{end}`"))),
    }
}

/// `no deployment window is open (deploy_windows, hoist/hoist.cfg:4 [global]); deployments are allowed again on
/// 2026-11-30 09:00 CET`.
fn barred(config: &Config) -> Option<String> {
    let (windows, freeze) = (config.settings.deploy_windows.as_ref(), config.settings.freeze.as_ref());
    let barred = Schedule { windows, freeze }.barred()?;
    let why = match &barred.freeze {
        Some(freeze) => format!("deployments are frozen: {freeze} (freeze, {})", config.place_of("freeze")),
        None => format!("no deployment window is open (deploy_windows, {})", config.place_of("deploy_windows")),
    };
    let then = match &barred.until {
        Some(until) => format!("deployments are allowed again on {}", clock::local_with_zone(until)),
        None => "deployments are not allowed in the next nine years".to_owned(),
    };
    Some(format!("{why}; {then}"))
}
