//! A fleet of scripted hosts that keep a target's state in memory, and a trace of all that was done to them.
//!
//! It stands beside the tests over real sshd, for the story's rules alone: a thousand fleets in a second.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use hoist::deploy::health::{GateEvent, Gates, Health, Look, Moment, Sample, SampleVerdict};
use hoist::deploy::{Kind, Pace, Plan, StagePlan};
use hoist::fleet::{Call, Fleet, Flow, HostEvent, HostResult, OnceCall, OnceObserver, Step, Task};
use hoist::once::{On, OnceEnd, OnceStep, When};
use hoist::report::{Event, Reporter};
use hoist::targets::Group;
use hoist::wire::{DrainOn, Drained, Facts, Fault, Outcome, Revision, Stage, StartedBy, State};

/// Keeps all events.
#[derive(Default)]
pub struct Events(pub Vec<Event>);

impl Reporter for Events {
    fn event(&mut self, event: &Event) {
        self.0.push(event.clone());
    }
}

/// A deployment of `b` to these groups, so many hosts at once in every stage.
pub fn plan_of(groups: Vec<Group>, batch: usize) -> Plan {
    let stage = |stage| StagePlan { stage, batch, timeout: Duration::from_secs(60) };
    Plan {
        run: "20260101T000000.000Z-1-abcd".parse().unwrap(),
        kind: Kind::Deploy,
        by: StartedBy { user: "op".into(), deploy_host: "deploy1".into() },
        repo: "app".into(),
        revision: revision('b'),
        origin: None,
        message: String::new(),
        groups,
        stages: vec![stage(Stage::Fetch), stage(Stage::ConfigDeploy), stage(Stage::Promote)],
        finalize: Some(stage(Stage::Finalize)),
        rollback: stage(Stage::Rollback),
        confirm_timeout: Duration::ZERO,
        probe_batch: batch,
        gates: Vec::new(),
        steps: Vec::new(),
        lease_slot: Duration::ZERO,
        rollback_pace: Pace::Budget,
        break_glass: None,
        signed_by: Vec::new(),
        force: false,
        need: Default::default(),
        archive_bytes: None,
        invocation: Default::default(),
    }
}

/// A service that is always well.
pub struct Calm;

impl Gates for Calm {
    fn look(&mut self, _: &Look, _: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        Health::Pass
    }
}

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
    /// A rollback that brings the old revision back, and finds that its checks fail.
    ChecksFail,
    /// The drain fails: nothing is changed, and the host is put back.
    DrainFails,
    /// All is done, and the host cannot be put back into service.
    UndrainFails,
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
    /// What is live there and was never finalized; `None`: what is finalized.
    pub live: Option<char>,
    /// Whether it is drained around what takes its service down.
    pub drains: bool,
    /// Whether an earlier run has left it drained.
    pub left_drained: bool,
    /// Its answer when it is asked to go back into service.
    pub undrain: Act,
    /// Its answer when it is read again at the end of the run.
    pub read_again: Act,
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
            live: None,
            drains: false,
            left_drained: false,
            undrain: Act::Work,
            read_again: Act::Work,
        }
    }

    /// What the host's links name before the run.
    pub fn before(&self) -> State {
        let done = self.has_done.then(|| revision('a'));
        let drained = self.left_drained.then(drained);
        State { current: self.live.map(revision).or_else(|| done.clone()), done, drained, ..State::default() }
    }
}

/// A step on the first host of a group, or on the deploy host, that is undone by `undo NAME`.
pub fn step(name: &str, on: On, when: When, group: Option<&str>, stage: Option<Stage>) -> OnceStep {
    OnceStep {
        name: name.into(),
        command: name.into(),
        undo: Some(format!("undo {name}")),
        on,
        when,
        group: group.map(Into::into),
        stage,
        timeout: Duration::from_secs(60),
        irreversible: false,
        folder: "/".into(),
        undoes: None,
    }
}

/// The record of a drain.
fn drained() -> Box<Drained> {
    let since = "2026-01-01T00:00:00Z".to_owned();
    Box::new(Drained { since, run: "20260101T000000.000Z-1-abcd".parse().unwrap(), on: DrainOn::Target, reason: None })
}

/// A host by its place in the plan.
pub type Host = usize;

/// One entry of the trace, in the order in which things happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Trace {
    Called {
        call: Call,
        tasks: Vec<Task>,
    },
    Started(Host),
    /// The story has been told.
    Told(Host, Outcome),
    Returned {
        stopped: bool,
    },
    Asked(String),
    /// A try of a run-once step began.
    Once {
        number: u32,
        line: String,
    },
    /// A host has gone out of service, or is back: by its own record.
    Drained(Host, bool),
}

