//! The rules of a deployment, R1 to R15, held against thousands of random plans and fleets.

#[path = "story/capacity.rs"]
mod capacity;
#[path = "story/drain.rs"]
mod drain;
#[path = "story/scripted.rs"]
mod scripted;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use hoist::deploy::health::{Health, Moment};
use hoist::deploy::{Answer, GatePlan, Kind, Operator, Plan, Question, Verdict, deploy};
use hoist::exit_code::ExitCode;
use hoist::fleet::{HostId, Step};
use hoist::report::{Event, RowState};
use hoist::targets::{FailedTargets, FailureLimit, Group};
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
    mut gates: ScriptedGates,
    answers: Vec<Answer>,
    interrupt_at: Option<usize>,
    order: u64,
) -> Told {
    let mut fleet = Scripted::new(scripts, order);
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
    Told { plan, trace, events: events.0, looks: gates.looks.take(), verdict, scripted }
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

// ---- random plans and fleets ----

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        14 => Just(Act::Work),
        1 => Just(Act::FailEarly),
        1 => Just(Act::FailLate),
        1 => Just(Act::TimeOut),
        1 => Just(Act::Kill),
        1 => Just(Act::Unreachable),
        1 => Just(Act::LostLate),
        1 => Just(Act::LostEarly),
        1 => Just(Act::DrainFails),
        1 => Just(Act::UndrainFails),
    ]
}

fn rare(bad: Act) -> impl Strategy<Value = Act> {
    prop_oneof![30 => Just(Act::Work), 1 => Just(bad), 1 => Just(Act::Unreachable), 1 => Just(Act::FailEarly)]
}

fn script() -> impl Strategy<Value = Script> {
    let acts = || prop::collection::vec(act(), 1..4);
    let locked = prop_oneof![200 => Just(Act::Work), 1 => Just(Act::Locked), 2 => Just(Act::Unreachable), 2 => Just(Act::FailEarly)];
    let rollback = prop_oneof![5 => act(), 1 => Just(Act::ChecksFail)];
    let live = prop::option::weighted(0.2, Just('c'));
    let stages = ([acts(), acts(), acts()], act(), rollback);
    let drain = (any::<bool>(), prop::bool::weighted(0.03), act());
    (rare(Act::TimeOut), locked, stages, prop::bool::weighted(0.9), live, drain).prop_map(
        |(probe, hold, (primary, finalize, rollback), has_done, live, (drains, left_drained, undrain))| Script {
            probe,
            hold,
            primary,
            finalize,
            rollback,
            has_done,
            live,
            drains,
            left_drained,
            undrain,
        },
    )
}

fn limit() -> impl Strategy<Value = FailureLimit> {
    prop_oneof![
        2 => Just(FailureLimit::Hosts(0)),
        3 => (0usize..4).prop_map(FailureLimit::Hosts),
        3 => (0u8..=100).prop_map(FailureLimit::Percent),
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    prop::sample::select(vec![Moment::Before, Moment::Subgroup, Moment::Soak, Moment::Group, Moment::Finalize])
}

fn health() -> impl Strategy<Value = Health> {
    let (gate, reason) = ("errors".to_owned(), "0.05 is not < 0.01".to_owned());
    prop_oneof![
        6 => Just(Health::Pass),
        1 => Just(Health::Fail { gate: gate.clone(), reason: reason.clone() }),
        1 => Just(Health::Inconclusive { gate, reason }),
    ]
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        6 => Just(Answer::Yes),
        1 => Just(Answer::No),
        1 => Just(Answer::All),
        1 => Just(Answer::AtOnce),
    ];
    prop::collection::vec(answer, 0..4)
}

