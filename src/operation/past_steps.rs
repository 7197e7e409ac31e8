//! The run-once steps of runs that are ended or undone.

use std::collections::BTreeSet;

use crate::deploy::{Kind, Plan, Prepared, roll_back_past};
use crate::invocation::Invocation;
use crate::journal::{
    History, LeftState, LeftStep, PastOnce, PastRun, Record, UndoneSince, Unfinished, left_by, past_steps,
};
use crate::once::{On, OnceEnd, OnceStep, When};
use crate::targets::Group;
use crate::text::meant_or_known;
use crate::wire::{Level, Revision};

use super::{Frontend, Refused};

/// Every step of which the operator has said something is one of the run, and one that is asked about.
///
/// # Errors
/// The first that is none.
pub fn check_answers(unfinished: &Unfinished, front: &dyn Frontend) -> Result<(), Refused> {
    let opened = &unfinished.opened;
    let known: Vec<String> = opened.plan.steps.iter().flat_map(|step| [step.key(false), step.key(true)]).collect();
    let unknown = front.steps_answered().into_iter().find(|name| !known.contains(name));
    let Some(unknown) = unknown else { return check_needed(unfinished, front) };
    let why = match known.is_empty() {
        true => ": the run has no steps".to_owned(),
        false => meant_or_known(&unknown, "steps", &known),
    };
    Err(Refused::Usage(format!("--step: unknown step {unknown:?}{why}")))
}

/// Every answer given ahead is about a step of which somebody has to say how it ended.
///
/// # Errors
/// The first that is not: it would be passed over.
fn check_needed(unfinished: &Unfinished, front: &dyn Frontend) -> Result<(), Refused> {
    // What a damaged journal lacks may be asked about.
    if unfinished.read.damage.is_some() {
        return Ok(());
    }
    let plan = &unfinished.opened.plan;
    let past = past_steps(plan.steps.len(), unfinished.read.records.iter());
    for key in front.steps_answered() {
        let same = |past: &&PastOnce| plan.steps.get(past.step).is_some_and(|step| step.key(past.undo) == key);
        let stands = match past.iter().find(same) {
            Some(past) if past.end.is_none() || past.is_unknown() && !past.left_open => continue,
            Some(PastOnce { end: Some(end), .. }) => end.to_string(),
            _ => "not begun".to_owned(),
        };
        return Err(Refused::Usage(format!(
            "--step {key}: nobody is asked about this step ({stands}): leave it out; nothing was touched"
        )));
    }
    Ok(())
}

/// What somebody has to say before an unfinished run goes on, if its journal ends with that.
pub fn waits_for<'a>(plan: &Plan, records: impl Iterator<Item = &'a Record>) -> Option<String> {
    let tried = StepTried::all(plan, &past_steps(plan.steps.len(), records));
    let open = tried.into_iter().find(|it| it.asked_as.is_some() && it.end.is_some())?;
    Some(format!("it waits for an answer: it is not known whether {} on {} ran", open.title(), open.on))
}

/// Nobody is there to type the words that a rollback of an unfinished run takes.
///
/// # Errors
/// A step that is irreversible was done, or begun.
pub fn refuse_past_irreversible(unfinished: &Unfinished, here: &Invocation) -> Result<(), Refused> {
    let plan = &unfinished.opened.plan;
    let past = past_steps(plan.steps.len(), unfinished.read.records.iter());
    let barring: Vec<String> =
        past.iter().filter_map(|past| barring(plan, past)).map(|step| step.name.clone()).collect();
    if barring.is_empty() {
        return Ok(());
    }
    let rollback = unfinished.opened.invocation(here).command("rollback");
    Err(Refused::new(format!(
        "the run has done {}, which is irreversible, and nothing was touched: run `{rollback}` at a terminal, without \
         --yes, and type: {}",
        named(&barring),
        roll_back_past(&barring)
    )))
}

