//! The fleet and the operator of a run that keeps a journal: what the journal holds they answer from it, and what is
//! new they pass on, and write down before anyone acts on it.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use crate::deploy::{Answer, Operator, Question};
use crate::fleet::{Call, Fleet, Flow, HostEvent, HostId, Step, Task};

use super::{Journal, Record};

/// What happens when the journal has no more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTheEnd {
    /// The run goes on.
    GoOn,
    /// The run is rolled back, as if the operator had interrupted it there.
    RollBack,
}

/// A journal being read to its end and then written on. The fleet and the operator of a run share one.
#[derive(Clone)]
pub struct Tape(Rc<RefCell<State>>);

struct State {
    past: VecDeque<Record>,
    journal: Journal,
    at_the_end: AtTheEnd,
    interrupted: bool,
    /// The journal could not be written: nothing new may be started, since nobody would remember it.
    broken: Option<String>,
}

impl Tape {
    /// A tape with `past` still to be heard; empty for a new run.
    pub fn new(journal: Journal, past: Vec<Record>, at_the_end: AtTheEnd) -> Tape {
        let state = State { past: without_releases(past), journal, at_the_end, interrupted: false, broken: None };
        Tape(Rc::new(RefCell::new(state)))
    }

    /// The fleet of the run.
    pub fn fleet<F: Fleet>(&self, inner: F) -> impl Fleet + use<F> {
        JournaledFleet { tape: self.clone(), inner, heard: HashSet::new() }
    }

    /// The operator of the run.
    pub fn operator<O: Operator>(&self, inner: O) -> impl Operator + use<O> {
        JournaledOperator { tape: self.clone(), inner }
    }

    /// Writes the last record.
    pub fn close(&self, verdict: &str, status: u8) -> anyhow::Result<()> {
        self.0.borrow_mut().journal.append(&[Record::Closed { verdict: verdict.to_owned(), status }])
    }

    /// Why the journal could not be written, if that happened.
    pub fn broken(&self) -> Option<String> {
        self.0.borrow().broken.clone()
    }

    /// Takes the next record of the past when it is one of those wanted.
    fn next_if(&self, wanted: impl FnOnce(&Record) -> bool) -> Option<Record> {
        let mut state = self.0.borrow_mut();
        if state.past.front().is_some_and(wanted) { state.past.pop_front() } else { None }
    }

    fn next_answer(&self) -> Option<Answer> {
        match self.next_if(|record| matches!(record, Record::Answered { .. }))? {
            Record::Answered { answer } => Some(answer),
            _ => None,
        }
    }

    fn is_next(&self, wanted: impl FnOnce(&Record) -> bool) -> bool {
        self.0.borrow().past.front().is_some_and(wanted)
    }

    fn is_over(&self) -> bool {
        self.0.borrow().past.is_empty()
    }

    /// Writes new records down. When that fails the run is stopped as by an interrupt: going on would do things that no
    /// one could tell of after a crash.
    fn write(&self, records: &[Record]) {
        let written = self.0.borrow_mut().journal.append(records);
        if let Err(error) = written {
            self.stop(format!("{error:#}"));
        }
    }

    fn stop(&self, why: String) {
        let mut state = self.0.borrow_mut();
        if state.broken.is_none() {
            log::error!("{why}; starting nothing new");
            state.broken = Some(why);
            state.interrupted = true;
        }
    }
}

/// To let go of a host tells a successor nothing. Journals of earlier versions have it, so what an operator decides after
/// it stood behind it there.
fn without_releases(past: Vec<Record>) -> VecDeque<Record> {
    let mut releasing = false;
    let mut kept = VecDeque::new();
    for record in past {
        match &record {
            Record::Called { call, .. } => releasing = call.step == Step::Release,
            Record::Ended { .. } => {}
            Record::Returned if releasing => {
                releasing = false;
                continue;
            }
            _ => releasing = false,
        }
        if !releasing {
            kept.push_back(record);
        }
    }
    kept
}

struct JournaledFleet<F> {
    tape: Tape,
    inner: F,
    /// The hosts that have answered this deployer itself.
    heard: HashSet<HostId>,
}

