//! The end of an unfinished deployment, or the way back from a finished one.

use crate::config::Options;
use crate::deploy;
use crate::deploy::Choice;
use crate::exit_code::ExitCode;
use crate::journal;
use crate::journal::{AtTheEnd, Finalized, History};
use crate::repo::Repo;
use crate::wire::{Holder, Level};

use super::locking::lock;
use super::recorded::{begin, refuse_unfinished};
use super::{Frontend, Refused, interlocks, load, previous, resume, ssh, state_folder};

/// Rolls back: to the revision named `to`; without one, what an unfinished deployment did, or else to the revision
/// before the deployed one.
pub fn rollback(options: &Options, to: Option<&str>, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    front.can_ask()?;
    let config = load(options)?;
    interlocks::check(&config, front)?;
    let holder = deploy::holder(String::new())?;
    let _lock = lock(&config, &holder, front)?;
    let abandoned = journal::abandoned(&state_folder(&config))?;
    if to.is_some() {
        refuse_unfinished(&config)?;
    } else if let Some(unfinished) = journal::unfinished(&state_folder(&config))? {
        return resume::end(options, AtTheEnd::RollBack, holder, unfinished, front);
    }
    // Who means to undo the run that just died must not be taken back a revision further.
    if let (Some(run), None) = (abandoned, to) {
        return Err(Refused::new(format!(
            "run {run} died before it touched anything: there is nothing to undo; `hoist rollback` once more goes to the \
             revision before"
        )));
    }
    let repo = Repo::open(&config.top)?;
    let History { runs: history, warnings } = journal::history(&state_folder(&config), config.environment.as_deref())?;
    let revision = match to {
        Some(name) => previous::named(&repo, name),
        None => previous::before(&config, &repo, &history, front),
    };
    // A journal that was passed over may be why.
    let revision = revision.map_err(|refused| refused.with(&warnings))?;
    let holder = Holder { message: format!("roll back to {}", revision.short()), ..holder };
    let choice = Choice { rev: Some(revision.to_string()), rollback: true, ..Choice::default() };
    let mut prepared = deploy::prepare(&config, &repo, &choice, &holder)?;
    prepared.notes.extend(warnings.into_iter().map(|warning| (Level::Warning, warning)));
    let asked = |past: &'_ Finalized| past.asked.clone();
    let undone = history.last().and_then(asked);
    let restored = history.iter().rfind(|past| past.revision == revision).and_then(asked);
    prepared.requests.go_back(undone.as_deref(), restored.as_deref());
    let ssh = ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
    begin(&config, &repo, &prepared, ssh, options, front)
}
