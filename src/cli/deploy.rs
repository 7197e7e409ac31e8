//! `hoist deploy`: from the command line to the exit status.

use std::time::Instant;

use anyhow::Result;

use crate::config::Config;
use crate::deploy::{self, Choice, Kind, Plan, Prepared, Requests, Verdict};
use crate::exit_code::ExitCode;
use crate::fleet::{Call, Fleet, Flow, HostEvent, Step, Task};
use crate::journal::{self, AtTheEnd, Journal, Opened, Tape};
use crate::repo::{DeployLock, LockError, Repo, Tags};
use crate::report::{self, Event, LogFile, Reporter, Tee, Verbosity};
use crate::targets::fold;
use crate::wire::{Holder, Level};

use super::args;
use super::console::Console;
use super::out::complain;
use super::signals::Interrupts;
use super::{Refused, load};

/// Runs the command.
pub fn run(args: args::Deploy) -> Result<ExitCode, Refused> {
    if args.verbose && args.quiet {
        return Err(Refused::usage("deploy", "-v and -q exclude each other"));
    }
    let config = load(args.config.as_deref(), &args.define, args.environment.as_deref())?;
    let repo = Repo::open(&config.top)?;
    if args.init {
        return init(&config, &repo);
    }
    if !args.yes && !args.dry_run && !Console::can_ask() {
        return Err(Refused::usage("deploy", "standard input is no terminal, so nobody can be asked: add --yes"));
    }
    let holder = deploy::holder(args.message.join(" "))?;
    let prepared = deploy::prepare(&config, &repo, &choice(&args), holder.clone())?;
    let identities = super::ssh::identities(&config)?;
    let mut session = Session {
        holder,
        report: reporter(&args, &config, &prepared.plan),
        interrupts: Interrupts::listen()?,
        yes: args.yes,
        began: Instant::now(),
    };
    let _lock = match lock(&config, &session.holder) {
        Ok(lock) => lock,
        Err(refused) => return refused,
    };
    if let Some(unfinished) = journal::unfinished(&state_folder(&config))? {
        let then = &unfinished.opened.plan;
        complain(&format!(
            "hoist deploy: the deployment of {} that {}@{} began (run {}) is not finished\n\
             continue it with `hoist resume`, or undo it with `hoist rollback`",
            then.revision.short(),
            then.user,
            then.deploy_host,
            then.run
        ));
        return Ok(ExitCode::Unfinished);
    }
    session.tell_start(&config, &prepared);
    let opened = Opened {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        plan: prepared.plan.clone(),
        environment: config.environment.clone(),
        config_file: args.config.as_ref().map(Into::into),
        defines: args.define.clone(),
    };
    let tape = match prepared.plan.kind {
        // It changes nothing that anybody would have to go on with.
        Kind::DryRun => None,
        _ => {
            journal::prune(&state_folder(&config), config.settings.tags_to_keep)?;
            Some(Tape::new(Journal::create(&state_folder(&config), opened)?, Vec::new(), AtTheEnd::GoOn))
        }
    };
    let fleet = super::ssh::fleet(&config, &repo, &prepared, identities, false)?;
    Ok(session.carry_out(&config, &repo, prepared, fleet, tape))
}

fn choice(args: &args::Deploy) -> Choice {
    Choice {
        rev: args.rev.clone(),
        stages: args.stages.clone(),
        limit_hosts: args.limit_hosts.clone(),
        force: args.force,
        dry_run: args.dry_run,
        service_restart: args.service_restart,
    }
}

/// `--init`: what a deployment needs in the repository, and no deployment.
fn init(config: &Config, repo: &Repo) -> Result<ExitCode, Refused> {
    let (groups, notes) = config.groups(None)?;
    for (_, note) in notes {
        complain(&format!("hoist deploy: {note}"));
    }
    LogFile::prepare(&config.control)?;
    if config.settings.git_server.is_some() {
        Tags::new(repo, &config.control_name).update_server_info()?;
    }
    let targets: usize = groups.iter().map(|group| group.targets.len()).sum();
    super::out::answer(&format!(
        "{} is ready: {targets} targets in {} groups; `hoist plan` shows what a deployment would do\n",
        config.settings.git_repo,
        groups.len()
    ));
    Ok(ExitCode::Success)
}

/// The deployment lock of the repository, or the answer to whoever wanted it too.
pub fn lock(config: &Config, holder: &Holder) -> Result<DeployLock, Result<ExitCode, Refused>> {
    let path = deploy::lock_path(config);
    match DeployLock::acquire(&path, holder) {
        Ok(lock) => Ok(lock),
        Err(LockError::Held(by)) => {
            let by = by.map_or_else(|| "somebody".to_owned(), |by| by.to_string());
            complain(&format!(
                "hoist deploy: {} is being deployed by {by} ({})",
                config.settings.git_repo,
                path.display()
            ));
            Err(Ok(ExitCode::Locked))
        }
        Err(error) => Err(Err(Refused::from(anyhow::Error::from(error)))),
    }
}

