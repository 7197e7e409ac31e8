//! One run of the story, with everyone who takes part in it.

use std::time::Instant;

use anyhow::Result;

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Operator, Plan, Prepared, Verdict};
use crate::exit_code::ExitCode;
use crate::fleet::Fleet;
use crate::fleet::remarks::Remark;
use crate::fleet_state::{FleetState, Known, Observation};
use crate::invocation::Invocation;
use crate::journal::{Replay, Told, Unfinished};
use crate::operation::announce::Announcer;
use crate::operation::repository::is_here;
use crate::operation::{Frontend, distance, state_folder};
use crate::procfs;
use crate::repo::Repo;
use crate::report::{Event, LogFile, Note, OwedHost, Reporter, Tee, WithTimings, owed_line};
use crate::targets::{Target, fold};
use crate::text::counted;
use crate::wire::{Holder, Level};

use super::after_probe::AfterProbe;
use super::lock_after::{lock_after, locks_after};
use super::observe::Observations;
use super::owed::owed;
use super::publish::publish;
use super::service_gates::{ServiceGates, most_common};
use super::tag::TaggingFleet;

/// One run: what a deployment needs here, and what it leaves.
pub struct RecordedRun<'a> {
    config: &'a Config,
    repo: &'a Repo,
    prepared: &'a Prepared,
    report: WithTimings<Tee>,
    operator: Box<dyn Operator>,
    announcer: Announcer,
    began: Instant,
    /// What targets run is compared with what they get.
    compares: bool,
    /// An automatic rollback locks the repository.
    locks_after: bool,
    /// The command that runs it.
    command: &'static str,
}

