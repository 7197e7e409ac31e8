//! The run-once steps of a run that keeps a journal: that one begins is on disk before it begins, and how it ended before
//! the story hears of it.

use crate::deploy::Answer;
use crate::fleet::{Fleet, Flow, HostId, OnceCall, OnceEvent, OnceObserver};
use crate::once::OnceEnd;

use super::record::once_of;
use super::{Record, Replay};

/// Why a step is not begun.
const GOING_BACK: &str = "the run was interrupted before it began";

impl Replay {
    /// Carries out a step over the fleet that really does it.
    pub(super) fn run_once(&self, inner: &mut impl Fleet, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        let number = call.number;
        let recorded = call.host.is_some_and(|host| self.0.borrow_mut().told.takes_once(host, number));
        let fits = |record: &Record| matches!(record, Record::OnceBegun { number: then, .. } if *then == number);
        let fresh = self.next_if(fits).is_none();
        if !fresh && let Some(end) = self.once_ended(on) {
            return end;
        }
        self.break_off();
        if fresh {
            let (leads_on, has_gap) = (self.0.borrow().told.leads_on(), self.0.borrow().has_gap);
            if !self.write(&[Record::OnceBegun { number, host: call.host }]) {
                let why = self.stopped().unwrap_or_default();
                return OnceEnd::NotBegun { reason: format!("it cannot be recorded: {why}") };
            }
            // The journal has lost what became of it. Targets have what came later, or nobody knows.
            let lost = match call.host {
                None if leads_on => Some(OnceEnd::Done),
                None if has_gap => Some(OnceEnd::Unknown { reason: "the journal has no record of it".to_owned() }),
                _ => None,
            };
            if let Some(end) = lost {
                return self.ended(number, end);
            }
        }
        let mut stop = on(Vec::new()) != Flow::Continue;
        let mut live = |events: Vec<OnceEvent>| {
            self.0.borrow_mut().telling.happens();
            on(events)
        };
        if !fresh || recorded {
            let recovery = OnceCall { recover: true, ..call.clone() };
            match inner.run_once(&recovery, &mut live) {
                OnceEnd::NotBegun { .. } => stop |= live(Vec::new()) != Flow::Continue,
                end => return self.ended(number, end),
            }
        }
        let end = match stop {
            true => OnceEnd::NotBegun { reason: GOING_BACK.to_owned() },
            false => inner.run_once(call, &mut live),
        };
        self.ended(number, end)
    }

    /// How a step ended, as the journal has it.
    fn once_ended(&self, on: &mut OnceObserver) -> Option<OnceEnd> {
        // An interrupt stands where it was noticed: the story has to look up there too.
        while self.is_next(|record| matches!(record, Record::Interrupted)) {
            on(Vec::new());
            self.next_if(|record| matches!(record, Record::Interrupted));
        }
        match self.next_if(|record| matches!(record, Record::OnceEnded { .. }))? {
            Record::OnceEnded { end, .. } => Some(end),
            _ => None,
        }
    }

    fn ended(&self, number: u32, end: OnceEnd) -> OnceEnd {
        self.0.borrow_mut().telling.happens();
        self.write(&[Record::OnceEnded { number, end: end.clone() }]);
        end
    }
}

/// What a journal has of a step, or of undoing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOnce {
    /// Its place in the plan.
    pub step: usize,
    pub undo: bool,
    pub host: Option<HostId>,
    /// `None`: it was begun, and its deployer died.
    pub end: Option<OnceEnd>,
    /// The operator was asked how it ended, and did not say: nobody is asked again.
    pub left_open: bool,
}

impl PastOnce {
    /// Whether it may have run, as far as the journal tells.
    pub fn may_have_run(&self) -> bool {
        matches!(self.end, None | Some(OnceEnd::Done)) || self.is_unknown()
    }

    /// Whether its end is on record as unknown.
    pub fn is_unknown(&self) -> bool {
        matches!(self.end, Some(OnceEnd::Unknown { .. }))
    }
}

/// The last try of each step of a run with so many, and of undoing it, from the records of its journal.
pub fn past_steps<'a>(steps: usize, records: impl Iterator<Item = &'a Record>) -> Vec<PastOnce> {
    let mut found: Vec<PastOnce> = Vec::new();
    for record in records {
        match record {
            Record::OnceBegun { number, host } => {
                let (step, undo) = once_of(steps, *number);
                found.retain(|past| (past.step, past.undo) != (step, undo));
                found.push(PastOnce { step, undo, host: *host, end: None, left_open: false });
            }
            Record::OnceEnded { end, .. } => {
                if let Some(past) = found.last_mut() {
                    past.end = Some(end.clone());
                }
            }
            Record::Answered { answer, .. } => {
                // What is asked about is always the last one: an unknown end halts the run, or the rollback.
                let Some(past) = found.last_mut().filter(|past| past.is_unknown()) else { continue };
                match answer {
                    Answer::Done => past.end = Some(OnceEnd::Done),
                    Answer::NotDone => past.end = Some(OnceEnd::NotBegun { reason: "as the operator said".to_owned() }),
                    answer => past.left_open |= *answer == Answer::No,
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_the_step_that_was_asked_about() {
        let unknown = || OnceEnd::Unknown { reason: "killed".to_owned() };
        let begun = |number| Record::OnceBegun { number, host: None };
        let ended = |number, end| Record::OnceEnded { number, end };
        let answered = |answer| Record::Answered { answer, by: None };
        // Of three steps the first is done, the second unknown and left open, and undoing the first is unknown at first.
        let records = [
            begun(0),
            ended(0, OnceEnd::Done),
            begun(2),
            ended(2, unknown()),
            answered(Answer::No),
            answered(Answer::Yes),
            begun(1),
            ended(1, unknown()),
            answered(Answer::Done),
        ];
        let past = past_steps(3, records.iter());
        let ends: Vec<_> = past.iter().map(|it| (it.step, it.undo, it.end.clone(), it.left_open)).collect();
        assert_eq!(
            ends,
            [
                (0, false, Some(OnceEnd::Done), false),
                (1, false, Some(unknown()), true),
                (0, true, Some(OnceEnd::Done), false)
            ]
        );
    }
}
