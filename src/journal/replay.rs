//! The fleet and the operator of a run that keeps a journal: what the journal holds they answer from it, and what is
//! new they pass on, and write down before anyone acts on it.
//!
//! Behind the end of a journal that was left by another deployer comes what the targets have on record ([`Told`]), and
//! only then the run goes on, or back. So a journal may end anywhere, as long as it has no gap.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use crate::deploy::Answer;
use crate::fleet::remarks::{Remark, Remarks};
use crate::fleet::{Call, Fleet, Flow, HostEvent, HostId, OnceCall, OnceObserver, Step, Task};
use crate::once::OnceEnd;
use crate::wire::Stage;

use super::times::{Clocks, Telling};
use super::{Journal, Record, Space, Times, Told};

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
pub struct Replay(pub(super) Rc<RefCell<State>>);

pub(super) struct State {
    /// What the story has not heard yet, each record with its place in the journal behind the first line.
    pub past: VecDeque<(usize, Record)>,
    pub telling: Telling,
    pub told: Told,
    journal: Journal,
    /// Whoever reads the journal takes the run back.
    pub undoes: bool,
    /// The run is to be ended as by an interrupt, as soon as everything is told that was done.
    pub going_back: bool,
    /// It was going back already when its deployer left it: nobody is asked once more.
    pub confirmed: bool,
    pub interrupted: bool,
    /// Records are missing: what they told of may have been done.
    pub has_gap: bool,
    /// What the operator should know of the journal, and was not told yet.
    remarks: Remarks,
    /// Why nothing new is started: the journal cannot be written, or soon could not be.
    stopped: Option<String>,
}

impl Replay {
    /// A replay with `past` still to be heard; empty for a new run.
    pub fn new(journal: Journal, past: Vec<Record>, at_the_end: AtTheEnd) -> Replay {
        let undoes = at_the_end == AtTheEnd::RollBack;
        let state = State {
            past: without_releases(past),
            telling: Telling::default(),
            told: Told::default(),
            journal,
            undoes,
            going_back: undoes,
            confirmed: undoes,
            interrupted: false,
            has_gap: false,
            remarks: Remarks::default(),
            stopped: None,
        };
        Replay(Rc::new(RefCell::new(state)))
    }

    /// The same; events that tell of the past carry the times of its records.
    pub fn with_times(self, times: Times) -> Replay {
        self.0.borrow_mut().telling = Telling::new(times);
        self
    }

    /// Has what the targets told stand behind what the journal tells.
    pub fn add(&self, told: Told) {
        let mut state = self.0.borrow_mut();
        state.told = told;
        // What the journal has of it leaves the rest.
        let mut rest = state.told.clone();
        for (_, record) in &state.past {
            if let Record::Called { call, tasks } = record {
                rest.take(call, tasks);
            }
        }
        if rest.went_back() {
            (state.going_back, state.confirmed) = (true, true);
        }
        if rest.leads_on() || rest.went_back() {
            state.remarks.warn(None, "the end of the journal is missing: using the records of the targets");
        }
    }

    /// Whether what a damaged journal has behind its damage tells of an interrupt or a rollback.
    pub fn hint(&self, later: &[Record]) {
        let back = |record: &Record| match record {
            Record::Interrupted => true,
            Record::Called { call, .. } => call.step == Step::Run(Stage::Rollback),
            _ => false,
        };
        if later.iter().any(back) {
            self.0.borrow_mut().going_back = true;
        }
    }

    /// The journal is damaged.
    pub fn lacks_records(&self) {
        self.0.borrow_mut().has_gap = true;
    }

    /// The fleet of the run.
    pub fn fleet<F: Fleet>(&self, inner: F) -> impl Fleet + use<F> {
        JournaledFleet { replay: self.clone(), inner, heard: HashSet::new() }
    }

    /// The story is over: the room that was kept for its end is free for other notes of it.
    pub fn make_room(&self) {
        self.0.borrow_mut().journal.make_room();
    }