impl<'a> RecordedRun<'a> {
    /// Opens the log, listens for interrupts, and tells the reporters what the run is about.
    pub fn begin(
        config: &'a Config,
        repo: &'a Repo,
        prepared: &'a Prepared,
        announcer: Announcer,
        front: &dyn Frontend,
    ) -> Result<RecordedRun<'a>> {
        let plan = &prepared.plan;
        let log = LogFile::open(&config.control, &plan.run, config.settings.journals_to_keep);
        let report = Tee::new(vec![front.reporter(), Box::new(log), Box::new(announcer.clone())]);
        let mut report = WithTimings::new(report, &plan.groups);
        let operator = announcer.operator(front.operator(&plan.invocation)?);
        report.event(&Event::Started {
            run: plan.run.clone(),
            by: plan.by.clone(),
            repo: plan.repo.clone(),
            revision: plan.revision.clone(),
            origin: plan.origin.clone(),
            message: plan.message.clone(),
            groups: plan.heads(),
            break_glass: plan.break_glass.clone(),
            signed_by: plan.signed_by.clone(),
        });
        for (level, note) in config.notes.iter().chain(&prepared.notes) {
            report.event(&Event::note(*level, note.clone()));
        }
        for step in &plan.steps {
            let told = format!("{}: {}", step.title(false), step.summary());
            report.event(&Event::note(Level::Info, told));
        }
        let (began, locks_after) = (Instant::now(), locks_after(config, plan, front));
        let (command, compares) = (front.command(), false);
        Ok(RecordedRun { config, repo, prepared, report, operator, announcer, began, compares, locks_after, command })
    }

    /// The same of a run that an earlier deployer began: it has touched hosts.
    pub fn begun(mut self) -> RecordedRun<'a> {
        self.operator.touches();
        self
    }

    /// Tells, once the targets were probed, which commits are between what they run and what they get.
    pub fn comparing(self) -> RecordedRun<'a> {
        RecordedRun { compares: true, ..self }
    }

    /// Tells the story over a fleet, and says how it ended.
    pub fn carry_out(mut self, fleet: impl Fleet, replay: Option<Replay>) -> ExitCode {
        let plan = &self.prepared.plan;
        let mut fleet = TaggingFleet::new(fleet, self.config, self.repo, self.prepared);
        let observations = Observations::new(plan.size());
        self.announcer.observe({
            let (observations, plan) = (observations.clone(), plan.clone());
            move || {
                let before = observations.live(&plan).into_iter().map(|(_, live)| live);
                Some(most_common(before.filter(|live| *live != plan.revision))).filter(|found| !found.is_empty())
            }
        });
        let mut gates = ServiceGates::new(self.config, plan, observations.clone());
        let verdict = match &replay {
            None => deploy::deploy(plan, &mut fleet, &mut gates, &mut *self.operator, &mut self.report),
            Some(replay) => {
                let mut watched = observations.states(replay.fleet(observations.contacts(&mut fleet)));
                let live = || observations.live(plan);
                let compare = || {
                    let live = live();
                    let live = live.iter().map(|(target, revision)| (*target, revision));
                    distance::remarks(self.repo, plan, live, distance::LIVE, self.command == "deploy")
                };
                let mut report = replay.reporter(&mut self.report);
                let mut report = AfterProbe::new(&mut report, self.compares.then_some(compare));
                let mut operator = replay.operator(&mut *self.operator);
                deploy::deploy(plan, &mut watched, &mut replay.gates(gates), &mut operator, &mut report)
            }
        };
        let all_well = verdict.rows.iter().all(|row| row.ok);
        let made_from = plan.origin.iter().map(|origin| format!("; {} is {origin}", plan.revision.short()));
        let signers = plan.signed_by.join(", ");
        let signed = (!signers.is_empty()).then(|| format!("; the plan was signed by {signers}"));
        let text = made_from.chain(signed).fold(verdict.text, |text, more| text + &more);
        let mut verdict = Verdict { text, code: verdict.code.judged(self.config.settings.strict, all_well), ..verdict };
        if let Some(remark) = fleet.remark() {
            self.report.event(&Event::note(Level::Warning, remark));
        }
        let (mut owed, mut memory) = (Vec::new(), None);
        if let Some(replay) = replay.filter(|_| !verdict.open) {
            // First, so that a resumed run remembers what this one did not come to.
            replay.make_room();
            (owed, memory) = self.remember(&verdict, observations.take());
            if self.locks_after
                && let Some(told) = lock_after(self.config, plan, &mut verdict, &self.announcer)
            {
                self.report.event(&told);
            }
            self.close_journal(&replay, &verdict);
        }
        if let Some(memory) = memory.or_else(|| FleetState::load(&state_folder(self.config), &plan.repo).ok()) {
            name_drained_before(&mut verdict, plan, &memory);
        }
        if !verdict.open
            && let Err(error) = publish(self.config, self.repo, self.prepared, &verdict, &state_folder(self.config))
        {
            let note = format!("new hosts may not get this revision: {error:#}");
            self.report.event(&Event::note(Level::Warning, note));
        }
        if !verdict.open {
            self.announce_end(&verdict);
        }
        let Verdict { text: verdict, mut ways_out, code, rows, locked, .. } = verdict;
        ways_out.extend(left_locked(&locked, &plan.by.deploy_host, &plan.invocation));
        ways_out.extend(owed_line(&owed, &plan.invocation.command("reconcile")));
        ways_out.extend(to_be_fetched(self.repo, &owed));
        let seconds = self.began.elapsed().as_secs_f64();
        self.report.event(&Event::Ended { verdict, ways_out, owed, status: code.status(), rows, seconds });
        code
    }

    /// Tells others of the end. A hook that does not answer costs its time limit once, and is named.
    fn announce_end(&mut self, verdict: &Verdict) {
        self.announcer.end(verdict, &self.prepared.plan);
        if let Some(waits) = self.announcer.still_waits() {
            self.report.event(&Event::note(Level::Info, waits));
            self.report.flush();
        }
        for line in self.announcer.settle() {
            self.report.event(&Event::note(Level::Warning, line));
        }
    }

    /// Notes what the run saw of its targets, and who missed. A deployment does not fail for it. Gives the hosts that still
    /// need a revision after a run that went through, and all that is known now.
    fn remember(&mut self, verdict: &Verdict, observations: Vec<Observation>) -> (Vec<OwedHost>, Option<FleetState>) {
        let plan = &self.prepared.plan;
        let folder = state_folder(self.config);
        let change = |memory: &mut FleetState| {
            memory.after(plan, verdict, observations);
            if verdict.finalized.is_some() && plan.kind.changes_revision() {
                memory.note_lists(self.config.environment.as_deref(), plan);
            }
        };
        let mut found = Vec::new();
        let (memory, warning) = match FleetState::update(&folder, &plan.repo, change) {
            Ok(mut memory) => {
                if verdict.finalized.is_some() {
                    found = owed(self.config, plan, &memory, self.command != "reconcile");
                }
                let warning = memory.warning.take();
                (Some(memory), warning)
            }
            Err(error) => {
                let (status, reconcile) = (plan.invocation.command("status"), plan.invocation.command("reconcile"));
                (None, Some(format!("`{status}` and `{reconcile}` will not include this run: {error:#}")))
            }
        };
        if let Some(warning) = warning {
            self.report.event(&Event::note(Level::Warning, warning));
        }
        (found, memory)
    }

    /// Has the targets of a run that another deployer began say what it did there: its journal may lack the last of it.
    pub fn ask_targets(&mut self, fleet: &mut impl Fleet, replay: &Replay, unfinished: &Unfinished) {
        let asking = format!("asking {} what the run did there", counted(self.prepared.plan.size(), "target"));
        self.report.event(&Event::note(Level::Info, asking));
        let told = Told::ask(fleet, &self.prepared.plan);
        if let (Some(damage), false) = (&unfinished.read.damage, told.silent.is_empty()) {
            let targets: Vec<_> = self.prepared.plan.targets().map(|(_, target)| target).collect();
            let silent = fold(told.silent.iter().map(|host| targets[host.index()]));
            let note =
                format!("the journal is damaged ({damage}), and {silent} could not be asked what the run did there");
            self.report.event(&Event::note(Level::Warning, note));
        }
        self.pass_on(told.remarks.clone());
        replay.hint(&unfinished.read.later);
        replay.add(told);
    }

    /// Tells the reporters what nobody else tells them.
    pub fn pass_on(&mut self, remarks: Vec<Remark>) {
        for Remark { level, host, message } in remarks {
            self.report.event(&Event::Note(Note { level, message, host, step: None }));
        }
        self.report.flush();
    }

    /// Ends the journal. Where that cannot be written the deployment stays unfinished, and whoever ends it finds the same.
    fn close_journal(&mut self, replay: &Replay, verdict: &Verdict) {
        self.pass_on(replay.take_remarks());
        // One that was through by then was not stopped by it.
        if let Some(why) = replay.stopped().filter(|_| verdict.finalized.is_none()) {
            self.report.event(&Event::note(Level::Error, format!("the run was stopped: {why}")));
        }
        if let Err(error) = replay.close(&verdict.whole(), verdict.code.status(), verdict.stayed) {
            let resume = self.prepared.plan.invocation.command("resume");
            let note = format!(
                "cannot record the end of this run: {error:#}; when that is fixed, run `{resume}`: it asks the \
                 targets and records it"
            );
            self.report.event(&Event::note(Level::Error, note));
        }
    }
}