fn named(steps: &[String]) -> String {
    let word = if steps.len() == 1 { "step" } else { "steps" };
    format!("{word} {}", steps.join(", "))
}

/// The step, if it ran or may have, and no rollback leads back behind it.
fn barring<'a>(plan: &'a Plan, past: &PastOnce) -> Option<&'a OnceStep> {
    plan.steps.get(past.step).filter(|step| !past.undo && past.may_have_run() && step.bars_rollback())
}

/// A run-once step of a past run, or undoing it.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTried {
    pub name: String,
    pub undo: bool,
    /// A target, or `the deploy host`.
    pub on: String,
    /// `None`: it has begun, and its end is not on record.
    pub end: Option<OnceEnd>,
    /// What `--step` would say of it, where somebody has to say how it ended.
    pub asked_as: Option<String>,
    /// What follows on the way back if it ran, and what if it did not.
    back: [&'static str; 2],
}

impl StepTried {
    /// The steps of a run, in the order in which they were begun; `past`: as its journal has them.
    pub fn all(plan: &Plan, past: &[PastOnce]) -> Vec<StepTried> {
        let tried = past.iter().filter_map(|past| {
            let step = plan.steps.get(past.step)?;
            let target = past.host.and_then(|host| plan.targets().nth(host.index()));
            // Where it ran on a target, that is asked first.
            let is_open = past.is_unknown() && !past.left_open || past.end.is_none() && past.host.is_none();
            Some(StepTried {
                name: step.name.clone(),
                undo: past.undo || step.undoes.is_some(),
                on: target.map_or_else(|| "the deploy host".to_owned(), |(_, target)| target.to_string()),
                end: past.end.clone(),
                asked_as: is_open.then(|| step.key(past.undo)),
                back: step.meanings_on_the_way_back(past.undo),
            })
        });
        tried.collect()
    }

    /// The steps of a run that is not finished.
    pub fn of_unfinished(unfinished: &Unfinished) -> Vec<StepTried> {
        let plan = &unfinished.opened.plan;
        StepTried::all(plan, &past_steps(plan.steps.len(), unfinished.read.records.iter()))
    }

    /// How people call it.
    pub fn title(&self) -> String {
        format!("{}step {}", if self.undo { "undo of " } else { "" }, self.name)
    }

    /// What somebody has to say of it before its run can be ended, or taken back (`goes_back`); `None`: nothing.
    pub fn to_be_told(&self, goes_back: bool) -> Option<String> {
        let (key, title, on) = (self.asked_as.as_ref()?, self.title(), &self.on);
        let why = match &self.end {
            Some(OnceEnd::Unknown { reason }) => format!(" ({reason})"),
            _ => String::new(),
        };
        let [done, not_done] = self.back.map(|then| if goes_back { format!(" ({then})") } else { String::new() });
        Some(format!(
            "it is not known whether {title} on {on} ran{why}: add --step {key}=done{done} or --step {key}=not-done{not_done}"
        ))
    }
}

/// What the steps of the deployments mean that a rollback undoes.
#[derive(Debug, Clone, Default)]
pub struct Undoing {
    /// Steps that undo what was done, for the run that goes back.
    pub steps: Vec<OnceStep>,
    /// Steps that are irreversible.
    pub barring: Vec<String>,
    /// A sentence for each step that stays as it is.
    left: Vec<String>,
    /// A sentence for each step that this run cannot undo.
    left_out: Vec<String>,
    /// A sentence for each step that the revision was deployed with, that was undone since, and that no rollback runs.
    not_run: Vec<String>,
    /// What `--step` calls the steps of which somebody has to say first how they ended.
    pub asked: Vec<String>,
}