    /// Writes the last record. `stayed`: as of the verdict.
    pub fn close(&self, verdict: &str, status: u8, stayed: bool) -> anyhow::Result<()> {
        self.0.borrow_mut().journal.close(verdict, status, stayed)
    }

    /// What the operator should know of the journal, and did not hear from the fleet.
    pub fn take_remarks(&self) -> Vec<Remark> {
        self.0.borrow().remarks.take()
    }

    /// Why the journal stopped the run, if it did.
    pub fn stopped(&self) -> Option<String> {
        self.0.borrow().stopped.clone()
    }

    /// Takes the next record of the past when it is one of those wanted.
    pub(super) fn next_if(&self, wanted: impl FnOnce(&Record) -> bool) -> Option<Record> {
        let mut state = self.0.borrow_mut();
        if !state.past.front().is_some_and(|(_, record)| wanted(record)) {
            return None;
        }
        let (place, record) = state.past.pop_front()?;
        state.telling.tells(place, &record);
        Some(record)
    }

    /// The answer that comes next, and who gave it, where that is on record.
    pub(super) fn next_answer(&self) -> Option<(Answer, Option<String>)> {
        match self.next_if(|record| matches!(record, Record::Answered { .. }))? {
            Record::Answered { answer, by } => Some((answer, by)),
            _ => None,
        }
    }

    pub(super) fn is_next(&self, wanted: impl FnOnce(&Record) -> bool) -> bool {
        self.0.borrow().past.front().is_some_and(|(_, record)| wanted(record))
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().past.is_empty()
    }

    /// Leaves the rest of the past out: it does not follow from what was heard, so records are missing between. The
    /// targets know what came instead. (The first builds wrote on after a record that the disk had not taken.)
    pub(super) fn break_off(&self) {
        let mut state = self.0.borrow_mut();
        let Some((place, _)) = state.past.front() else { return };
        let lines = 1 + place;
        state.has_gap = true;
        let rest: Vec<Record> = state.past.drain(..).map(|(_, record)| record).collect();
        state.journal.cut(lines);
        let lack = format!("a record is missing after line {lines} of the journal: using the records of the targets");
        state.remarks.warn(None, lack);
        drop(state);
        self.hint(&rest);
    }

    /// Writes new records down. When that fails the run is stopped as by an interrupt: going on would do things that no
    /// one could tell of after a crash. Says whether they are on the disk.
    pub(super) fn write(&self, records: &[Record]) -> bool {
        let mut state = self.0.borrow_mut();
        state.telling.happens();
        let written = state.journal.append(records);
        let is_written = written.is_ok();
        let why = match written {
            Ok(Space::Enough) => return true,
            Ok(Space::Low) => format!("the disk of {} is full", state.journal.path().display()),
            Err(error) => format!("{error:#}"),
        };
        if state.stopped.is_none() {
            state.remarks.error(format!("{why}; starting nothing new"));
            state.stopped = Some(why);
            state.going_back = true;
        }
        is_written
    }

    /// Whether the run is over but for its rollback. Everything that was done has to be told first, since the story takes
    /// back only what it knows of.
    pub(super) fn turns_back(&self) -> bool {
        let state = self.0.borrow();
        state.past.is_empty() && state.going_back && !state.told.leads_on()
    }
}

/// To let go of a host tells a successor nothing. Journals of earlier versions have it, so what an operator decides after
/// it stood behind it there.
fn without_releases(past: Vec<Record>) -> VecDeque<(usize, Record)> {
    let mut releasing = false;
    let mut kept = VecDeque::new();
    for (place, record) in past.into_iter().enumerate() {
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
            kept.push_back((place, record));
        }
    }
    kept
}

struct JournaledFleet<F> {
    replay: Replay,
    inner: F,
    /// The hosts that have answered this deployer itself.
    heard: HashSet<HostId>,
}

