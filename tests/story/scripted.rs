//! A fleet of scripted hosts that keep a target's state in memory, and a trace of all that was done to them.
//!
//! It stands beside the tests over real sshd, for the story's rules alone: a thousand fleets in a second.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use hoist::fleet::{Call, Fleet, Flow, HostEvent, HostId, HostResult, Outcome, Step, Task};
use hoist::wire::{Facts, Revision, Stage, State};

/// How a host behaves in one try of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Work,
    /// Fails before it changed anything.
    FailEarly,
    /// Fails after it changed what the step changes.
    FailLate,
    TimeOut,
    Kill,
    Unreachable,
    /// The connection is lost for good after the change.
    LostLate,
    /// The connection is lost for good before the change.
    LostEarly,
    Locked,
}

/// One host's script: its acts in each step, by attempt; the last act repeats.
#[derive(Debug, Clone)]
pub struct Script {
    pub probe: Act,
    pub hold: Act,
    pub primary: [Vec<Act>; 3],
    pub finalize: Act,
    pub rollback: Act,
    /// Whether the host has a finalized revision at all.
    pub has_done: bool,
}

impl Script {
    /// A host that does everything, and has a finalized revision.
    pub fn good() -> Script {
        let work = || vec![Act::Work];
        Script {
            probe: Act::Work,
            hold: Act::Work,
            primary: [work(), work(), work()],
            finalize: Act::Work,
            rollback: Act::Work,
            has_done: true,
        }
    }
}

/// One entry of the trace, in the order in which things happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Trace {
    Called {
        call: Call,
        tasks: Vec<Task>,
    },
    Started(HostId),
    /// The story has been told.
    Told(HostId, Outcome),
    Returned {
        stopped: bool,
    },
    Asked(String),
}

/// What outlives a deployer: the hosts.
#[derive(Debug, Default)]
pub struct World {
    pub states: Vec<State>,
    /// Steps that were begun, and how they ended when they have.
    begun: HashMap<(HostId, Step, u32), Option<HostResult>>,
}

/// What a deployer that is killed unwinds with.
pub struct Died;

pub struct Scripted {
    pub scripts: Vec<Script>,
    pub world: Rc<RefCell<World>>,
    pub before: Vec<State>,
    pub trace: Rc<RefCell<Vec<Trace>>>,
    /// How many more moments this deployer lives; `None`: for ever.
    pub fuse: Option<usize>,
    pub new: Revision,
    /// Picks which of the hosts under way ends next, and how many events come at once.
    pub order: u64,
}

pub fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

impl Scripted {
    pub fn new(scripts: Vec<Script>, order: u64) -> Self {
        let old = |script: &Script| script.has_done.then(|| revision('a'));
        let states: Vec<State> =
            scripts.iter().map(|it| State { current: old(it), done: old(it), ..State::default() }).collect();
        let before = states.clone();
        let world = Rc::new(RefCell::new(World { states, begun: HashMap::new() }));
        Scripted { scripts, world, before, trace: Default::default(), fuse: None, new: revision('b'), order }
    }

    /// A moment at which the deployer may be killed.
    fn moment(&mut self) {
        match &mut self.fuse {
            Some(0) => std::panic::resume_unwind(Box::new(Died)),
            Some(left) => *left -= 1,
            None => {}
        }
    }

