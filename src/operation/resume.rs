//! The end of a deployment that its deployer did not live to see: going on with it, or undoing it.

use crate::config::Options;
use crate::deploy;
use crate::deploy::{Pace, Plan, Prepared, Requests, WorkingTree};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::journal;
use crate::journal::{AtTheEnd, Journal, Opened, Replay, Times, Unfinished};
use crate::repo::Parts;
use crate::text::{quoted, some};
use crate::url;
use crate::wire::{Holder, Level, StartedBy};

use super::announce::Announcer;
use super::locking::lock;
use super::recorded::{RecordedRun, refuse_another_environment, refuse_left_behind, refuse_live};
use super::{Frontend, Refused, interlocks, lists_since, load, past_steps, repository, ssh, state_folder};

/// Changed files that a remark names.
pub(super) const SHOWN: usize = 5;

/// Goes on with the unfinished deployment.
pub fn resume(options: &Options, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    front.can_ask()?;
    let config = load(options)?;
    interlocks::check(&config, front)?;
    let mut holder = deploy::holder(String::new())?;
    let _lock = lock(&config, &mut holder, front)?;
    let Some(unfinished) = journal::unfinished(&state_folder(&config), &config.invocation)? else {
        refuse_left_behind(&config)?;
        let repo = &config.settings.git_repo;
        return Err(Refused::new(format!("no deployment of {repo} is unfinished: nothing to resume")));
    };
    refuse_another_environment(&config, &unfinished)?;
    end(options, AtTheEnd::GoOn, holder, unfinished, front)
}

/// The run goes on under the settings that it was begun with, where `options` do not change them. `command` is the one that
/// ends it.
///
/// # Errors
/// A setting whose password was not kept, and that is not given again.
fn over(options: &Options, opened: &Opened, command: &str) -> Result<Options, Refused> {
    let key = |define: &str| url::key_and_value(define).map(|(key, _)| key);
    let again = |define: &&String| options.invocation.defines.iter().any(|given| key(given) == key(define));
    let (masked, kept): (Vec<_>, Vec<_>) = opened.defines.iter().partition(|define| url::is_masked(define));
    let missing: Vec<&String> = masked.into_iter().filter(|define| !again(define)).collect();
    if !missing.is_empty() {
        let given = |define: &&String| format!("-D {}", quoted(&url::to_fill_in(define)));
        let flags: Vec<String> = missing.iter().map(given).collect();
        let names: Vec<String> = missing.iter().filter_map(|define| key(define)).collect();
        let run = Invocation { defines: kept.into_iter().cloned().collect(), ..opened.invocation(&options.invocation) };
        return Err(Refused::new(format!(
            "the password in {} was given with -D, and is not kept: give it again, as in `{}`; nothing was touched",
            some(&names, SHOWN),
            run.command(&format!("{command} {}", flags.join(" ")))
        )));
    }
    let given = options.invocation.clone();
    let invocation = Invocation {
        config_file: given.config_file.or_else(|| opened.config_file.clone()),
        environment: given.environment.or_else(|| opened.environment.clone()),
        defines: kept.into_iter().cloned().chain(given.defines).collect(),
        ..given
    };
    Ok(Options { invocation, ..options.clone() })
}

/// Goes on with an unfinished deployment, or rolls it back. The repository's lock is held.
pub fn end(
    options: &Options,
    at_the_end: AtTheEnd,
    holder: Holder,
    unfinished: Unfinished,
    front: &dyn Frontend,
) -> Result<ExitCode, Refused> {
    refuse_live(&unfinished)?;
    let opened = &unfinished.opened;
    let command = if at_the_end == AtTheEnd::GoOn { "resume" } else { "rollback" };
    past_steps::check_answers(&unfinished, front)?;
    if at_the_end == AtTheEnd::RollBack && front.is_unattended() {
        past_steps::refuse_past_irreversible(&unfinished, &options.invocation)?;
    }
    let options = &over(options, opened, command)?;
    let config = load(options)?;
    let repo = repository(&config)?;
    let by = StartedBy { user: holder.user.clone(), deploy_host: holder.host.clone() };
    let invocation = config.invocation.limited_to(opened.plan.invocation.limit.as_deref());
    let mut plan = Plan { invocation, ..opened.plan.clone() };
    // Who undoes it may be in more of a hurry than who began it.
    if at_the_end == AtTheEnd::RollBack && config.settings.rollback_at_once {
        plan.rollback_pace = Pace::AtOnce;
    }
    let plan = plan;
    let ended_by = (by != opened.plan.by).then(|| by.clone());
    let by_whom = ended_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let mut notes = vec![(Level::Info, format!("{}{by_whom}: {unfinished}", front.command()))];
    notes.extend(lists_since::changed(&config, &plan));
    // All targets may have been given them, or are to go back anyway.
    let parts = || match &opened.asked {
        Some(asked) => asked.parts(&repo, &plan),
        None => deploy::parts(&config, &repo, &plan.revision),
    };
    let parts = match plan.brings_code().then(parts) {
        Some(Ok(parts)) => parts,
        Some(Err(error)) => {
            notes.push((Level::Warning, format!("targets that have not fetched yet will fail: {error:#}")));
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
                    "vars.yaml has changed since the run began: targets that have not rendered yet get the new values";
                notes.push((Level::Warning, note.into()));
            }
            Requests::again(asked, &config, &repo, &plan, holder, (parts, vars))?
        }
        // The first builds kept no more than the plan.
        None => deploy::requests(&config, &repo, &plan, holder, parts)?,
    };
    if at_the_end == AtTheEnd::GoOn {
        requests.read_secrets(&config, &plan)?;
    }
    let control_files =
        WorkingTree::look_or_note(&config, &repo, plan.commit().unwrap_or(&plan.revision), &mut notes).digests;
    let changed = deploy::changed(&opened.control_files, &control_files);
    if !changed.is_empty() {
        let note = format!(
            "control files have changed since the run began: {}; template variables and SSH settings are read again, \
             all else is as it was",
            some(&changed, SHOWN)
        );
        notes.push((Level::Warning, note));
    }
    if let Some(damage) = &unfinished.read.damage {
        notes.push((Level::Warning, format!("the journal is damaged ({damage}): asking the targets what was done")));
    }
    let prepared = Prepared { plan, requests, notes, control_files };
    let ssh = ssh::prepare(&config, prepared.plan.targets().map(|(_, target)| target))?;
    let journal = Journal::reopen(&unfinished)?.ended_by(ended_by);
    if journal.is_low() && at_the_end == AtTheEnd::GoOn {
        let path = journal.path().display();
        return Err(Refused::new(format!(
            "the disk of {path} is full: free some space first, or undo the deployment with `{}`; nothing was touched",
            prepared.plan.invocation.command("rollback")
        )));
    }
    let seen = journal::first_seen(&unfinished.read.records);
    let replay = Replay::new(journal, unfinished.read.records.clone(), at_the_end).with_times(Times::of(&unfinished));
    if unfinished.read.damage.is_some() {
        replay.lacks_records();
    }
    let mut fleet = ssh::fleet(ssh, &config, &repo, &prepared, Some(seen));
    let undoes = at_the_end == AtTheEnd::RollBack;
    let waits = past_steps::waits_for(&prepared.plan, unfinished.read.records.iter());
    let announcer = Announcer::resume(&config, &prepared.plan, &by, (undoes, waits), front);
    let mut run = RecordedRun::begin(&config, &repo, &prepared, announcer, front)?.begun();
    run.ask_targets(&mut fleet, &replay, &unfinished);
    Ok(run.carry_out(fleet, Some(replay)))
}
