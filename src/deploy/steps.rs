//! R16: run-once steps, and undoing them.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::fleet::{Flow, HostId, OnceCall, OnceEvent, Step};
use crate::once::{On, OnceEnd, OnceStep, When};
use crate::report::{Event, Note};
use crate::wire::{CommandLine, Level, Revision, Stage};

use super::interrupts::Interrupts;
use super::operator::{Answer, Question};
use super::plan::GroupId;
use super::ran::Ran;
use super::story::{Deployment, Halt};
use super::table::HostState;

/// One try of a step or of undoing it.
#[derive(Clone, Copy)]
struct Try {
    index: usize,
    host: Option<HostId>,
    undo: bool,
    /// How often it was tried before.
    before: u32,
    /// It undoes a step that is done by the operator's word alone.
    by_word: bool,
}

impl Deployment<'_> {
    /// Runs the steps of a moment that have not run yet, in the order of the file.
    pub(super) fn steps_at(&mut self, when: When, group: Option<GroupId>, stage: Option<Stage>) -> Result<(), Halt> {
        let plan = self.plan;
        let name = group.map(|group| plan.group(group).name.as_str());
        for (index, step) in plan.steps.iter().enumerate() {
            // What undoes a finished deployment belongs to no group: see `OnceStep::place`.
            let of_group = step.group.as_deref().filter(|_| step.undoes.is_none());
            let is_due = step.when == when && step.stage == stage && of_group == name;
            if is_due && self.steps.0.iter().all(|ran| ran.index != index) {
                self.run_step_once(index, group)?;
            }
        }
        Ok(())
    }

    /// Runs the steps that follow a stage, once no host of the group is left that has yet to pass it.
    pub(super) fn steps_after(&mut self, group: GroupId, stage: Stage, index: usize) -> Result<(), Halt> {
        let waits = |host: &HostId| self.table.row(*host).passed <= index;
        if self.exceeded(group) || self.ready_for_more(self.plan.hosts_of(group)).iter().any(waits) {
            return Ok(());
        }
        self.steps_at(When::After, Some(group), Some(stage))
    }

    /// Why a step of the run cannot run, as far as that is known before anything is touched. Of a run that an earlier
    /// deployer began nothing is said: it may have touched hosts.
    pub(super) fn step_without_host(&self) -> Option<String> {
        let plan = self.plan;
        let is_fresh = plan.hosts().all(|host| !self.fleet.recalls(host));
        let missing = |step: &OnceStep| {
            let group = plan.group_ids().find(|group| Some(&plan.group(*group).name) == step.group.as_ref());
            Some(cannot_run(step, &self.host_of(step, group).err()?))
        };
        plan.steps.iter().filter(|_| is_fresh).find_map(missing)
    }

    fn run_step_once(&mut self, index: usize, group: Option<GroupId>) -> Result<(), Halt> {
        self.heed_interrupt()?;
        let step = &self.plan.steps[index];
        let host = match self.host_of(step, group) {
            Ok(host) => host,
            Err(why) if step.undoes.is_some() => {
                let (host, end) = (self.listed(&step.on), OnceEnd::NotBegun { reason: why });
                self.steps.0.push(Ran { index, host, end, asked: false, by_word: false, undone: None });
                return Ok(());
            }
            Err(why) => return Err(Halt::Step { why: cannot_run(step, &why) }),
        };
        let mut one = Try { index, host, undo: false, before: 0, by_word: false };
        let (end, mut asked) = (self.carry_out(one), false);
        self.steps.0.push(Ran { index, host, end, asked, by_word: false, undone: None });
        loop {
            let place = self.steps.0.len() - 1;
            let end = self.steps.0[place].end.clone();
            let OnceEnd::Unknown { reason } = &end else { break };
            // On the way back it is asked about only if that matters.
            self.heed_interrupt()?;
            asked = true;
            self.steps.0[place].asked = asked;
            match self.ask_about(one, reason, true) {
                Answer::Done => {
                    let ran = &mut self.steps.0[place];
                    (ran.end, ran.by_word) = (OnceEnd::Done, true);
                }
                Answer::NotDone => {
                    one.before += 1;
                    self.steps.0[place].end = self.carry_out(one);
                }
                Answer::Unanswered => return Err(Halt::Undecided),
                _ => break,
            }
        }
        self.heed_interrupt()?;
        match self.steps.0.last().map(|ran| &ran.end) {
            Some(end) if *end != OnceEnd::Done && step.undoes.is_none() => {
                Err(Halt::Step { why: format!("{}: {end}", self.name_of(one)) })
            }
            _ => Ok(()),
        }
    }

    /// The host that a step runs on; `None`: the deploy host.
    fn host_of(&self, step: &OnceStep, group: Option<GroupId>) -> Result<Option<HostId>, String> {
        let usable = |host: &HostId| matches!(self.table.row(*host).state(), HostState::Ready | HostState::Finalized);
        match &step.on {
            On::DeployHost => Ok(None),
            On::First => {
                let mut hosts = group.map_or(self.plan.hosts(), |group| self.plan.hosts_of(group));
                hosts.find(usable).map(Some).ok_or_else(|| "no host is left that has not failed".to_owned())
            }
            On::Host(target) => {
                let host = self.listed(&step.on);
                host.filter(usable).map(Some).ok_or_else(|| format!("{target} has failed or cannot be reached"))
            }
        }
    }

    /// The host that a step names, whatever has become of it.
    fn listed(&self, on: &On) -> Option<HostId> {
        self.plan.hosts().find(|host| matches!(on, On::Host(target) if self.table.row(*host).target == *target))
    }

    /// Carries out one try, and reports it.
    fn carry_out(&mut self, one: Try) -> OnceEnd {
        let call = self.once_call(one);
        let step = &self.plan.steps[one.index];
        let (name, on, undo) = (step.name.clone(), self.place_of(one.host), one.undo || step.undoes.is_some());
        let title = step.title(one.undo);
        let irreversible = step.bars_rollback();
        self.report.event(&Event::OnceStarted { name: name.clone(), on: on.clone(), undo, irreversible });
        self.operator.touches();
        let began = Instant::now();
        let mut acknowledged = false;
        let Deployment { fleet, operator, report, .. } = self;
        let mut interrupts = Interrupts::of(&mut **operator, Step::Run(Stage::Once), !one.undo);
        let end = fleet.run_once(&call, &mut |events| {
            if events.is_empty() {
                report.tick();
            }
            for event in events {
                report.event(&match event {
                    OnceEvent::Line(line) => Event::OnceLine { name: name.clone(), on: on.clone(), line },
                    OnceEvent::Remark(it) => Event::Note(Note { host: it.host, ..Note::new(it.level, it.message) }),
                });
            }
            report.flush();
            let stops = interrupts.stop();
            let mut advice = || if one.host.is_some() { interrupts.advice() } else { interrupts.advice_here() };
            if !acknowledged && let Some(advice) = advice() {
                acknowledged = true;
                report.event(&Event::note(Level::Warning, format!("{title} is still running on {on}: {advice}")));
            }
            match stops && acknowledged && interrupts.abort() {
                true => Flow::Abort,
                false if stops => Flow::Stop,
                false => Flow::Continue,
            }
        });
        let seconds = began.elapsed().as_secs_f64();
        self.report.event(&Event::OnceEnded { name, on, undo, end: end.clone(), seconds });
        end
    }

    fn once_call(&self, one: Try) -> OnceCall {
        let Try { index, host, undo, before, by_word } = one;
        let plan = self.plan;
        let step = &plan.steps[index];
        let line = if undo { step.undo.as_ref() } else { None }.unwrap_or(&step.command).clone();
        let row = host.map(|host| self.table.row(host));
        let restore = row.and_then(|row| row.restore());
        let (revision, previous) = match &step.undoes {
            Some((revision, previous)) => (revision.clone(), previous.clone()),
            None => (plan.revision.clone(), restore.clone().or_else(|| self.live_before())),
        };
        let group = step.group.clone().unwrap_or_default();
        let mut environment = BTreeMap::from([
            ("HOIST_STEP", step.name.clone()),
            ("HOIST_STEP_KEY", step.key(undo)),
            ("HOIST_RUN", plan.run.to_string()),
            ("HOIST_REPO", plan.repo.clone()),
            ("HOIST_GROUP", group.clone()),
            ("HOIST_REVISION", revision.to_string()),
            ("HOIST_PREVIOUS_REVISION", previous.map(|it| it.to_string()).unwrap_or_default()),
        ]);
        environment.extend(row.map(|row| ("HOIST_HOST", row.target.host.clone())));
        // What a step leaves running that ended by itself is a daemon, and in nobody's way. A try follows another of the same
        // kind only if nobody knows how that one ended: then what is left of it may be the work itself.
        let kind_of_try = if by_word { "HOIST_STEP" } else { "HOIST_STEP_KEY" };
        let not_beside = ["HOIST_RUN", kind_of_try].map(|name| format!("{name}={}", environment[name])).to_vec();
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let kinds = u32::try_from(2 * plan.steps.len()).unwrap_or(u32::MAX);
        let kind = u32::try_from(2 * index).unwrap_or(u32::MAX) + u32::from(undo);
        OnceCall {
            number: before.saturating_mul(kinds).saturating_add(kind),
            host,
            group,
            restore,
            command: CommandLine { line, timeout: step.timeout.as_secs().max(1), environment, not_beside },
            folder: step.folder.clone(),
            recover: false,
        }
    }

    /// What most hosts ran before the run.
    fn live_before(&self) -> Option<Revision> {
        let mut counts: BTreeMap<&Revision, usize> = BTreeMap::new();
        for live in self.table.facts().filter_map(|(_, facts)| facts?.state.current.as_ref()) {
            *counts.entry(live).or_default() += usize::from(*live != self.plan.revision);
        }
        counts.into_iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count).map(|(live, _)| live.clone())
    }

    /// `db1`, `the deploy host`.
    fn place_of(&self, host: Option<HostId>) -> String {
        host.map_or_else(|| "the deploy host".to_owned(), |host| self.table.row(host).target.to_string())
    }

    /// `step migrate on db1`.
    fn name_of(&self, one: Try) -> String {
        format!("{} on {}", self.plan.steps[one.index].title(one.undo), self.place_of(one.host))
    }

    fn ask_about(&mut self, one: Try, reason: &str, forward: bool) -> Answer {
        let key = self.plan.steps[one.index].key(one.undo);
        let step = self.name_of(one);
        self.ask(&Question::StepUnknown { key, step, reason: reason.to_owned(), forward })
    }

    /// The names of the steps behind which nothing leads back: they ran, or may have.
    pub(super) fn barring(&self) -> Vec<String> {
        let bars = |ran: &&Ran| self.plan.steps[ran.index].bars_rollback() && (ran.is_done() || ran.is_unknown());
        self.steps.0.iter().filter(bars).map(|ran| self.plan.steps[ran.index].name.clone()).collect()
    }

    /// The steps that a rollback undoes.
    pub(super) fn to_undo(&self) -> Vec<String> {
        let undone = |ran: &&Ran| self.plan.steps[ran.index].undo.is_some() && ran.is_done();
        self.steps.0.iter().filter(undone).map(|ran| self.plan.steps[ran.index].name.clone()).collect()
    }

    /// Before a rollback it has to be known whether steps ran that it undoes, or that bar it; and of a run that itself goes
    /// back, whether it has undone what a finished deployment did: its hosts would return to a revision that needs it.
    pub(super) fn settle_steps(&mut self) -> Result<(), Halt> {
        for place in 0..self.steps.0.len() {
            let ran = &self.steps.0[place];
            let step = &self.plan.steps[ran.index];
            let OnceEnd::Unknown { reason } = ran.end.clone() else { continue };
            if ran.asked || !(step.irreversible || step.undo.is_some() || step.undoes.is_some()) {
                continue;
            }
            let one = Try { index: ran.index, host: ran.host, undo: false, before: 0, by_word: false };
            let answer = self.ask_about(one, &reason, false);
            let ran = &mut self.steps.0[place];
            ran.asked = true;
            match answer {
                Answer::Done => (ran.end, ran.by_word) = (OnceEnd::Done, true),
                Answer::NotDone => ran.end = OnceEnd::NotBegun { reason: "as the operator said".to_owned() },
                Answer::Unanswered => return Err(Halt::Undecided),
                _ => {}
            }
        }
        Ok(())
    }

    /// Undoes the steps of one side of a group, or of the whole run, the last one first. Nothing cuts it short.
    pub(super) fn undo_steps(&mut self, when: When, group: Option<GroupId>) -> Result<(), Halt> {
        let plan = self.plan;
        let name = group.map(|group| plan.group(group).name.as_str());
        for place in (0..self.steps.0.len()).rev() {
            let ran = &self.steps.0[place];
            let step = &plan.steps[ran.index];
            let is_due = step.when == when && step.group.as_deref() == name;
            if !is_due || step.undo.is_none() || !ran.is_done() {
                continue;
            }
            let mut one = Try { index: ran.index, host: ran.host, undo: true, before: 0, by_word: ran.by_word };
            // A target says so itself.
            if ran.host.is_none()
                && let Some(why) = self.moved_on()
            {
                self.steps.0[place].undone = Some(OnceEnd::NotBegun { reason: why });
                continue;
            }
            loop {
                let end = self.carry_out(one);
                self.steps.0[place].undone = Some(end.clone());
                let OnceEnd::Unknown { reason } = &end else { break };
                match self.ask_about(one, reason, false) {
                    Answer::Done => self.steps.0[place].undone = Some(OnceEnd::Done),
                    Answer::NotDone => {
                        one.before += 1;
                        continue;
                    }
                    Answer::Unanswered => return Err(Halt::Undecided),
                    _ => {}
                }
                break;
            }
        }
        Ok(())
    }
}

impl Deployment<'_> {
    /// Why nothing is undone on the deploy host: somebody else has deployed since, and may rely on it.
    fn moved_on(&self) -> Option<String> {
        let moved = self.plan.hosts().find(|host| self.table.row(*host).state() == HostState::MovedOn)?;
        let row = self.table.row(moved);
        let now = row.current().map_or("another revision", |current| current.short());
        Some(format!("{} runs {now} of another deployment: left as it is", row.target))
    }
}

fn cannot_run(step: &OnceStep, why: &str) -> String {
    format!("{} cannot run: {why}", step.title(false))
}
