//! What the stages of a run need on targets, and the evaluation of what a probe found.

use anyhow::Result;

use crate::repo::Repo;
use crate::report::{Cause, causes};
use crate::targets::{Target, fold};
use crate::wire::{CheckType, Facts, Level, Occupant, Preflight, Revision, ScriptHead, Stage, StageRequest};

use super::plan::{GroupId, Kind, Plan};
use super::table::Row;

/// What a run needs on its targets, in addition to its requests.
#[derive(Debug, Clone, Default)]
pub struct Ahead {
    stages: Vec<Stage>,
    scripts: Vec<ScriptHead>,
}

impl Ahead {
    /// The needs of a plan.
    pub fn of(plan: &Plan, repo: &Repo, request: &StageRequest) -> Ahead {
        let mut stages: Vec<Stage> = match plan.kind {
            // A dry run needs what the deployment would need.
            Kind::DryRun => Stage::of_deployment(),
            _ => plan.stages.iter().chain(&plan.finalize).map(|it| it.stage).collect(),
        };
        if stages.contains(&Stage::Promote) {
            stages.extend([Stage::RestartService, Stage::Rollback]);
        }
        // The revision of a resumed run may not exist here any more. Then nothing is known of its scripts.
        let scripts = script_heads(repo, request).unwrap_or_default();
        Ahead { stages, scripts }
    }

    /// For the current requests.
    pub fn preflight(&self, request: &StageRequest) -> Preflight {
        // In a rollback, the old revision's own checks and configuration are used.
        let (checks, config_files) = match request.kept {
            true => Default::default(),
            false => (request.checks.clone(), request.config_files.clone().unwrap_or_default()),
        };
        Preflight {
            stages: self.stages.clone(),
            service: request.service.clone(),
            checks: checks.into_iter().filter(|check| self.stages.contains(&check.at.stage())).collect(),
            scripts: self.scripts.clone(),
            nrpe_dir: request.nrpe_dir.clone(),
            config_files,
        }
    }
}

/// The first lines of the scripts of a request's checks.
fn script_heads(repo: &Repo, request: &StageRequest) -> Result<Vec<ScriptHead>> {
    let mut heads: Vec<ScriptHead> = Vec::new();
    for check in request.checks.iter().filter(|check| check.kind == CheckType::Script) {
        let words = crate::text::words(&check.command).unwrap_or_default();
        let Some(name) = words.first().filter(|_| heads.iter().all(|head| head.check != check.name)) else { continue };
        if let Some(line) = first_line(repo, &request.revision, &script_paths(request, name))? {
            heads.push(ScriptHead { check: check.name.clone(), line });
        }
    }
    Ok(heads)
}

/// The possible paths of a script in the revision, in order of precedence.
fn script_paths(request: &StageRequest, name: &str) -> Vec<String> {
    let control = &request.header.control_dir;
    let own = request.environment.as_ref().map(|it| format!("{control}/environments/{it}/scripts/{name}"));
    own.into_iter().chain([format!("{control}/scripts/{name}")]).collect()
}

fn first_line(repo: &Repo, revision: &Revision, paths: &[String]) -> Result<Option<String>> {
    for path in paths {
        if repo.file_exists(revision, path)? {
            return repo.first_line(revision, path).map(Some);
        }
    }
    Ok(None)
}

/// The problems that a host's probe found, if they matter to this host, and how severe they are.
fn findings<'a>(facts: &'a Facts, plan: &'a Plan, group: GroupId) -> impl Iterator<Item = (Level, &'a str)> {
    let group = plan.group(group).name.as_str();
    let ours = facts.findings.iter().filter(move |it| it.group.as_deref().is_none_or(|it| it == group));
    // Problems do not matter for a rollback, or for a host that has nothing to do.
    let is_live = facts.state.current.as_ref() == Some(&plan.revision) && !plan.force;
    let only_told = match plan.kind {
        Kind::Rollback | Kind::DryRun => true,
        Kind::Deploy => is_live,
        Kind::ServiceRestart => false,
    };
    ours.map(move |it| (if only_told { it.level.min(Level::Warning) } else { it.level }, it.message.as_str()))
}

/// What later stages of the run would certainly fail at, in one fragment; `None`: nothing.
pub fn failing(facts: &Facts, plan: &Plan, group: GroupId) -> Option<String> {
    let sure = findings(facts, plan, group).filter(|(level, _)| *level == Level::Error);
    let messages: Vec<&str> = sure.map(|(_, message)| message).collect();
    (!messages.is_empty()).then(|| messages.join("; "))
}

/// What later stages may fail at, each with the hosts that it was found on.
pub fn warnings(rows: &[Row], plan: &Plan) -> Vec<String> {
    let of = |row| {
        let Row { facts, group, target, .. }: &Row = row;
        let found = facts.iter().flat_map(|facts| findings(facts, plan, *group));
        found.filter(|(level, _)| *level == Level::Warning).map(move |(_, message)| ((), message, target))
    };
    let told = |cause: Cause<()>| format!("{}: {}", fold(&cause.hosts), cause.text);
    let moved: Vec<(String, &Target)> = rows.iter().filter_map(|row| Some((moved(row, plan)?, &row.target))).collect();
    let moved = moved.iter().map(|(message, target)| ((), message.as_str(), *target));
    causes(rows.iter().flat_map(of).chain(moved)).into_iter().map(told).collect()
}

/// That promote moves aside what somebody else has put at the path that the service uses.
fn moved(row: &Row, plan: &Plan) -> Option<String> {
    let facts = row.facts.as_ref()?;
    let Occupant { path, what, .. } = facts.state.occupant.as_deref()?;
    // A dry run tells of what the deployment would do.
    if !(plan.promotes() || plan.kind == Kind::DryRun) || failing(facts, plan, row.group).is_some() {
        return None;
    }
    let (shown, name) = (path.display(), path.file_name().unwrap_or_default().to_string_lossy());
    Some(format!(
        "{shown} is {what} that neither Hoist nor Scap has made: promote renames it to {name}.before-hoist-TIME, and a \
         rollback of the run moves it back"
    ))
}
