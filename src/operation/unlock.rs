//! Whose locks are on targets, and an end to those that are dead.

use std::sync::Arc;

use crate::config::{Config, Options};
use crate::deploy;
use crate::exit_code::ExitCode;
use crate::fleet::{Call, Fleet, Flow, HostEvent, HostId, HostResult, Pack, PackSource, SshFleet, Step, Task};
use crate::locks::{DeployLock, Purpose, nameless};
use crate::targets::{HostPattern, Target};
use crate::text::counted;
use crate::wire::{Facts, Holder, Level, Revision, RunId};

use super::{Frontend, Refused, load, ssh};

/// What one target takes for a look, at the most.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// Shows the locks on the targets that match one of `hosts`, or on all where that is empty, and clears those that the
/// operator agrees to.
pub fn unlock(options: &Options, hosts: &[String], front: &dyn Frontend) -> Result<ExitCode, Refused> {
    front.can_ask()?;
    let config = load(options)?;
    let targets = chosen(&config, hosts)?;
    let holder = deploy::holder("unlock".into())?;
    let newest = holder.run.clone();
    tell_of_the_repository(&config, front);
    let mut fleet = fleet(&config, targets.clone(), holder)?;
    let mut all_well = true;
    let mut locked = Vec::new();
    for (host, found) in look(&mut fleet, &config, targets.len()).into_iter().enumerate() {
        let target = &targets[host];
        let Some(found) = found else { continue };
        match found.facts {
            Some(facts) => {
                let (text, clear) = describe(&facts, &newest);
                // Nothing is ended here that is not Hoist's.
                all_well &= facts.stranger.is_none();
                front.answer(&format!("{target}: {text}"));
                if let Some(lease) = &facts.lease {
                    front.answer(&format!("{target}: {lease}"));
                }
                if clear {
                    locked.push((host, facts.locked.map(|by| by.run)));
                }
            }
            None => {
                all_well = false;
                front.tell(&format!("{target}: {}", found.outcome));
            }
        }
    }
    if !locked.is_empty() {
        let question = format!("Clear what is locked on {}?", counted(locked.len(), "host"));
        if !front.confirm(&question) {
            front.tell("nothing was cleared");
            return Ok(ExitCode::Failed);
        }
        fleet.unlock(config.settings.batch_size, &locked, &mut |events| {
            for event in events {
                match event {
                    HostEvent::Line(host, line) if line.level > Level::Debug => {
                        front.answer(&format!("{}: {}", targets[host], line.message));
                    }
                    HostEvent::Ended(host, result) if !result.outcome.is_ok() => {
                        all_well = false;
                        front.tell(&format!("{}: {}", targets[host], result.outcome));
                    }
                    _ => {}
                }
            }
        });
    }
    Ok(if all_well { ExitCode::Success } else { ExitCode::Failed })
}

/// The targets that `hosts` name, in the order of the groups.
fn chosen(config: &Config, hosts: &[String]) -> Result<Vec<Target>, Refused> {
    let (groups, _) = config.groups(None)?;
    let (of, all): (Vec<String>, Vec<Target>) =
        groups.into_iter().flat_map(|group| group.targets.into_iter().map(move |it| (group.name.clone(), it))).unzip();
    if hosts.is_empty() {
        return Ok(all);
    }
    let mut wanted = vec![false; all.len()];
    for text in hosts {
        let mut pattern: HostPattern = text.parse().map_err(|why: String| Refused::new(format!("{text:?}: {why}")))?;
        pattern.know(&config.settings.server_groups, &all).map_err(Refused::new)?;
        let mut any = false;
        for ((target, group), wanted) in all.iter().zip(&of).zip(&mut wanted) {
            let here = pattern.matches(group, target);
            any |= here;
            *wanted |= here;
        }
        if !any {
            return Err(Refused::new(format!("{text} is none of the {} of the groups", counted(all.len(), "target"))));
        }
    }
    Ok(all.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(target, _)| target).collect())
}

/// The locks on this host: they cannot be dead, since they end with their process.
fn tell_of_the_repository(config: &Config, front: &dyn Frontend) {
    let places = deploy::lock_places(config);
    let here = [(config.settings.git_repo.as_str(), &places.own, ""), ("every repository", &places.all, " --all")];
    for (what, path, flag) in here {
        match DeployLock::holder(path) {
            Ok(None) => {}
            Ok(Some(by)) => {
                let line = match by {
                    None => nameless(path),
                    Some(by) if by.purpose == Purpose::Lock => {
                        format!("{by} ({}); `hoist lock --end{flag}` ends that", path.display())
                    }
                    Some(by) => format!("{by} ({}); end that process to unlock it", path.display()),
                };
                front.answer(&format!("here: {what} {line}"));
            }
            Err(error) => front.tell(&format!("cannot look at {}: {error}", path.display())),
        }
    }
    for (what, held) in places.held_elsewhere(&config.settings.git_repo) {
        front.answer(&format!("here: {what} is {held}; end that process to unlock it"));
    }
}

/// What is told of a target, and whether there is something to clear.
fn describe(facts: &Facts, newest: &RunId) -> (String, bool) {
    let mut parts = Vec::new();
    match (&facts.locked, &facts.stranger) {
        (None, Some(stranger)) => parts.push(stranger.clone()),
        (Some(by), _) => parts.push(format!("locked by {by}")),
        (None, None) => parts.push("not locked".to_owned()),
    }
    if let Some(last) = &facts.newest {
        let Holder { run, user, host, .. } = &**last;
        let ahead = if run > newest { ", which is ahead of the clock of this host" } else { "" };
        parts.push(format!("runs before {run} of {user}@{host}{ahead} are refused"));
    }
    (parts.join("; "), facts.locked.is_some() || facts.newest.is_some())
}

fn fleet(config: &Config, targets: Vec<Target>, holder: Holder) -> Result<SshFleet, Refused> {
    let request = deploy::bare_request(config, holder)?;
    let maker = Box::new(move |_, _: &Call, _: &Task| request.clone());
    let ssh = ssh::prepare(config, targets.iter())?;
    Ok(SshFleet::new(ssh, targets, maker, Box::new(NoPacks)))
}

struct NoPacks;

impl PackSource for NoPacks {
    fn pack(&self, _: &[Revision]) -> anyhow::Result<Option<Arc<Pack>>> {
        Ok(None)
    }
}

/// Probes every target; the results in the order of the targets.
fn look(fleet: &mut SshFleet, config: &Config, count: usize) -> Vec<Option<Box<HostResult>>> {
    let call = Call {
        step: Step::Probe,
        group: String::new(),
        batch: config.settings.batch_size,
        timeout: TIMEOUT,
        force: false,
        recover: false,
    };
    let tasks: Vec<Task> = (0..count).map(|host: HostId| Task { host, attempt: 0, restore: None }).collect();
    let mut found: Vec<Option<Box<HostResult>>> = vec![None; count];
    fleet.run(&call, &tasks, &mut |events| {
        for event in events {
            if let HostEvent::Ended(host, result) = event {
                found[host] = Some(result);
            }
        }
        Flow::Continue
    });
    found
}