/// What outlives a deployer: the hosts.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub states: Vec<State>,
    /// Steps that were begun, and how they ended when they have.
    begun: HashMap<(Host, Step, u32), Option<HostResult>>,
    /// Tries of run-once steps that were begun, on which host, and how they ended when they have.
    pub once: HashMap<u32, (Option<Host>, Option<OnceEnd>)>,
}

/// How many moments a deployer has left; unset: it lives for ever.
#[derive(Debug, Clone, Default)]
pub struct Fuse(Rc<Cell<Option<usize>>>);

impl Fuse {
    pub fn of(moments: usize) -> Fuse {
        Fuse(Rc::new(Cell::new(Some(moments))))
    }

    fn moment(&self) {
        match self.0.get() {
            Some(0) => std::panic::resume_unwind(Box::new(Died)),
            left => self.0.set(left.map(|left| left - 1)),
        }
    }
}

/// A look at the service, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    pub moment: Moment,
    pub group: String,
    pub label: String,
    pub new: usize,
    pub old: usize,
    pub elsewhere: usize,
    /// Samples of an earlier deployer.
    pub earlier: usize,
    /// Seconds that were soaked.
    pub soaked: u64,
}

/// Gates that say what is written down for a moment, and pass at all others; their clock counts a second whenever they
/// call.
#[derive(Debug, Clone, Default)]
pub struct ScriptedGates {
    pub says: Vec<(Moment, Health)>,
    pub looks: Rc<RefCell<Vec<Looked>>>,
    pub fuse: Fuse,
}

impl Gates for ScriptedGates {
    fn look(&mut self, look: &Look, on: &mut dyn FnMut(Vec<GateEvent>) -> Flow) -> Health {
        let index = self.looks.borrow().len();
        let (group, label) = (look.group.clone(), look.label.clone());
        self.looks.borrow_mut().push(Looked {
            moment: look.moment,
            group,
            label,
            new: look.hosts.new.len(),
            old: look.hosts.old.len(),
            elsewhere: look.hosts.elsewhere.len(),
            earlier: look.earlier.samples.len(),
            soaked: 0,
        });
        let sample = |attempt| Sample {
            gate: "errors".into(),
            value: Some("0".into()),
            verdict: SampleVerdict::Pass,
            reason: String::new(),
            attempt,
            observe: false,
            pending: None,
        };
        for second in 0..=look.soak.as_secs() {
            self.fuse.moment();
            let left = look.soak - Duration::from_secs(second);
            self.looks.borrow_mut()[index].soaked = second;
            let mut events = vec![GateEvent::Left(left)];
            if second == 0 {
                events.push(GateEvent::Sample(sample(1)));
            }
            if on(events) != Flow::Continue {
                break;
            }
        }
        let said = self.says.iter().find(|(moment, _)| *moment == look.moment);
        said.map_or(Health::Pass, |(_, health)| health.clone())
    }
}

/// What a deployer that is killed unwinds with.
pub struct Died;

pub struct Scripted {
    pub scripts: Vec<Script>,
    pub world: Rc<RefCell<World>>,
    pub before: Vec<State>,
    pub trace: Rc<RefCell<Vec<Trace>>>,
    pub fuse: Fuse,
    pub new: Revision,
    /// How run-once steps end, by the number of the try; the others are done.
    pub once: HashMap<u32, OnceEnd>,
    /// The call is a probe at the end of the run.
    reads_again: bool,
    /// Picks which of the hosts under way ends next, and how many events come at once.
    pub order: u64,
}

pub fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

impl Scripted {
    pub fn new(scripts: Vec<Script>, order: u64) -> Self {
        let states: Vec<State> = scripts.iter().map(Script::before).collect();
        let before = states.clone();
        let world = Rc::new(RefCell::new(World { states, ..World::default() }));
        let (trace, fuse, once) = Default::default();
        let reads_again = false;
        Scripted { scripts, world, before, trace, fuse, new: revision('b'), once, reads_again, order }
    }

    /// A moment at which the deployer may be killed.
    fn moment(&mut self) {
        self.fuse.moment();
    }

