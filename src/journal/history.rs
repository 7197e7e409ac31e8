//! What the journals tell of the deployments before this one.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;

use crate::deploy::{Asked, Kind, Plan};
use crate::fleet::Step;
use crate::targets::Target;
use crate::wire::{Fault, Revision, RunId, Stage};

use super::read::{journals, read_finished};
use super::record::Record;

/// A finished run whose revision stayed on at least one host, finalized or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Finalized {
    pub run: RunId,
    pub kind: Kind,
    pub revision: Revision,
    /// What its targets were asked; `None` in journals of the first format.
    pub asked: Option<Box<Asked>>,
}

/// What the journals of an environment tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The oldest first.
    pub runs: Vec<Finalized>,
    /// A line for each journal that cannot be read: what it tells of may not even matter.
    pub warnings: Vec<String>,
}

/// The runs of an environment that brought their revision to stay, the oldest first: finalized, or live after a run that
/// left finalize out, or whose rollback was declined.
///
/// # Errors
/// A folder that cannot be read.
pub fn history(folder: &Path, environment: Option<&str>) -> Result<History> {
    let mut history = History::default();
    for path in journals(folder)? {
        let (opened, records) = match read_finished(&path) {
            Ok(Some(whole)) => whole,
            Ok(None) => continue,
            Err(error) => {
                history.warnings.push(format!("{error:#}; its deployment is ignored"));
                continue;
            }
        };
        if opened.environment.as_deref() == environment && stayed_somewhere(&records, &opened.plan) {
            let (plan, asked) = (opened.plan, opened.asked);
            history.runs.push(Finalized { run: plan.run, kind: plan.kind, revision: plan.revision, asked });
        }
    }
    Ok(history)
}

/// Whether the run's revision went live on a host, or was finalized there, and was not taken back afterwards.
fn stayed_somewhere(records: &[Record], plan: &Plan) -> bool {
    if let Some(Record::Closed { stayed: Some(stayed), .. }) = records.last() {
        return *stayed;
    }
    let mut step = None;
    let mut there = HashSet::new();
    for record in records {
        match record {
            Record::Called { call, .. } => step = Some(call.step),
            Record::Ended { host, result } => {
                let current = result.state.as_ref().map(|state| state.current.as_ref() == Some(&plan.revision));
                match step {
                    Some(Step::Run(Stage::Finalize)) if result.outcome.is_ok() => drop(there.insert(host)),
                    Some(Step::Run(Stage::Promote | Stage::Finalize))
                        if plan.kind == Kind::Deploy
                            && (current == Some(true) || matches!(result.outcome, Err(Fault::Lost { .. }))) =>
                    {
                        there.insert(host);
                    }
                    // With a check that fails it is back there too.
                    Some(Step::Run(Stage::Rollback))
                        if matches!(result.outcome, Ok(()) | Err(Fault::ChecksFailed { .. }))
                            || current == Some(false) =>
                    {
                        there.remove(host);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    !there.is_empty()
}

/// The revisions that are behind one another, the deployed one last. To deploy puts a revision on top; to go back to one
/// takes away those above it, so that going back once more leads further back, and not forth.
/// `bottom` is what was there before the first of them.
pub fn stack(bottom: Option<Revision>, history: &[Finalized]) -> Vec<Revision> {
    let mut stack: Vec<Revision> = bottom.into_iter().collect();
    for past in history {
        let place = stack.iter().rposition(|revision| *revision == past.revision);
        match place {
            Some(place) if past.kind == Kind::Rollback || place + 1 == stack.len() => stack.truncate(place + 1),
            _ => stack.push(past.revision.clone()),
        }
    }
    stack
}

/// What the targets of a run had finalized before it, as its probe saw them. Those that had nothing are left out, and
/// those that had the run's own revision.
///
/// # Errors
/// A journal that cannot be read.
pub fn done_before(folder: &Path, run: &RunId) -> Result<Vec<(Revision, Target)>> {
    let Some((opened, records)) = read_finished(&folder.join(format!("{run}.journal")))? else { return Ok(Vec::new()) };
    let targets: Vec<&Target> = opened.plan.targets().map(|(_, target)| target).collect();
    let found = records.into_iter().filter_map(|record| match record {
        Record::Ended { host, result } => {
            let done = result.facts?.state.done.filter(|done| *done != opened.plan.revision)?;
            Some((done, (*targets.get(host.index())?).clone()))
        }
        _ => None,
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack_of(runs: &[(Kind, char)]) -> String {
        let past = |(kind, digit): &(Kind, char)| Finalized {
            run: "20261123T144552.123Z-4711-7d3f".parse().unwrap(),
            kind: *kind,
            revision: digit.to_string().repeat(40).parse().unwrap(),
            asked: None,
        };
        let history: Vec<_> = runs.iter().map(past).collect();
        stack(None, &history).iter().map(|revision| &revision.as_str()[..1]).collect()
    }

    #[test]
    fn going_back_twice_leads_further_back() {
        use Kind::{Deploy, Rollback};
        assert_eq!(stack_of(&[]), "");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Deploy, 'b'), (Deploy, 'c')]), "abc");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Deploy, 'c'), (Rollback, 'b')]), "ab");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Rollback, 'a'), (Deploy, 'd')]), "ad");
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Rollback, 'a'), (Deploy, 'b')]), "ab");
    }

    #[test]
    fn a_revision_that_is_deployed_again_later_is_new_and_one_from_before_the_journals_is_put_on_top() {
        use Kind::{Deploy, Rollback};
        assert_eq!(stack_of(&[(Deploy, 'a'), (Deploy, 'b'), (Deploy, 'a')]), "aba");
        assert_eq!(stack_of(&[(Deploy, 'b'), (Rollback, 'a')]), "ba");
    }
}
