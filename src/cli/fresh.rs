//! A run that begins, as every command that deploys begins it.

use crate::config::Config;
use crate::deploy::{Kind, Prepared};
use crate::exit_code::ExitCode;
use crate::fleet::remarks::Remark;
use crate::fleet::ssh::Ssh;
use crate::journal;
use crate::journal::{AtTheEnd, Journal, Opened, Replay, Unfinished};
use crate::repo::Repo;
use crate::wire::Level;

use super::Refused;
use super::out::complain;
use super::session::{Session, Show, state_folder};

/// How the configuration was chosen on the command line, for whoever resumes the run.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    pub config_file: Option<&'a str>,
    pub defines: &'a [String],
}

/// While a deployment is unfinished there is no other: says so, and gives the status to end with. Call it with the
/// repository's lock held.
pub fn refuse_unfinished(command: &str, config: &Config) -> Result<Option<ExitCode>, Refused> {
    let Some(unfinished) = journal::unfinished(&state_folder(config))? else { return Ok(None) };
    if let Some(code) = refuse_live(command, &unfinished) {
        return Ok(Some(code));
    }
    complain(&format!(
        "hoist {command}: {unfinished} is not finished\ncontinue it with `hoist resume`, or undo it with `hoist rollback`"
    ));
    Ok(Some(ExitCode::Unfinished))
}

/// A run whose deployer is alive can hardly be met with the lock held, unless the two were given different locks.
pub fn refuse_live(command: &str, unfinished: &Unfinished) -> Option<ExitCode> {
    if !unfinished.live {
        return None;
    }
    complain(&format!(
        "hoist {command}: {unfinished} is under way, with another lock: set the same lock_file or lock_dir for both"
    ));
    Some(ExitCode::Locked)
}

/// Opens the journal of a run and tells its story. The repository's lock is held, and nothing is unfinished.
pub fn carry_out(
    config: &Config,
    repo: &Repo,
    prepared: &Prepared,
    ssh: Ssh,
    chosen: Chosen,
    show: Show,
    yes: bool,
) -> Result<ExitCode, Refused> {
    let mut remarks = Vec::new();
    let replay = match prepared.plan.kind {
        // It changes nothing that anybody would have to go on with.
        Kind::DryRun => None,
        _ => {
            if let Err(error) = journal::prune(&state_folder(config), config.settings.tags_to_keep) {
                let message = format!("old journals stay: {error:#}");
                remarks.push(Remark { level: Level::Warning, host: None, message });
            }
            let opened = Opened {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                format: journal::FORMAT,
                plan: prepared.plan.clone(),
                environment: config.environment.clone(),
                // Whole, since it may be resumed from another folder.
                config_file: chosen.config_file.map(std::path::absolute).transpose()?,
                defines: chosen.defines.to_vec(),
                asked: Some(Box::new(prepared.requests.asked())),
            };
            Some(Replay::new(Journal::create(&state_folder(config), opened)?, Vec::new(), AtTheEnd::GoOn))
        }
    };
    let fleet = super::ssh::fleet(ssh, repo, prepared, None);
    let mut session = Session::begin(config, repo, prepared, show, yes)?;
    session.pass_on(remarks);
    Ok(session.carry_out(fleet, replay))
}