prop_compose! {
    fn run()(
        groups in prop::collection::vec((1usize..9, prop::option::of(1usize..5), limit()), 1..4),
        steps in prop::option::weighted(0.3, prop::sample::select(vec!["1, 2", "1, 10%, 50%", "50%, 1", "1, all"])),
        capacity in prop::option::weighted(0.6, prop::sample::select(vec!["1", "2", "3", "25%", "50%", "100%"])),
        gates in prop::collection::vec((moment(), health()), 0..3),
        soaks in any::<bool>(),
        batch in 1usize..7,
        retry_failed in prop_oneof![3 => Just(0usize), 1 => 1usize..3],
        leave in any::<bool>(),
        with_finalize in prop::bool::weighted(0.9),
    )(
        scripts in prop::collection::vec(script(), groups.iter().map(|(hosts, _, _)| hosts).sum::<usize>()),
        plan in Just({
            let mut plan = plan(groups, batch);
            for group in &mut plan.groups {
                group.retry_failed = retry_failed;
                if let Some(steps) = steps {
                    group.steps = steps.parse().unwrap();
                }
                group.max_unavailable = capacity.map(|share| share.parse().unwrap());
                if soaks {
                    (group.soak_time, group.group_soak_time) = (Duration::from_secs(3), Duration::from_secs(2));
                }
                group.failed_targets = if leave { FailedTargets::Leave } else { FailedTargets::Rollback };
            }
            if !with_finalize { plan.finalize = None; }
            let at = |(moment, _): &(Moment, Health)| GatePlan {
                name: "errors".into(),
                at: vec![*moment],
                group: None,
                observe: false,
            };
            plan.gates = gates.iter().map(at).collect();
            plan
        }),
        says in Just(gates),
        answers in answers(),
        interrupt_at in prop::option::weighted(0.15, 0usize..60),
        order in any::<u64>(),
    ) -> Told {
        let gates = ScriptedGates { says, ..ScriptedGates::default() };
        tell_with(plan, scripts, gates, answers, interrupt_at, order)
    }
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
            Trace::Drained(..) => {}
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

fn hold_all_rules(told: &Told) {
    let plan = &told.plan;
    let calls = calls(told);
    r1_order(plan, &calls);
    r3_subgroups(plan, &calls);
    r4_to_r7_limit(told);
    r6_failed_hosts(plan, &calls);
    r7_nobody_in_silence(told, &calls);
    r7_no_header_over_the_limit(told);
    r8_asking(told);
    r9_finalize(plan, &calls);
    r10_rollback(told, &calls);
    r11_retries(plan, &calls);
    r12_verdict(told);
    r13_capacity(told);
    r14_health(told, &calls);
    drain::r15_drain(told, &calls);
}

/// R1: groups in order; inside a call the hosts start in the order of the file.
fn r1_order(plan: &Plan, calls: &[Called]) {
    let mut furthest = 0;
    for call in calls {
        let mut sorted = call.tasks.clone();
        sorted.sort_unstable();
        assert_eq!(call.tasks, sorted, "hosts out of the file's order");
        assert!(call.tasks.starts_with(&call.started), "hosts start in the order given");
        if is_primary(call.step) {
            let group = group_of(plan, call.tasks[0]);
            assert!(group >= furthest, "a group was gone back to");
            furthest = group;
        }
    }
}

/// R3: the target is told its group's own name, and every try stays within a subgroup.
fn r3_subgroups(plan: &Plan, calls: &[Called]) {
    for call in calls.iter().filter(|call| matches!(call.step, Step::Run(_))) {
        for host in &call.tasks {
            assert_eq!(plan.groups[group_of(plan, *host)].name, call.group);
        }
        if is_primary(call.step) {
            let subgroups: HashSet<_> = call.tasks.iter().map(|host| subgroup_of(plan, *host)).collect();
            assert_eq!(subgroups.len(), 1, "one stage ran over two subgroups at once");
        }
    }
}

/// R4, R5, R7: no host starts a primary stage for the first time while more hosts of its group count than may.
fn r4_to_r7_limit(told: &Told) {
    let plan = &told.plan;
    let mut bad: Vec<BTreeSet<Host>> = vec![BTreeSet::new(); plan.groups.len()];
    let mut now: Option<(Step, bool)> = None;
    for entry in &told.trace {
        match entry {
            Trace::Called { call, .. } => now = Some((call.step, call.force)),
            Trace::Started(host) => {
                let (step, retry) = now.unwrap();
                let group = group_of(plan, *host);
                let size = plan.groups[group].targets.len();
                if is_primary(step) && !retry {
                    let failed = bad[group].len();
                    assert!(!plan.groups[group].limit.exceeded_by(failed, size), "host {host} started over the limit");
                }
            }
            Trace::Told(host, outcome) => {
                let (step, _) = now.unwrap();
                let group = group_of(plan, *host);
                let counts =
                    !matches!(step, Step::Release | Step::Run(Stage::Rollback | Stage::Finalize | Stage::Undrain));
                if !outcome.is_ok() && counts {
                    bad[group].insert(*host);
                } else if is_primary(step) {
                    bad[group].remove(host);
                }
            }
            _ => {}
        }
    }
    let limits =
        |group: usize| plan.groups[group].limit.exceeded_by(bad[group].len(), plan.groups[group].targets.len());
    if matches!(told.verdict.code, ExitCode::Success | ExitCode::NotFinalized) {
        assert!(!(0..plan.groups.len()).any(limits), "a run over its limit was called a success");
    }
}

/// R6: after a failure no later primary stage but a retry, and no finalize; nothing at all for who was never reached.
fn r6_failed_hosts(plan: &Plan, calls: &[Called]) {
    let mut failed: HashSet<Host> = HashSet::new();
    let mut gone: HashSet<Host> = HashSet::new();
    for call in calls {
        for host in &call.started {
            if call.step != Step::Release {
                assert!(!gone.contains(host), "host {host} was never reached and was used all the same");
            }
            if is_primary(call.step) && failed.contains(host) {
                assert!(plan.groups[0].retry_failed > 0 && call.force, "failed host {host} went on to {:?}", call.step);
            }
            assert!(
                !(call.step == Step::Run(Stage::Finalize) && failed.contains(host)),
                "failed host {host} finalized"
            );
        }
        for (host, outcome) in &call.told {
            match (call.step, outcome.is_ok()) {
                (Step::Probe | Step::Hold, false) => drop(gone.insert(*host)),
                (step, false) if is_primary(step) => drop(failed.insert(*host)),
                (step, true) if is_primary(step) => drop(failed.remove(host)),
                _ => {}
            }
        }
    }
}

/// R7: a failure short of the limit stops nobody; whoever did not start is named.
fn r7_nobody_in_silence(told: &Told, calls: &[Called]) {
    let ended: Vec<_> = told
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StepEnded { step, not_attempted, ok, failed, .. } if *step != Step::Release => {
                Some((*step, not_attempted.len(), ok + failed))
            }
            _ => None,
        })
        .collect();
    let called: Vec<_> = calls.iter().filter(|call| call.step != Step::Release).collect();
    assert_eq!(ended.len(), called.len());
    for ((step, not_attempted, results), call) in ended.iter().zip(called) {
        assert_eq!(*step, call.step);
        assert_eq!(*not_attempted, call.tasks.len() - call.started.len());
        assert_eq!(*results, call.started.len());
        if !call.stopped && !call.has_room {
            assert_eq!(call.tasks, call.started, "hosts were left out of {step:?} for no reason");
        }
    }
}

