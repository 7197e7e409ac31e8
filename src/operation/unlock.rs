//! Whose locks are on targets, and an end to those that are dead.

use crate::config::{Config, Options};
use crate::deploy;
use crate::exit_code::ExitCode;
use crate::fleet::{HostEvent, HostId, NoPacks, SshFleet};
use crate::locks;
use crate::locks::{DeployLock, LockHolder, Purpose, nameless};
use crate::procfs;
use crate::report::{Cause, Causes};
use crate::targets::{HostPattern, Target, fold};
use crate::text::counted;
use crate::wire::{Facts, Holder, Level, RunId};

use super::{Frontend, Refused, load_telling, ssh, state_folder};

/// Shows the locks on the targets that match one of `hosts`, or on all if it is empty, and clears those that the operator
/// agrees to. Locks of a run that is or may be still under way are cleared only with `force`.
pub fn unlock(options: &Options, hosts: &[String], force: bool, front: &dyn Frontend) -> Result<ExitCode, Refused> {
    front.can_ask()?;
    let config = load_telling(options, front)?;
    let targets = chosen(&config, hosts)?;
    let holder = deploy::holder("unlock".into())?;
    let (newest, here) = (holder.run.clone(), holder.host.clone());
    tell_of_the_repository(&config, front);
    let mut fleet = fleet(&config, targets.clone(), holder)?;
    let mut all_well = true;
    let mut locked = Vec::new();
    let mut remarks = Vec::new();
    let results = deploy::look(&mut fleet, config.settings.batch_size, targets.len(), &mut remarks);
    front.pass_on(&remarks);
    let mut found = Told::default();
    let mut drained_hosts = false;
    for (host, result) in results.into_iter().enumerate() {
        let target = &targets[host];
        let Some(result) = result else { continue };
        let Some(facts) = result.facts else {
            all_well = false;
            let why = result.outcome.err().map(|fault| fault.to_string());
            found.wrong(target, &why.unwrap_or_else(|| "it sent no information".to_owned()));
            continue;
        };
        let (text, clear) = describe(&facts, &newest);
        // Nothing is ended here that is not Hoist's.
        all_well &= facts.stranger.is_none();
        found.answer(target, &text);
        if let Some(lease) = &facts.lease {
            found.answer(target, &lease.to_string());
        }
        if let Some(drained) = &facts.state.drained {
            found.answer(target, &drained.to_string());
            drained_hosts = true;
        }
        let alive = facts.locked.as_ref().filter(|_| !force).and_then(|by| under_way(by, &here));
        if let Some(why) = alive {
            all_well = false;
            found.wrong(target, &format!("not cleared: {why}"));
        } else if clear {
            locked.push((HostId::new(host), facts.locked.map(|by| by.run)));
        }
    }
    found.show(front);
    if drained_hosts {
        let [resume, reconcile] = ["resume", "reconcile"].map(|command| config.invocation.command(command));
        front.answer(&format!(
            "drained hosts are put back into service by `{resume}`, or by `{reconcile}` if no deployment is unfinished"
        ));
    }
    if !locked.is_empty() {
        let question = format!("Clear the locks on {}?", counted(locked.len(), "host"));
        if !front.confirm(&question) {
            front.tell("nothing was cleared");
            return Ok(ExitCode::Failed);
        }
        let mut done = Told::default();
        let mut remarks = Vec::new();
        fleet.unlock(config.settings.batch_size, &locked, &mut |events| {
            for event in events {
                match event {
                    HostEvent::Line(host, line) if line.level > Level::Debug => {
                        done.answer(&targets[host.index()], &line.message);
                    }
                    HostEvent::Remark(remark) => remarks.push(remark),
                    HostEvent::Ended(host, result) => {
                        if let Err(fault) = result.outcome {
                            all_well = false;
                            done.wrong(&targets[host.index()], &fault.to_string());
                        }
                    }
                    _ => {}
                }
            }
        });
        front.pass_on(&remarks);
        done.show(front);
    }
    Ok(if all_well { ExitCode::Success } else { ExitCode::Failed })
}

/// What there is to say of targets, equal things once.
#[derive(Default)]
struct Told {
    answers: Causes<()>,
    wrong: Causes<()>,
}

impl Told {
    fn answer(&mut self, target: &Target, text: &str) {
        self.answers.add((), text, target);
    }

    fn wrong(&mut self, target: &Target, text: &str) {
        self.wrong.add((), text, target);
    }

    fn show(mut self, front: &dyn Frontend) {
        // Where hosts have different processes, their numbers are of no use.
        let text = |cause: &Cause<()>| cause.text.replace("process PID of run ", "the process of run ");
        let line = |cause: Cause<()>| format!("{}: {}", fold(&cause.hosts), text(&cause));
        self.answers.take().into_iter().for_each(|cause| front.answer(&line(cause)));
        self.wrong.take().into_iter().for_each(|cause| front.tell(&line(cause)));
    }
}

/// Why the run that holds a lock must not lose it unasked, if that is so. `here` is this host's name.
fn under_way(by: &Holder, here: &str) -> Option<String> {
    if by.host != here {
        let look = format!("find out on {} whether process {} is still running", by.host, by.pid);
        return Some(format!("the run belongs to another deploy host: {look}; if it is not, use --force"));
    }
    procfs::is_running(by.pid, "hoist").then(|| {
        let stop = "stop it with Ctrl-C at its terminal, or wait until it has ended";
        format!("process {} of that run is still running; {stop} (--force clears its locks anyway)", by.pid)
    })
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
            return Err(Refused::new(format!(
                "{text} is not one of the {} of the groups",
                counted(all.len(), "target")
            )));
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
            Ok(LockHolder::Nobody) => {}
            Ok(LockHolder::Nameless) => front.answer(&format!("here: {what} {}", nameless(path))),
            Ok(LockHolder::By(by)) => {
                let end = match by.purpose {
                    Purpose::Lock | Purpose::Rollback => {
                        format!("end it with `{}`", config.invocation.command(&format!("lock --end{flag}")))
                    }
                    Purpose::Deploy => format!("end process {} to unlock it", by.holder.pid),
                };
                front.answer(&format!("here: {what} {by} ({}); {end}", path.display()));
            }
            Err(error) => front.tell(&format!("cannot read {}: {error}", path.display())),
        }
    }
    match locks::kept(&state_folder(config)) {
        Ok(None) => {}
        Ok(Some(by)) => {
            let (repo, end) = (&config.settings.git_repo, config.invocation.command("lock --end"));
            front.answer(&format!("here: {repo} {by}; end it with `{end}`"));
        }
        Err(error) => front.tell(&format!("{error:#}")),
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
        parts.push(format!("runs older than {run} of {user}@{host}{ahead} are refused"));
    }
    (parts.join("; "), facts.locked.is_some() || facts.newest.is_some())
}

fn fleet(config: &Config, targets: Vec<Target>, holder: Holder) -> Result<SshFleet, Refused> {
    let ssh = ssh::prepare(config, targets.iter())?;
    Ok(SshFleet::new(ssh, targets, Box::new(deploy::Look::new(config, holder, false)), Box::new(NoPacks)))
}
