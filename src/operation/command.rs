//! The operator's own command: which hosts it goes to, and how.

use std::collections::HashSet;
use std::time::Duration;

use crate::config::{Config, Note, Options};
use crate::deploy;
use crate::deploy::{Basis, GatePlan, Operator, StagePlan};
use crate::exit_code::ExitCode;
use crate::fleet::ssh::{Ssh, shell_word};
use crate::fleet::{CommandFleet, Fleet, NoPacks, SshFleet};
use crate::fleet_state::{FleetState, Links, Observation};
use crate::locks::{LockOwner, Locks};
use crate::report::{Event, LogFile, Moment, Reporter, Tee, WithTimings};
use crate::run;
use crate::run::{CommandRun, Drains, Room};
use crate::targets::{Group, Share, Target};
use crate::text::counted;
use crate::wire::limits::cut;
use crate::wire::{Holder, Level, Revision, Stage, State};

use super::elsewhere::count_in;
use super::locking::take_locks;
use super::recorded::{ServiceGates, most_common, refuse_unfinished};
use super::{Frontend, Refused, interlocks, limit, ssh, state_folder};

/// The group of hosts that were named one by one.
const GROUP: &str = "hosts";

/// Bytes of the command that a question shows.
const SHOWN: usize = 200;

/// What is chosen in place of what the configuration says.
pub struct Overrides<'a> {
    pub batch: Option<usize>,
    pub timeout: Option<Duration>,
    /// Between subgroups.
    pub sleep: Option<Duration>,
    /// Hosts of a group that may be out of service.
    pub max_unavailable: Option<Share>,
    pub gates: bool,
    pub drain: bool,
    /// The operator has said how many hosts are reached at once, and need not be asked about their number.
    pub has_own_batch: bool,
    /// Changes each group.
    pub group: &'a dyn Fn(&mut Group),
}

/// A command that is ready to be run: nothing was connected yet.
pub struct Command {
    options: Options,
    config: Config,
    run: CommandRun,
    fleet: Box<dyn Fleet>,
    notes: Vec<Note>,
    has_own_batch: bool,
    /// The run, where it drains its hosts.
    holder: Option<Holder>,
    lock: Option<Locks>,
}

/// Where a command goes.
#[derive(Debug)]
pub enum Hosts {
    /// To the groups of the configuration.
    Groups,
    /// To these, whose order and words `from` names.
    Named { targets: Vec<Target>, from: String },
}

impl Command {
    /// Finds the hosts, and the ways to them.
    pub fn prepare(
        options: &Options,
        line: String,
        hosts: Hosts,
        limit_hosts: Option<&str>,
        overrides: &Overrides,
    ) -> Result<Command, Refused> {
        let config = Config::load(&Options { repo_optional: true, ..options.clone() })?;
        let settings = &config.settings;
        let are_named = matches!(hosts, Hosts::Named { .. });
        let drains = overrides.drain || (settings.run_drain && !are_named);
        let asks_gates = overrides.gates || (settings.run_gates && !are_named);
        let sleep = overrides.sleep.unwrap_or(settings.run_sleep);
        let (mut groups, mut notes) = groups(&config, hosts, limit_hosts)?;
        groups.iter_mut().for_each(overrides.group);
        for group in &mut groups {
            (group.soak_time, group.group_soak_time) = (sleep, Duration::ZERO);
            // A command that is not said to take hosts out of service is not known to.
            group.max_unavailable = overrides.max_unavailable.or(group.max_unavailable.filter(|_| drains));
            notes.extend(deploy::contradictions(group).map(|why| (Level::Warning, why)));
        }
        if drains {
            refuse_undrainable(&config, &groups)?;
        }
        let gates = if asks_gates { gates(&config, &groups, sleep, &mut notes)? } else { Vec::new() };
        let is_taken = drains || overrides.max_unavailable.is_some();
        let out = if is_taken { known_out(&config, &mut groups, &mut notes)? } else { HashSet::new() };
        let own_time = overrides.timeout.unwrap_or(settings.stage_timeout);
        let holder = if drains { Some(deploy::holder(line.clone())?) } else { None };
        let drains_of =
            |holder: &Holder| Drains { run: holder.run.clone(), timeout: settings.timeout(Stage::Rollback) };
        let run = CommandRun {
            command: line,
            by: crate::repo::operator(),
            stage: StagePlan {
                stage: Stage::Command,
                batch: overrides.batch.unwrap_or(settings.batch_size),
                // A drain, the look at the services and the undrain may take as long as around a restart.
                timeout: own_time + if drains { settings.timeout(Stage::RestartService) } else { Duration::ZERO },
            },
            groups,
            room: Room { is_taken, out, drains: holder.as_ref().map(drains_of) },
            gates,
            strict: settings.strict,
        };
        let ssh = ssh::prepare(&config, run.groups.iter().flat_map(|group| &group.targets))?;
        let fleet = fleet(&config, ssh, &run, holder.as_ref(), own_time);
        let notes = config.notes.iter().cloned().chain(notes).collect();
        let has_own_batch = overrides.has_own_batch;
        let options = options.clone();
        Ok(Command { options, config, run, fleet, notes, has_own_batch, holder, lock: None })
    }