    fn next(&mut self, below: usize) -> usize {
        // Knuth's MMIX constants; the low bits are poor, so the high ones are taken.
        self.order = self.order.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.order >> 33) as usize % below.max(1)
    }

    fn act(&self, host: Host, step: Step, attempt: u32) -> Act {
        let script = &self.scripts[host];
        match step {
            Step::Probe if self.reads_again => script.read_again,
            Step::Probe => script.probe,
            Step::Hold => script.hold,
            Step::Release => Act::Work,
            Step::Command => script.primary[0][0],
            Step::Run(Stage::Finalize) => script.finalize,
            Step::Run(Stage::Rollback) => script.rollback,
            Step::Run(Stage::Undrain) => script.undrain,
            Step::Run(stage) => {
                let acts = &script.primary[stage as usize % 3];
                acts[(attempt as usize).min(acts.len() - 1)]
            }
        }
    }

    fn apply(&mut self, host: Host, step: Step, task: &Task) {
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
                if task.restore.is_some() && state.current == new {
                    state.current = task.restore.clone();
                }
                state.done = self.before[host].done.clone();
                state.in_progress = None;
            }
            _ => {}
        }
    }

    /// Drains the host, or puts it back.
    fn drain(&mut self, host: Host, out: bool) {
        let state = &mut self.world.borrow_mut().states[host];
        if state.drained.is_some() != out {
            state.drained = out.then(drained);
            self.trace.borrow_mut().push(Trace::Drained(host, out));
        }
    }

    /// Drains the host ahead of what takes its service down.
    fn drain_for(&mut self, step: Step, task: &Task, act: Act) {
        let host = task.host.index();
        let live = self.world.borrow().states[host].current.clone();
        let takes_down = match step {
            Step::Run(Stage::Rollback) => live.as_ref() == Some(&self.new) && task.restore.is_some(),
            Step::Run(stage) => stage.restarts() && live.is_some(),
            Step::Command => live.is_some(),
            _ => false,
        };
        let begins = !matches!(act, Act::FailEarly | Act::Unreachable | Act::Locked);
        if takes_down && self.scripts[host].drains && begins {
            self.drain(host, true);
        }
    }

    /// Puts the host back where a step that does so has gone well, or has done nothing.
    fn undrain_after(&mut self, host: Host, step: Step, act: Act) {
        let puts_back = match step {
            Step::Run(stage) => stage.restarts() || stage == Stage::Undrain,
            step => step == Step::Command,
        };
        if puts_back && matches!(act, Act::Work | Act::DrainFails) {
            self.drain(host, false);
        }
    }

    /// What somebody else has put on the host since, if they have.
    fn moved_on(&self, host: Host) -> Option<Revision> {
        let (state, before) = (&self.world.borrow().states[host], &self.before[host]);
        let ours = [Some(&self.new), before.current.as_ref(), before.done.as_ref()];
        let foreign = |it: &Option<Revision>| it.is_some() && !ours.contains(&it.as_ref());
        state.current.clone().filter(|_| foreign(&state.current) && foreign(&state.done))
    }

    /// What a host has on record.
    fn tries(&self, host: Host) -> Vec<(Stage, u32)> {
        let world = self.world.borrow();
        let of = |(begun, step, attempt): &(Host, Step, u32)| match step {
            Step::Run(stage) if *begun == host => Some((*stage, *attempt)),
            _ => None,
        };
        let once = world.once.iter().filter(|(_, (on, _))| *on == Some(host)).map(|(number, _)| (Stage::Once, *number));
        world.begun.keys().filter_map(of).chain(once).collect()
    }

    fn work(&mut self, step: Step, task: &Task) -> HostResult {
        let host = task.host.index();
        if let (Step::Run(_), Some(to)) = (step, self.moved_on(host)) {
            let state = Some(self.world.borrow().states[host].clone());
            return HostResult { state, ..HostResult::from(Fault::MovedOn { to }) };
        }
        let act = self.act(host, step, task.attempt);
        self.drain_for(step, task, act);
        if !matches!(act, Act::FailEarly | Act::Unreachable | Act::LostEarly | Act::Locked | Act::DrainFails) {
            self.apply(host, step, task);
        }
        self.undrain_after(host, step, act);
        let failed = |reason: &str| Err(Fault::failed(reason));
        let outcome = match act {
            Act::Work => Ok(()),
            Act::FailEarly => failed("early"),
            Act::FailLate => failed("late"),
            Act::TimeOut => Err(Fault::TimedOut { seconds: 9 }),
            Act::ChecksFail if step == Step::Run(Stage::Rollback) => {
                Err(Fault::ChecksFailed { reason: "check page failed".into() })
            }
            Act::ChecksFail => failed("check"),
            Act::DrainFails => failed("drain"),
            Act::UndrainFails => failed("undrain"),
            Act::Kill => Err(Fault::Killed { signal: "KILL".into() }),
            Act::Unreachable => Err(Fault::Unreachable { reason: "refused".into() }),
            Act::LostLate | Act::LostEarly => Err(Fault::Lost { reason: "cut".into() }),
            Act::Locked => Err(Fault::Locked {
                by: Box::new(hoist::wire::Holder {
                    run: "other".parse().unwrap(),
                    user: "u".into(),
                    host: "h".into(),
                    pid: 1,
                    since: "now".into(),
                    message: String::new(),
                }),
            }),
        };
        let mut result = HostResult::from(outcome);
        let answered = !result.is_out_of_reach();
        if step == Step::Probe && result.outcome.is_ok() {
            result.facts = Some(Facts {
                version: "test".into(),
                takes_requests: true,
                state: self.world.borrow().states[host].clone(),
                revisions: vec![revision('b')],
                cached: Vec::new(),
                lacks: Vec::new(),
                locked: None,
                is_claim: false,
                stranger: None,
                place: None,
                free_bytes: 1 << 40,
                free_inodes: None,
                scap: None,
                newest: None,
                lease: None,
                lacking: None,
                tries: self.tries(host),
                before: (!self.tries(host).is_empty()).then(|| Box::new(self.before[host].clone())),
                missing_stage: None,
                findings: Vec::new(),
                running: Vec::new(),
                origin: None,
                confirmation: Default::default(),
                unfit: None,
            });
        } else if answered && !matches!(act, Act::Kill | Act::Locked) {
            result.state = Some(self.world.borrow().states[host].clone());
        }
        result
    }
}

