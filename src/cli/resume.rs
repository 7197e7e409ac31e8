//! `hoist resume` and `hoist rollback`: the end of a deployment that its deployer did not live to see.

use crate::config::Config;
use crate::deploy::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::journal::{self, AtTheEnd, Journal, Opened, Tape};
use crate::repo::Repo;
use crate::wire::Level;

use super::console::Console;
use super::session::{Session, Show, lock, state_folder};
use super::{Refused, args, load};

/// Goes on with the unfinished deployment.
pub fn resume(args: args::Resume) -> Result<ExitCode, Refused> {
    let show = Show::of("resume", args.format, args.verbose, args.quiet)?;
    let chosen = Chosen { file: args.config, environment: args.environment, defines: args.define };
    end("resume", AtTheEnd::GoOn, show, args.yes, chosen)
}

/// Rolls the unfinished deployment back.
pub fn rollback(args: args::Rollback) -> Result<ExitCode, Refused> {
    let show = Show::of("rollback", args.format, args.verbose, args.quiet)?;
    let chosen = Chosen { file: args.config, environment: args.environment, defines: args.define };
    end("rollback", AtTheEnd::RollBack, show, args.yes, chosen)
}

/// What this command line says of the configuration; the journal has what the first one said.
struct Chosen {
    file: Option<String>,
    environment: Option<String>,
    defines: Vec<String>,
}

impl Chosen {
    fn load(&self) -> Result<Config, Refused> {
        load(self.file.as_deref(), &self.defines, self.environment.as_deref())
    }

    /// The run goes on under the settings that it was begun with, where this command line does not change them.
    fn over(self, opened: &Opened) -> Chosen {
        let file = opened.config_file.as_ref().map(|file| file.display().to_string());
        Chosen {
            file: self.file.or(file),
            environment: self.environment.or_else(|| opened.environment.clone()),
            defines: opened.defines.iter().cloned().chain(self.defines).collect(),
        }
    }
}

fn end(command: &str, at_the_end: AtTheEnd, show: Show, yes: bool, chosen: Chosen) -> Result<ExitCode, Refused> {
    Console::check(command, yes)?;
    let config = chosen.load()?;
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
    let opened = &unfinished.opened;
    let config = chosen.over(opened).load()?;
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