    /// Asks before a command goes to many hosts at once, and takes the locks that it needs here.
    ///
    /// # Errors
    /// Nobody is there to ask, the operator says no, or somebody else is at work.
    pub fn begin(mut self, front: &dyn Frontend) -> Result<Command, Refused> {
        self.confirm(front)?;
        let Some(holder) = &self.holder else { return Ok(self) };
        interlocks::check(&self.config, front)?;
        // What this host writes is for all operators.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(self.config.settings.umask));
        let lock = take_locks(&self.config, &LockOwner::from(holder.clone()), &|| false, front)?;
        refuse_unfinished(&self.options, &self.config, front)?;
        count_in(&self.config, &mut self.run.groups, &mut self.notes, &[], front)?;
        Ok(Command { lock: Some(lock), ..self })
    }

    /// Whether hosts are drained while the command runs there.
    pub fn drains(&self) -> bool {
        self.holder.is_some()
    }

    fn confirm(&self, front: &dyn Frontend) -> Result<(), Refused> {
        let size: usize = self.run.groups.iter().map(|group| group.targets.len()).sum();
        let most = self.config.settings.run_confirm_above;
        if size <= most || self.has_own_batch || front.is_unattended() {
            return Ok(());
        }
        if front.can_ask().is_err() {
            return Err(Refused::Usage(format!(
                "the command would run on {}, which is more than {most} (run_confirm_above), and standard input is not \
                 a terminal, so no question can be asked: add --yes, or --batch with a number of hosts at once",
                counted(size, "host")
            )));
        }
        let command = cut(&self.run.command, SHOWN);
        front.insist(&format!(
            "Run `{command}` on {}, {} at once?",
            counted(size, "host"),
            self.run.stage.batch.min(size)
        ))
    }

    /// Runs it.
    pub fn run(self, report: Box<dyn Reporter>, operator: &mut dyn Operator) -> ExitCode {
        let Command { config, run, mut fleet, notes, holder, lock: _lock, .. } = self;
        let (config, run) = (&config, &run);
        let mut reporters = vec![report];
        if let Some(holder) = &holder {
            reporters.push(Box::new(LogFile::open(&config.control, &holder.run, config.settings.journals_to_keep)));
        }
        let mut report = WithTimings::new(Tee::new(reporters), &run.groups);
        for (level, note) in notes {
            report.event(&Event::note(level, note));
        }
        let mut gates = ServiceGates::of_command(config, &run.gates, live(config, run));
        let ended = run::run(run, &mut *fleet, &mut gates, operator, &mut report);
        if holder.is_some()
            && let Err(error) = remember(config, run, ended.seen)
        {
            let status = config.invocation.command("status --offline");
            report.event(&Event::note(Level::Warning, format!("`{status}` is out of date: {error:#}")));
        }
        // What was shown at the end alone may not have been written.
        report.flush();
        if report.broken().is_some() { ExitCode::Interrupted } else { ended.code }
    }
}

/// The fleet of a run: one command on each host, or where hosts are drained, a stage of Hoist's around it.
fn fleet(config: &Config, ssh: Ssh, run: &CommandRun, holder: Option<&Holder>, own_time: Duration) -> Box<dyn Fleet> {
    let targets = run.groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
    let line = run.command.clone();
    match holder {
        None => Box::new(CommandFleet::new(ssh, targets, line)),
        Some(holder) => {
            let requests = Basis::of_command(config, holder.clone(), line, own_time);
            Box::new(SshFleet::new(ssh, targets, Box::new(requests), Box::new(NoPacks)))
        }
    }
}

/// A drain is that of a group of targets.
fn refuse_undrainable(config: &Config, groups: &[Group]) -> Result<(), Refused> {
    let settings = &config.settings;
    if settings.git_repo.is_empty() {
        return Err(Refused::new("a run that drains its targets needs git_repo, for its records on them: set it"));
    }
    let drains = |group: &&Group| settings.groups.iter().any(|own| own.name == group.name && own.drain.is_some());
    match groups.iter().find(|group| !drains(group)) {
        None => Ok(()),
        Some(group) => Err(Refused::new(format!(
            "the targets of group {} cannot be drained: set drain and undrain, or leave the group out",
            group.name
        ))),
    }
}

