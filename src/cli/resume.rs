//! `hoist resume`, and what `hoist rollback` has in common with it: the end of a deployment that its deployer did not live to see.

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Prepared, Requests};
use crate::exit_code::ExitCode;
use crate::journal;
use crate::journal::{AtTheEnd, Journal, Opened, Replay, Unfinished};
use crate::repo::{Parts, Repo};
use crate::wire::{Holder, Level};

use super::console::Console;
use super::session::{Session, Show, lock, state_folder};
use super::{Refused, args, interlocks, load};

/// Goes on with the unfinished deployment.
pub fn run(args: args::Resume) -> Result<ExitCode, Refused> {
    let show = Show::of("resume", args.format, args.verbose, args.quiet)?;
    let chosen = Chosen { file: args.config, environment: args.environment, defines: args.define };
    Console::check("resume", args.yes)?;
    let config = chosen.load()?;
    interlocks::check("resume", &config)?;
    let holder = deploy::holder(String::new())?;
    let _lock = lock(&config, &holder)?;
    let Some(unfinished) = journal::unfinished(&state_folder(&config))? else {
        return Err(Refused::Usage(format!(
            "no deployment of {} is unfinished: nothing to resume",
            config.settings.git_repo
        )));
    };
    end("resume", AtTheEnd::GoOn, show, args.yes, chosen, holder, unfinished)
}

/// What this command line says of the configuration; the journal has what the first one said.
pub struct Chosen {
    pub file: Option<String>,
    pub environment: Option<String>,
    pub defines: Vec<String>,
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

/// Goes on with an unfinished deployment, or rolls it back. The repository's lock is held.
pub fn end(
    command: &str,
    at_the_end: AtTheEnd,
    show: Show,
    yes: bool,
    chosen: Chosen,
    holder: Holder,
    unfinished: Unfinished,
) -> Result<ExitCode, Refused> {
    if let Some(code) = super::fresh::refuse_live(command, &unfinished) {
        return Ok(code);
    }
    let opened = &unfinished.opened;
    let config = chosen.over(opened).load()?;
    let repo = Repo::open(&config.top)?;
    let plan = opened.plan.clone();
    let mut notes = vec![(Level::Info, format!("{command}: {unfinished}"))];
    // All targets may have been given them, or are to go back anyway.
    let parts = || match &opened.asked {
        Some(asked) => asked.parts(&repo, &plan),
        None => deploy::parts(&config, &repo, &plan.revision),
    };
    let parts = match plan.brings_code().then(parts) {
        Some(Ok(parts)) => parts,
        Some(Err(error)) => {
            notes.push((Level::Warning, format!("targets that have yet to fetch will fail: {error:#}")));
            Parts::default()
        }
        None => Parts::default(),
    };
    let requests = match &opened.asked {
        Some(asked) => {
            // Nothing is rendered on the way back.
            let renders = at_the_end == AtTheEnd::GoOn && asked.renders();
            let vars = if renders { config.variables()? } else { Default::default() };
            if renders && !asked.had(&vars) {
                let note =
                    "vars.yaml has changed since the run began: targets that have yet to render get what it says now";
                notes.push((Level::Warning, note.into()));
            }
            Requests::again(asked, &config, &repo, &plan, holder, (parts, vars))?
        }
        // The first builds kept no more than the plan.
        None => deploy::requests(&config, &repo, &plan, holder, parts)?,
    };
    if let Some(damage) = &unfinished.damage {
        notes.push((Level::Warning, format!("the journal is damaged ({damage}): the targets are asked what was done")));
    }
    let prepared = Prepared { plan, requests, notes };
    let ssh = super::ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
    let journal = Journal::reopen(&unfinished)?;
    if journal.is_low() && at_the_end == AtTheEnd::GoOn {
        let path = journal.path().display();
        return Err(Refused::Usage(format!(
            "the disk of {path} is full: make room there first, or go back with `hoist rollback`; nothing was touched"
        )));
    }
    let seen = journal::first_seen(&unfinished.records);
    let replay = Replay::new(journal, unfinished.records.clone(), at_the_end);
    let mut fleet = super::ssh::fleet(ssh, &repo, &prepared, Some(seen));
    let mut session = Session::begin(&config, &repo, &prepared, show, yes)?;
    session.ask_targets(&mut fleet, &replay, &unfinished);
    Ok(session.carry_out(fleet, Some(replay)))
}
