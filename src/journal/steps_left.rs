//! The run-once steps that finished runs have left done, or of which nobody knows: what a rollback of these runs is about.

use crate::deploy::Plan;
use crate::once::{On, OnceEnd, OnceStep};
use crate::wire::Revision;

use super::once::PastOnce;
use super::past::Past;

/// What a run has done about run-once steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunSteps {
    /// Those that it has left, in the order in which they ran.
    pub left: Vec<LeftStep>,
    /// Those of earlier runs that it has undone, or may have.
    undid: Vec<UndoneStep>,
    /// Those that it has done, and that were undone: by itself, or by a later run.
    pub undone_since: Vec<UndoneSince>,
}

/// A step that was done and is undone.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoneSince {
    pub name: String,
    /// The place of the run that undid it, among those of the history; `None`: the run that had done it.
    pub by: Option<usize>,
}

/// A step that a run did, or may have done, and that is not known to be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftStep {
    pub step: OnceStep,
    /// Of the run.
    revision: Revision,
    /// Where it ran.
    pub on: On,
    pub state: LeftState,
}

/// What is known of such a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftState {
    Done,
    /// Nobody knows whether it ran.
    Unknown,
    /// It was done, and nobody knows whether it was undone.
    UndoUnknown,
}

/// That a run undid a step which an earlier run had done.
#[derive(Debug, Clone, PartialEq)]
struct UndoneStep {
    name: String,
    /// Of the earlier run.
    revision: Revision,
    /// Whether it is known that it did.
    is_known: bool,
}

impl RunSteps {
    pub(super) fn of(past: &Past) -> RunSteps {
        RunSteps {
            left: left_by(&past.opened.plan, &past.once),
            undid: undone_by(past),
            undone_since: undone_again(past),
        }
    }
}

/// Those that a run has left by these tries of its steps, in the order in which they ran.
pub fn left_by(plan: &Plan, once: &[PastOnce]) -> Vec<LeftStep> {
    let targets: Vec<_> = plan.targets().map(|(_, target)| target).collect();
    let undo_of = |step: usize| once.iter().find(|it| it.undo && it.step == step);
    let left = once.iter().filter(|it| !it.undo).filter_map(|it| {
        let step = plan.steps.get(it.step).filter(|step| step.undoes.is_none())?;
        let undo = undo_of(it.step);
        let state = match undo.map(|undo| (undo.end == Some(OnceEnd::Done), undo.may_have_run())) {
            Some((true, _)) => return None,
            Some((false, true)) => LeftState::UndoUnknown,
            _ if it.end == Some(OnceEnd::Done) => LeftState::Done,
            _ if it.may_have_run() => LeftState::Unknown,
            _ => return None,
        };
        let target = it.host.and_then(|host| targets.get(host.index()));
        let on = target.map_or(On::DeployHost, |target| On::Host((*target).clone()));
        Some(LeftStep { step: step.clone(), revision: plan.revision.clone(), on, state })
    });
    left.collect()
}

/// Those that a run has itself undone.
fn undone_again(past: &Past) -> Vec<UndoneSince> {
    let is_undone = |it: &&PastOnce| it.undo && it.end == Some(OnceEnd::Done);
    let steps = past.once.iter().filter(is_undone).filter_map(|it| past.opened.plan.steps.get(it.step));
    steps.map(|step| UndoneSince { name: step.name.clone(), by: None }).collect()
}

fn undone_by(past: &Past) -> Vec<UndoneStep> {
    let undone = past.once.iter().filter(|it| !it.undo && it.may_have_run()).filter_map(|it| {
        let step = past.opened.plan.steps.get(it.step)?;
        let (revision, _) = step.undoes.clone()?;
        Some(UndoneStep { name: step.name.clone(), revision, is_known: it.end == Some(OnceEnd::Done) })
    });
    undone.collect()
}

/// Takes from each run the steps that a later one has undone: nothing is undone twice. The runs are in order, the oldest
/// first.
pub(super) fn take_undone(runs: &mut [&mut RunSteps]) {
    for later in 0..runs.len() {
        let (earlier, rest) = runs.split_at_mut(later);
        for UndoneStep { name, revision, is_known } in &rest[0].undid {
            let is_it = |left: &LeftStep| {
                left.step.name == *name && left.revision == *revision && left.state == LeftState::Done
            };
            let found = earlier.iter_mut().rev().find_map(|run| Some((run.left.iter().position(is_it)?, run)));
            match found {
                Some((at, run)) if *is_known => {
                    let LeftStep { step, .. } = run.left.remove(at);
                    run.undone_since.push(UndoneSince { name: step.name, by: Some(later) });
                }
                Some((at, run)) => run.left[at].state = LeftState::UndoUnknown,
                None => {}
            }
        }
    }
}