    fn next(&mut self, below: usize) -> usize {
        // Knuth's MMIX constants; the low bits are poor, so the high ones are taken.
        self.order = self.order.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.order >> 33) as usize % below.max(1)
    }

    fn act(&self, host: HostId, step: Step, attempt: u32) -> Act {
        let script = &self.scripts[host];
        match step {
            Step::Probe => script.probe,
            Step::Hold => script.hold,
            Step::Release => Act::Work,
            Step::Command => script.primary[0][0],
            Step::Run(Stage::Finalize) => script.finalize,
            Step::Run(Stage::Rollback) => script.rollback,
            Step::Run(stage) => {
                let acts = &script.primary[stage as usize % 3];
                acts[(attempt as usize).min(acts.len() - 1)]
            }
        }
    }

    fn apply(&mut self, host: HostId, step: Step, task: &Task) {
        let new = Some(self.new.clone());
        let state = &mut self.world.borrow_mut().states[host];
        match step {
            Step::Run(Stage::Fetch) => state.in_progress = new,
            Step::Run(Stage::Promote) => state.current = new,
            Step::Run(Stage::Finalize) => {
                state.done = new;
                state.in_progress = None;
            }
            Step::Run(Stage::Rollback) => {
                if task.restore.is_some() {
                    state.current = task.restore.clone();
                    state.done = task.restore.clone();
                }
                state.in_progress = None;
            }
            _ => {}
        }
    }

    fn work(&mut self, step: Step, task: &Task) -> HostResult {
        let host = task.host;
        let act = self.act(host, step, task.attempt);
        if matches!(act, Act::Work | Act::FailLate | Act::TimeOut | Act::Kill | Act::LostLate) {
            self.apply(host, step, task);
        }
        let failed = |reason: &str| Outcome::Failed { reason: reason.to_owned(), status: 1 };
        let outcome = match act {
            Act::Work => Outcome::Ok,
            Act::FailEarly => failed("early"),
            Act::FailLate => failed("late"),
            Act::TimeOut => Outcome::TimedOut { seconds: 9 },
            Act::Kill => Outcome::Killed { signal: "KILL".into() },
            Act::Unreachable => Outcome::Unreachable { reason: "refused".into() },
            Act::LostLate | Act::LostEarly => Outcome::Lost { reason: "cut".into() },
            Act::Locked => Outcome::Locked {
                by: hoist::wire::Holder {
                    run: "other".parse().unwrap(),
                    user: "u".into(),
                    host: "h".into(),
                    pid: 1,
                    since: "now".into(),
                    message: String::new(),
                },
            },
        };
        let answered = !matches!(outcome, Outcome::Unreachable { .. } | Outcome::Lost { .. });
        let mut result = HostResult::from(outcome);
        if step == Step::Probe && result.outcome.is_ok() {
            result.facts = Some(Facts {
                version: "test".into(),
                state: self.world.borrow().states[host].clone(),
                revisions: Vec::new(),
                cached: Vec::new(),
                lacks: Vec::new(),
                locked: None,
                free_bytes: 1 << 40,
                free_inodes: None,
                scap: None,
                newest: None,
                lease: None,
            });
        } else if answered && matches!(act, Act::Work | Act::FailEarly | Act::FailLate) {
            result.state = Some(self.world.borrow().states[host].clone());
        }
        result
    }
}

impl Fleet for Scripted {
    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let trace = self.trace.clone();
        trace.borrow_mut().push(Trace::Called { call: call.clone(), tasks: tasks.to_vec() });
        let mut queued: VecDeque<Task> = tasks.to_vec().into();
        let mut under_way: Vec<Task> = Vec::new();
        let mut stopped = false;
        while !(under_way.is_empty() && (queued.is_empty() || stopped)) {
            // The real fleet lets its caller look up while nothing happens.
            stopped |= on(Vec::new()) == Flow::Stop;
            let mut events = Vec::new();
            while under_way.len() < call.batch && !stopped && !queued.is_empty() {
                let task = queued.pop_front().unwrap();
                let key = (task.host, call.step, task.attempt);
                if call.recover && !self.world.borrow().begun.contains_key(&key) {
                    continue;
                }
                if !call.recover {
                    self.world.borrow_mut().begun.insert(key, None);
                }
                self.moment();
                trace.borrow_mut().push(Trace::Started(task.host));
                events.push(HostEvent::Started(task.host));
                under_way.push(task);
            }
            for _ in 0..1 + self.next(3) {
                if under_way.is_empty() {
                    break;
                }
                let pick = self.next(under_way.len());
                let task = under_way.remove(pick);
                let key = (task.host, call.step, task.attempt);
                let ended = self.world.borrow().begun.get(&key).cloned().flatten();
                let result = ended.filter(|_| call.recover).unwrap_or_else(|| self.work(call.step, &task));
                self.world.borrow_mut().begun.insert(key, Some(result.clone()));
                self.moment();
                trace.borrow_mut().push(Trace::Told(task.host, result.outcome.clone()));
                events.push(HostEvent::Ended(task.host, Box::new(result)));
            }
            stopped |= on(events) == Flow::Stop;
            self.moment();
        }
        trace.borrow_mut().push(Trace::Returned { stopped });
    }
}