/// R7: no subgroup is even announced once the limit is exceeded.
fn r7_no_header_over_the_limit(told: &Told) {
    let exceeded = told.events.iter().position(|event| matches!(event, Event::LimitExceeded { .. }));
    let headers = told.events.iter().enumerate().filter(|(_, event)| matches!(event, Event::Subgroup { .. }));
    for (index, _) in headers {
        let next = told.events[index + 1..].iter().find(|event| !matches!(event, Event::Note { .. }));
        assert!(matches!(next, Some(Event::StepStarted { .. })), "a subgroup was announced and nothing came of it");
        assert!(exceeded.is_none_or(|at| index < at));
    }
}

/// R8: after each group but the last, until the operator said to go on with all.
fn r8_asking(told: &Told) {
    let plan = &told.plan;
    let mut asked_after: Vec<String> = Vec::new();
    let mut groups_begun: Vec<usize> = Vec::new();
    for entry in &told.trace {
        match entry {
            Trace::Called { call, tasks } if is_primary(call.step) => {
                let group = group_of(plan, tasks[0].host.index());
                if !groups_begun.contains(&group) {
                    groups_begun.push(group);
                }
            }
            Trace::Asked(question) if question.contains("Continue?") => {
                let group = question.split(' ').next().unwrap().to_owned();
                assert_ne!(group, plan.groups.last().unwrap().name, "asked after the last group");
                assert!(!asked_after.contains(&group), "asked twice after {group}");
                asked_after.push(group);
            }
            _ => {}
        }
    }
    let all =
        told.events.iter().any(|event| matches!(event, Event::Asked { answer, .. } if answer == Answer::All.word()));
    if !all && told.verdict.code == ExitCode::Success {
        assert_eq!(asked_after.len(), plan.groups.len() - 1, "a group boundary was passed without a question");
    }
}

/// R9: finalize after all primary stages, on just the hosts that passed every one.
fn r9_finalize(plan: &Plan, calls: &[Called]) {
    let Some(first) = calls.iter().position(|call| call.step == Step::Run(Stage::Finalize)) else { return };
    assert!(!calls[first..].iter().any(|call| is_primary(call.step)), "a primary stage ran after finalize began");
    let mut passed: HashMap<Host, Stage> = HashMap::new();
    for call in &calls[..first] {
        for (host, outcome) in &call.told {
            match (call.step, outcome.is_ok()) {
                (Step::Run(Stage::Rollback), _) | (_, false) => drop(passed.remove(host)),
                (Step::Run(stage), true) => drop(passed.insert(*host, stage)),
                _ => {}
            }
        }
    }
    let complete: BTreeSet<Host> =
        passed.iter().filter(|(_, stage)| **stage == Stage::Promote).map(|(host, _)| *host).collect();
    let finalized: BTreeSet<Host> = calls[first..]
        .iter()
        .filter(|call| call.step == Step::Run(Stage::Finalize))
        .flat_map(|call| call.started.iter().copied())
        .collect();
    let stopped = calls.iter().any(|call| call.stopped && call.step == Step::Run(Stage::Finalize));
    let turned_back = calls[first..].iter().any(|call| call.step == Step::Run(Stage::Rollback));
    // An interrupt in the middle of it turns everything back, what is finalized already too.
    assert!(complete.is_superset(&finalized) && (complete == finalized || stopped || turned_back));
    assert!(plan.finalize.is_some());
}

/// R10: every touched host, subgroups in reverse, and nothing cuts it short.
fn r10_rollback(told: &Told, calls: &[Called]) {
    let plan = &told.plan;
    let declined = told.events.iter().any(|event| {
        matches!(event, Event::Asked { question, answer, .. } if question.contains("Roll back") && answer == "no")
    });
    let (rollbacks, early): (Vec<_>, Vec<_>) =
        calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback)).partition(|call| call.confirmed);
    for call in calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback) && !call.has_room) {
        assert_eq!(call.tasks, call.started, "a rollback was cut short");
    }
    let no_room = |host: &Host| {
        let row = &told.verdict.rows[*host];
        row.reason.as_ref().is_some_and(|reason| reason.contains("max_unavailable of"))
    };
    assert!(!(0..plan.size()).any(|host| no_room(&host)) || told.verdict.code == ExitCode::Mixed);
    // One that no limit stopped comes to its end, even where it succeeded nowhere.
    let halted =
        told.verdict.text.starts_with("not deployed") && !told.verdict.text.contains("within the failure limit");
    if declined {
        assert!(rollbacks.is_empty());
        assert_eq!(told.verdict.code, ExitCode::Mixed);
    } else if halted {
        let order: Vec<_> = rollbacks.iter().map(|call| (subgroup_of(plan, call.tasks[0]), call.has_room)).collect();
        let follows = |pair: &[((usize, usize), bool)]| {
            let ((before, with_room), (after, then_with_room)) = (pair[0], pair[1]);
            // Those that cost no room go first; where room was short, a subgroup has several calls.
            before.0 > after.0 || (before.0 == after.0 && (before.1 >= after.1 || !with_room && then_with_room))
        };
        assert!(order.windows(2).all(follows), "subgroups were not rolled back in reverse: {order:?}");
        // A host was touched when a stage ran there: more than a connection that could not be had.
        let mut touched: BTreeSet<Host> = BTreeSet::new();
        for call in calls.iter().filter(|call| matches!(call.step, Step::Run(_))) {
            for (host, outcome) in &call.told {
                if is_primary(call.step) && !matches!(outcome, Err(Fault::Unreachable { .. })) {
                    touched.insert(*host);
                }
            }
        }
        // Failed hosts that were rolled back at once within their group are done with, unless they could not be reached.
        let early: BTreeSet<Host> = early.iter().flat_map(|call| call.started.iter().copied()).collect();
        let rolled: BTreeSet<Host> = rollbacks.iter().flat_map(|call| call.started.iter().copied()).collect();
        let wanted: BTreeSet<Host> = touched.difference(&early).copied().filter(|host| !no_room(host)).collect();
        assert!(rolled.is_superset(&wanted), "{wanted:?} were touched, {rolled:?} rolled back");
        assert!(touched.is_superset(&rolled), "hosts were rolled back that were never touched");
    }
    for (host, task_restore) in told
        .trace
        .iter()
        .filter_map(|entry| match entry {
            Trace::Called { call, tasks } if call.step == Step::Run(Stage::Rollback) => Some(tasks),
            _ => None,
        })
        .flatten()
        .map(|task| (task.host.index(), &task.restore))
    {
        assert_eq!(*task_restore, told.scripted.before[host], "what is restored is what was live at the probe");
    }
    for call in calls.iter().filter(|call| call.step == Step::Run(Stage::Rollback)) {
        let subgroups: HashSet<_> = call.tasks.iter().map(|host| subgroup_of(plan, *host)).collect();
        assert!(subgroups.len() == 1 || at_once(told), "more hosts at once went back than went forward");
    }
    let promoted: HashSet<Host> = calls
        .iter()
        .filter(|call| call.step == Step::Run(Stage::Promote))
        .flat_map(|call| call.started.iter().copied())
        .collect();
    for host in (0..plan.size()).filter(|host| !promoted.contains(host)) {
        let (now, before) = (&told.scripted.current[host], &told.scripted.before[host]);
        assert_eq!(now, before, "host {host} was never promoted, and something else is live there");
    }
}

