//! The rules of a deployment, R1 to R16, held against thousands of random plans and fleets.

mod capacity;
mod drain;
mod endings;
mod faults;
mod order;
mod random;
mod rollback;
mod scripted;
mod steps;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use hoist::deploy::health::{Health, Moment, Scope};
use hoist::deploy::{Answer, GatePlan, Kind, Operator, Plan, Question, Verdict, deploy};
use hoist::exit_code::ExitCode;
use hoist::fleet::{HostId, Step};
use hoist::report::{Event, RowState};
use hoist::targets::{Details, FailedTargets, FailureLimit, Group, Target};
use hoist::wire::{Fault, Outcome, Revision, Stage};
use proptest::prelude::*;
use scripted::{Act, Calm, Events, Host, Looked, Script, Scripted, ScriptedGates, Trace, plan_of, revision};

/// Answers from a list, and interrupts at its n-th look.
struct Person {
    answers: Vec<Answer>,
    interrupt_at: Option<usize>,
    looks: usize,
    trace: Rc<RefCell<Vec<Trace>>>,
}

impl Operator for Person {
    fn ask(&mut self, question: &Question) -> Answer {
        self.trace.borrow_mut().push(Trace::Asked(question.to_string()));
        self.answers.pop().unwrap_or(Answer::Yes)
    }

    fn interrupted(&mut self) -> bool {
        self.looks += 1;
        self.interrupt_at.is_some_and(|at| self.looks > at)
    }

    fn name(&self) -> &'static str {
        "operator"
    }
}

/// Everything about one run.
#[derive(Debug)]
struct Told {
    plan: Plan,
    trace: Vec<Trace>,
    events: Vec<Event>,
    looks: Vec<Looked>,
    verdict: Verdict,
    scripted: ScriptedEnd,
    order: u64,
}

impl Told {
    /// Whether a host was drained before the run.
    fn left_drained(&self, host: Host) -> bool {
        self.scripted.left_drained[host]
    }
}

#[derive(Debug)]
struct ScriptedEnd {
    before: Vec<Option<Revision>>,
    current: Vec<Option<Revision>>,
    done: Vec<Option<Revision>>,
    before_done: Vec<Option<Revision>>,
    left_drained: Vec<bool>,
    drained: Vec<bool>,
}

fn tell(plan: Plan, scripts: Vec<Script>, answers: Vec<Answer>, interrupt_at: Option<usize>, order: u64) -> Told {
    tell_with(plan, scripts, ScriptedGates::default(), answers, interrupt_at, order)
}

/// The same, with gates.
fn tell_with(
    plan: Plan,
    scripts: Vec<Script>,
    gates: ScriptedGates,
    answers: Vec<Answer>,
    interrupt_at: Option<usize>,
    order: u64,
) -> Told {
    let mut fleet = Scripted::new(scripts, order);
    fleet.once = steps::ends(&plan, order);
    tell_of(plan, fleet, gates, answers, interrupt_at, order)
}

/// The same, of this fleet.
fn tell_of(
    plan: Plan,
    mut fleet: Scripted,
    mut gates: ScriptedGates,
    answers: Vec<Answer>,
    interrupt_at: Option<usize>,
    order: u64,
) -> Told {
    let mut person = Person { answers, interrupt_at, looks: 0, trace: fleet.trace.clone() };
    let mut events = Events::default();
    let verdict = deploy(&plan, &mut fleet, &mut gates, &mut person, &mut events);
    let scripted = ScriptedEnd {
        before: fleet.before.iter().map(|state| state.current.clone()).collect(),
        current: fleet.world.borrow().states.iter().map(|state| state.current.clone()).collect(),
        done: fleet.world.borrow().states.iter().map(|state| state.done.clone()).collect(),
        before_done: fleet.before.iter().map(|state| state.done.clone()).collect(),
        left_drained: fleet.before.iter().map(|state| state.drained.is_some()).collect(),
        drained: fleet.world.borrow().states.iter().map(|state| state.drained.is_some()).collect(),
    };
    let trace = fleet.trace.borrow().clone();
    Told { plan, trace, events: events.0, looks: gates.looks.take(), verdict, scripted, order }
}