impl Undoing {
    /// Of a rollback of the hosts of these groups to a revision.
    pub fn of(history: &History, groups: &[Group], to: &Revision, invocation: &Invocation) -> Undoing {
        let mut runs: BTreeSet<usize> = BTreeSet::new();
        for target in groups.iter().flat_map(|group| &group.targets) {
            let stack = history.stack(target, history.runs.len());
            let above = stack.iter().rposition(|(_, revision)| revision == to).map_or(stack.len(), |place| place + 1);
            runs.extend(stack.iter().skip(above).filter_map(|(run, _)| *run));
        }
        let mut undoing = Undoing { not_run: not_run(history, to, invocation), ..Undoing::default() };
        for run in runs.into_iter().rev().map(|run| &history.runs[run]) {
            let previous = run.before.iter().map(|(_, revision)| revision.clone()).next();
            undoing.take(&run.steps.left, Some((run.revision.clone(), previous)));
        }
        // In the order in which they run.
        undoing.steps.sort_by_key(|step| step.when == When::After);
        undoing
    }

    /// Of an unfinished run that is undone.
    pub fn of_unfinished(unfinished: &Unfinished) -> Undoing {
        let plan = &unfinished.opened.plan;
        let past = past_steps(plan.steps.len(), unfinished.read.records.iter());
        let is_open = |it: &PastOnce| it.end.is_none() || it.is_unknown() && !it.left_open;
        let open: BTreeSet<usize> = past.iter().filter(|it| is_open(it)).map(|it| it.step).collect();
        let (open, settled): (Vec<PastOnce>, Vec<PastOnce>) = past.into_iter().partition(|it| open.contains(&it.step));
        let mut undoing = Undoing::default();
        undoing.take(&left_by(plan, &settled), None);
        undoing.barring.extend(open.iter().filter_map(|past| barring(plan, past)).map(|step| step.name.clone()));
        for tried in StepTried::all(plan, &open) {
            match tried.asked_as {
                None if tried.end.is_none() => undoing.left.push(format!(
                    "{} has begun on {}, which is asked how it ended",
                    tried.title(),
                    tried.on
                )),
                asked => undoing.asked.extend(asked),
            }
        }
        undoing
    }

    /// Adds what a run has left, the last step first. `finished`: the revision of a finished run, and what was live before
    /// it.
    fn take(&mut self, left: &[LeftStep], finished: Option<(Revision, Option<Revision>)>) {
        for LeftStep { step, on, state, .. } in left.iter().rev() {
            let title = step.title(false);
            match (state, &step.undo) {
                _ if step.bars_rollback() => self.barring.push(step.name.clone()),
                (LeftState::UndoUnknown, _) => {
                    self.left.push(format!("it is not known whether {title} was undone: it is not undone again"));
                }
                (LeftState::Unknown, Some(_)) => {
                    self.left.push(format!("it is not known whether {title} ran: it is not undone"));
                }
                (LeftState::Unknown, None) => self.left.push(format!("it is not known whether {title} ran")),
                (LeftState::Done, None) => self.left.push(format!("{title} stays done: it has no undo")),
                (LeftState::Done, Some(undo)) => {
                    self.steps.push(mirrored(step, undo, on.clone(), finished.clone()));
                }
            }
        }
    }

    /// The operator types the words that a rollback past irreversible steps takes.
    ///
    /// # Errors
    /// Nobody is there, or wants it.
    pub fn insist(&self, front: &dyn Frontend) -> Result<(), Refused> {
        if self.barring.is_empty() {
            return Ok(());
        }
        let words = roll_back_past(&self.barring);
        let verb = if self.barring.len() == 1 { "is" } else { "are" };
        let what = format!("{} {verb} irreversible", named(&self.barring));
        if front.is_unattended() {
            let why = format!(
                "{what}, and nothing was touched: run the command at a terminal, without --yes, and type: {words}"
            );
            return Err(Refused::new(why));
        }
        match front.ask_line(&format!("{what}. To go back all the same, type: {words}")) == words {
            true => Ok(()),
            false => Err(Refused::stopped()),
        }
    }