/// Whether the operator wanted all hosts back at once.
fn at_once(told: &Told) -> bool {
    told.events.iter().any(|event| {
        matches!(event, Event::Asked { question, answer, .. } if question.contains("Roll back") && answer == "at once")
    })
}

/// R13: whatever happens, no host is taken out of service without room for it. What is out is read from the trace alone:
/// what was begun and has not ended well, what was lost, and what the hosts themselves have down as drained.
fn r13_capacity(told: &Told) {
    let plan = &told.plan;
    let mut out: BTreeSet<Host> = BTreeSet::new();
    let mut drained: BTreeSet<Host> = BTreeSet::new();
    let mut promoted: HashSet<Host> = HashSet::new();
    let mut asked_back = false;
    let (mut step, mut out_before) = (Step::Probe, 0);
    let out_in = |group: usize, out: &BTreeSet<Host>, drained: &BTreeSet<Host>| {
        out.union(drained).filter(|host| group_of(plan, **host) == group).count()
    };
    for entry in &told.trace {
        match entry {
            Trace::Called { call, tasks } => {
                step = call.step;
                let first = tasks.first().map_or(0, |task| group_of(plan, task.host.index()));
                out_before = out_in(first, &out, &drained);
            }
            Trace::Started(host) => {
                let restarts = match step {
                    Step::Run(Stage::Rollback) => promoted.contains(host),
                    Step::Run(stage) => stage.restarts(),
                    _ => false,
                };
                if step == Step::Run(Stage::Promote) {
                    promoted.insert(*host);
                }
                let was_out = drained.contains(host);
                if !restarts || !out.insert(*host) || was_out || (asked_back && at_once(told)) {
                    continue;
                }
                let (group, subgroup) = subgroup_of(plan, *host);
                let now = out_in(group, &out, &drained);
                let group = plan.group_ids().nth(group).unwrap();
                let most = match plan.group(group).max_unavailable {
                    Some(share) => share.of(plan.group(group).targets.len()),
                    None => plan.subgroups_of(group)[subgroup].1.clone().count().max(out_before + 1),
                };
                assert!(now <= most, "{now} hosts of {group:?} are out, of {most} that may be: {out:?}, {drained:?}");
            }
            Trace::Drained(host, true) => drop(drained.insert(*host)),
            Trace::Drained(host, false) => drop(drained.remove(host)),
            Trace::Told(host, outcome) => match (step, outcome) {
                (Step::Probe, Ok(())) if told.left_drained(*host) => drop(drained.insert(*host)),
                (_, Err(Fault::Unreachable { .. } | Fault::Lost { .. })) if step != Step::Release => {
                    out.insert(*host);
                }
                (Step::Run(stage), Ok(())) if stage.restarts() => drop(out.remove(host)),
                _ => {}
            },
            Trace::Asked(question) => asked_back |= question.contains("Roll back"),
            Trace::Returned { .. } => {}
        }
    }
    // A halt for want of room is named so, and never in a run where nothing sets a budget.
    let used_up = told.events.iter().any(|event| matches!(event, Event::CapacityUsedUp { .. }));
    assert!(!used_up || plan.groups.iter().all(|group| group.max_unavailable.is_some()));
    assert!(!told.verdict.text.contains("max_unavailable") || used_up, "{}", told.verdict.text);
}

