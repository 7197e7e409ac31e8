//! A run that begins, as every operation that deploys begins it.

use std::collections::HashMap;
use std::path::Path;

use crate::config::{Config, Options};
use crate::deploy::{Kind, Prepared};
use crate::exit_code::ExitCode;
use crate::fleet::remarks::Remark;
use crate::fleet::ssh::Ssh;
use crate::journal;
use crate::journal::{AtTheEnd, Journal, Opened, Replay, Unfinished};
use crate::operation::announce::Announcer;
use crate::operation::repository::drop_artifacts;
use crate::operation::status::wanted_on;
use crate::operation::{Frontend, Refused, announce, memory, ssh, state_folder};
use crate::repo::Repo;
use crate::targets::Target;
use crate::wire::{Level, Revision};

use super::run::RecordedRun;

/// While a deployment is unfinished there is no other, and hooks are told that it is. Call it with the repository's lock
/// held.
pub fn refuse_unfinished(options: &Options, config: &Config, front: &dyn Frontend) -> Result<(), Refused> {
    let refused = look_for_unfinished(config);
    if matches!(refused, Err(Refused::Because(ExitCode::Unfinished, _))) {
        announce::report_dead(options, config, front);
    }
    refused
}

/// The same, and hooks are told nothing.
pub fn look_for_unfinished(config: &Config) -> Result<(), Refused> {
    refuse_left_behind(config)?;
    let Some(unfinished) = journal::unfinished(&state_folder(config), &config.invocation)? else { return Ok(()) };
    refuse_live(&unfinished)?;
    Err(not_finished(config, &unfinished))
}

/// Refuses to go on while a run is unfinished that was begun when the control files were in another folder.
pub fn refuse_left_behind(config: &Config) -> Result<(), Refused> {
    let Some(state) = config.state_left_behind() else { return Ok(()) };
    let (Some(unfinished), _) = journal::open_run(&state) else { return Ok(()) };
    refuse_live(&unfinished)?;
    let (here, there) = (&config.control_name, state.parent().and_then(Path::file_name).unwrap_or_default().display());
    Err(Refused::Because(
        ExitCode::Unfinished,
        format!(
            "{unfinished} is not finished: its journal is in {there}/state, and the control files are in {here} now\nmove \
             them back to {there}, run `hoist resume` or `hoist rollback`, and then move them and {there}/state to {here}"
        ),
    ))
}

/// A run is ended in the environment that it was begun in: whoever names another one means another run.
pub fn refuse_another_environment(config: &Config, unfinished: &Unfinished) -> Result<(), Refused> {
    match &config.invocation.environment {
        Some(named) if unfinished.opened.environment.as_ref() != Some(named) => Err(not_finished(config, unfinished)),
        _ => Ok(()),
    }
}

fn not_finished(config: &Config, unfinished: &Unfinished) -> Refused {
    let ways_out = unfinished.ways_out(&config.invocation);
    Refused::Because(ExitCode::Unfinished, format!("{unfinished} is not finished\n{ways_out}"))
}

/// A run whose deployer is alive can hardly be met with the lock held, unless the two were given different locks.
pub fn refuse_live(unfinished: &Unfinished) -> Result<(), Refused> {
    if !unfinished.live {
        return Ok(());
    }
    let why = format!("{unfinished} is running with another lock: set the same lock_file or lock_dir for both");
    Err(Refused::Because(ExitCode::Locked, why))
}

/// Opens the journal of a run and tells its story. The repository's lock is held, and nothing is unfinished. `options`
/// are kept for whoever resumes the run.
pub fn begin(
    config: &Config,
    repo: &Repo,
    prepared: &Prepared,
    ssh: Ssh,
    options: &Options,
    front: &dyn Frontend,
) -> Result<ExitCode, Refused> {
    prepared.requests.read_secrets(config, &prepared.plan)?;
    let mut remarks = Vec::new();
    let announcer = Announcer::start(config, &prepared.plan, front)?;
    let replay = match prepared.plan.kind {
        // It changes nothing that anybody would have to go on with.
        Kind::DryRun => None,
        _ => {
            journal::close_untouched(&state_folder(config))?;
            if let Err(error) = journal::prune(&state_folder(config), config.settings.journals_to_keep) {
                let message = format!("cannot remove old journals: {error:#}");
                remarks.push(Remark { level: Level::Warning, host: None, message });
            }
            // What is left over takes space, and nothing else.
            if let Err(error) = drop_artifacts(config, repo, &prepared.plan.revision) {
                log::debug!("artifacts that nobody needs: {error:#}");
            }
            // Of what the same files were made before counts no more.
            if let (Kind::Deploy, Some(origin)) = (prepared.plan.kind, &prepared.plan.origin) {
                repo.artifacts_to_write()?.record(&prepared.plan.revision, origin)?;
            }
            let opened = Opened {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                format: Opened::format_of(&prepared.plan),
                plan: prepared.plan.clone(),
                environment: config.environment.clone(),
                // Whole, since it may be resumed from another folder.
                config_file: options.invocation.config_file.as_deref().map(std::path::absolute).transpose()?,
                defines: config.invocation.defines.clone(),
                asked: Some(Box::new(prepared.requests.asked())),
                control_files: prepared.control_files.clone(),
            };
            Some(Replay::new(Journal::create(&state_folder(config), opened)?, Vec::new(), AtTheEnd::GoOn))
        }
    };
    if prepared.plan.kind != Kind::DryRun {
        prepared.requests.set_wanted(wanted_before(config, prepared)?);
    }
    let fleet = ssh::fleet(ssh, config, repo, prepared, None);
    let mut run = RecordedRun::begin(config, repo, prepared, announcer, front)?;
    run.pass_on(remarks);
    Ok(run.comparing().carry_out(fleet, replay))
}

/// What the targets of a run should run before it, as far as that is remembered.
fn wanted_before(config: &Config, prepared: &Prepared) -> Result<HashMap<Target, Revision>, Refused> {
    // A memory that cannot be read is told of when the run is over.
    let Ok(memory) = memory(config) else { return Ok(HashMap::new()) };
    let (whole, _) = config.groups(None)?;
    let plan = &prepared.plan;
    Ok(wanted_on(&memory, &whole, plan.targets().map(|(group, target)| (plan.group(group).name.as_str(), target))))
}