impl<F: Fleet> JournaledFleet<F> {
    /// Tells the story what the journal has of a call; says what is left of it and whether the story wants more.
    fn replay(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) -> Replayed {
        let fits = |record: &Record| match record {
            // What a rollback goes back to follows from the probe, which is on record itself.
            Record::Called { call: then, tasks: those } => {
                let names = |tasks: &[Task]| tasks.iter().map(|task| (task.host, task.attempt)).collect::<Vec<_>>();
                then.step == call.step && names(those) == names(tasks)
            }
            _ => false,
        };
        if self.tape.next_if(fits).is_none() {
            if !self.tape.is_over() {
                // The same story over the same plan asks the same; another version of the story may not.
                self.tape.stop(format!("the journal tells of another course of events than {:?}", call.step));
                return Replayed { heard: HashSet::new(), flow: Flow::Stop, returned: true, fresh: true };
            }
            self.tape.write(&[Record::Called { call: call.clone(), tasks: tasks.to_vec() }]);
            return Replayed { heard: HashSet::new(), flow: Flow::Continue, returned: false, fresh: true };
        }
        let mut heard: HashSet<HostId> = HashSet::new();
        let mut flow = Flow::Continue;
        loop {
            // An interrupt stands where it was noticed, maybe ahead of every result: the story has to look up there too.
            if self.tape.is_next(|record| matches!(record, Record::Interrupted)) {
                if on(Vec::new()) == Flow::Stop {
                    flow = Flow::Stop;
                }
                self.tape.next_if(|record| matches!(record, Record::Interrupted));
                continue;
            }
            let Some(record) = self.tape.next_if(|record| matches!(record, Record::Ended { .. })) else { break };
            let Record::Ended { host, result } = record else { unreachable!("only results were asked for") };
            heard.insert(host);
            if on(vec![HostEvent::Started(host), HostEvent::Ended(host, result)]) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        let returned = self.tape.next_if(|record| matches!(record, Record::Returned)).is_some();
        Replayed { heard, flow, returned, fresh: false }
    }
}

struct Replayed {
    heard: HashSet<HostId>,
    flow: Flow,
    /// The call had come to its end.
    returned: bool,
    /// The journal has nothing of the call.
    fresh: bool,
}

impl<F: Fleet> Fleet for JournaledFleet<F> {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        // Neither changes a host or decides anything, so a successor need not know.
        if call.step == Step::Release || call.step == Step::Probe && call.recover {
            return self.inner.run(call, tasks, on);
        }
        let replayed = self.replay(call, tasks, on);
        if replayed.returned {
            return;
        }
        let tape = self.tape.clone();
        let mut flow = replayed.flow;
        let answered = &mut self.heard;
        let mut live = |events: Vec<HostEvent>| {
            answered.extend(events.iter().filter_map(|event| match event {
                HostEvent::Ended(host, _) => Some(*host),
                _ => None,
            }));
            let results: Vec<Record> = events
                .iter()
                .filter_map(|event| match event {
                    HostEvent::Ended(host, result) => Some(Record::Ended { host: *host, result: result.clone() }),
                    _ => None,
                })
                .collect();
            // One sync for all results that came in together.
            if !results.is_empty() {
                tape.write(&results);
            }
            if on(events) == Flow::Stop {
                flow = Flow::Stop;
            }
            flow
        };
        // The look that an interrupt, or the end of the tape, is noticed by.
        let mut stop = live(Vec::new()) == Flow::Stop;
        let mut heard = replayed.heard;
        if !replayed.fresh {
            // Tasks start in order, at most `batch` at a time, so these may have been under way when the deployer died.
            let begun = (heard.len() + call.batch).min(tasks.len());
            let doubtful: Vec<Task> =
                tasks[..begun].iter().filter(|task| !heard.contains(&task.host)).cloned().collect();
            let recovery = Call { recover: true, ..call.clone() };
            let find_out_all = stop;
            self.inner.run(&recovery, &doubtful, &mut |events| {
                let found = if find_out_all { events } else { good_ends(events) };
                heard.extend(found.iter().filter_map(|event| match event {
                    HostEvent::Ended(host, _) => Some(*host),
                    _ => None,
                }));
                stop |= live(found) == Flow::Stop;
                Flow::Continue
            });
        }
        if !stop {
            let rest: Vec<Task> = tasks.iter().filter(|task| !heard.contains(&task.host)).cloned().collect();
            self.inner.run(call, &rest, &mut live);
        }
        tape.write(&[Record::Returned]);
    }

    fn recalls(&self, host: HostId) -> bool {
        !self.heard.contains(&host)
    }
}

/// The steps that ended well, each with its start. The others are simply run again: every stage can be repeated.
fn good_ends(events: Vec<HostEvent>) -> Vec<HostEvent> {
    let good = |event| match event {
        HostEvent::Ended(host, result) if result.outcome.is_ok() => {
            vec![HostEvent::Started(host), HostEvent::Ended(host, result)]
        }
        _ => Vec::new(),
    };
    events.into_iter().flat_map(good).collect()
}

struct JournaledOperator<O> {
    tape: Tape,
    inner: O,
}

impl<O: Operator> Operator for JournaledOperator<O> {
    fn ask(&mut self, question: &Question) -> Answer {
        let rolling_back = self.tape.0.borrow().at_the_end == AtTheEnd::RollBack;
        let is_last = matches!(question, Question::RollBack { .. });
        let mut past = self.tape.next_answer();
        // No other question follows this one: a second answer is that of whoever thought better of it.
        while is_last && past.is_some() {
            match self.tape.next_answer() {
                Some(revised) => past = Some(revised),
                None => break,
            }
        }
        match past {
            // A rollback that was declined is what is asked for now.
            Some(Answer::No) if is_last && rolling_back && self.tape.is_over() => {}
            Some(answer) => return answer,
            None => {}
        }
        let answer = match question {
            Question::RollBack { .. } if rolling_back => Answer::Yes,
            _ => self.inner.ask(question),
        };
        self.tape.write(&[Record::Answered { answer }]);
        answer
    }

    fn interrupted(&mut self) -> bool {
        if self.tape.0.borrow().interrupted {
            return true;
        }
        if self.tape.next_if(|record| matches!(record, Record::Interrupted)).is_some() {
            self.tape.0.borrow_mut().interrupted = true;
            return true;
        }
        if !self.tape.is_over() {
            return false;
        }
        if self.tape.0.borrow().at_the_end == AtTheEnd::RollBack || self.inner.interrupted() {
            self.tape.write(&[Record::Interrupted]);
            self.tape.0.borrow_mut().interrupted = true;
            return true;
        }
        false
    }

    fn undoes(&self) -> bool {
        self.tape.0.borrow().at_the_end == AtTheEnd::RollBack
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}