/// R14: a look for every gate and soak that is due, in the order of the run; what fails halts, and a rollback looks at
/// nothing.
fn r14_health(told: &Told, calls: &[Called]) {
    let Told { plan, looks, .. } = told;
    for look in looks {
        let group = plan.group_ids().find(|group| plan.group(*group).name == look.group);
        assert!(look.moment == Moment::Soak || plan.has_gates(look.moment, group), "nobody asked for {look:?}");
        assert!(look.soaked <= 3);
        if look.moment == Moment::Before {
            assert_eq!(look.new, 0, "nothing was touched by then");
        }
        if look.moment == Moment::Subgroup || look.moment == Moment::Soak && look.label != look.group {
            assert!(look.new > 0, "nobody is on the new revision: {look:?}");
        }
    }
    let failed = told.events.iter().position(|event| matches!(event, Event::GateFailed { .. }));
    if let Some(at) = failed {
        let later = |event: &Event| match event {
            Event::HostStarted { step, .. } => is_primary(*step) || *step == Step::Run(Stage::Finalize),
            Event::SoakStarted { .. } | Event::Gate { .. } => true,
            _ => false,
        };
        assert!(!told.events[at..].iter().any(later), "the run went on after a gate had failed");
        assert_ne!(told.verdict.code, ExitCode::Success);
    }
    let rolled_back = |event: &Event| matches!(event, Event::Asked { question, .. } if question.contains("Roll back"));
    if let Some(at) = told.events.iter().position(rolled_back) {
        let looked = |event: &Event| matches!(event, Event::Soaking { .. } | Event::Gate { .. });
        assert!(!told.events[at..].iter().any(looked), "a rollback looked at the service");
    }
    if told.verdict.code == ExitCode::Success && plan.finalize.is_some() {
        let soaks = looks.iter().filter(|look| look.moment == Moment::Soak).count();
        let promoted: HashSet<_> = calls
            .iter()
            .filter(|call| call.step == Step::Run(Stage::Promote) && !call.force)
            .filter(|call| call.told.iter().any(|(_, outcome)| outcome.is_ok()))
            .map(|call| subgroup_of(plan, call.tasks[0]))
            .collect();
        if plan.groups.iter().all(|group| group.soak_time > Duration::ZERO) {
            assert!(soaks >= promoted.len(), "{soaks} soaks after {} subgroups", promoted.len());
        }
    }
}

/// R11: at most `retry_failed` more tries, forced, and only for hosts that answered.
fn r11_retries(plan: &Plan, calls: &[Called]) {
    let mut tries: HashMap<Host, usize> = HashMap::new();
    let mut last: HashMap<Host, &Outcome> = HashMap::new();
    for call in calls.iter().filter(|call| is_primary(call.step)) {
        for host in &call.started {
            if call.force && call.step == Step::Run(Stage::Fetch) {
                *tries.entry(*host).or_default() += 1;
                let outcome = last[host];
                assert!(
                    !outcome.is_ok() && !matches!(outcome, Err(Fault::Unreachable { .. } | Fault::Lost { .. })),
                    "host {host} was tried again after {outcome:?}"
                );
            }
        }
        last.extend(call.told.iter().copied());
    }
    assert!(tries.values().all(|tries| *tries <= plan.groups[0].retry_failed));
}

/// R12: every target has one row, what a row says is true, and the status is the one that fits.
fn r12_verdict(told: &Told) {
    let Told { plan, verdict, scripted, .. } = told;
    assert_eq!(verdict.rows.len(), plan.size());
    let by_host: Vec<_> = plan.targets().map(|(_, target)| target).collect();
    for (host, row) in verdict.rows.iter().enumerate() {
        assert_eq!(&row.host, by_host[host], "rows are in the plan's order");
        if let Some(current) = &row.current {
            assert_eq!(Some(current), scripted.current[host].as_ref(), "{} runs something else: {row:?}", row.host);
        }
        match row.state {
            RowState::Finalized => assert_eq!(scripted.done[host], Some(revision('b'))),
            RowState::RolledBack | RowState::ChecksFailed => {
                assert_eq!(scripted.current[host], scripted.before[host]);
                assert_eq!(scripted.done[host], scripted.before_done[host]);
            }
            RowState::NotAttempted | RowState::Refused => assert_eq!(scripted.current[host], scripted.before[host]),
            _ => {}
        }
        if scripted.done[host] == Some(revision('b')) {
            assert!([RowState::Finalized, RowState::NotFinalized].contains(&row.state), "{row:?}");
        }
        assert!(row.ok || row.reason.is_some() || row.state == RowState::Passed, "not ok, and no reason: {row:?}");
    }
    let changed: Vec<_> = (0..plan.size()).filter(|host| scripted.current[*host] != scripted.before[*host]).collect();
    match verdict.code {
        ExitCode::Success => {
            for row in verdict.rows.iter().filter(|row| plan.finalize.is_some() && row.ok) {
                assert_eq!(row.state, RowState::Finalized);
            }
            assert!(verdict.rows.iter().any(|row| row.ok), "nothing was deployed anywhere");
            let wrong = [RowState::RollbackFailed, RowState::ChecksFailed, RowState::Unknown];
            assert!(!verdict.rows.iter().any(|row| wrong.contains(&row.state)), "{:?}", verdict.rows);
        }
        ExitCode::Failed | ExitCode::Locked | ExitCode::Interrupted => {
            assert!(changed.is_empty(), "status {:?} with {changed:?} changed", verdict.code);
            assert!(verdict.rows.iter().all(|row| row.state != RowState::ChecksFailed));
        }
        ExitCode::NotFinalized => assert!(verdict.rows.iter().any(|row| row.state == RowState::NotFinalized)),
        ExitCode::Mixed => {
            let marks =
                ["mixed", "not rolled back", "may not be rolled back", "may have been changed", "still drained"];
            let says_mixed = marks.iter().any(|mark| verdict.text.contains(mark));
            let checks_fail = verdict.text.contains("check page failed");
            assert!(
                says_mixed || checks_fail || !changed.is_empty() || verdict.text.starts_with("stopped"),
                "{}",
                verdict.text
            );
        }
        ExitCode::Usage | ExitCode::Unfinished | ExitCode::Tolerated | ExitCode::Changes => {
            panic!("not a status of a story")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_holds_for_every_plan_and_every_fleet(told in run()) {
        hold_all_rules(&told);
    }
}

// ---- rules and faults by name ----

#[test]
fn a_good_fleet_ends_finalized_with_status_0() {
    let told = tell(
        plan(vec![(2, None, FailureLimit::Hosts(0)), (6, None, FailureLimit::Hosts(0))], 3),
        vec![Script::good(); 8],
        vec![],
        None,
        1,
    );
    assert_eq!(told.verdict.code, ExitCode::Success, "{:?}", told.verdict);
    assert!(told.verdict.rows.iter().all(|row| row.ok && row.state == RowState::Finalized));
    hold_all_rules(&told);
}

#[test]
fn fault_1_a_failure_within_the_limit_stops_no_other_host_and_the_next_stage_leaves_the_failed_one_out() {
    let mut scripts = vec![Script::good(); 10];
    scripts[0] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(10, None, FailureLimit::Hosts(1))], 1), scripts, vec![], None, 1);
    let calls = calls(&told);
    let of = |stage| calls.iter().find(|call| call.step == Step::Run(stage)).unwrap().started.clone();
    assert_eq!(of(Stage::Fetch), (0..10).collect::<Vec<_>>());
    assert_eq!(of(Stage::ConfigDeploy), (1..10).collect::<Vec<_>>());
    assert_eq!(told.verdict.code, ExitCode::Success);
}