impl Fleet for Scripted {
    fn run_once(&mut self, call: &OnceCall, on: &mut OnceObserver) -> OnceEnd {
        let host = call.host.map(|host| host.index());
        if call.recover {
            let unknown = || OnceEnd::Unknown { reason: "its deployer died".into() };
            return match (self.world.borrow().once.get(&call.number), host) {
                (Some((_, Some(end))), Some(_)) => end.clone(),
                (None, Some(_)) => OnceEnd::NotBegun { reason: "no record".into() },
                // Nobody but its deployer knew of a step on the deploy host.
                _ => unknown(),
            };
        }
        on(Vec::new());
        let before = self.world.borrow_mut().once.insert(call.number, (host, None));
        assert!(before.is_none(), "try {} ran twice", call.number);
        self.trace.borrow_mut().push(Trace::Once { number: call.number, line: call.command.line.clone() });
        self.moment();
        let end = self.once.get(&call.number).cloned().unwrap_or(OnceEnd::Done);
        self.world.borrow_mut().once.insert(call.number, (host, Some(end.clone())));
        self.moment();
        end
    }

    fn run(&mut self, call: &Call, tasks: &[Task], on: &mut dyn FnMut(Vec<HostEvent>) -> Flow) {
        let trace = self.trace.clone();
        trace.borrow_mut().push(Trace::Called { call: call.clone(), tasks: tasks.to_vec() });
        self.reads_again = call.recover && call.step == Step::Probe;
        let mut queued: VecDeque<Task> = tasks.to_vec().into();
        let mut under_way: Vec<Task> = Vec::new();
        let (mut stopped, mut failed) = (false, 0);
        let full = |taken: usize| call.room.is_some_and(|room| taken >= room);
        while !(under_way.is_empty() && (queued.is_empty() || stopped || full(failed))) {
            // The real fleet lets its caller look up while nothing happens.
            stopped |= on(Vec::new()) != Flow::Continue;
            let mut events = Vec::new();
            while under_way.len() < call.batch && !full(under_way.len() + failed) && !stopped && !queued.is_empty() {
                let task = queued.pop_front().unwrap();
                let key = (task.host.index(), call.step, task.attempt);
                // A look at the end of a run that was resumed is a probe like the first one.
                let recover = call.recover && call.step != Step::Probe;
                if recover && !self.world.borrow().begun.contains_key(&key) {
                    continue;
                }
                if !recover {
                    self.world.borrow_mut().begun.insert(key, None);
                }
                self.moment();
                trace.borrow_mut().push(Trace::Started(task.host.index()));
                events.push(HostEvent::Started(task.host));
                under_way.push(task);
            }
            for _ in 0..1 + self.next(3) {
                if under_way.is_empty() {
                    break;
                }
                let pick = self.next(under_way.len());
                let task = under_way.remove(pick);
                let key = (task.host.index(), call.step, task.attempt);
                let ended = self.world.borrow().begun.get(&key).cloned().flatten();
                let recover = call.recover && call.step != Step::Probe;
                let mut result = ended.filter(|_| recover).unwrap_or_else(|| self.work(call.step, &task));
                // A target that is asked how a stage ended tells what it looks like now.
                if recover && result.state.is_some() {
                    result.state = Some(self.world.borrow().states[task.host.index()].clone());
                }
                self.world.borrow_mut().begun.insert(key, Some(result.clone()));
                failed += usize::from(result.outcome.is_err());
                self.moment();
                trace.borrow_mut().push(Trace::Told(task.host.index(), result.outcome.clone()));
                events.push(HostEvent::Ended(task.host, Box::new(result)));
            }
            stopped |= on(events) != Flow::Continue;
            self.moment();
        }
        trace.borrow_mut().push(Trace::Returned { stopped });
    }
}