/// Where the journals of a repository lie.
pub fn state_folder(config: &Config) -> std::path::PathBuf {
    config.control.join("state")
}

fn reporter(args: &args::Deploy, config: &Config, plan: &Plan) -> Tee {
    let verbosity = match (args.verbose, args.quiet) {
        (true, _) => Verbosity::Verbose,
        (_, true) => Verbosity::Quiet,
        _ => Verbosity::Normal,
    };
    let shown = report::to_stdout(args.format.into(), verbosity, |hosts| fold(hosts.iter().copied()));
    let log = LogFile::open(&config.control, &plan.run);
    Tee::new(vec![shown, Box::new(log)])
}

/// One run of the story, with everyone who takes part.
pub struct Session {
    pub holder: Holder,
    pub report: Tee,
    pub interrupts: Interrupts,
    pub yes: bool,
    pub began: Instant,
}

impl Session {
    /// The head of the report: what is deployed, and every remark on the configuration.
    pub fn tell_start(&mut self, config: &Config, prepared: &Prepared) {
        let plan = &prepared.plan;
        self.report.event(&Event::Started {
            run: plan.run.clone(),
            user: plan.user.clone(),
            deploy_host: plan.deploy_host.clone(),
            repo: plan.repo.clone(),
            revision: plan.revision.clone(),
            message: plan.message.clone(),
            groups: plan.heads(),
        });
        for (level, note) in config.notes.iter().chain(&prepared.notes) {
            self.report.event(&Event::note(*level, note.clone()));
        }
    }

    /// Tells the story over a fleet, and says how it ended.
    pub fn carry_out(
        &mut self,
        config: &Config,
        repo: &Repo,
        prepared: Prepared,
        fleet: impl Fleet,
        tape: Option<Tape>,
    ) -> ExitCode {
        let plan = &prepared.plan;
        let console = Console::new(self.yes, self.interrupts.clone());
        let mut tagged =
            Tagged { inner: fleet, config, repo, plan, requests: &prepared.requests, remark: None, done: false };
        let verdict = match &tape {
            None => deploy::deploy(plan, &mut tagged, &mut { console }, &mut self.report),
            Some(tape) => {
                let mut fleet = tape.fleet(&mut tagged);
                deploy::deploy(plan, &mut fleet, &mut tape.operator(console), &mut self.report)
            }
        };
        if let Some(remark) = tagged.remark {
            self.report.event(&Event::note(Level::Warning, remark));
        }
        if let Some(tape) = tape {
            self.close_journal(&tape, &verdict);
        }
        let Verdict { text, code, rows } = verdict;
        self.report.event(&Event::ended(text, code, rows, self.began.elapsed().as_secs_f64()));
        code
    }

    /// Ends the journal, unless it could not be written: then the deployment stays unfinished, to be resumed.
    fn close_journal(&mut self, tape: &Tape, verdict: &Verdict) {
        let closed = match tape.broken() {
            Some(why) => Err(why),
            None => tape.close(&verdict.text, verdict.code.status()).map_err(|error| format!("{error:#}")),
        };
        if let Err(why) = closed {
            let note =
                format!("the journal could not be kept: {why}; `hoist resume` or `hoist rollback` ends this run");
            self.report.event(&Event::note(Level::Error, note));
        }
    }
}

/// A fleet that leaves the deployment's tag in the repository just before the first host is touched.
struct Tagged<'a, F> {
    inner: F,
    config: &'a Config,
    repo: &'a Repo,
    plan: &'a Plan,
    requests: &'a Requests,
    /// Why there is no tag. A deployment does not fail for it.
    remark: Option<String>,
    done: bool,
}

impl<F> Tagged<'_, F> {
    fn tag(&mut self) -> Result<()> {
        let operator = crate::repo::operator();
        let tags = Tags::new(self.repo, &self.config.control_name);
        let tag = tags.tag(&crate::clock::date(), &self.plan.revision, &self.plan.message, &operator)?;
        self.requests.set_tag(&tag);
        if self.requests.by_server() {
            tags.update_server_info()?;
        }
        tags.prune(self.config.settings.tags_to_keep)?;
        Ok(())
    }
}

impl<F: Fleet> Fleet for Tagged<'_, F> {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let touches = matches!(call.step, Step::Run(_)) && self.plan.kind == Kind::Deploy;
        if touches && !self.done {
            self.done = true;
            self.remark = self.tag().err().map(|error| format!("no deployment tag: {error:#}"));
        }
        self.inner.run(call, tasks, on);
    }
}
