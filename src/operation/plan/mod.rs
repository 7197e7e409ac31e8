//! What a deployment would do.

mod file;
mod outlook;
mod since;
mod steps;
mod transfer;

use std::path::Path;

use crate::config::{Config, Note, Options};
use crate::deploy;
use crate::deploy::{Choice, HostChoice, Plan, Prepared};
use crate::invocation::Invocation;
use crate::journal;
use crate::locks::{DeployLock, LockHolder};
use crate::repo::Repo;
use crate::report::Event;
use crate::text::quoted;
use crate::wire::Level;

use super::artifact::{ChosenArtifact, take};
use super::build::built;
use super::deploy::deployed_before;
use super::status::{self, Asking, View};
use super::{Frontend, Refused, admission, distance, load, repository, shrinkage, signatures, state_folder};

pub use file::PlanFile;
pub use outlook::{Change, Estimate, Outlook};
pub use since::refuse_changed;
pub use steps::{PlannedGate, Steps};
pub use transfer::Transfer;

/// A deployment that was planned, and what it would change.
pub struct Planned {
    pub plan: Plan,
    pub outlook: Outlook,
    pub steps: Steps,
}

/// What planning may do besides.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions<'a> {
    /// Ask the targets what they run. Otherwise it connects nowhere, and what was last seen of them counts.
    pub ask: bool,
    /// The plan file to write.
    pub output: Option<&'a Path>,
}

/// Plans, and tells what a deployment would meet. It touches nothing on any target.
pub fn plan(
    options: &Options,
    mut choice: Choice,
    artifact: Option<ChosenArtifact>,
    PlanOptions { ask, output }: PlanOptions<'_>,
    front: &dyn Frontend,
) -> Result<Planned, Refused> {
    let config = load(options)?;
    let repo = repository(&config)?;
    let taken = artifact.iter().map(|it| take(&config, &repo, it, &mut choice, front)).next().transpose()?;
    let deployed = deployed_before(&config, &choice)?;
    let holder = deploy::holder(String::new())?;
    let prepared = deploy::prepare(&config, &repo, &choice, &deployed, &holder)?;
    let mut tell = |event| {
        if let Event::OnceLine { line, .. } = event {
            front.tell(&format!("build_command: {}", line.message));
        }
    };
    let mut prepared = built(&config, &repo, (&mut choice, &holder), prepared, &mut tell, front)?;
    prepared.set_artifact(taken.and_then(|taken| taken.source));
    let views = match ask {
        true => status::ask(&config, prepared.plan.groups.clone(), Asking::default(), front)?,
        false => status::remembered(&config, &prepared.plan.groups, front)?,
    };
    let mut notes = [config.notes.clone(), prepared.notes.clone()].concat();
    notes.extend(older(&repo, &prepared, &views, ask));
    notes.extend(admission::preview(&config, &repo, &prepared.plan));
    if matches!(choice.hosts, HostChoice::All) {
        notes.extend(shrinkage::preview(&config));
    }
    if let Err(Refused::Because(_, why)) = signatures::check_revision(&config, &repo, &prepared.plan) {
        notes.push((Level::Warning, format!("a deployment would be refused: {why}")));
    }
    for (level, note) in notes.iter().filter(|(level, _)| *level > Level::Debug) {
        let word = if *level == Level::Info { "note" } else { "warning" };
        front.tell(&format!("{word}: {note}"));
    }
    tell_unfinished(&config, front);
    tell_locks(&config, front);
    let outlook = Outlook::of(&config, &repo, &prepared, views, ask)?;
    let steps = Steps::of(&prepared.plan);
    if let Some(path) = output {
        let subject = repo.subject(&prepared.plan.revision);
        PlanFile::new(&config, &choice, &prepared, subject, (&outlook.views, ask))?.write(path)?;
        let file = quoted(&path.to_string_lossy());
        let deploy = Invocation { folder: config.invocation.folder.clone(), ..Invocation::default() };
        let deploy = deploy.command(&format!("deploy --plan {file}"));
        front.tell(&format!("note: the plan is in {file}: `{deploy}` deploys it"));
        if config.settings.required_signatures > 0 {
            front.tell(&format!("note: {}", signatures::needed(&config, &file)));
        }
    }
    Ok(Planned { plan: prepared.plan, outlook, steps })
}

/// A run that has to be ended first. Of one that is running its lock tells.
fn tell_unfinished(config: &Config, front: &dyn Frontend) {
    if let (Some(unfinished), _) = journal::open_run(&state_folder(config))
        && !unfinished.live
    {
        let ways_out = unfinished.ways_out(&config.invocation);
        front.tell(&format!("warning: a deployment would be refused: {unfinished} is not finished: {ways_out}"));
    }
}

/// Who would keep the deployment out.
fn tell_locks(config: &Config, front: &dyn Frontend) {
    let places = deploy::lock_places(config);
    for (what, path) in [(&*config.settings.git_repo, &places.own), ("every repository on this host", &places.all)] {
        // Only to be told of: a lock that cannot be looked at is the deployment's matter.
        if let Ok(LockHolder::By(by)) = DeployLock::holder(path) {
            front.tell(&format!("note: {what} {by}"));
        }
    }
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        front.tell(&format!("note: {what} is {held}"));
    }
}

/// A warning for each revision that is live and that the deployment would go back from.
fn older(repo: &Repo, prepared: &Prepared, views: &[View], asked: bool) -> Vec<Note> {
    let live = views.iter().filter_map(|view| Some((&view.target, view.live()?)));
    let seen = if asked { distance::LIVE } else { "last seen live" };
    let remarks = distance::remarks(repo, &prepared.plan, live, seen, true);
    remarks.into_iter().filter(|(level, _)| *level > Level::Info).collect()
}
