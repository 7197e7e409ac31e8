//! What the journals tell of the deployments before this one.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;

use crate::deploy::{Asked, Digests, Kind};
use crate::exit_code::ExitCode;
use crate::fleet::{HostId, Step};
use crate::targets::Target;
use crate::wire::{Fault, Revision, RunId, Stage, StartedBy};

use super::past::{Past, PastResult, PastStep, past_if};
use super::read::journals;
use super::record::Opened;
use super::steps_left::{RunSteps, take_undone};
use super::unreadable::Unreadable;

/// A finished run that may have changed the revision of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    pub run: RunId,
    pub kind: Kind,
    pub revision: Revision,
    /// Every target of its plan.
    pub targets: Vec<Target>,
    /// Those on which its revision stayed, finalized or not.
    pub stayed_on: Vec<Target>,
    /// What its targets had finalized before it, as its probe saw them. Those that had nothing are left out, and those
    /// that had the run's own revision.
    pub before: Vec<(Target, Revision)>,
    /// What its probe found live and finalized on the hosts on which its revision stayed, whoever had deployed that: the same
    /// on all of them. Those on which nothing was live, or the run's own revision, say nothing.
    pub found: Option<Revision>,
    pub by: StartedBy,
    /// A person stopped it, or called for its rollback.
    pub interrupted: bool,
    /// A deployment that went back, on all hosts.
    pub undone: bool,
    /// Its stages make the revision live: it was not to fetch alone, say.
    pub promotes: bool,
    /// It began to make the revision live, or a run-once step: there was something that the revision could fail at. A host
    /// whose disk is full in fetch says nothing of it.
    pub tried: bool,
    /// It rendered configuration files, on any host.
    pub rendered: bool,
    /// A deployment that was rolled back, on all hosts or on those that could be.
    pub rolled_back: bool,
    /// It failed, and left hosts on different revisions.
    pub left_mixed: bool,
    /// The run-once steps that it has left done, or of which nobody knows.
    pub steps: RunSteps,
    /// What its targets were asked; `None` in journals of the first format.
    pub asked: Option<Box<Asked>>,
    /// The control files that it began with.
    pub control_files: Digests,
}

impl PastRun {
    fn new(past: Past) -> PastRun {
        let there = stayed_on(&past);
        let (status, once) = (past.status(), RunSteps::of(&past));
        let Past { opened: Opened { plan, asked, control_files, .. }, interrupted, steps, once: past_once, .. } = past;
        let all: Vec<Target> = plan.targets().map(|(_, target)| target.clone()).collect();
        let found = found(&steps, &there, &plan.revision);
        let mut before = Vec::new();
        for result in steps.iter().filter(|step| step.step == Step::Probe).flat_map(|step| &step.results) {
            let done = result.links.as_ref().and_then(|links| links.done.clone());
            before.extend(
                done.filter(|done| *done != plan.revision).map(|done| (all[result.host.index()].clone(), done)),
            );
        }
        let ran = |stage| steps.iter().any(|step| step.step == Step::Run(stage));
        // One that was finalized went through, whatever became of single hosts.
        let left_mixed = status == Some(ExitCode::Mixed.status()) && !ran(Stage::Finalize);
        let goes_back = plan.kind == Kind::Deploy && ran(Stage::Rollback);
        let undone = goes_back && there.is_empty();
        let stayed_on = plan.hosts().zip(&all).filter(|(host, _)| there.contains(host));
        PastRun {
            before,
            found,
            undone,
            promotes: plan.promotes(),
            tried: ran(Stage::Promote) || !past_once.is_empty(),
            rendered: ran(Stage::ConfigDeploy) && asked.as_ref().is_some_and(|asked| asked.renders()),
            rolled_back: undone || (goes_back && left_mixed),
            stayed_on: stayed_on.map(|(_, target)| target.clone()).collect(),
            interrupted,
            left_mixed,
            steps: once,
            run: plan.run,
            kind: plan.kind,
            revision: plan.revision,
            by: plan.by,
            targets: all,
            asked,
            control_files,
        }
    }

    /// Whether its revision stayed on any host.
    pub fn stayed(&self) -> bool {
        !self.stayed_on.is_empty()
    }

    /// Whether a target had this finalized before it.
    pub fn had(&self, target: &Target, revision: &Revision) -> bool {
        self.before.iter().any(|(other, before)| other == target && before == revision)
    }

    /// Whether it was to make its revision live, and went back.
    pub fn was_undone(&self) -> bool {
        self.undone && self.promotes
    }

