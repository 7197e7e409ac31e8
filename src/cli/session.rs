//! One run of the story, with everyone who takes part in it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::config::Config;
use crate::deploy;
use crate::deploy::{Prepared, Verdict};
use crate::exit_code::ExitCode;
use crate::fleet::remarks::Remark;
use crate::fleet::{Call, Fleet, Flow, HostEvent, Step, Task};
use crate::fleet_state::{FleetState, Observation};
use crate::journal::{Replay, Told, Unfinished};
use crate::locks::{LockOwner, Locks};
use crate::repo::{Repo, Tags, describing};
use crate::report;
use crate::report::{Event, LogFile, Note, Reporter, Tee, Verbosity};
use crate::targets::fold;
use crate::wire::{Holder, Level};

use super::console::Console;
use super::observe::Observations;
use super::signals::Interrupts;
use super::{Refused, publish, wait};

/// The locks that a deployment of the repository needs here, or the status for whoever wanted them too.
pub fn lock(config: &Config, holder: &Holder) -> Result<Result<Locks, ExitCode>, Refused> {
    // Nothing listens for signals yet: one ends the process, and its wait.
    take_locks(config, &LockOwner::from(holder.clone()), &|| false)
}

/// The same, whatever for. `stopped` ends the wait for others.
pub fn take_locks(
    config: &Config,
    keeper: &LockOwner,
    stopped: &dyn Fn() -> bool,
) -> Result<Result<Locks, ExitCode>, Refused> {
    let places = deploy::lock_places(config);
    wait::for_lock(config.lock_timeout(), &config.settings.git_repo, stopped, || Locks::take(&places, keeper))
}

/// Where the journals of a repository lie.
pub fn state_folder(config: &Config) -> PathBuf {
    config.control.join("state")
}

/// What is shown of a run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    pub format: report::Format,
    pub verbosity: Verbosity,
}

impl Show {
    /// From the flags of a command.
    pub fn of(command: &str, format: report::Format, verbose: bool, quiet: bool) -> Result<Show, Refused> {
        let verbosity = match (verbose, quiet) {
            (true, true) => return Err(Refused::usage(command, "-v and -q exclude each other")),
            (true, false) => Verbosity::Verbose,
            (false, true) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
        };
        Ok(Show { format, verbosity })
    }
}

/// What is said of a run that is stopped at once.
const LAST_WORDS: &str = "hoist: stopped at once; stages under way go on by themselves on their hosts\n\
                          continue with `hoist resume`, or undo with `hoist rollback`";

/// One run.
pub struct Session<'a> {
    config: &'a Config,
    repo: &'a Repo,
    prepared: &'a Prepared,
    report: Tee,
    interrupts: Interrupts,
    yes: bool,
    began: Instant,
}

impl<'a> Session<'a> {
    /// Opens the log, listens for interrupts, and tells the reporters what the run is about.
    pub fn begin(config: &'a Config, repo: &'a Repo, prepared: &'a Prepared, show: Show, yes: bool) -> Result<Self> {
        let plan = &prepared.plan;
        let shown = report::to_stdout(show.format, show.verbosity, |hosts| fold(hosts.iter().copied()));
        let log = LogFile::open(&config.control, &plan.run, config.settings.tags_to_keep);
        let mut report = Tee::new(vec![shown, Box::new(log)]);
        let interrupts = Interrupts::listen(LAST_WORDS)?;
        report.event(&Event::Started {
            run: plan.run.clone(),
            user: plan.user.clone(),
            deploy_host: plan.deploy_host.clone(),
            repo: plan.repo.clone(),
            revision: plan.revision.clone(),
            message: plan.message.clone(),
            groups: plan.heads(),
        });
        for (level, note) in config.notes.iter().chain(&prepared.notes) {
            report.event(&Event::note(*level, note.clone()));
        }
        Ok(Session { config, repo, prepared, report, interrupts, yes, began: Instant::now() })
    }

    /// Tells the story over a fleet, and says how it ended.
    pub fn carry_out(&mut self, fleet: impl Fleet, replay: Option<Replay>) -> ExitCode {
        let plan = &self.prepared.plan;
        let mut console = Console::new(self.yes, self.interrupts.clone());
        let mut fleet =
            Tagged { inner: fleet, session: (self.config, self.repo, self.prepared), remark: None, done: false };
        let observations = Observations::new(plan.size());
        let verdict = match &replay {
            None => deploy::deploy(plan, &mut fleet, &mut console, &mut self.report),
            Some(replay) => {
                let mut watched = observations.states(replay.fleet(observations.contacts(&mut fleet)));
                deploy::deploy(plan, &mut watched, &mut replay.operator(console), &mut self.report)
            }
        };
        if let Some(remark) = fleet.remark {
            self.report.event(&Event::note(Level::Warning, remark));
        }
        if let Some(replay) = replay {
            // First, so that a resumed run remembers what this one did not come to.
            replay.make_room();
            self.remember(&verdict, observations.take());
            self.close_journal(&replay, &verdict);
        }
        if let Err(error) = publish::publish(self.config, self.repo, self.prepared, &verdict) {
            let note = format!("hosts that are set up from now on may not get this revision: {error:#}");
            self.report.event(&Event::note(Level::Warning, note));
        }
        let Verdict { text, code, rows, .. } = verdict;
        self.report.event(&Event::ended(text, code, rows, self.began.elapsed().as_secs_f64()));
        code
    }