impl<F: Fleet> JournaledFleet<F> {
    /// Tells the story what the journal has of a call; says what is left of it and whether the story wants more.
    fn replay(
        &mut self,
        call: &Call,
        tasks: &[Task],
        recorded: &HashSet<HostId>,
        on: &mut dyn FnMut(Vec<HostEvent>) -> Flow,
    ) -> Replayed {
        let fits = |record: &Record| match record {
            // What a rollback goes back to follows from the probe, which is on record itself.
            Record::Called { call: then, tasks: those } => {
                let names = |tasks: &[Task]| tasks.iter().map(|task| (task.host, task.attempt)).collect::<Vec<_>>();
                then.step == call.step && names(those) == names(tasks)
            }
            _ => false,
        };
        if self.replay.next_if(fits).is_none() {
            self.replay.break_off();
            self.replay.write(&[Record::Called { call: call.clone(), tasks: tasks.to_vec() }]);
            return Replayed { heard: HashSet::new(), failed: 0, flow: Flow::Continue, returned: false, fresh: true };
        }
        let mut heard: HashSet<HostId> = HashSet::new();
        let mut failed = 0;
        let mut flow = Flow::Continue;
        loop {
            // An interrupt stands where it was noticed, maybe ahead of every result: the story has to look up there too.
            if self.replay.is_next(|record| matches!(record, Record::Interrupted)) {
                flow = flow.max(on(Vec::new()));
                self.replay.next_if(|record| matches!(record, Record::Interrupted));
                continue;
            }
            let Some(record) = self.replay.next_if(|record| matches!(record, Record::Ended { .. })) else { break };
            let Record::Ended { host, result, .. } = record else { unreachable!("only results were asked for") };
            heard.insert(host);
            failed += usize::from(result.outcome.is_err());
            flow = flow.max(on(vec![HostEvent::Started(host), HostEvent::Ended(host, result)]));
        }
        let whole = recorded.is_subset(&heard);
        let returned = whole && self.replay.next_if(|record| matches!(record, Record::Returned)).is_some();
        if !returned {
            self.replay.break_off();
        }
        Replayed { heard, failed, flow, returned, fresh: false }
    }
}

struct Replayed {
    heard: HashSet<HostId>,
    /// How many of those failed.
    failed: usize,
    flow: Flow,
    /// The call had come to its end.
    returned: bool,
    /// The journal has nothing of the call.
    fresh: bool,
}

