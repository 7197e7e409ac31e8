//! `hoist resume` and `hoist rollback`: the end of a deployment that its deployer did not live to see.

use std::path::Path;

use crate::deploy::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::journal::{self, AtTheEnd, Journal, Tape};
use crate::repo::Repo;
use crate::wire::Level;

use super::console::Console;
use super::session::{Session, Show, lock, state_folder};
use super::{Refused, args, load};

/// Goes on with the unfinished deployment.
pub fn resume(args: args::Resume) -> Result<ExitCode, Refused> {
    end("resume", AtTheEnd::GoOn, Show::of("resume", args.format, args.verbose, args.quiet)?, args.yes)
}

/// Rolls the unfinished deployment back.
pub fn rollback(args: args::Rollback) -> Result<ExitCode, Refused> {
    end("rollback", AtTheEnd::RollBack, Show::of("rollback", args.format, args.verbose, args.quiet)?, args.yes)
}

fn end(command: &str, at_the_end: AtTheEnd, show: Show, yes: bool) -> Result<ExitCode, Refused> {
    Console::check(command, yes)?;
    let config = load(None, &[], None)?;
    let holder = deploy::holder(String::new())?;
    let _lock = match lock(&config, &holder)? {
        Ok(lock) => lock,
        Err(code) => return Ok(code),
    };
    let Some(unfinished) = journal::unfinished(&state_folder(&config))? else {
        return Err(Refused(format!(
            "no deployment of {} is unfinished: nothing to {command}",
            config.settings.git_repo
        )));
    };
    // The run goes on under the settings that it was begun with.
    let opened = &unfinished.opened;
    let file = opened.config_file.as_deref().map(Path::to_string_lossy);
    let config = load(file.as_deref(), &opened.defines, opened.environment.as_deref())?;
    let repo = Repo::open(&config.top)?;
    let plan = opened.plan.clone();
    let requests = deploy::requests(&config, &repo, &plan, holder)?;
    let notes = vec![(Level::Info, format!("{command}: {unfinished}"))];
    let prepared = Prepared { plan, requests, notes };
    let ssh = super::ssh::prepare(&config)?;
    let tape = Tape::new(Journal::reopen(&unfinished)?, unfinished.records, at_the_end);
    let fleet = super::ssh::fleet(ssh, &repo, &prepared, true);
    let mut session = Session::begin(&config, &repo, &prepared, show, yes)?;
    Ok(session.carry_out(fleet, Some(tape)))
}