    /// Notes what the run saw of its targets, and who missed out. A deployment does not fail for it.
    fn remember(&mut self, verdict: &Verdict, observations: Vec<Observation>) {
        let plan = &self.prepared.plan;
        let folder = state_folder(self.config);
        let warning = match FleetState::update(&folder, |memory| memory.after(plan, verdict, observations)) {
            Ok(memory) => memory.warning,
            Err(error) => Some(format!("`hoist status` and `hoist reconcile` will not know of this run: {error:#}")),
        };
        if let Some(warning) = warning {
            self.report.event(&Event::note(Level::Warning, warning));
        }
    }

    /// Has the targets of a run that another deployer began say what it did there: its journal may lack the last of it.
    pub fn ask_targets(&mut self, fleet: &mut impl Fleet, replay: &Replay, unfinished: &Unfinished) {
        let asking = format!("asking {} what the run did there", super::plural(self.prepared.plan.size(), "target"));
        self.report.event(&Event::note(Level::Info, asking));
        let told = Told::ask(fleet, &self.prepared.plan);
        if let (Some(damage), false) = (&unfinished.damage, told.silent.is_empty()) {
            let targets: Vec<_> = self.prepared.plan.targets().map(|(_, target)| target).collect();
            let silent = fold(told.silent.iter().map(|host| targets[*host]));
            let note =
                format!("the journal is damaged ({damage}), and what the run did on {silent} could not be asked");
            self.report.event(&Event::note(Level::Warning, note));
        }
        self.pass_on(told.remarks.clone());
        replay.hint(&unfinished.later);
        replay.add(told);
    }

    /// Tells the reporters what nobody else tells them.
    pub fn pass_on(&mut self, remarks: Vec<Remark>) {
        for Remark { level, host, message } in remarks {
            self.report.event(&Event::Note(Note { level, message, host, step: None }));
        }
    }

    /// Ends the journal. Where that cannot be written the deployment stays unfinished, and whoever ends it finds the same.
    fn close_journal(&mut self, replay: &Replay, verdict: &Verdict) {
        self.pass_on(replay.take_remarks());
        // One that was through by then was not stopped by it.
        if let Some(why) = replay.stopped().filter(|_| verdict.finalized.is_none()) {
            self.report.event(&Event::note(Level::Error, format!("the run was stopped: {why}")));
        }
        if let Err(error) = replay.close(&verdict.text, verdict.code.status(), verdict.stayed) {
            let note = format!(
                "the end of this run could not be recorded: {error:#}; once that is mended, `hoist resume` asks the \
                 targets and records it"
            );
            self.report.event(&Event::note(Level::Error, note));
        }
    }
}

/// A fleet that leaves the deployment's tag in the repository just before the first host is touched.
struct Tagged<'a, F> {
    inner: F,
    session: (&'a Config, &'a Repo, &'a Prepared),
    /// Why there is no tag. A deployment does not fail for it.
    remark: Option<String>,
    done: bool,
}

impl<F> Tagged<'_, F> {
    fn tag(&mut self) -> Result<()> {
        let (config, repo, prepared) = self.session;
        let plan = &prepared.plan;
        let tags = Tags::new(repo, &config.control_name);
        anyhow::ensure!(
            !repo.has(std::slice::from_ref(&plan.revision))?.is_empty(),
            "the deploy host does not have {} any more; its targets do",
            plan.revision.short()
        );
        let tag = tags.tag(&crate::clock::date(), &plan.revision, &plan.message, &crate::repo::operator())?;
        prepared.requests.set_tag(&tag);
        if plan.brings_code() {
            prepared.requests.set_describing(describing(repo, &plan.revision)?);
        }
        if prepared.requests.by_server() || config.is_known_to_scap() {
            tags.update_server_info(&prepared.requests.parts().submodules)?;
        }
        tags.prune(config.settings.tags_to_keep)?;
        Ok(())
    }
}

impl<F: Fleet> Fleet for Tagged<'_, F> {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let deploys = self.session.2.plan.kind.changes_revision();
        let touches = matches!(call.step, Step::Run(_)) && !call.recover && deploys;
        if touches && !self.done {
            self.done = true;
            self.remark = self.tag().err().map(|error| format!("no deployment tag: {error:#}"));
        }
        self.inner.run(call, tasks, on);
    }
}