/// The gates that are asked in a run.
fn gates(config: &Config, groups: &[Group], sleep: Duration, notes: &mut Vec<Note>) -> Result<Vec<GatePlan>, Refused> {
    let gates = config.gates()?.0;
    let is_asked = |gate: &GatePlan, moment: Moment| match moment {
        Moment::Soak => !sleep.is_zero(),
        Moment::Finalize => false,
        Moment::Before | Moment::Subgroup | Moment::Group => {
            gate.scope.group.is_none() || groups.iter().any(|group| gate.scope.has_group(&group.name))
        }
    };
    let all = gates.iter().map(GatePlan::from);
    let (asked, silent): (Vec<_>, Vec<_>) =
        all.partition(|gate| gate.scope.at.iter().any(|moment| is_asked(gate, *moment)));
    let names = silent.iter().map(|gate| gate.name.as_str()).collect::<Vec<_>>().join(", ");
    let why = match silent.iter().any(|gate| gate.scope.at.contains(&Moment::Soak)) && sleep.is_zero() {
        true => "gates that are asked during a soak are asked with --sleep",
        false => "a run asks gates before it, after a subgroup, during its sleep and after a group",
    };
    match (asked.is_empty(), silent.is_empty()) {
        (true, true) => Err(Refused::new("there are no gates to ask: write gates.yaml, or leave out --gates")),
        (true, false) => Err(Refused::new(format!("no gate would be asked ({names}): {why}"))),
        (false, false) => {
            notes.push((Level::Warning, format!("not asked in this run: {names}: {why}")));
            Ok(asked)
        }
        (false, true) => Ok(asked),
    }
}

/// The hosts of a run that were last seen drained. Those of its groups that it leaves alone are noted with the groups.
fn known_out(config: &Config, groups: &mut [Group], notes: &mut Vec<Note>) -> Result<HashSet<Target>, Refused> {
    if config.settings.git_repo.is_empty() {
        return Ok(HashSet::new());
    }
    let memory = super::memory(config).unwrap_or_else(|error| {
        notes.push((Level::Warning, format!("it is not known which hosts are drained already: {error:#}")));
        FleetState::empty(&config.settings.git_repo)
    });
    let is_out = |target: &&Target| memory.of(target).is_some_and(|known| known.drained().is_some());
    let everyone = if config.has_file() { config.groups(None)?.0 } else { Vec::new() };
    for group in groups.iter_mut() {
        let whole = everyone.iter().find(|other| other.name == group.name);
        let elsewhere = whole.into_iter().flat_map(|whole| &whole.targets).filter(|it| !group.targets.contains(it));
        group.out_elsewhere = elsewhere.filter(is_out).cloned().collect();
    }
    Ok(groups.iter().flat_map(|group| &group.targets).filter(is_out).cloned().collect())
}

/// What most hosts of a run were last seen to run: the revision that its gates ask about.
fn live(config: &Config, run: &CommandRun) -> String {
    if run.gates.is_empty() || config.settings.git_repo.is_empty() {
        return String::new();
    }
    let Ok(memory) = super::memory(config) else { return String::new() };
    let live = |target: &Target| -> Option<Revision> { memory.of(target)?.state.as_ref()?.current.clone() };
    most_common(run.groups.iter().flat_map(|group| &group.targets).filter_map(live))
}

/// Notes what a run has seen of its hosts.
fn remember(config: &Config, run: &CommandRun, seen: Vec<Option<State>>) -> anyhow::Result<()> {
    let hosts = run.groups.iter().flat_map(|group| group.targets.iter().map(move |target| (group, target)));
    FleetState::update(&state_folder(config), &config.settings.git_repo, |memory| {
        for ((group, target), state) in hosts.zip(seen) {
            let Some(state) = state else { continue };
            let known = memory.entry(target);
            known.group.clone_from(&group.name);
            let contact = Some(crate::clock::rfc3339_utc());
            known.see(Observation { links: Links::Read(state), contact });
        }
    })?;
    Ok(())
}

/// The line for the remote login shell. One word is such a line as it stands; several are quoted, so that the remote
/// shell makes the same words of them.
pub fn command_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "),
    }
}

fn groups(config: &Config, hosts: Hosts, limit_hosts: Option<&str>) -> Result<(Vec<Group>, Vec<Note>), Refused> {
    let mut limit = limit(limit_hosts)?;
    let (mut targets, from) = match hosts {
        Hosts::Named { targets, from } => (targets, from),
        Hosts::Groups if !config.has_file() => {
            let why = "no hosts: there is no configuration with groups here; name hosts with --hosts";
            return Err(Refused::Usage(why.to_owned()));
        }
        Hosts::Groups => return Ok(config.groups(limit.as_ref())?),
    };
    let mut seen = HashSet::new();
    targets.retain(|target| seen.insert(target.clone()));
    config.describe(&mut targets)?;
    let count = targets.len();
    if let Some(limit) = &mut limit {
        limit.know(&[], &targets).map_err(Refused::new)?;
        targets.retain(|target| limit.matches(GROUP, target));
    }
    if targets.is_empty() {
        return Err(Refused::new(match limit {
            Some(limit) if count > 0 => format!("{limit} matches none of the {}", counted(count, "host")),
            _ => format!("--hosts: {from:?} contains no host"),
        }));
    }
    let settings = &config.settings.bare_group;
    let group = Group {
        name: GROUP.to_owned(),
        targets,
        steps: settings.group_size.clone(),
        limit: settings.failure_limit,
        ..Group::default()
    };
    Ok((vec![group], Vec::new()))
}