    /// Whether what it brought is what its targets are to run from then on: not that of a deployment that failed, wherever it
    /// has stayed. A rollback that the operator left as it was says so too.
    pub fn settles(&self) -> bool {
        self.stayed() && (!self.left_mixed || self.kind == Kind::Rollback)
    }

    /// Whether another revision was live on a host afterwards, or for a while. A rollback that was turned back says nothing of
    /// what the hosts have behind them, whether all of them are well again or not.
    pub fn moved_hosts(&self) -> bool {
        match self.kind {
            Kind::Rollback => self.stayed(),
            _ => self.stayed() || self.was_undone() || self.left_mixed,
        }
    }

    /// When it began: RFC 3339, UTC.
    pub fn began(&self) -> String {
        crate::clock::rfc3339_of_run(self.run.as_str()).unwrap_or_default()
    }
}

/// What the journals of an environment tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The oldest first.
    pub runs: Vec<PastRun>,
    /// A line for each reason why journals cannot be read: what it tells of may not even matter.
    pub warnings: Vec<String>,
}

impl History {
    /// What the targets of the last run were asked whose revision stayed on any host: a rollback goes back from it.
    pub fn last_asked(&self) -> Option<&Asked> {
        self.runs.iter().rfind(|past| past.stayed())?.asked.as_deref()
    }

    /// A run that began after a moment ([`crate::clock::run_id_stamp`]), if one did: by a clock that was wrong, if that
    /// moment is now.
    pub fn run_after(&self, stamp: &str) -> Option<&RunId> {
        self.runs.last().map(|last| &last.run).filter(|run| run.as_str() > stamp)
    }
}

/// The finished runs of an environment that began a stage on a host. The environments of a configuration may deploy several
/// repositories, and one may have had another name: on hosts, that is another repository.
///
/// # Errors
/// A folder that cannot be read.
pub fn history(folder: &Path, repo: &str, environment: Option<&str>) -> Result<History> {
    let (mut history, mut unreadable) = (History::default(), Unreadable::default());
    let wanted = |opened: &Opened| {
        let plan = &opened.plan;
        opened.environment.as_deref() == environment && plan.repo == repo && plan.kind.changes_revision()
    };
    for path in journals(folder)? {
        match past_if(&path, wanted) {
            Ok(Some(past)) if past.end.is_some() && past.touched() => history.runs.push(PastRun::new(past)),
            Ok(_) => {}
            Err(error) => unreadable.add(error),
        }
    }
    history.warnings = unreadable.lines(folder, "; its deployment is ignored", "; their deployments are ignored");
    take_undone(&mut history.runs.iter_mut().map(|run| &mut run.steps).collect::<Vec<_>>());
    Ok(history)
}

/// The newest finished run of another environment whose revision stayed on a host and is one of these: its environment,
/// `None` where it had none, and its revision. What cannot be read is passed over.
pub fn in_another_environment(
    folder: &Path,
    environment: Option<&str>,
    is_one: impl Fn(&Revision) -> bool,
) -> Option<(Option<String>, Revision)> {
    let wanted = |opened: &Opened| {
        opened.environment.as_deref() != environment
            && opened.plan.kind.changes_revision()
            && is_one(&opened.plan.revision)
    };
    journals(folder).ok()?.iter().rev().find_map(|path| {
        let past = past_if(path, wanted).ok()??;
        let environment = past.opened.environment.clone();
        let run = (past.end.is_some() && past.touched()).then(|| PastRun::new(past))?;
        run.stayed().then_some((environment, run.revision))
    })
}

/// The finished deployments of a revision of a repository, in any environment, the oldest first. A rollback to it is none:
/// it brings nothing. What cannot be read is passed over.
///
/// # Errors
/// A folder that cannot be read.
pub fn deployments_of(folder: &Path, repo: &str, revision: &Revision) -> Result<Vec<PastRun>> {
    let wanted = |opened: &Opened| {
        let plan = &opened.plan;
        plan.kind == Kind::Deploy && plan.repo == repo && plan.revision == *revision
    };
    let past = journals(folder)?.into_iter().filter_map(|path| past_if(&path, wanted).ok()?);
    Ok(past.filter(|past| past.end.is_some() && past.touched()).map(PastRun::new).collect())
}