impl<F: Fleet> Fleet for JournaledFleet<F> {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let remarks = self.replay.clone();
        let on: &mut dyn FnMut(Vec<HostEvent>) -> Flow =
            &mut |events| on(remarks.take_remarks().into_iter().map(HostEvent::Remark).chain(events).collect());
        // Neither changes a host or decides anything, so a successor need not know.
        let undrains = call.step == Step::Run(Stage::Undrain);
        if undrains || call.step == Step::Release || call.step == Step::Probe && call.recover {
            self.replay.0.borrow_mut().telling.happens();
            return self.inner.run(call, tasks, on);
        }
        let recorded = self.replay.0.borrow_mut().told.take(call, tasks);
        let replayed = self.replay(call, tasks, &recorded, on);
        if replayed.returned {
            return;
        }
        let replay = self.replay.clone();
        let forward = matches!(call.step, Step::Run(stage) if stage != Stage::Rollback);
        if forward && replayed.fresh && recorded.is_empty() && replay.0.borrow().going_back {
            // Nobody has begun this, so nothing was begun after it.
            replay.0.borrow_mut().told.ends_here();
        }
        let mut flow = replayed.flow;
        let answered = &mut self.heard;
        let (mut clocks, watches) = (Clocks::default(), Cell::new(true));
        // Steps that failed and are run again: until they are, that is how they ended.
        let failures: RefCell<Vec<HostEvent>> = RefCell::default();
        let mut live = |mut events: Vec<HostEvent>| {
            replay.0.borrow_mut().telling.happens();
            for event in &events {
                match event {
                    HostEvent::Started(host) => failures.borrow_mut().retain(|failed| host_of(failed) != Some(*host)),
                    HostEvent::Ended(host, _) => drop(answered.insert(*host)),
                    _ => {}
                }
            }
            if call.step == Step::Probe {
                events.iter_mut().for_each(|event| as_before_the_run(event, &replay));
            }
            let results: Vec<Record> = events.iter().filter_map(|event| clocks.record(event, watches.get())).collect();
            // One sync for all results that came in together.
            if !results.is_empty() {
                replay.write(&results);
            }
            flow = flow.max(on(events));
            flow
        };
        // The look that an interrupt, or the end of the replay, is noticed by.
        let mut stop = live(Vec::new()) != Flow::Continue;
        // On the way to a rollback nothing is begun that nobody had begun.
        let turned = || forward && replay.0.borrow().going_back;
        let (mut heard, mut failed) = (replayed.heard, replayed.failed);
        // Tasks start in order, at most `batch` at a time, so these may have been under way when the deployer died.
        let begun = if replayed.fresh { 0 } else { (heard.len() + call.batch).min(tasks.len()) };
        let doubtful = tasks
            .iter()
            .enumerate()
            .filter(|(index, task)| (*index < begun || recorded.contains(&task.host)) && !heard.contains(&task.host));
        let doubtful: Vec<Task> = doubtful.map(|(_, task)| task.clone()).collect();
        if !replayed.fresh || !doubtful.is_empty() {
            let recovery = Call { recover: true, ..call.clone() };
            watches.set(false);
            let mut tell = |found: Vec<HostEvent>| {
                for event in &found {
                    if let HostEvent::Ended(host, result) = event {
                        heard.insert(*host);
                        failed += usize::from(result.outcome.is_err());
                    }
                }
                let flow = live(found);
                stop |= flow != Flow::Continue;
                flow
            };
            tell(vec![HostEvent::Asked(doubtful.iter().map(|task| task.host).collect())]);
            let find_out_all = turned();
            self.inner.run(&recovery, &doubtful, &mut |events| {
                let flow = tell(if find_out_all { events } else { good_ends(events, &failures) });
                // All of them are asked, whatever the story makes of the answers.
                if flow == Flow::Abort { flow } else { Flow::Continue }
            });
            tell(vec![HostEvent::Asked(Vec::new())]);
        }
        watches.set(true);
        if !stop && !turned() {
            let rest: Vec<Task> = tasks.iter().filter(|task| !heard.contains(&task.host)).cloned().collect();
            // Those that failed have their place in it.
            let room = call.room.map(|room| room.saturating_sub(failed));
            self.inner.run(&Call { room, ..call.clone() }, &rest, &mut |events| {
                let flow = live(events);
                stop |= flow != Flow::Continue;
                flow
            });
        }
        let failures = failures.take();
        if stop || turned() {
            watches.set(false);
            live(failures);
        }
        replay.write(&[Record::Returned]);
    }

    fn run_once(&mut self, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        self.replay.clone().run_once(&mut self.inner, call, on)
    }

    fn recalls(&self, host: HostId) -> bool {
        !self.heard.contains(&host)
    }
}

/// A target that is probed in the middle of its run says how it is. What the run goes back to is how it was.
fn as_before_the_run(event: &mut HostEvent, replay: &Replay) {
    let HostEvent::Ended(host, result) = event else { return };
    let Some(facts) = &mut result.facts else { return };
    facts.tries.clear();
    let before = facts.before.take().map(|before| *before);
    if let Some(before) = before.or_else(|| replay.0.borrow().told.before(*host).cloned()) {
        facts.state = before;
    }
}

/// The steps that ended well, each with its start. The others are simply run again, since every stage can be repeated.
fn good_ends(events: Vec<HostEvent>, failures: &RefCell<Vec<HostEvent>>) -> Vec<HostEvent> {
    let mut good = Vec::new();
    for event in events {
        match event {
            HostEvent::Ended(host, result) => {
                let is_ok = result.outcome.is_ok();
                let end = [HostEvent::Started(host), HostEvent::Ended(host, result)];
                if is_ok { good.extend(end) } else { failures.borrow_mut().extend(end) }
            }
            HostEvent::Remark(_) => good.push(event),
            _ => {}
        }
    }
    good
}

fn host_of(event: &HostEvent) -> Option<HostId> {
    match event {
        HostEvent::Started(host) | HostEvent::Ended(host, _) => Some(*host),
        _ => None,
    }
}