/// Names the hosts that the run could not reach and that were drained when they were last seen: they are out of service,
/// and nobody else would say so.
fn name_drained_before(verdict: &mut Verdict, plan: &Plan, memory: &FleetState) {
    let rows = verdict.rows.iter_mut().zip(plan.targets()).zip(&verdict.unheard);
    for ((row, (_, target)), _) in rows.filter(|(_, unheard)| **unheard) {
        let Some(drained) = memory.of(target).and_then(Known::drained) else { continue };
        row.reason = Some(row.reason.iter().cloned().chain([drained.as_last_seen()]).collect::<Vec<_>>().join("; "));
    }
}

/// The revisions that hosts still need and that nothing brings there from here: targets may keep what this repository has not.
fn to_be_fetched(repo: &Repo, owed: &[OwedHost]) -> Option<String> {
    let mut gone: Vec<&str> = Vec::new();
    for OwedHost { revision, .. } in owed {
        // What cannot be read is no reason to say so.
        if !gone.contains(&revision.short()) && matches!(is_here(repo, revision), Ok(false)) {
            gone.push(revision.short());
        }
    }
    let is = if gone.len() == 1 { "is" } else { "are" };
    (!gone.is_empty()).then(|| format!("{} {is} not in this repository: fetch it first", gone.join(", ")))
}

/// What clears the locks whose processes on this host have ended: what they left running on the hosts does not end.
fn left_locked(locked: &[(Target, Holder)], here: &str, invocation: &Invocation) -> Option<String> {
    let is_left = |by: &Holder| by.host == here && !procfs::is_running(by.pid, "hoist");
    let left: Vec<&Target> = locked.iter().filter(|(_, by)| is_left(by)).map(|(target, _)| target).collect();
    let names: Vec<String> = left.iter().map(|target| target.to_string()).collect();
    let unlock = invocation.command(&format!("unlock {}", names.join(" ")));
    (!left.is_empty()).then(|| format!("{}: the run that has the lock has ended: `{unlock}` clears it", fold(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_whose_run_has_ended_here_is_named_with_the_command_that_clears_it() {
        let lock = |target: &str, host: &str, pid| {
            let (run, user, since) = ("20261123T144552.123Z-4711-7d3f".parse().unwrap(), "op".into(), String::new());
            let by = Holder { run, user, host: host.into(), pid, since, message: String::new() };
            (target.parse::<Target>().unwrap(), by)
        };
        // No process has so high a number.
        let locked =
            [lock("web1", "here", u32::MAX), lock("web2", "elsewhere", u32::MAX), lock("web3", "here", u32::MAX)];
        let said = left_locked(&locked, "here", &Invocation::default()).unwrap();
        assert_eq!(said, "web[1,3]: the run that has the lock has ended: `hoist unlock web1 web3` clears it");
        assert_eq!(left_locked(&locked[1..2], "here", &Invocation::default()), None);
    }
}