    /// The same before anybody goes back, with the steps that bar the way.
    pub fn preview(&self) -> Vec<String> {
        let barring = self
            .barring
            .iter()
            .map(|name| format!("step {name} is irreversible: to go back all the same takes a terminal and the words"));
        barring.chain(self.lines()).collect()
    }

    /// What of it a run over these groups can do. A run of some hosts only (`is_limited`) leaves the steps as they are, and
    /// so does one without the host or the group of a step.
    pub fn within(mut self, groups: &[Group], is_limited: bool) -> Undoing {
        for step in std::mem::take(&mut self.steps) {
            let has_group = step.group.as_ref().is_none_or(|name| groups.iter().any(|group| group.name == *name));
            let has_host = match &step.on {
                On::Host(target) => groups.iter().any(|group| group.targets.contains(target)),
                On::DeployHost | On::First => true,
            };
            let why = match (is_limited, has_group && has_host) {
                (true, _) => "only some hosts go back",
                (false, false) => "its group or its host is not part of this run",
                (false, true) => {
                    self.steps.push(step);
                    continue;
                }
            };
            self.left_out.push(format!("step {} is not undone: {why}", step.name));
        }
        self
    }

    /// Adds the steps to a run that goes back.
    pub fn plan_into(self, prepared: &mut Prepared) {
        prepared.plan.steps.extend(self.steps);
        let notes = self.left_out.into_iter().chain(self.not_run);
        prepared.notes.extend(notes.map(|note| (Level::Warning, note)));
    }

    /// A sentence for each step that the revision was deployed with and that stays undone.
    pub fn not_run(&self) -> &[String] {
        &self.not_run
    }

    /// A sentence for each step that is not undone.
    pub fn not_undone(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter().chain(&self.left)
    }

    /// A line for each step that is undone, or stays as it is.
    pub fn lines(&self) -> Vec<String> {
        let undo = self.steps.iter().map(|step| format!("{}: {}", step.title(true), step.what_runs()));
        undo.chain(self.not_undone().cloned())
            .chain(self.not_run.iter().map(|line| format!("warning: {line}")))
            .collect()
    }
}

/// A rollback runs no step but what undoes one. It may lead forward all the same: to a revision whose steps, or those of the
/// deployments before it, were undone by an earlier rollback.
fn not_run(history: &History, to: &Revision, invocation: &Invocation) -> Vec<String> {
    let had_steps = |run: &PastRun| !(run.steps.left.is_empty() && run.steps.undone_since.is_empty());
    let of_it = |run: &PastRun| run.kind == Kind::Deploy && run.revision == *to;
    let last = history.runs.iter().rposition(|run| of_it(run) && had_steps(run));
    let Some(last) = last.or_else(|| history.runs.iter().rposition(of_it)) else { return Vec::new() };
    let mut names: Vec<&str> = Vec::new();
    for (place, run) in history.runs.iter().enumerate().take(last + 1) {
        for UndoneSince { name, by } in &run.steps.undone_since {
            let by = by.unwrap_or(place);
            let is_again =
                history.runs.iter().skip(by + 1).any(|run| run.steps.left.iter().any(|it| it.step.name == *name));
            if by >= last && !is_again && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let short = to.short();
    let deploy = invocation.on_these_hosts(&format!("deploy -r {short}"));
    let one = |name: &str| {
        format!(
            "step {name} was undone since {short} was deployed, and a rollback does not run it again: `{deploy}` does"
        )
    };
    names.into_iter().map(one).collect()
}

/// The undoing of a step as a step of its own, on the other side of its group.
fn mirrored(step: &OnceStep, undo: &str, on: On, undoes: Option<(Revision, Option<Revision>)>) -> OnceStep {
    let when = if step.when == When::Before { When::After } else { When::Before };
    OnceStep {
        command: undo.to_owned(),
        undo: None,
        irreversible: false,
        // A rollback has no other stage.
        stage: None,
        on,
        when,
        undoes,
        ..step.clone()
    }
}
