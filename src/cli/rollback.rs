//! `hoist rollback`: the end of an unfinished deployment, or the way back from a finished one.

use crate::deploy;
use crate::deploy::Choice;
use crate::exit_code::ExitCode;
use crate::journal;
use crate::journal::{AtTheEnd, Finalized, History};
use crate::repo::Repo;
use crate::wire::{Holder, Level};

use super::console::Console;
use super::session::{Show, lock, state_folder};
use super::{Refused, args, before, fresh, interlocks, load, resume};

/// Runs the command.
pub fn run(args: args::Rollback) -> Result<ExitCode, Refused> {
    let show = Show::of("rollback", args.format, args.verbose, args.quiet)?;
    Console::check("rollback", args.yes)?;
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    interlocks::check("rollback", &config)?;
    let holder = deploy::holder(String::new())?;
    let _lock = match lock(&config, &holder)? {
        Ok(lock) => lock,
        Err(code) => return Ok(code),
    };
    let abandoned = journal::abandoned(&state_folder(&config))?;
    if args.to.is_some() {
        if let Some(code) = fresh::refuse_unfinished("rollback", &config)? {
            return Ok(code);
        }
    } else if let Some(unfinished) = journal::unfinished(&state_folder(&config))? {
        let chosen = resume::Chosen { file: args.config, environment: args.environment, defines: args.define };
        return resume::end("rollback", AtTheEnd::RollBack, show, args.yes, chosen, holder, unfinished);
    }
    // Who means to undo the run that just died must not be taken back a revision further.
    if let (Some(run), None) = (abandoned, &args.to) {
        return Err(Refused(format!(
            "run {run} died before it touched anything: there is nothing to undo; `hoist rollback` once more goes to the \
             revision before"
        )));
    }
    let repo = Repo::open(&config.top)?;
    let History { runs: history, warnings } = journal::history(&state_folder(&config), config.environment.as_deref())?;
    let revision = match &args.to {
        Some(name) => before::named(&repo, name),
        None => before::before(&config, &repo, &history),
    };
    // A journal that was passed over may be why.
    let revision = revision.map_err(|Refused(why)| {
        Refused(std::iter::once(why).chain(warnings.iter().cloned()).collect::<Vec<_>>().join("\n"))
    })?;
    let holder = Holder { message: format!("roll back to {}", revision.short()), ..holder };
    let choice = Choice { rev: Some(revision.to_string()), rollback: true, ..Choice::default() };
    let mut prepared = deploy::prepare(&config, &repo, &choice, &holder)?;
    prepared.notes.extend(warnings.into_iter().map(|warning| (Level::Warning, warning)));
    let asked = |past: &'_ Finalized| past.asked.clone();
    let undone = history.last().and_then(asked);
    let restored = history.iter().rfind(|past| past.revision == revision).and_then(asked);
    prepared.requests.go_back(undone.as_deref(), restored.as_deref());
    let ssh = super::ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
    let chosen = fresh::Chosen { config_file: args.config.as_deref(), defines: &args.define };
    fresh::carry_out(&config, &repo, &prepared, ssh, chosen, show, args.yes)
}