#[test]
fn fault_1_hosts_that_were_never_started_are_reported_and_left_out_of_the_next_stage() {
    let mut scripts = vec![Script::good(); 10];
    scripts[2] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(10, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 1);
    let ended = told.events.iter().find_map(|event| match event {
        Event::StepEnded { step: Step::Run(Stage::Fetch), not_attempted, .. } => Some(not_attempted.len()),
        _ => None,
    });
    assert_eq!(ended, Some(7));
    assert!(!calls(&told).iter().any(|call| call.step == Step::Run(Stage::ConfigDeploy)));
    assert_eq!(told.verdict.rows.iter().filter(|row| row.state == RowState::NotAttempted).count(), 7);
}

#[test]
fn fault_2_a_host_that_failed_within_the_limit_is_not_finalized() {
    let told = tell_one_group(good_but(5, 3, failing(Stage::Promote, Act::FailLate)), FailureLimit::Hosts(1), 5);
    assert_eq!(told.verdict.code, ExitCode::Success);
    assert_eq!(told.verdict.rows[3].state, RowState::Failed);
    assert_eq!(told.scripted.done[3], Some(revision('a')));
}

#[test]
fn fault_3_a_failed_finalize_shows_in_the_exit_status() {
    let script = Script { finalize: Act::FailEarly, ..Script::good() };
    let told = tell_one_group(good_but(3, 1, script), FailureLimit::Hosts(0), 3);
    assert_eq!(told.verdict.code, ExitCode::NotFinalized);
    assert_eq!(told.verdict.rows[1].state, RowState::NotFinalized);
}

#[test]
fn fault_4_all_of_200_promoted_hosts_are_rolled_back_though_some_rollbacks_fail() {
    let mut scripts = vec![Script::good(); 200];
    scripts[199] = failing(Stage::Promote, Act::FailLate);
    scripts[5].rollback = Act::FailEarly;
    scripts[6].rollback = Act::Kill;
    let told = tell(plan(vec![(200, None, FailureLimit::Hosts(0))], 80), scripts, vec![], None, 7);
    let rolled: Vec<_> = calls(&told)
        .into_iter()
        .filter(|call| call.step == Step::Run(Stage::Rollback))
        .map(|call| call.started)
        .collect();
    assert_eq!(rolled[0], [199], "the host that is out of service anyway goes first");
    assert_eq!(rolled.concat().len(), 200);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.rows[5].state, RowState::RollbackFailed);
    assert_eq!(told.verdict.rows.iter().filter(|row| row.state == RowState::RolledBack).count(), 198);
}

#[test]
fn fault_5_a_host_lost_in_mid_promote_is_asked_to_roll_back() {
    let told = tell_one_group(good_but(3, 1, failing(Stage::Promote, Act::LostLate)), FailureLimit::Hosts(0), 1);
    let rollback = calls(&told).into_iter().find(|call| call.step == Step::Run(Stage::Rollback)).unwrap().started;
    assert!(rollback.contains(&1));
    assert_eq!(told.verdict.rows[1].state, RowState::RolledBack);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn fault_6_a_host_whose_stage_was_killed_by_a_signal_has_failed() {
    let told = tell_one_group(good_but(3, 1, failing(Stage::Promote, Act::Kill)), FailureLimit::Hosts(0), 3);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn fault_7_rollback_leaves_alone_what_was_never_attempted() {
    let mut scripts = vec![Script::good(); 6];
    scripts[1] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(
        plan(vec![(4, Some(2), FailureLimit::Hosts(0)), (2, None, FailureLimit::Hosts(0))], 2),
        scripts,
        vec![],
        None,
        7,
    );
    let rolled: Vec<_> = calls(&told)
        .into_iter()
        .filter(|call| call.step == Step::Run(Stage::Rollback))
        .flat_map(|call| call.started)
        .collect();
    assert_eq!(rolled, [0, 1]);
}

#[test]
fn fault_9_the_limit_is_a_share_of_the_whole_group_over_all_its_subgroups() {
    // 20% of 10 is 2: one failure in each of two subgroups of five is allowed, a third is not.
    let limit = FailureLimit::Percent(20);
    let mut scripts = vec![Script::good(); 10];
    scripts[0] = failing(Stage::Fetch, Act::FailEarly);
    scripts[5] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(10, Some(5), limit)], 5), scripts.clone(), vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success);
    scripts[9] = failing(Stage::Promote, Act::FailEarly);
    let told = tell(plan(vec![(10, Some(5), limit)], 5), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed);
}