/// In which environments a revision was last deployed to these targets, each with its targets: of those of which no journal
/// tells, where it was last deployed to any of `everyone`. What cannot be read is passed over.
pub fn environments_of(
    folder: &Path,
    (repo, revision): (&str, &Revision),
    targets: &[Target],
    everyone: &[&Target],
) -> Vec<(Option<String>, Vec<Target>)> {
    let mut found: Vec<(Option<String>, Vec<Target>)> = Vec::new();
    let mut add = |environment: Option<String>, on: Vec<Target>| match found.iter_mut().find(|it| it.0 == environment) {
        _ if on.is_empty() => {}
        Some((_, known)) => known.extend(on),
        None => found.push((environment, on)),
    };
    let (mut rest, mut newest) = (targets.to_vec(), None);
    let wanted = |opened: &Opened| {
        let is_for = |(_, target): (_, &Target)| everyone.contains(&target);
        let plan = &opened.plan;
        let is_it = plan.repo == repo && plan.revision == *revision;
        plan.kind.changes_revision() && is_it && plan.targets().any(is_for)
    };
    for path in journals(folder).unwrap_or_default().iter().rev() {
        if rest.is_empty() {
            break;
        }
        let Ok(Some(past)) = past_if(path, wanted) else { continue };
        let environment = past.opened.environment.clone();
        if past.end.is_none() || !past.touched() {
            continue;
        }
        let run = PastRun::new(past);
        if !run.stayed() {
            continue;
        }
        newest.get_or_insert_with(|| environment.clone());
        let (its, others) = rest.into_iter().partition(|target| run.targets.contains(target));
        rest = others;
        add(environment, its);
    }
    if let Some(environment) = newest {
        add(environment, rest);
    }
    found
}

/// Whether the revision of a run that has ended stayed on any host, finalized or not.
pub fn stayed(past: &Past) -> bool {
    !stayed_on(past).is_empty()
}

/// The hosts on which the run's revision went live, or was finalized, and was not taken back afterwards.
fn stayed_on(past: &Past) -> HashSet<HostId> {
    let plan = &past.opened.plan;
    let stayed = past.end.as_ref().and_then(|end| end.stayed);
    // A rollback that was turned back leads from where it began, also where it could not get back to.
    let goes_live = plan.kind.changes_revision() && !(plan.kind == Kind::Rollback && was_turned_back(past));
    // Earlier builds said so of every rollback that finalized no host.
    let is_doubted = stayed == Some(false);
    if is_doubted && !(goes_live && plan.kind == Kind::Rollback) {
        return HashSet::new();
    }
    let mut there = HashSet::new();
    for PastStep { step, results, .. } in &past.steps {
        for PastResult { host, outcome, links, .. } in results {
            let current = links.as_ref().map(|links| links.current.as_ref() == Some(&plan.revision));
            match step {
                // Somebody else has deployed there meanwhile, or the host has gone back by itself.
                Step::Run(Stage::Finalize) if current == Some(false) => drop(there.remove(host)),
                Step::Run(Stage::Finalize) if outcome.is_ok() => drop(there.insert(*host)),
                Step::Run(Stage::Promote | Stage::Finalize)
                    if goes_live
                        && (current == Some(true) || !is_doubted && matches!(outcome, Err(Fault::Lost { .. }))) =>
                {
                    there.insert(*host);
                }
                // With a check that fails it is back there too.
                Step::Run(Stage::Rollback)
                    if matches!(outcome, Ok(()) | Err(Fault::ChecksFailed { .. })) || current == Some(false) =>
                {
                    there.remove(host);
                }
                _ => {}
            }
        }
    }
    // The run knew more than its records say of single hosts.
    if stayed == Some(true) && there.is_empty() { plan.hosts().collect() } else { there }
}

/// What was live and finalized on these hosts when they were first probed, if that was one revision.
fn found(steps: &[PastStep], hosts: &HashSet<HostId>, own: &Revision) -> Option<Revision> {
    let probes = steps.iter().filter(|step| step.step == Step::Probe);
    let mut heard = HashSet::new();
    let mut live: HashSet<Option<&Revision>> = HashSet::new();
    for result in probes.flat_map(|step| &step.results).filter(|result| hosts.contains(&result.host)) {
        let Some(links) = result.links.as_ref().filter(|_| heard.insert(result.host)) else { continue };
        if let Some(current) = links.current.as_ref().filter(|current| *current != own) {
            live.insert(Some(current).filter(|current| links.done.as_ref() == Some(*current)));
        }
    }
    let mut live = live.into_iter();
    live.next().filter(|_| live.next().is_none())?.cloned()
}

/// Whether the last thing that the run did was to go back. Single hosts are rolled back before others are finalized.
fn was_turned_back(past: &Past) -> bool {
    let ends = past.steps.iter().rev().filter_map(|step| match step.step {
        Step::Run(stage @ (Stage::Rollback | Stage::Finalize)) => Some(stage),
        _ => None,
    });
    ends.take(1).any(|stage| stage == Stage::Rollback)
}