fn plan(groups: Vec<(usize, Option<usize>, FailureLimit)>, batch: usize) -> Plan {
    let mut next = 0;
    let group = |(index, (hosts, size, limit)): (usize, (usize, Option<usize>, FailureLimit))| {
        let targets = (next..next + hosts).map(|n| format!("host{n}").parse().unwrap()).collect();
        next += hosts;
        Group { name: format!("g{index}"), targets, steps: size.into(), limit, ..Group::default() }
    };
    plan_of(groups.into_iter().enumerate().map(group).collect(), batch)
}

/// A run over one group without subgroups, in which nobody interrupts and everybody agrees.
fn tell_one_group(scripts: Vec<Script>, limit: FailureLimit, batch: usize) -> Told {
    tell(plan(vec![(scripts.len(), None, limit)], batch), scripts, vec![], None, 7)
}

/// Hosts that do all well but for one.
fn good_but(hosts: usize, host: usize, script: Script) -> Vec<Script> {
    let mut scripts = vec![Script::good(); hosts];
    scripts[host] = script;
    scripts
}

fn failing(stage: Stage, act: Act) -> Script {
    let mut script = Script::good();
    script.primary[stage as usize] = vec![act];
    script
}

/// A call of the trace with what happened in it.
struct Called<'a> {
    step: Step,
    group: &'a str,
    force: bool,
    tasks: Vec<Host>,
    started: Vec<Host>,
    told: Vec<(Host, &'a Outcome)>,
    stopped: bool,
    /// Whether hosts were to keep within a number of places.
    has_room: bool,
    /// Whether the operator had been asked about the rollback by then.
    confirmed: bool,
}

fn calls(told: &Told) -> Vec<Called<'_>> {
    let mut calls: Vec<Called> = Vec::new();
    let mut confirmed = false;
    for entry in &told.trace {
        match entry {
            Trace::Called { call, tasks } => calls.push(Called {
                step: call.step,
                group: &call.group,
                force: call.force,
                tasks: tasks.iter().map(|task| task.host.index()).collect(),
                started: Vec::new(),
                told: Vec::new(),
                stopped: false,
                has_room: call.room.is_some(),
                confirmed,
            }),
            Trace::Started(host) => calls.last_mut().unwrap().started.push(*host),
            Trace::Told(host, outcome) => calls.last_mut().unwrap().told.push((*host, outcome)),
            Trace::Returned { stopped } => calls.last_mut().unwrap().stopped = *stopped,
            Trace::Asked(question) => confirmed |= question.contains("Roll back"),
            Trace::Drained(..) | Trace::Once { .. } => {}
        }
    }
    calls
}

fn is_primary(step: Step) -> bool {
    matches!(step, Step::Run(Stage::Fetch | Stage::ConfigDeploy | Stage::Promote))
}

fn group_of(plan: &Plan, host: Host) -> usize {
    plan.group_ids().position(|group| plan.hosts_of(group).contains(HostId::new(host))).unwrap()
}

/// The place of a host's group and subgroup.
fn subgroup_of(plan: &Plan, host: Host) -> (usize, usize) {
    let group = group_of(plan, host);
    let subgroups = plan.subgroups_of(plan.group_ids().nth(group).unwrap());
    (group, subgroups.iter().position(|(_, members)| members.contains(HostId::new(host))).unwrap())
}

/// The hosts of each call of a stage.
fn hosts_of_calls(told: &Told, stage: Stage) -> Vec<Vec<Host>> {
    calls(told).into_iter().filter(|call| call.step == Step::Run(stage)).map(|call| call.started).collect()
}

/// Whether the operator wanted all hosts back at once.
fn at_once(told: &Told) -> bool {
    told.events.iter().any(|event| {
        matches!(event, Event::Asked { question, answer, .. } if question.contains("Roll back") && answer == "at once")
    })
}

fn hold_all_rules(told: &Told) {
    let plan = &told.plan;
    let calls = calls(told);
    order::r1_order(plan, &calls);
    order::r3_subgroups(plan, &calls);
    order::r4_to_r7_limit(told);
    order::r6_failed_hosts(plan, &calls);
    order::r7_nobody_in_silence(told, &calls);
    order::r7_no_header_over_the_limit(told);
    order::r8_asking(told);
    order::r9_finalize(plan, &calls);
    rollback::r10_rollback(told, &calls);
    rollback::r11_retries(plan, &calls);
    rollback::r12_verdict(told);
    capacity::r13_capacity(told);
    capacity::r14_health(told, &calls);
    drain::r15_drain(told, &calls);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_holds_for_every_plan_and_every_fleet(told in random::run(false)) {
        hold_all_rules(&told);
    }
}