#[test]
fn fault_11_membership_of_subgroups_is_the_same_on_every_run() {
    let members = || {
        let told = tell(plan(vec![(7, Some(3), FailureLimit::Hosts(0))], 2), vec![Script::good(); 7], vec![], None, 99);
        calls(&told)
            .into_iter()
            .filter(|call| call.step == Step::Run(Stage::Fetch))
            .map(|call| call.tasks)
            .collect::<Vec<_>>()
    };
    assert_eq!(members(), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(members(), members());
}

#[test]
fn fault_13_exit_status_255_is_a_failure_of_the_stage_and_the_host_is_rolled_back_like_any_other() {
    let outcome = Fault::Failed { reason: "check x".into(), status: Some(255) };
    assert_eq!(outcome.to_string(), "check x (exit status 255)");
}

#[test]
fn a_failed_host_that_is_cured_by_a_retry_counts_no_longer() {
    let mut scripts = vec![Script::good(); 4];
    scripts[1].primary[2] = vec![Act::FailLate, Act::Work];
    let mut plan = plan(vec![(4, Some(2), FailureLimit::Hosts(0))], 2);
    plan.groups[0].retry_failed = 1;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success, "{:?}", told.verdict);
    assert!(told.verdict.rows.iter().all(|row| row.state == RowState::Finalized));
    hold_all_rules(&told);
}

#[test]
fn failed_hosts_are_rolled_back_at_once_when_asked_and_the_deployment_goes_on() {
    let mut scripts = vec![Script::good(); 4];
    scripts[1] = failing(Stage::Promote, Act::FailLate);
    let mut plan = plan(vec![(4, None, FailureLimit::Hosts(1))], 2);
    plan.groups[0].failed_targets = FailedTargets::Rollback;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success);
    assert_eq!(told.verdict.rows[1].state, RowState::RolledBack);
    assert_eq!(told.scripted.current[1], Some(revision('a')));
}

#[test]
fn unreachable_hosts_are_judged_before_anything_is_touched() {
    let mut scripts = vec![Script::good(); 4];
    scripts[3].probe = Act::Unreachable;
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 2), scripts.clone(), vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed);
    assert!(!calls(&told).iter().any(|call| matches!(call.step, Step::Run(_) | Step::Hold)));
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(1))], 2), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Success);
    assert_eq!(told.verdict.rows[3].state, RowState::Unreachable);
}

#[test]
fn a_target_locked_by_another_run_ends_with_status_5_before_anything_is_touched() {
    let script = Script { hold: Act::Locked, ..Script::good() };
    let told = tell_one_group(good_but(4, 3, script), FailureLimit::Percent(100), 2);
    assert_eq!(told.verdict.code, ExitCode::Locked);
    assert!(!calls(&told).iter().any(|call| matches!(call.step, Step::Run(_))));
}

#[test]
fn an_interrupt_before_anything_is_touched_ends_with_status_130() {
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 2), vec![Script::good(); 4], vec![], Some(0), 7);
    assert_eq!(told.verdict.code, ExitCode::Interrupted);
}

#[test]
fn a_declined_rollback_ends_mixed_with_every_host_named() {
    let mut scripts = vec![Script::good(); 4];
    scripts[3] = failing(Stage::Promote, Act::FailEarly);
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 4), scripts, vec![Answer::No], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.rows.iter().filter(|row| row.state_text() == "after promote").count(), 3);
    assert!(told.verdict.stayed, "a later rollback leads from here");
    let mut scripts = vec![Script::good(); 4];
    scripts[3] = failing(Stage::Promote, Act::FailEarly);
    let back = Plan { kind: Kind::Rollback, ..plan(vec![(4, None, FailureLimit::Hosts(0))], 4) };
    let told = tell(back, scripts, vec![Answer::No], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert!(!told.verdict.stayed, "a later rollback leads to the same revision");
    assert!(told.verdict.text.contains("mixed: 3 hosts were changed"), "{}", told.verdict.text);
    let mut scripts = vec![Script::good(); 4];
    scripts[3] = failing(Stage::Fetch, Act::FailEarly);
    let told = tell(plan(vec![(4, None, FailureLimit::Hosts(0))], 4), scripts, vec![Answer::No], None, 7);
    assert!(told.verdict.text.ends_with("4 hosts still run what they ran before"), "{}", told.verdict.text);
    assert!(!told.verdict.stayed);
}

#[test]
fn a_host_without_a_finalized_revision_is_left_as_it_is_and_named() {
    let mut scripts = vec![Script::good(); 2];
    scripts[0].has_done = false;
    scripts[1] = failing(Stage::Promote, Act::FailEarly);
    let told = tell(plan(vec![(2, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 7);
    assert_eq!(told.verdict.rows[0].state, RowState::Left);
    assert_eq!(told.verdict.code, ExitCode::Mixed, "its live revision is the one that was not wanted");
}

#[test]
fn a_host_that_stays_lost_makes_the_fleet_mixed_even_within_the_limit() {
    let told = tell_one_group(good_but(3, 0, failing(Stage::Promote, Act::LostEarly)), FailureLimit::Hosts(1), 1);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    assert_eq!(told.verdict.rows[0].state, RowState::Unknown);
    assert!(told.verdict.stayed);
}

#[test]
fn a_host_that_was_not_promoted_keeps_what_is_live_and_one_that_was_goes_back_to_it_finalized_or_not() {
    let mut scripts = vec![Script::good(); 3];
    scripts.iter_mut().for_each(|script| script.live = Some('c'));
    let mut fails = scripts.clone();
    fails[2].primary[0] = vec![Act::FailEarly];
    let told = tell(plan(vec![(3, None, FailureLimit::Hosts(0))], 1), fails, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed, "{:?}", told.verdict);
    assert!(told.scripted.current.iter().all(|current| *current == Some(revision('c'))));
    scripts[2].primary[2] = vec![Act::FailLate];
    scripts[1].has_done = false;
    let told = tell(plan(vec![(3, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Failed, "{:?}", told.verdict);
    assert!(told.scripted.current.iter().all(|current| *current == Some(revision('c'))));
    assert_eq!(told.scripted.done, [Some(revision('a')), None, Some(revision('a'))], "as it was, or as it was not");
}

#[test]
fn a_host_whose_done_is_not_what_it_was_is_not_called_rolled_back() {
    let mut table_of = vec![Script::good(); 2];
    table_of[1] = failing(Stage::Promote, Act::FailLate);
    let mut fleet = Scripted::new(table_of, 7);
    // The target forgets what was finalized.
    fleet.before.iter_mut().for_each(|state| state.done = None);
    let mut person = Person { answers: vec![], interrupt_at: None, looks: 0, trace: fleet.trace.clone() };
    let plan = plan(vec![(2, None, FailureLimit::Hosts(0))], 1);
    let verdict = deploy(&plan, &mut fleet, &mut Calm, &mut person, &mut Events::default());
    assert_eq!(verdict.code, ExitCode::Mixed, "{verdict:?}");
    assert!(verdict.rows[0].reason.as_ref().unwrap().contains(".done is nothing after the rollback"), "{verdict:?}");
}

/// The hosts of each call of a stage.
fn hosts_of_calls(told: &Told, stage: Stage) -> Vec<Vec<Host>> {
    calls(told).into_iter().filter(|call| call.step == Step::Run(stage)).map(|call| call.started).collect()
}

#[test]
fn a_rollback_goes_subgroup_by_subgroup_in_reverse_and_takes_no_more_at_once_than_promote_did() {
    let mut scripts = vec![Script::good(); 8];
    scripts[7] = failing(Stage::Promote, Act::FailEarly);
    let groups = vec![(3, Some(2), FailureLimit::Hosts(0)), (5, Some(2), FailureLimit::Hosts(0))];
    let mut plan = plan(groups, 80);
    plan.stages[2].batch = 1;
    let told = tell(plan, scripts, vec![], None, 7);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![7], vec![5, 6], vec![3, 4], vec![2], vec![0, 1]]);
    let batches = told.trace.iter().filter_map(|entry| match entry {
        Trace::Called { call, .. } if call.step == Step::Run(Stage::Rollback) => Some(call.batch),
        _ => None,
    });
    assert!(batches.into_iter().all(|batch| batch == 1), "promote took one at a time");
}

#[test]
fn failed_hosts_are_tried_again_and_rolled_back_no_more_at_once_than_their_subgroups_have() {
    let scripts = vec![failing(Stage::Promote, Act::FailLate); 5];
    let mut plan = plan(vec![(5, Some(2), FailureLimit::Percent(100))], 80);
    plan.groups[0].retry_failed = 1;
    plan.groups[0].failed_targets = FailedTargets::Rollback;
    let told = tell(plan, scripts, vec![], None, 7);
    // Two that failed are out of service, which leaves room for one at a time; to try those again takes no room.
    let twice = [vec![0, 1], vec![2], vec![3], vec![4], vec![0, 1], vec![2, 3], vec![4]];
    assert_eq!(hosts_of_calls(&told, Stage::Promote), twice);
    assert_eq!(hosts_of_calls(&told, Stage::Rollback), [vec![4], vec![2, 3], vec![0, 1]]);
    hold_all_rules(&told);
}

#[test]
fn a_run_that_succeeded_nowhere_is_never_called_deployed_whatever_the_limit_allows() {
    let all = |script: Script| {
        let told = tell(plan(vec![(2, None, FailureLimit::Percent(100))], 2), vec![script; 2], vec![], None, 7);
        assert!(told.verdict.text.starts_with("not deployed"), "{}", told.verdict.text);
        assert_eq!(told.verdict.finalized, None, "nobody is owed it");
        told.verdict.code
    };
    assert_eq!(all(failing(Stage::Fetch, Act::FailEarly)), ExitCode::Failed);
    assert_eq!(all(failing(Stage::Promote, Act::FailEarly)), ExitCode::Failed);
    assert_eq!(all(failing(Stage::Promote, Act::FailLate)), ExitCode::Mixed);
    assert_eq!(all(failing(Stage::Promote, Act::LostLate)), ExitCode::Mixed);
}

#[test]
fn a_tolerated_host_whose_rollback_fails_makes_the_fleet_mixed() {
    for (rollback, code) in [
        (Act::FailEarly, ExitCode::Mixed),
        (Act::LostLate, ExitCode::Mixed),
        (Act::Unreachable, ExitCode::Mixed),
        (Act::ChecksFail, ExitCode::Mixed),
        (Act::Work, ExitCode::Success),
    ] {
        let mut scripts = vec![Script::good(); 3];
        scripts[1] = Script { rollback, ..failing(Stage::Promote, Act::FailLate) };
        let mut plan = plan(vec![(3, None, FailureLimit::Hosts(1))], 2);
        plan.groups[0].failed_targets = FailedTargets::Rollback;
        let told = tell(plan, scripts, vec![], None, 7);
        assert_eq!(told.verdict.code, code, "{rollback:?}: {}", told.verdict.text);
    }
}

#[test]
fn hosts_that_are_back_and_fail_a_check_are_named_with_it_and_not_called_mixed() {
    let mut scripts = vec![Script { rollback: Act::ChecksFail, ..Script::good() }; 2];
    scripts.push(failing(Stage::Promote, Act::FailLate));
    let told = tell(plan(vec![(3, None, FailureLimit::Hosts(0))], 1), scripts, vec![], None, 7);
    assert_eq!(told.verdict.code, ExitCode::Mixed);
    let text = &told.verdict.text;
    assert!(!text.contains("mixed"), "{text}");
    assert!(text.contains("3 hosts were rolled back and verified, but checks fail"), "{text}");
    assert!(text.contains("host[0-1] (check page failed)"), "{text}");
    assert!(!text.contains("mixed"), "{text}");
}
